//! Making and opening: what is refused, and with which code.

use std::sync::Arc;

use chassis::Explain as _;
use clock::ManualClock;
use serde_json::{Value, json};

use crate::support::{PUSH_SECRET, Registry, config};

async fn opened(folder: &std::path::Path, change: impl FnOnce(&mut Value)) -> Result<(), &'static str> {
    let clock = Arc::new(ManualClock::new("2026-11-21T09:14:03Z".parse().unwrap()));
    match gateway::open(&config(folder, change), clock).await {
        Ok(gateway) => {
            gateway.close().await;
            Ok(())
        }
        Err(error) => Err(error.code()),
    }
}

#[tokio::test]
async fn beyond_loopback_a_secret_is_mandatory() {
    let folder = tempfile::tempdir().unwrap();
    gateway::create(&config(folder.path(), |_| {})).await.unwrap();
    for http in [
        json!({"listen": ["0.0.0.0:5000"]}),
        json!({"listen": ["127.0.0.1:5000", "192.0.2.1:5000"]}),
        json!({"listen": ["127.0.0.1:5000"], "behind_proxy": true}),
    ] {
        let without = |config: &mut Value| config["http"] = http.clone();
        assert_eq!(opened(folder.path(), without).await, Err("registry_push_token"), "{http}");
        let other = tempfile::tempdir().unwrap();
        assert_eq!(gateway::create(&config(other.path(), without)).await.unwrap_err().code(), "registry_push_token");
        let with = |config: &mut Value| {
            config["http"] = http.clone();
            config["push_token_file"] = "push".into();
        };
        assert_eq!(opened(folder.path(), with).await, Err("registry_secret"));
        std::fs::write(folder.path().join("push"), PUSH_SECRET).unwrap();
        assert_eq!(opened(folder.path(), with).await, Ok(()));
        std::fs::remove_file(folder.path().join("push")).unwrap();
    }
    assert_eq!(opened(folder.path(), |config| config["http"] = json!({"listen": ["127.0.0.1:0", "[::1]:0"]})).await, Ok(()));
}

#[tokio::test]
async fn a_public_url_is_a_scheme_and_a_host() {
    let folder = tempfile::tempdir().unwrap();
    gateway::create(&config(folder.path(), |_| {})).await.unwrap();
    for (url, expected) in [
        ("https://registry.example", Ok(())),
        ("http://localhost:5000/", Ok(())),
        ("localhost:5000", Err("registry_public_url")),
        ("ftp://registry.example", Err("registry_public_url")),
        ("https://", Err("registry_public_url")),
        ("https://registry.example/sub", Err("registry_public_url")),
        ("https://user@registry.example", Err("registry_public_url")),
    ] {
        assert_eq!(opened(folder.path(), |config| config["public_url"] = url.into()).await, expected, "{url}");
    }
}

#[tokio::test]
async fn nothing_is_made_by_opening_and_nothing_overwritten_by_making() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(opened(folder.path(), |_| {}).await, Err("database_missing"));
    gateway::create(&config(folder.path(), |_| {})).await.unwrap();
    assert_eq!(gateway::create(&config(folder.path(), |_| {})).await.unwrap_err().code(), "blobs_exist");
    assert_eq!(
        opened(folder.path(), |config| config["blobs"] = folder.path().join("other").to_str().into()).await,
        Err("blobs_missing")
    );
    let elsewhere = |config: &mut Value| config["blobs"] = folder.path().join("other").to_str().into();
    assert_eq!(gateway::create(&config(folder.path(), elsewhere)).await.unwrap_err().code(), "database_exists");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let registry = Registry::new().await;
    assert_eq!(opened(registry.folder.path(), |_| {}).await, Err("database_in_use"));
}

#[tokio::test]
async fn ready_while_the_database_answers() {
    let registry = Registry::new().await;
    let checks = registry.gateway.ready_checks();
    for check in &checks {
        assert_eq!(check.check().await, Ok(()), "{}", check.name());
    }
    registry.gateway.close().await;
    assert!(checks[0].check().await.is_err());
}
