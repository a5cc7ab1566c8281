//! `promote`, `tree` and `verify` of images, and `gateway add`: what they say, and how they end.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::Path;

use integration::gateway::Gateway;
use integration::image::Image;
use integration::people::by;
use integration::registry::Registry;
use integration::store::fingerprint;
use serde_json::Value;
use testkit::{Chancery, Ran};

const PIPELINE: &str = "https://ghe.lab/platform/hello/.github/workflows/build.yml@refs/heads/main";

fn run(dir: &Path, arguments: &[&str]) -> Ran {
    Chancery::run(Chancery::command().args(arguments).arg("--dir").arg(dir))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: one JSON document expected: {ran}"))
}

/// The line that begins with a word.
#[track_caller]
fn line<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(word)).unwrap_or_else(|| panic!("no line {word} in\n{text}"))
}

/// Who signs in the lab's proof, as `verify` takes it.
fn by_pipeline(lab: &Chancery) -> Vec<String> {
    by(PIPELINE, &format!("{}/ghe/_services/token", lab.env().get("CHANCERY_OIDC_ISSUER")))
}

fn verify(lab: &Chancery, image: &str) -> Ran {
    let who = by_pipeline(lab);
    let mut arguments = vec!["verify", image];
    arguments.extend(who.iter().map(String::as_str));
    run(lab.dir(), &arguments)
}

/// What a fresh lab shows, and that it is so.
#[tokio::test(flavor = "multi_thread")]
async fn the_proof_says_what_is_in_the_registry() {
    let mut lab = Chancery::lab().await;
    let registry = Registry::of(&lab);
    let tree = json(&run(lab.dir(), &["tree", "prod/hello:1", "--output", "json"]).exits(0));
    let nodes: Vec<&Value> = std::iter::once(&tree).chain(tree["manifests"].as_array().unwrap()).collect();
    assert_eq!(nodes.len(), 3);
    for node in &nodes {
        let kinds: Vec<&str> =
            node["attached"].as_array().unwrap().iter().map(|attached| attached["proof"]["kind"].as_str().unwrap()).collect();
        assert_eq!((kinds.len(), kinds.contains(&"signature"), kinds.contains(&"attestation")), (2, true, true), "{tree}");
        let digest = node["digest"].as_str().unwrap();
        assert_eq!(registry.referrers("staging/hello", digest).await.len(), 2);
    }
    assert_eq!(registry.tags("prod/unsigned").await, Vec::<String>::new());

    let ended = lab.stop();
    let said = |word: &str| line(&ended.stdout, word).to_owned();
    assert!(said("pushed").contains("staging/hello:1  linux/amd64, linux/arm64"), "{ended}");
    assert!(said("certified").contains(PIPELINE), "{ended}");
    assert!(said("logged").contains("entries 2, 3, 4 (0 and 1 were written at creation)"), "{ended}");
    assert!(said("attested").contains("SPDX SBOM, index and 2 platforms"), "{ended}");
    assert!(said("refused").contains("staging/unsigned:1 to prod/*: no signature on index and 2 platforms"), "{ended}");
    assert!(said("promoted").contains("staging/hello:1 -> prod/hello:1  3 manifests, 3 signatures, 3 SBOMs"), "{ended}");
    assert!(said("verified").contains("at prod/hello:1: signature, certificate, logs, timestamp, offline"), "{ended}");
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert!(!lab.stop().stdout.contains("proof, with"), "what has passed is not run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_done_once_and_says_what_it_did() {
    let lab = Chancery::lab().await;
    let registry = Registry::of(&lab);
    let promote = |more: &[&str]| {
        let mut arguments = vec!["promote", "staging/hello:1", "prod/again:1"];
        arguments.extend(more);
        run(lab.dir(), &arguments).exits(0)
    };
    let planned = promote(&["--dry-run"]);
    assert!(planned.stdout.starts_with("would promote") && planned.stdout.contains("nothing was written"), "{planned}");
    assert_eq!(registry.tags("prod/again").await, Vec::<String>::new());

    let done = promote(&[]);
    assert!(
        line(&done.stdout, "promoted").contains("staging/hello:1 -> prod/again:1  by policy prod (3 of 3 clauses met)"),
        "{done}"
    );
    assert!(done.stdout.contains("3 manifests, 3 signatures, 3 SPDX SBOMs"), "{done}");
    let digest = registry.manifest("prod/again", "1").await.header("docker-content-digest").to_owned();
    assert!(done.stdout.lines().last().unwrap().contains(&digest), "{done}");

    let again = promote(&[]);
    assert!(again.stdout.starts_with("unchanged"), "{again}");
    let document = json(&promote(&["--output", "json"]));
    assert_eq!((&document["state"], &document["unchanged"], &document["digest"]), (&"done".into(), &true.into(), &digest.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_has_its_exit_code() {
    let lab = Chancery::lab().await;
    let dir = lab.dir();
    let refused = run(dir, &["promote", "staging/unsigned:1", "prod/unsigned:1"]).exits(3);
    assert!(line(&refused.stdout, "refused").contains("prod/unsigned:1  by policy prod (0 of"), "{refused}");
    assert!(line(&refused.stdout, "missing").contains("sign"), "{refused}");
    assert!(refused.stdout.lines().last().unwrap().contains("cosign"), "the last line says what to do: {refused}");
    assert!(refused.stderr.is_empty(), "{refused}");
    let document = json(&run(dir, &["promote", "staging/unsigned:1", "prod/unsigned:1", "--output", "json"]).exits(3));
    assert_eq!(document["state"], "denied");

    for (arguments, exit, code) in [
        (&["promote", "staging/hello", "prod/x:1"][..], 2, "reference_invalid"),
        (&["promote", "staging/hello:1", "prod/x@sha256:00"], 2, "reference_invalid"),
        (&["promote", "a.example/x:1", "b.example/x:1"], 2, "registry_ambiguous"),
        (&["promote", "staging/none:1", "prod/x:1"], 1, ""),
        (&["promote", "localhost:1/x:1", "localhost:1/y:1"], 2, "registry_token"),
        (&["tree", "staging/none:1"], 1, "image_not_found"),
        (&["tree", "Staging/x:1"], 2, "reference_invalid"),
        (&["tree", "localhost:1/x:1"], 1, "registry_unreachable"),
    ] {
        let ran = run(dir, arguments).exits(exit);
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(&format!("[{code}")), "{ran}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "nobody's token, of sixteen characters".replace([' ', ',', '\''], "-")).unwrap();
    let token = file.path().to_str().unwrap();
    let stranger = run(dir, &["promote", "staging/hello:1", "prod/x:1", "--token-file", token]).exits(1);
    assert!(stranger.stderr.contains("[promoter_unauthorized]"), "{stranger}");
    assert!(!stranger.to_string().contains("nobody-s-token"), "{stranger}");
}

/// The gateway alone, with everything else stopped and the offline keys gone, is all that verifying takes.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_verifies_with_the_gateway_alone() {
    let mut lab = Chancery::lab().await;
    verify(&lab, "prod/hello:1").exits(0);
    lab.stop();
    std::fs::rename(lab.dir().join("keys/offline"), lab.dir().join("../offline")).unwrap();
    let mut gateway = Gateway::of(lab.dir());
    gateway.start().await;

    let verified = verify(&lab, "prod/hello:1").exits(0);
    assert!(line(&verified.stdout, "signed by").contains(PIPELINE), "{verified}");
    assert_eq!(verified.stdout.matches("signed too").count(), 2, "{verified}");
    let tree = run(lab.dir(), &["tree", "prod/hello:1"]).exits(0);
    assert_eq!(tree.stdout.matches("signature ").count(), 3, "{tree}");
    assert_eq!(tree.stdout.matches("SPDX SBOM ").count(), 3, "{tree}");
    assert!(tree.stdout.contains("├─ linux/amd64") && tree.stdout.contains("└─ linux/arm64"), "{tree}");

    let unsigned = verify(&lab, "staging/unsigned:1").exits(3);
    assert!(unsigned.stderr.contains("[image_unsigned]"), "{unsigned}");
    let who = by("somebody@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER"));
    let mut arguments = vec!["verify", "prod/hello:1"];
    arguments.extend(who.iter().map(String::as_str));
    let another = run(lab.dir(), &arguments).exits(3);
    assert!(another.stderr.contains(PIPELINE) && another.stderr.contains("[image_signer]"), "{another}");
}

/// What an SBOM says is no signature, whoever made it.
#[tokio::test(flavor = "multi_thread")]
async fn an_sbom_alone_does_not_verify() {
    let lab = Chancery::lab().await;
    let (registry, image) = (Registry::of(&lab), Image::two_platforms("described"));
    registry.push("staging/described", "1", &image).await;
    let host = lab.env().get("CHANCERY_REGISTRY");
    integration::supply::attest_sbom(&integration::people::workflow(&lab), host, "staging/described", &image.root);
    let ran = verify(&lab, "staging/described:1").exits(3);
    assert!(ran.stderr.contains("SPDX SBOM") && ran.stderr.contains("which is no signature"), "{ran}");
}

/// Takes the registry away again, as if the installation had been created before there was one.
fn older(dir: &Path) -> Vec<u8> {
    let file = dir.join("chancery.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut kept = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        inside = line.starts_with("gateway:") || (inside && (line.starts_with(' ') || line.trim().is_empty()));
        if !inside {
            kept.push_str(line);
        }
    }
    std::fs::write(&file, &kept).unwrap();
    std::fs::remove_file(dir.join("keys/promotion.token")).unwrap();
    std::fs::remove_dir_all(dir.join("blobs")).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(dir.join(format!("db/gateway.db{suffix}")));
    }
    kept.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_installation_gets_its_registry() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("D");
    let mut init = Chancery::command();
    Chancery::run(init.args(["init", "--domain", "sigstore.corp.example", "--dir"]).arg(&dir)).ok();
    let before = older(&dir);
    let config = dir.join("chancery.yaml");
    let names_it = format!("chancery gateway add --dir {}", dir.display());
    let alone = Chancery::run(Chancery::command().args(["gateway", "--config"]).arg(&config)).exits(2);
    assert!(alone.stderr.contains(&names_it) && alone.stderr.contains("[config_no_service]"), "{alone}");

    let trust = |folder: &str| fingerprint(&dir.join(folder));
    let kept = (trust("trust"), trust("tuf"), std::fs::read(dir.join("anchors.json")).unwrap());
    let added = run(&dir, &["gateway", "add"]).exits(0);
    assert!(added.stdout.contains("https://registry.sigstore.corp.example"), "{added}");
    let after = std::fs::read(&config).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len(), "{}", String::from_utf8_lossy(&after));
    assert_eq!((trust("trust"), trust("tuf"), std::fs::read(dir.join("anchors.json")).unwrap()), kept);

    let whole = fingerprint(&dir);
    let again = run(&dir, &["gateway", "add"]).exits(0);
    assert!(again.stdout.contains("nothing was changed"), "{again}");
    assert_eq!(fingerprint(&dir), whole);
    Chancery::run(Chancery::command().args(["config", "check", "--config"]).arg(&config)).exits(0);
}
