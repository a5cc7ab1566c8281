//! 23 and 24: what refuses to start, and with which code.

use std::sync::Arc;

use chassis::Explain as _;
use clock::{Clock as _, ManualClock, SystemClock};
use fulcio::{Config, StartError};
use jiff::SignedDuration;
use keys::{FileKey, Signer as _};
use pki::KeyKind;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use time::Duration;

use crate::support::ca::{CaOptions, TestAuthority};
use crate::support::{EMAIL, Fixture};

/// Tries to start with this chain, this key, and a configuration that `change` has changed.
async fn start(chain: &str, key: &str, change: impl FnOnce(&mut Value)) -> Result<fulcio::Fulcio, StartError> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("chain.pem"), chain).unwrap();
    std::fs::write(path("ctfe.pub"), FileKey::generate(KeyKind::P256).unwrap().public_key().to_pem()).unwrap();
    fulcio::create(&path("fulcio.db")).await.unwrap();
    let mut config = json!({
        "public_url": "http://127.0.0.1:5555",
        "http": { "listen": ["127.0.0.1:0"] },
        "certificate_chain": path("chain.pem"),
        "key": "unused.pem",
        "database": path("fulcio.db"),
        "ct_log": { "url": "http://127.0.0.1:6962", "public_key": path("ctfe.pub") },
    });
    change(&mut config);
    let config: Config = serde_json::from_value(config).unwrap();
    let signer = Arc::new(FileKey::from_pem(key).unwrap());
    fulcio::open(&config, signer, Arc::new(ManualClock::new(SystemClock.now()))).await
}

fn refused(started: Result<fulcio::Fulcio, StartError>) -> (&'static str, String) {
    let error = started.expect_err("must not start");
    (error.code(), chassis::reason::chain(&error))
}

#[tokio::test]
async fn chains_that_verifiers_would_refuse() {
    let good = TestAuthority::new(&CaOptions::default());
    let [issuing, root] = &good.certificates;
    start(&good.certificates.concat(), &good.key, |_| {}).await.unwrap();
    let p256 = TestAuthority::new(&CaOptions { algorithm: &PKCS_ECDSA_P256_SHA256, ..CaOptions::default() });
    start(&p256.certificates.concat(), &p256.key, |_| {}).await.unwrap();
    let other = TestAuthority::new(&CaOptions::default());
    let no_usage = TestAuthority::new(&CaOptions { code_signing: false, ..CaOptions::default() });
    let ed25519 = TestAuthority::new(&CaOptions { algorithm: &PKCS_ED25519, ..CaOptions::default() });
    let expired = TestAuthority::new(&CaOptions { expires_in: Duration::hours(-1), ..CaOptions::default() });
    for (chain, key, code, text) in [
        (String::new(), &good.key, "ca_chain_unusable", "does not hold certificates: the certificate is not PEM"),
        (good.key.clone(), &good.key, "ca_chain_unusable", "expected CERTIFICATE"),
        (format!("{root}{issuing}"), &good.key, "ca_chain_invalid", "expected the root last"),
        (issuing.clone(), &good.key, "ca_chain_invalid", ""),
        (format!("{issuing}{}", other.certificates[1]), &good.key, "ca_chain_invalid", "valid signature of the next one"),
        (no_usage.certificates.concat(), &no_usage.key, "ca_chain_invalid", "is not for codeSigning"),
        (ed25519.certificates.concat(), &ed25519.key, "ca_chain_invalid", "Ed25519"),
        (good.certificates.concat(), &other.key, "ca_key_mismatch", "but the configured key is"),
        (expired.certificates.concat(), &expired.key, "ca_not_valid", "is valid from"),
    ] {
        let (found, message) = refused(start(&chain, key, |_| {}).await);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn configuration_that_cannot_work() {
    let ca = TestAuthority::new(&CaOptions::default());
    let chain = ca.certificates.concat();
    type Change = fn(&mut Value);
    let changes: [(Change, &str, &str); 10] = [
        (
            |c| std::fs::write(c["ct_log"]["public_key"].as_str().unwrap(), include_str!("vectors/p384.pub.pem")).unwrap(),
            "ct_key_unusable",
            "is ECDSA P-384, expected ECDSA P-256",
        ),
        (|c| c["not_before_skew"] = json!("2m"), "not_before_skew", "expected at most 60 s"),
        (|c| c["certificate_chain"] = json!("/nowhere"), "ca_chain_unusable", "/nowhere cannot be read"),
        (|c| c["ct_log"]["public_key"] = json!("/nowhere"), "ct_key_unusable", "/nowhere cannot be read"),
        (|c| c["ct_log"]["public_key"] = c["certificate_chain"].clone(), "ct_key_unusable", "expected PUBLIC KEY"),
        (|c| c["ct_log"]["url"] = json!("localhost:6962"), "ct_url_invalid", "not an http or https URL"),
        (|c| c["ct_log"]["ca_cert"] = json!("/nowhere"), "ca_file_unreadable", "ct_log.ca_cert"),
        (|c| c["database"] = json!("/nowhere/fulcio.db"), "database_missing", "chancery init"),
        (
            |c| c["issuers"] = json!([{ "issuer_url": "https://x", "type": "ci-provider", "ci_provider": "jenkins" }]),
            "ci_provider_invalid",
            "refers to ci_provider jenkins",
        ),
        (
            |c| {
                let one = |kind: &str| json!({ "issuer_url": "https://x", "type": kind });
                c["issuers"] = json!([one("email"), one("kubernetes")]);
            },
            "issuer_invalid",
            "configured twice",
        ),
    ];
    for (change, code, text) in changes {
        let (found, message) = refused(start(&chain, &ca.key, change).await);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn the_record_is_created_once_and_only_ours_is_opened() {
    let f = Fixture::new().await;
    let path = f.config.database.as_path();
    assert_eq!(StartError::from(fulcio::create(path).await.unwrap_err()).code(), "database_exists");
    f.sign_as(&f.email_token(), EMAIL).await.leaf();
    let signer = Arc::new(FileKey::from_pem(&f.authority.key).unwrap());
    let (config, clock) = (f.config.clone(), f.clock.clone());
    f.fulcio.close().await;
    fulcio::open(&config, signer.clone(), clock.clone()).await.unwrap().close().await;

    let ca = &f.authority;
    for content in [b"no database, but long enough to be one".repeat(200), Vec::new()] {
        let overwrite = move |config: &mut Value| std::fs::write(config["database"].as_str().unwrap(), content).unwrap();
        let (code, message) = refused(start(&ca.certificates.concat(), &ca.key, overwrite).await);
        assert!(["database_failed", "database_foreign"].contains(&code), "{message}");
    }
}

/// An authority that ends during its last ten minutes cuts its certificates; after that it issues none.
#[tokio::test]
async fn the_end_of_the_authority() {
    let f = Fixture::new().await;
    let end = pki::Certificate::from_pem(&f.authority.certificates[0]).unwrap().not_after();
    f.clock.set(end - SignedDuration::from_secs(60));
    let token = || {
        let now = f.clock.now().as_second();
        f.key.mint(&f.email.claims(json!({ "email": EMAIL, "email_verified": true, "nbf": now, "exp": now + 600 })))
    };
    assert_eq!(f.sign_as(&token(), EMAIL).await.leaf().not_after(), end);
    f.clock.set(end + SignedDuration::from_secs(1));
    let message = f.sign_as(&token(), EMAIL).await.refusal(503, 14);
    assert!(
        message.starts_with("error communicating with CA backend: [ca_not_valid] the issuing chain is valid from "),
        "{message}"
    );
    let checks = f.fulcio.ready();
    let mut failed = Vec::new();
    for check in &checks {
        failed.extend(check.check().await.err());
    }
    assert_eq!(failed.len(), 1, "{failed:?}");
}

/// After the end of the process nothing is signed that was not recorded.
#[tokio::test]
async fn a_closed_service_refuses() {
    let f = Fixture::new().await;
    let router = f.router();
    let (token, log) = (f.email_token(), f.log.clone());
    let body = crate::support::p256_request(EMAIL).await.to_string();
    f.fulcio.close().await;
    let request =
        http::Request::post("/api/v2/signingCert").header("authorization", token).body(axum::body::Body::from(body)).unwrap();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(log.submissions().is_empty());
}
