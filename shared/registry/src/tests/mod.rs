mod accounts;
mod blobs;
mod manifests;
mod referring;
mod writing;

use std::time::Duration;

use oci::{Digest, RepositoryName, Target, media_type};
use testkit::{Reply, Scripted, ScriptedRequest as Request};

use crate::{Credentials, Registry, RegistryError, Settings, SetupError};

fn settings(server: &Scripted) -> Settings {
    Settings { pause: Duration::from_millis(1), ..Settings::new(server.url()) }
}

fn registry(server: &Scripted) -> Registry {
    Registry::new(http(), settings(server)).unwrap()
}

fn with_account(server: &Scripted) -> Registry {
    let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
    Registry::new(http(), Settings { credentials: Some(credentials), ..settings(server) }).unwrap()
}

fn http() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).no_proxy()
}

fn repository() -> RepositoryName {
    "team/app".parse().unwrap()
}

fn tag(text: &str) -> Target {
    text.parse().unwrap()
}

/// An image that says what it is.
fn image() -> String {
    let empty = Digest::of(media_type::EMPTY_CONTENT);
    let config = format!(r#"{{"mediaType":"{}","digest":"{empty}","size":2}}"#, media_type::EMPTY);
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[]}}"#, media_type::IMAGE_MANIFEST)
}

fn manifest_reply(manifest: &str) -> Reply {
    let digest = Digest::of(manifest.as_bytes()).to_string();
    Reply::new(200, &[("content-type", media_type::IMAGE_MANIFEST), ("docker-content-digest", &digest)], manifest)
}

#[test]
fn urls_that_are_no_registry() {
    let refused = |url: &str| match Registry::new(http(), Settings::new(url)) {
        Err(SetupError::Url { url, reason }) => format!("{url}: {reason}"),
        other => panic!("{url}: {other:?}"),
    };
    assert!(refused("registry.example").contains("relative URL"));
    assert!(refused("ftp://r.example").contains("expected http:// or https://"));
    assert!(refused("https://r.example/?x").contains("no query"));
    let secret = refused("https://u:hunter2@r.example");
    assert!(secret.contains("may not carry an account") && !secret.contains("hunter2"), "{secret}");
    assert_eq!(Registry::new(http(), Settings::new("https://r.example:8443/base/")).unwrap().name(), "r.example:8443");
}

/// Servers move their work between threads.
#[test]
fn what_is_asked_may_be_waited_for_on_any_thread() {
    fn movable<T: Send>(_: T) {}
    let registry = Registry::new(http(), Settings::new("http://r.example")).unwrap();
    let (name, target, digest) = (repository(), tag("v1"), Digest::of(b""));
    movable(registry.resolve(&name, &target));
    movable(registry.manifest(&name, &target));
    movable(registry.verified_referrers(&name, &digest));
    movable(registry.tags(&name, None, 1));
    movable(registry.push_blob(&name, bytes::Bytes::new(), None));
    movable(registry.push_manifest(&name, &target, "", bytes::Bytes::new()));
    movable(async { registry.blob(&name, &digest).await.unwrap().next().await });
}
