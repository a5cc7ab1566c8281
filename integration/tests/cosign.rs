//! The released cosign, knowing nothing but a trust root, signs and verifies.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::people::{arguments, by, by_developer, cosign, developer};
use serde_json::Value;
use testkit::{Chancery, Client, Launch};

#[tokio::test(flavor = "multi_thread")]
async fn env_lines_alone_are_enough() {
    let lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let said = client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
    assert!(said.stderr.contains("Verified OK"), "{said}");
    assert!(!client.home().join(".sigstore").exists(), "the person's own trust root is left alone");

    // And it is no formality.
    let stranger = by("eve@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER"));
    client
        .run(arguments(&["verify-blob", "--bundle", "b.json"], &stranger, &["blob"]))
        .refused("no matching CertificateIdentity");
    client.file("blob", "hullo");
    client
        .run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"]))
        .refused("failed to verify signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_attested_and_verified() {
    let lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    client.file("predicate.json", r#"{"ok": true}"#);
    client.run(["attest-blob", "--yes", "--type", "custom", "--predicate", "predicate.json", "--bundle", "a.json", "blob"]).ok();
    let verify = |kind: &str| {
        client.run(arguments(&["verify-blob-attestation", "--type", kind, "--bundle", "a.json"], &by_developer(&lab), &["blob"]))
    };
    verify("custom").ok();
    verify("spdxjson").refused("predicate type");
    client.file("blob", "hullo");
    verify("custom").refused("digest");
}

#[tokio::test(flavor = "multi_thread")]
async fn initialize_takes_the_mirror_and_the_root() {
    let lab = Chancery::lab().await;
    let client = Client::cosign().with("SIGSTORE_ID_TOKEN", lab.token(&["--email", "dev@corp.example"]));
    let env = lab.env();
    client.run(["initialize", "--mirror", env.get("CHANCERY_TUF_URL"), "--root", env.get("CHANCERY_ROOT_JSON")]).ok();
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
    assert!(client.home().join(".sigstore/root").exists());
}

/// With both files the trust root's server is not asked at all, and a verifier needs no server whatever.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_enough_and_verifying_needs_no_server() {
    let mut lab = Chancery::lab().await;
    let client = Client::cosign().with("SIGSTORE_ID_TOKEN", lab.token(&["--email", "dev@corp.example"]));
    client.file("blob", "hello");
    let env = lab.env().clone();
    let (config, root) = (env.get("CHANCERY_SIGNING_CONFIG"), env.get("CHANCERY_TRUSTED_ROOT"));
    client.run(["sign-blob", "--yes", "--signing-config", config, "--trusted-root", root, "--bundle", "b.json", "blob"]).ok();
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    client.run(arguments(&["verify-blob", "--trusted-root", root, "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
}

/// What the bundle must hold for clients of every age (Sigstore bundle v0.3).
#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_is_version_0_3_with_a_v2_entry_and_a_timestamp() {
    let lab = Chancery::lab().await;
    let client = cosign(&lab, &["--ghes", "platform/hello"]);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join("b.json")).unwrap()).unwrap();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let material = &bundle["verificationMaterial"];
    let entry = &material["tlogEntries"][0];
    assert_eq!(entry["kindVersion"], serde_json::json!({"kind": "hashedrekord", "version": "0.0.2"}));
    assert!(entry["inclusionPromise"].is_null() && entry["integratedTime"].as_str().is_none_or(|time| time == "0"), "{entry}");
    // Two seed entries make the first bundle complete: at index 0 some clients leave members out.
    assert!(entry["logIndex"].as_str().unwrap().parse::<u64>().unwrap() >= 2, "{entry}");
    assert_eq!(material["timestampVerificationData"]["rfc3161Timestamps"].as_array().unwrap().len(), 1);
}

/// With the log of older clients alone, whose word stands for the time as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_signing_config_with_the_v1_log_alone_is_enough() {
    let lab = Chancery::lab().await;
    let client = developer(&lab);
    let config = lab.env().get("CHANCERY_SIGNING_CONFIG_V1");
    client.file("blob", "hello");
    client.file("predicate.json", r#"{"ok": true}"#);
    client.run(["sign-blob", "--yes", "--signing-config", config, "--bundle", "b.json", "blob"]).ok();
    let attest = ["attest-blob", "--yes", "--signing-config", config, "--type", "custom", "--predicate", "predicate.json"];
    client.run([attest.as_slice(), &["--bundle", "a.json", "blob"]].concat()).ok();
    for (bundle, kind) in [("b.json", "hashedrekord"), ("a.json", "dsse")] {
        let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join(bundle)).unwrap()).unwrap();
        let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
        assert_eq!(entry["kindVersion"], serde_json::json!({"kind": kind, "version": "0.0.1"}));
        let time = entry["integratedTime"].as_str().unwrap().parse::<u64>().unwrap();
        assert!(entry["inclusionPromise"].is_object() && time > 1_700_000_000, "{entry}");
    }
    let verify_attestation = ["verify-blob-attestation", "--type", "custom", "--bundle", "a.json"];
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
    client.run(arguments(&verify_attestation, &by_developer(&lab), &["blob"])).ok();

    // Two verifiers that take the log's time: the generation before, which needs no flag for that, and ours.
    let (two, root) = (Client::cosign2(), lab.env().get("CHANCERY_TRUSTED_ROOT"));
    let bundle = client.home().join("b.json").display().to_string();
    let blob = two.file("blob", "hello").display().to_string();
    let told = ["--trusted-root", root, "--bundle", &bundle];
    let verify_blob = [&["verify-blob", "--new-bundle-format"], told.as_slice()].concat();
    two.run(arguments(&verify_blob, &by_developer(&lab), &["blob"])).ok();
    Chancery::run(Chancery::command().arg("verify").args(arguments(&told, &by_developer(&lab), &[&blob]))).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labs_proof_asks_a_cosign_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let cosign = testkit::pinned("cosign");
    let path = format!("{}:/usr/bin:/bin", cosign.parent().unwrap().display());
    let mut lab = Launch::lab(&folder.path().join("lab")).with("PATH", path).start_in(folder.path()).await.unwrap();
    let ended = lab.interrupt();
    assert_eq!(ended.code, Some(0), "{ended}");
    let steps: Vec<&str> = ended.stdout.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for step in ["pushed", "certified", "logged", "attested", "refused", "promoted", "verified", "agreed"] {
        assert!(steps.contains(&step), "{step} is missing: {ended}");
    }
    assert!(ended.stdout.contains("cosign 3.1.2"), "{ended}");
}

/// Without the environment cosign goes to the public instance: the guard that every other test relies on notices.
#[test]
#[should_panic(expected = "tried to reach another machine")]
fn a_cosign_without_the_environment_is_caught() {
    let client = Client::cosign();
    client.file("blob", "hello");
    let _ = client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]);
}
