//! Which keys and proofs are refused, with which sentence.

use keys::{FileKey, Signer as _};
use pki::KeyKind;
use serde_json::{Value, json};

use crate::support::{EMAIL, Fixture, base64, key_request, workflow_claims};

const INSECURE: &str = "The public key supplied in the request is insecure: [key_insecure] ";
const UNPARSABLE: &str = "The public key supplied in the request could not be parsed: [key_unparsable] ";
const SIGNATURE: &str = "The signature supplied in the request could not be verified: [proof_invalid] ";

async fn refused(f: &Fixture, body: &Value) -> String {
    let message = f.sign(&f.email_token(), body).await.refusal(400, 3);
    assert_eq!(f.recorded().await, 0, "nothing is written for a refusal");
    message
}

/// 2: raw r‖s is taken; a P-384 proof with SHA-256 is not.
#[tokio::test]
async fn proofs() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    let f = Fixture::new().await;
    let mut body = key_request(include_str!("vectors/p384.pub.pem"), b"");
    body["publicKeyRequest"]["proofOfPossession"] = include_str!("vectors/p384-sha256.proof").into();
    assert_eq!(
        refused(&f, &body).await,
        format!(
            "{SIGNATURE}the proof of possession does not verify: expected a signature with the ECDSA P-384 key of the request and SHA-384 over {EMAIL}"
        ),
    );

    let key = FileKey::generate(KeyKind::P256).unwrap();
    let pem = key.public_key().to_pem();
    for proof in [vec![], vec![0; 64], key.sign(b"me").await.unwrap(), key.sign(b"").await.unwrap()] {
        assert!(refused(&f, &key_request(&pem, &proof)).await.starts_with(SIGNATURE));
    }

    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let proof = key.sign(&SystemRandom::new(), EMAIL.as_bytes()).unwrap();
    assert_eq!(proof.as_ref().len(), 64);
    let spki =
        [&hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap(), key.public_key().as_ref()].concat();
    let pem = pki::PublicKey::from_spki_der(&spki).unwrap().to_pem();
    f.sign(&f.email_token(), &key_request(&pem, proof.as_ref())).await.leaf();
}

/// P-521 signs with SHA-512.
#[tokio::test]
async fn a_p521_key() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    let f = Fixture::new().await;
    let key = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).unwrap();
    let prefix = hex::decode("30819b301006072a8648ce3d020106052b810400230381860004").unwrap();
    let spki = [&prefix[..], &key.public_key().as_ref()[1..]].concat();
    let proof = key.sign(&SystemRandom::new(), EMAIL.as_bytes()).unwrap();
    let pem = pki::PublicKey::from_spki_der(&spki).unwrap().to_pem();
    assert_eq!(f.sign(&f.email_token(), &key_request(&pem, proof.as_ref())).await.leaf().public_key().kind(), KeyKind::P521);
}

/// 11: clients sign `email` when they find one; for other types both are taken, if the issuer vouches for the address.
#[tokio::test]
async fn a_proof_over_either_claim_for_types_named_by_sub() {
    let f = Fixture::new().await;
    let subject = format!("{}/someone", f.uri.url);
    let token = |verified: bool| f.key.mint(&f.uri.claims(json!({ "sub": subject, "email": EMAIL, "email_verified": verified })));
    for challenge in [subject.as_str(), EMAIL] {
        let leaf = f.sign_as(&token(true), challenge).await.leaf();
        assert_eq!(leaf.extensions().subject_alt_names(), [pki::SubjectAltName::Uri(subject.clone())]);
    }
    assert!(f.sign_as(&token(false), EMAIL).await.refusal(400, 3).starts_with(SIGNATURE));
    assert!(f.sign_as(&f.email_token(), "me").await.refusal(400, 3).starts_with(SIGNATURE));
    let mut claims = workflow_claims();
    claims["email"] = EMAIL.into();
    assert!(f.sign_as(&f.key.mint(&f.ghes.claims(claims)), EMAIL).await.refusal(400, 3).starts_with(SIGNATURE));
}

/// 21: weak and foreign keys.
#[tokio::test]
async fn weak_and_foreign_keys() {
    let f = Fixture::new().await;
    for (pem, sentence) in [
        (include_str!("vectors/rsa1024.pub.pem"), INSECURE),
        (include_str!("vectors/rsa2056.pub.pem"), INSECURE),
        (include_str!("vectors/rsa-close-primes.pub.pem"), INSECURE),
        (include_str!("vectors/secp224r1.pub.pem"), INSECURE),
        (include_str!("vectors/secp256k1.pub.pem"), INSECURE),
        (include_str!("vectors/x25519.pub.pem"), UNPARSABLE),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", UNPARSABLE),
        ("no key", UNPARSABLE),
    ] {
        let message = refused(&f, &key_request(pem, b"x")).await;
        assert!(message.starts_with(sentence), "{message}");
    }
    let missing = "The public key supplied in the request could not be parsed: [key_missing] ";
    for body in [json!({}), json!({ "publicKeyRequest": {} }), json!({ "certificateSigningRequest": "" })] {
        assert!(refused(&f, &body).await.starts_with(missing));
    }
}

/// 21: requests signed with PSS or SHA-1; a P-384 request signed with SHA-256 is refused unless listed.
#[tokio::test]
async fn requests() {
    let f = Fixture::new().await;
    let request = |pem: &str| json!({ "certificateSigningRequest": base64(pem.as_bytes()) });
    let good = include_str!("vectors/python.csr.pem");
    let tampered = good.replace("7Y1J", "7Y1K");
    assert_ne!(good, tampered);
    for (pem, sentence) in [
        (include_str!("vectors/pss.csr.pem"), "unrecognized signature algorithm: [csr_algorithm] "),
        (include_str!("vectors/sha1.csr.pem"), "unrecognized signature algorithm: [csr_algorithm] "),
        (
            include_str!("vectors/p384-sha256.csr.pem"),
            "signing algorithm not permitted: [key_not_permitted] ECDSA P-384 with SHA-256",
        ),
        (tampered.as_str(), "The signature supplied in the request could not be verified: [csr_signature] "),
        ("no request", "The certificate signing request could not be parsed: [csr_unparsable] "),
        (
            &good.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
            "The certificate signing request could not be parsed: [csr_unparsable] ",
        ),
    ] {
        let message = refused(&f, &request(pem)).await;
        assert!(message.starts_with(sentence), "{message}");
    }
    f.sign(&f.email_token(), &request(include_str!("vectors/p384-sha384.csr.pem"))).await.leaf();
    let f = Fixture::with(|config| config["client_signing_algorithms"] = json!(["ecdsa-sha2-256-nistp384"])).await;
    f.sign(&f.email_token(), &request(include_str!("vectors/p384-sha256.csr.pem"))).await.leaf();
    let message = f.sign(&f.email_token(), &request(good)).await.refusal(400, 3);
    assert_eq!(
        message,
        "signing algorithm not permitted: [key_not_permitted] ECDSA P-256 with SHA-256 is not permitted; permitted are ecdsa-sha2-256-nistp384",
    );
}
