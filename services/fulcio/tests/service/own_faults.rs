//! What we ourselves cannot do: nothing is signed without a record, nothing is issued after a failure, and the caller may try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use keys::{FileKey, SignError, Signer};
use pki::PublicKey;

use crate::support::{EMAIL, Fixture, p256_request};

#[tokio::test]
async fn nothing_is_signed_that_was_not_recorded() {
    let f = Fixture::new().await;
    let database = f.database().await;
    sqlx::query("ALTER TABLE issuance RENAME TO gone").execute(&database).await.unwrap();
    let message = f.sign_as(&f.email_token(), EMAIL).await.refusal(503, 14);
    assert!(
        message
            .starts_with("error communicating with CA backend: [record_failed] the record of certificates could not be written"),
        "{message}"
    );
    assert!(f.log.submissions().is_empty());
    // The service recovers with its record.
    sqlx::query("ALTER TABLE gone RENAME TO issuance").execute(&database).await.unwrap();
    f.sign_as(&f.email_token(), EMAIL).await.leaf();
}

/// As a full disk makes SQLite do, only that this can be had at will.
#[tokio::test]
async fn a_record_that_sqlite_rolled_back_by_itself_is_not_the_last() {
    let f = Fixture::new().await;
    let database = f.database().await;
    let fail = "CREATE TRIGGER full BEFORE INSERT ON issuance BEGIN SELECT RAISE(ROLLBACK, 'as on a full disk'); END";
    sqlx::query(fail).execute(&database).await.unwrap();
    let message = f.sign_as(&f.email_token(), EMAIL).await.refusal(503, 14);
    assert!(message.contains("[record_failed]"), "{message}");
    sqlx::query("DROP TRIGGER full").execute(&database).await.unwrap();
    f.sign_as(&f.email_token(), EMAIL).await.leaf();
}

/// A key that signs so many times and then no more, as one behind a network does.
#[derive(Debug)]
struct Tired {
    key: FileKey,
    strength: AtomicU32,
}

#[async_trait]
impl Signer for Tired {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let spent = self.strength.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        if spent {
            return Err(SignError { fingerprint: self.key.public_key().short(), source: "no answer".into() });
        }
        self.key.sign(message).await
    }
}

#[tokio::test]
async fn a_key_that_fails() {
    let f = Fixture::new().await;
    for (strength, logged) in [(0, 0), (1, 1)] {
        let signer = Tired { key: FileKey::from_pem(&f.authority.key).unwrap(), strength: strength.into() };
        let fulcio = fulcio::open(&f.config, Arc::new(signer), f.clock.clone()).await.unwrap();
        let body = p256_request(EMAIL).await.to_string();
        let request = http::Request::post("/api/v2/signingCert").header("authorization", f.email_token());
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let response = tower::ServiceExt::oneshot(fulcio.router(), request).await.unwrap();
        assert_eq!(response.status(), 503);
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("error communicating with CA backend: [ca_key_failed] "), "{text}");
        assert!(!text.contains("BEGIN CERTIFICATE"));
        assert_eq!(f.log.submissions().len(), logged, "a failure of the second signature leaves an entry in the log");
    }
    assert_eq!(f.recorded().await, 2);
}
