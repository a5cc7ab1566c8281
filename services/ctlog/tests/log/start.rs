//! What keeps the log from starting.

use chassis::Explain as _;
use ctlog::StartError;
use keys::FileKey;
use pki::KeyKind;

use crate::common::{Fixture, at};

async fn refused(fixture: &Fixture) -> StartError {
    ctlog::open(&fixture.config, fixture.clock.clone()).await.unwrap_err()
}

async fn closed() -> Fixture {
    let mut fixture = Fixture::new().await;
    fixture.logged().await;
    fixture.log.take().unwrap().close().await;
    fixture
}

fn replace_key(fixture: &Fixture, kind: KeyKind) {
    std::fs::remove_file(fixture.path("key.pem")).unwrap();
    FileKey::generate(kind).unwrap().create_file(&fixture.path("key.pem")).unwrap();
}

#[tokio::test]
async fn creation_says_what_the_log_is_and_never_overwrites() {
    let fixture = Fixture::files(|_| {});
    let created = ctlog::create(&fixture.config, fixture.clock.clone()).await.unwrap();
    assert_eq!(created.identity.origin, "ctlog.corp.example");
    assert_eq!(created.identity.log_id.as_bytes(), &created.identity.public_key.fingerprint());
    assert!(created.checkpoint.starts_with("ctlog.corp.example\n0\n"), "{}", created.checkpoint);
    let again = ctlog::create(&fixture.config, fixture.clock.clone()).await.unwrap_err();
    assert_eq!(again.code(), "database_exists");
}

#[tokio::test]
async fn a_log_that_was_never_made_is_not_begun() {
    let fixture = Fixture::files(|_| {});
    assert_eq!(refused(&fixture).await.code(), "database_missing");
    assert!(!fixture.path("ctlog.db").exists());
}

#[tokio::test]
async fn another_key_name_or_kind_of_key_is_refused_with_both_values() {
    let fixture = closed().await;
    replace_key(&fixture, KeyKind::P256);
    let error = refused(&fixture).await;
    assert_eq!(error.code(), "log_key_mismatch");
    assert!(error.details().iter().any(|line| line.contains("ctlog.corp.example")), "{:?}", error.details());

    replace_key(&fixture, KeyKind::P384);
    let error = refused(&fixture).await;
    assert_eq!(error.code(), "log_key_unsuitable");
    assert_eq!(error.details(), ["key       ECDSA P-384", "expected  ECDSA P-256"]);

    let mut fixture = closed().await;
    fixture.config.public_url = "https://other.corp.example".into();
    assert_eq!(refused(&fixture).await.code(), "log_origin_mismatch");
    fixture.config.public_url = "https://ctlog.corp.example/".into();
    assert_eq!(refused(&fixture).await.code(), "log_public_url");
}

#[tokio::test]
async fn missing_files_are_named() {
    let fixture = closed().await;
    std::fs::write(fixture.path("roots.pem"), "no certificate").unwrap();
    let error = refused(&fixture).await;
    assert_eq!(error.code(), "ctlog_roots");
    assert!(error.details()[0].contains("roots.pem"), "{:?}", error.details());
    std::fs::remove_file(fixture.path("roots.pem")).unwrap();
    assert_eq!(refused(&fixture).await.code(), "ctlog_roots");
    std::fs::remove_file(fixture.path("key.pem")).unwrap();
    let error = refused(&fixture).await;
    assert_eq!(error.code(), "log_key_file");
    assert!(error.details()[0].contains("key.pem") && error.advice().unwrap().contains("backup"));
}

#[tokio::test]
async fn it_is_ready_when_it_is_open() {
    let mut fixture = closed().await;
    fixture.clock.set(at("2026-11-21T10:00:00Z"));
    fixture.reopen().await;
    for check in fixture.log().ready_checks() {
        assert_eq!(check.check().await, Ok(()), "{}", check.name());
    }
}
