//! CT 4, 5 and 6, and what the log itself cannot do at the moment.

use http::Method;
use keys::FileKey;
use pki::ca::CaKey;
use pki::{Certificate, KeyKind};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use crate::common::{Authority, Fixture, body, send, subject};

/// OID, criticality, value.
type Extension<'a> = (&'a [u64], bool, &'a [u8]);

const POISON: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3];
const EKU: &[u64] = &[2, 5, 29, 37];
const CODE_SIGNING: &[u8] = &[0x30, 0x0A, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 3];
const SERVER_AUTH: &[u8] = &[0x30, 0x0A, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 1];

/// A leaf with these extensions, signed by the authority.
fn leaf(authority: &Authority, extensions: &[Extension<'_>]) -> Certificate {
    Certificate::from_der(&leaf_der(authority, extensions)).unwrap()
}

fn leaf_der(authority: &Authority, extensions: &[Extension<'_>]) -> Vec<u8> {
    let custom = |(oid, critical, value): &Extension<'_>| {
        let mut extension = CustomExtension::from_oid_content(oid, value.to_vec());
        extension.set_criticality(*critical);
        extension
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = extensions.iter().map(custom).collect();
    let pair = KeyPair::from_pem(&authority.key.to_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&authority.intermediate.der().into(), pair).unwrap();
    params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
}

#[tokio::test]
async fn each_door_takes_its_own_kind() {
    let fixture = Fixture::new().await;
    let authority = &fixture.authority;
    let precertificate = authority.precertificate().await;
    let certificate = authority.certificate_of(&authority.profile(), &[]).await;
    fixture.add_pre_chain(&authority.whole(&certificate)).await.refused(400, "chain_not_precertificate", "add-chain");
    fixture.add_chain(&authority.whole(&precertificate)).await.refused(400, "chain_precertificate", "add-pre-chain");

    let good: Extension<'_> = (EKU, false, CODE_SIGNING);
    let cases: [(&[u8], bool, &str); 3] =
        [(&[5, 0], false, "not critical"), (&[4, 0], true, "wrong value"), (&[5, 0, 0], true, "wrong value")];
    for (value, critical, text) in cases {
        let leaf = leaf(authority, &[good, (POISON, critical, value)]);
        fixture.add_pre_chain(&authority.whole(&leaf)).await.refused(400, "chain_poison", text);
    }
    let good = leaf(authority, &[good, (POISON, true, &[5, 0])]);
    fixture.add_pre_chain(&authority.whole(&good)).await.sct();
    assert_eq!(fixture.head().await.tree_size, 1);
}

#[tokio::test]
async fn two_poisons_are_refused() {
    let fixture = Fixture::new().await;
    let poison: Extension<'_> = (POISON, true, &[5, 0]);
    let twice = leaf_der(&fixture.authority, &[(EKU, false, CODE_SIGNING), poison, poison]);
    let chain = [&twice[..], fixture.authority.intermediate.der(), fixture.authority.root.der()];
    let request = ct::AddChainRequest { chain: chain.map(<[u8]>::to_vec).into() };
    let answer = fixture.post("/ct/v1/add-pre-chain", request.to_json()).await;
    answer.refused(400, "chain_certificate", "the extension 1.3.6.1.4.1.11129.2.4.3 occurs twice");
}

#[tokio::test]
async fn only_code_signing_is_logged() {
    let fixture = Fixture::new().await;
    let authority = &fixture.authority;
    let extensions: [&[Extension<'_>]; 2] = [&[(EKU, false, SERVER_AUTH)], &[([2, 5, 29, 99].as_slice(), false, &[5, 0])]];
    for extensions in extensions {
        let leaf = leaf(authority, extensions);
        fixture.add_chain(&authority.whole(&leaf)).await.refused(400, "chain_purpose", "expected codeSigning");
    }
    fixture.add_chain(&[&authority.root]).await.refused(400, "chain_purpose", "expected codeSigning");
}

#[tokio::test]
async fn bodies_that_are_no_chain() {
    let fixture = Fixture::new().await;
    for path in ["/ct/v1/add-chain", "/ct/v1/add-pre-chain"] {
        fixture.post(path, r#"{"chain":[]}"#).await.refused(400, "chain_empty", "the chain is empty");
        fixture.post(path, "{}").await.refused(400, "chain_json", "missing field `chain`");
        fixture.post(path, "chain").await.refused(400, "chain_json", "not a JSON object");
        fixture.post(path, "").await.refused(400, "chain_json", "not a JSON object");
        fixture.post(path, r#"{"chain":["A"]}"#).await.refused(400, "chain_base64", "certificate 0");
        fixture.post(path, r#"{"chain":["AAAA"]}"#).await.refused(400, "chain_certificate", "certificate 1");
        let eleven = format!(r#"{{"chain":["AAAA"{}]}}"#, r#","AAAA""#.repeat(10));
        fixture.post(path, eleven).await.refused(400, "chain_too_long", "at most 10");
        fixture.post(path, vec![b' '; 1 << 20]).await.refused(413, "body_too_large", "larger than 65536 bytes");
        fixture.get(path).await.refused(405, "method_not_allowed", "POST");
    }
    let router = || fixture.log().router();
    send(router(), Method::POST, "/ct/v1/get-sth", "".into()).await.refused(405, "method_not_allowed", "GET");
    fixture.get("/").await.refused(404, "path_not_found", "/ct/v1/");
    assert_eq!(fixture.head().await.tree_size, 0);
}

/// RFC 6962 §3.1 allows a certificate that signs precertificates in the authority's place. Ours never does.
#[tokio::test]
async fn no_certificate_that_only_signs_precertificates() {
    let mut fixture = Fixture::new().await;
    let root_pem = FileKey::generate(KeyKind::P256).unwrap().to_pem();
    let root = pki::ca::root(&CaKey::from_pkcs8_pem(&root_pem).unwrap(), &subject("other")).unwrap();
    let key = FileKey::generate(KeyKind::P256).unwrap();

    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 11129, 2, 4, 4])];
    let issuer = rcgen::Issuer::from_ca_cert_der(&root.der().into(), KeyPair::from_pem(&root_pem).unwrap()).unwrap();
    let signer = params.signed_by(&KeyPair::from_pem(&key.to_pem()).unwrap(), &issuer).unwrap();
    let authority = Authority { intermediate: Certificate::from_der(signer.der()).unwrap(), root, key };

    std::fs::write(fixture.path("roots.pem"), authority.root.to_pem()).unwrap();
    fixture.reopen().await;
    let precertificate = leaf(&authority, &[(EKU, false, CODE_SIGNING), (POISON, true, &[5, 0])]);
    let answer = fixture.add_pre_chain(&authority.whole(&precertificate)).await;
    answer.refused(400, "chain_precertificate_signing", "the issuing certificate itself");
}

#[tokio::test]
async fn while_the_clock_is_behind_fulcio_is_asked_to_wait_a_second() {
    let fixture = Fixture::new().await;
    let (precertificate, sct) = fixture.logged().await;
    fixture.clock.advance(jiff::SignedDuration::from_secs(-5));
    let leaf = fixture.authority.precertificate().await;
    let answer = fixture.add_pre_chain(&fixture.authority.whole(&leaf)).await;
    answer.refused(503, "clock_stepped", "signing resumes when it has caught up");
    assert_eq!(answer.headers["retry-after"], "1");
    // What is logged already is promised again.
    let again = fixture.add_pre_chain(&fixture.authority.whole(&precertificate)).await;
    assert!(again.status == 503 || again.sct().timestamp == sct.timestamp, "{again:?}");
    fixture.clock.advance(jiff::SignedDuration::from_secs(5));
    fixture.add_pre_chain(&fixture.authority.whole(&leaf)).await.sct();
}

#[tokio::test]
async fn a_frozen_log_says_so_and_is_read_on() {
    let fixture = Fixture::new().await;
    fixture.logged().await;
    fixture.log().freeze().await.unwrap();
    let leaf = fixture.authority.precertificate().await;
    fixture.add_pre_chain(&fixture.authority.whole(&leaf)).await.refused(400, "log_frozen", "frozen");
    assert_eq!(fixture.head().await.tree_size, 1);
}

/// Whatever byte of a submission is wrong, it is refused as the caller's mistake, or it is the same certificate.
#[tokio::test]
async fn damage_is_the_callers() {
    let fixture = Fixture::new().await;
    let (precertificate, _) = fixture.logged().await;
    let whole = body(&fixture.authority.whole(&precertificate)).into_bytes();
    for position in (0..whole.len()).step_by(37) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x11;
        let answer = fixture.post("/ct/v1/add-pre-chain", damaged).await;
        assert!(answer.status == 400 || answer.status == 200, "{position}: {answer:?}");
    }
    assert_eq!(fixture.head().await.tree_size, 1);
}
