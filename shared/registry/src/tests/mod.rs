mod accounts;
mod blobs;
mod fake;
mod manifests;
mod referring;
mod writing;

use fake::{Fake, Reply, Request, http};
use oci::{Digest, RepositoryName, Target, media_type};

use crate::{Registry, RegistryError, Settings, SetupError};

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
