//! What a certificate looks like, by whichever face it was asked for.

use ct::{SignedEntry, parse_sct_list};
use http::{Method, StatusCode};
use keys::{FileKey, Signer as _};
use pki::{Certificate, KeyKind, ObjectIdentifier, SubjectAltName, oid};
use serde_json::{Value, json};
use tonic::Request;

use fulcio::proto::v2::ca_client::CaClient;
use fulcio::proto::v2::create_signing_certificate_request::Key;
use fulcio::proto::v2::signing_certificate::Certificate as Signed;
use fulcio::proto::v2::{self, CreateSigningCertificateRequest, GetConfigurationRequest, GetTrustBundleRequest};

use crate::support::{EMAIL, Fixture, base64, der, workflow_claims};

/// The value of an extension under Fulcio's arc.
fn field(certificate: &Certificate, arc: u32) -> Option<Vec<u8>> {
    let id = ObjectIdentifier::new(&format!("1.3.6.1.4.1.57264.1.{arc}")).unwrap();
    certificate.extensions().get(id).map(|extension| {
        assert!(!extension.critical);
        extension.value.clone()
    })
}

fn utf8(text: &str) -> Vec<u8> {
    der::wrap(0x0c, text.as_bytes())
}

/// Everything of the certificate's profile that does not depend on the identity.
fn assert_profile(chain: &[Certificate], f: &Fixture) {
    let [leaf, rest @ ..] = chain else { panic!("no leaf") };
    let pems: Vec<_> = rest.iter().map(Certificate::to_pem).collect();
    let configured: Vec<_> = f.authority.certificates.iter().map(|pem| Certificate::from_pem(pem).unwrap().to_pem()).collect();
    assert_eq!(pems, configured, "the issuing certificate, then the root");
    assert_eq!(leaf.issuer_der(), rest[0].subject_der());
    leaf.verify_signature(rest[0].public_key()).unwrap();
    assert_eq!(leaf.subject_der(), [0x30, 0]);
    assert_eq!(leaf.serial().len(), 20);
    assert_eq!(leaf.not_after().duration_since(leaf.not_before()).as_secs(), 600);
    let extensions = leaf.extensions();
    let order: Vec<String> = extensions.all().iter().map(|extension| extension.oid.to_string()).collect();
    assert_eq!(order[..5], ["2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.17"]);
    assert_eq!(order.last().unwrap(), "1.3.6.1.4.1.11129.2.4.2");
    let critical: Vec<_> = extensions.all().iter().filter(|one| one.critical).map(|one| one.oid.to_string()).collect();
    assert_eq!(critical, ["2.5.29.15", "2.5.29.17"]);
    let usage = extensions.key_usage().unwrap();
    assert!(usage.digital_signature && !usage.certificate_signing && !usage.crl_signing && !usage.other);
    assert_eq!(extensions.ext_key_usage().unwrap(), [oid::CODE_SIGNING]);
    assert_eq!(extensions.authority_key_id(), rest[0].extensions().subject_key_id());
    assert_eq!(extensions.basic_constraints(), None);
    assert_promised(leaf, &rest[0], f);
}

/// 18: without the SCT list, the TBSCertificate is what the log signed; its extensions survived.
fn assert_promised(leaf: &Certificate, issuer: &Certificate, f: &Fixture) {
    let extension = &leaf.extensions().get(oid::CT_SCT_LIST).unwrap().value;
    let (tag, list, length) = der::element(extension);
    assert_eq!((tag, length), (4, extension.len()), "an OCTET STRING inside of the extension's own");
    let scts = parse_sct_list(list).unwrap();
    assert_eq!(scts.len(), 1);
    assert_eq!(scts[0].extensions, ct::leaf_index_extension(7).unwrap());
    let tbs = der::without_extension(leaf.tbs_der(), der::SCT_LIST);
    let precertificates = f.log.submissions();
    let logged = precertificates.iter().map(|precertificate| der::without_extension(&der::tbs(precertificate), der::POISON));
    assert!(logged.clone().any(|logged| logged == tbs), "the log saw these very bytes");
    let entry = SignedEntry::Precert { issuer_key_hash: issuer.public_key().fingerprint(), tbs };
    scts[0].verify(f.log.key.public_key(), entry).unwrap();
}

#[tokio::test]
async fn an_email_certificate_over_v2() {
    let f = Fixture::new().await;
    let chain = f.sign_as(&f.email_token(), EMAIL).await.chain();
    assert_profile(&chain, &f);
    let leaf = &chain[0];
    assert_eq!(leaf.extensions().subject_alt_names(), [SubjectAltName::Email(EMAIL.into())]);
    assert_eq!(field(leaf, 1).unwrap(), f.email.url.as_bytes());
    assert_eq!(field(leaf, 8).unwrap(), utf8(&f.email.url));
    assert_eq!(field(leaf, 24).unwrap(), utf8("me"));
    assert_eq!(leaf.extensions().all().len(), 5 + 3 + 1);
    let logged: Vec<_> = f.log.submissions().iter().map(|precertificate| der::tbs(precertificate)).collect();
    assert_eq!(f.recorded_tbs().await, logged, "recorded and logged are the same bytes");
}

/// 2, as far as it is about keys that are taken; 3: one line of base64 and no final newline.
#[tokio::test]
async fn every_kind_of_key() {
    let f = Fixture::new().await;
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa { bits: 2048 }, KeyKind::Ed25519] {
        let key = FileKey::generate(kind).unwrap();
        let one_line = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", base64(key.public_key().spki_der()));
        let proof = key.sign(EMAIL.as_bytes()).await.unwrap();
        let body = crate::support::key_request(&one_line, &proof);
        let chain = f.sign(&f.email_token(), &body).await.chain();
        assert_profile(&chain, &f);
        assert_eq!(chain[0].public_key(), key.public_key(), "{kind}");
    }
}

/// 4: sigstore-python asks for PEM and reads JSON.
#[tokio::test]
async fn a_csr_over_v2() {
    let f = Fixture::new().await;
    let csr = include_str!("vectors/python.csr.pem");
    let bearer = format!("Bearer {}", f.email_token());
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/pem-certificate-chain"),
    ];
    let renamed = csr.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    for csr in [csr, renamed.as_str()] {
        let body = json!({ "certificateSigningRequest": base64(csr.as_bytes()) }).to_string();
        let chain = f.send(Method::POST, "/api/v2/signingCert", &headers, body).await.chain();
        assert_profile(&chain, &f);
        assert_eq!(chain[0].extensions().subject_alt_names(), [SubjectAltName::Email(EMAIL.into())]);
    }
}

/// 7: gitsign sends DER; 6: v1 prefers the CSR.
#[tokio::test]
async fn certificates_over_v1() {
    let f = Fixture::new().await;
    let key = FileKey::generate(KeyKind::P256).unwrap();
    let proof = base64(&key.sign(EMAIL.as_bytes()).await.unwrap());
    let bearer = format!("Bearer {}", f.email_token());
    let post = async |body: Value| {
        let answer = f.send(Method::POST, "/api/v1/signingCert", &[("authorization", &bearer)], body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/pem-certificate-chain");
        assert!(!answer.headers.contains_key("sct"));
        let text = answer.text();
        assert!(!text.ends_with('\n') && !text.contains("\n\n"));
        Certificate::chain_from_pem(&text).unwrap()
    };
    for content in [key.public_key().spki_der(), key.public_key().to_pem().as_bytes()] {
        let chain =
            post(json!({ "publicKey": { "content": base64(content), "algorithm": "ecdsa" }, "signedEmailAddress": proof })).await;
        assert_profile(&chain, &f);
        assert_eq!(chain[0].public_key(), key.public_key());
    }
    let csr = include_str!("vectors/python.csr.pem");
    let both = json!({
        "publicKey": { "content": base64(key.public_key().spki_der()) },
        "signedEmailAddress": proof,
        "certificateSigningRequest": base64(csr.as_bytes()),
    });
    assert_ne!(post(both).await[0].public_key(), key.public_key());
}

#[tokio::test]
async fn certificates_over_grpc() {
    let f = Fixture::new().await;
    let mut client = CaClient::new(f.router());
    let key = FileKey::generate(KeyKind::P384).unwrap();
    let proof = key.sign(EMAIL.as_bytes()).await.unwrap();
    let request = |token: Option<String>| CreateSigningCertificateRequest {
        credentials: token
            .map(|token| v2::Credentials { credentials: Some(v2::credentials::Credentials::OidcIdentityToken(token)) }),
        key: Some(Key::PublicKeyRequest(v2::PublicKeyRequest {
            public_key: Some(v2::PublicKey { algorithm: 99, content: key.public_key().to_pem() }),
            proof_of_possession: proof.clone(),
        })),
    };
    let in_body = client.create_signing_certificate(request(Some(f.email_token()))).await.unwrap().into_inner();
    let mut in_metadata = Request::new(request(None));
    in_metadata.metadata_mut().insert("oidcidentitytoken", f.email_token().parse().unwrap());
    let in_metadata = client.create_signing_certificate(in_metadata).await.unwrap().into_inner();
    for answer in [in_body, in_metadata] {
        let Some(Signed::SignedCertificateEmbeddedSct(embedded)) = answer.certificate else { panic!("an embedded SCT") };
        let chain: Vec<_> = embedded.chain.unwrap().certificates.iter().map(|pem| Certificate::from_pem(pem).unwrap()).collect();
        assert_profile(&chain, &f);
    }
    let refused = client.create_signing_certificate(request(None)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().starts_with("There was an error processing the identity token: [token_missing] "));
    let mut twice = Request::new(request(None));
    for _ in 0..2 {
        twice.metadata_mut().append("oidcidentitytoken", f.email_token().parse().unwrap());
    }
    assert!(client.create_signing_certificate(twice).await.unwrap_err().message().contains("[token_missing]"));

    let bundle = client.get_trust_bundle(GetTrustBundleRequest {}).await.unwrap().into_inner();
    assert_eq!(bundle.chains[0].certificates.len(), 2);
    let configuration = client.get_configuration(GetConfigurationRequest {}).await.unwrap().into_inner();
    assert_eq!(configuration.issuers.len(), 5);
    assert_eq!(configuration.issuers[0].issuer, Some(v2::oidc_issuer::Issuer::IssuerUrl(f.email.url.clone())));
}

/// 12: every field of a workflow on GitHub Enterprise Server, and nothing of github.com in it.
#[tokio::test]
async fn a_workflow_of_an_enterprise_server() {
    let f = Fixture::new().await;
    let sub = "repo:org/repo:ref:refs/heads/main";
    let expected: [(u32, &str); 20] = [
        (9, "https://ghe.corp/org/repo/.github/workflows/w.yml@refs/heads/main"),
        (10, "c0ffee"),
        (11, "self-hosted"),
        (12, "https://ghe.corp/org/repo"),
        (13, "c0ffee"),
        (14, "refs/heads/main"),
        (15, "12"),
        (16, "https://ghe.corp/org"),
        (17, "34"),
        (18, "https://ghe.corp/org/repo/.github/workflows/w.yml@refs/heads/main"),
        (19, "c0ffee"),
        (20, "push"),
        (21, "https://ghe.corp/org/repo/actions/runs/56/attempts/1"),
        (22, "internal"),
        (24, sub),
        // Raw, without any DER around them:
        (2, "push"),
        (3, "c0ffee"),
        (4, "build"),
        (5, "org/repo"),
        (6, "refs/heads/main"),
    ];
    let chain = f.sign_as(&f.key.mint(&f.ghes.claims(workflow_claims())), sub).await.chain();
    assert_profile(&chain, &f);
    let leaf = &chain[0];
    let name = "https://ghe.corp/org/repo/.github/workflows/w.yml@refs/heads/main";
    assert_eq!(leaf.extensions().subject_alt_names(), [SubjectAltName::Uri(name.into())]);
    for (arc, text) in expected {
        let encoded = if arc < 7 { text.as_bytes().to_vec() } else { utf8(text) };
        assert_eq!(field(leaf, arc), Some(encoded), ".{arc}");
    }
    assert_eq!(field(leaf, 1).unwrap(), f.ghes.url.as_bytes());
    assert_eq!(field(leaf, 8).unwrap(), utf8(&f.ghes.url));
    assert_eq!(field(leaf, 23), None);
    let arcs: Vec<_> = leaf.extensions().all().iter().map(|extension| extension.oid.to_string()).collect();
    let own: Vec<u32> = arcs.iter().filter_map(|oid| oid.strip_prefix("1.3.6.1.4.1.57264.1.")?.parse().ok()).collect();
    assert!(own.is_sorted(), "{own:?}");

    let mut claims = workflow_claims();
    claims["environment"] = "production".into();
    let leaf = f.sign_as(&f.key.mint(&f.ghes.claims(claims)), sub).await.leaf();
    assert_eq!(field(&leaf, 23), Some(utf8("production")));
    let leaf = f.sign_as(&f.key.mint(&f.github.claims(workflow_claims())), sub).await.leaf();
    let name = "https://github.com/org/repo/.github/workflows/w.yml@refs/heads/main";
    assert_eq!(leaf.extensions().subject_alt_names(), [SubjectAltName::Uri(name.into())]);
}

/// 15: a service account.
#[tokio::test]
async fn a_service_account() {
    let f = Fixture::new().await;
    let claims = |namespace: &str| {
        json!({ "sub": "system:serviceaccount:team:builder",
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": "builder" } } })
    };
    let token = f.key.mint(&f.kubernetes.claims(claims("team")));
    let leaf = f.sign_as(&token, "system:serviceaccount:team:builder").await.leaf();
    let name = "https://kubernetes.io/namespaces/team/serviceaccounts/builder";
    assert_eq!(leaf.extensions().subject_alt_names(), [SubjectAltName::Uri(name.into())]);
    let token = f.key.mint(&f.kubernetes.claims(claims("")));
    let message = f.sign_as(&token, "system:serviceaccount:team:builder").await.refusal(400, 3);
    assert!(message.contains("[token_claim] claim kubernetes.io.namespace is empty, expected a DNS name"), "{message}");
}

#[tokio::test]
async fn serials_differ_and_times_are_whole_seconds() {
    let f = Fixture::with(|config| config["not_before_skew"] = json!("30s")).await;
    let one = f.sign_as(&f.email_token(), EMAIL).await.leaf();
    let other = f.sign_as(&f.email_token(), EMAIL).await.leaf();
    assert_ne!(one.serial(), other.serial());
    let now = clock::Clock::now(&*f.clock).as_second();
    assert_eq!((one.not_before().as_second(), one.not_after().as_second()), (now - 30, now + 600));
}

/// Thirty-two at once share commits, and each gets its own certificate.
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let f = Fixture::new().await;
    let token = f.email_token();
    let asked = (0..32).map(|_| f.sign_as(&token, EMAIL));
    let leaves: Vec<_> = futures_util::future::join_all(asked).await.iter().map(|answer| answer.leaf()).collect();
    let mut serials: Vec<_> = leaves.iter().map(|leaf| leaf.serial().to_vec()).collect();
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 32);
    assert_eq!(f.recorded().await, 32);
}
