//! The trust root stays fresh by itself.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::time::Duration;

use integration::people::{arguments, by_developer, developer};
use serde_json::Value;
use testkit::{Chancery, Launch};

/// cosign refreshes in every command, and refuses metadata that has expired: with timestamps of ten seconds it verifies after
/// thirty only if they were signed again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn short_lived_timestamps_are_signed_again_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch::lab(&folder.path().join("lab")).with("CHANCERY_TUF__TIMESTAMP_LIFE", "10s");
    let lab = launch.start_in(folder.path()).await.unwrap_or_else(|ended| panic!("{ended}"));
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let before = timestamp(&lab).await;
    assert!(expires_in(&before) <= 10.0, "the lab signs timestamps of ten seconds: {before}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let after = timestamp(&lab).await;
    assert!(version(&after) > version(&before), "it was signed again: {after}");
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
}

/// What `init` handed out is what the repository serves, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn targets_are_the_files_that_were_handed_out() {
    let lab = Chancery::lab().await;
    let targets = get(&lab, &format!("/{}.targets.json", version_of(&lab, "snapshot", "targets.json").await)).await;
    for (name, variable) in [
        ("trusted_root.json", "CHANCERY_TRUSTED_ROOT"),
        ("signing_config.v0.2.json", "CHANCERY_SIGNING_CONFIG"),
        ("signing_config_rekor_v1.v0.2.json", "CHANCERY_SIGNING_CONFIG_V1"),
    ] {
        let sha256 =
            targets["signed"]["targets"][name]["hashes"]["sha256"].as_str().unwrap_or_else(|| panic!("{name}: {targets}"));
        let served = bytes(&lab, &format!("/targets/{sha256}.{name}")).await;
        assert_eq!(served, std::fs::read(lab.env().path(variable)).unwrap(), "{name}");
    }
    assert_eq!(bytes(&lab, "/root.json").await, std::fs::read(lab.env().path("CHANCERY_ROOT_JSON")).unwrap());
    let missing = testkit::http(&[]).get(lab.env().url("CHANCERY_TUF_URL", "/2.root.json")).send().await.unwrap();
    assert_eq!(missing.status(), 404, "clients walk up the roots until 404");
}

async fn version_of(lab: &Chancery, role: &str, listed: &str) -> u64 {
    let timestamp = timestamp(lab).await;
    let number = timestamp["signed"]["meta"][format!("{role}.json")]["version"].as_u64().unwrap();
    let snapshot = get(lab, &format!("/{number}.{role}.json")).await;
    snapshot["signed"]["meta"][listed]["version"].as_u64().unwrap()
}

async fn timestamp(lab: &Chancery) -> Value {
    get(lab, "/timestamp.json").await
}

async fn get(lab: &Chancery, path: &str) -> Value {
    serde_json::from_slice(&bytes(lab, path).await).unwrap()
}

async fn bytes(lab: &Chancery, path: &str) -> Vec<u8> {
    let answer = testkit::http(&[]).get(lab.env().url("CHANCERY_TUF_URL", path)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.unwrap().to_vec()
}

fn version(metadata: &Value) -> u64 {
    metadata["signed"]["version"].as_u64().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "compares what another process wrote with the real time")]
fn expires_in(metadata: &Value) -> f64 {
    let expires: jiff::Timestamp = metadata["signed"]["expires"].as_str().unwrap().parse().unwrap();
    expires.duration_since(jiff::Timestamp::now()).as_secs_f64()
}
