//! The released cosign signs, attests and verifies images in the registry, before and after promotion, and with nothing else running.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::gateway::Gateway;
use integration::image::Image;
use integration::people::{arguments, by, by_workflow, workflow};
use integration::registry::Registry;
use integration::supply::{SBOM, attest, attest_sbom, by_digest, promote, sign, sign_and_attest};
use testkit::{Chancery, Client};

const PROVENANCE: &str = r#"{"buildDefinition":{"buildType":"https://build.example/v1","externalParameters":{}},
    "runDetails":{"builder":{"id":"https://builder.example"}}}"#;

const SCAN: &str = r#"{"invocation":{},"scanner":{"uri":"https://scanner.example","version":"1","result":{}},
    "metadata":{"scanStartedOn":"2026-01-01T00:00:00Z","scanFinishedOn":"2026-01-01T00:00:01Z"}}"#;

/// What is attested here, as cosign calls it, with its predicate and predicate type.
const KINDS: [(&str, &str, &str); 3] = [
    ("spdxjson", SBOM, "https://spdx.dev/Document"),
    ("slsaprovenance1", PROVENANCE, "https://slsa.dev/provenance/v1"),
    ("vuln", SCAN, "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

/// Checks an image with everything attached to it, in one repository, by a cosign that is told whom to trust by `flags`.
fn verify(cosign: &Client, flags: &[String], repository: &str, image: &Image) {
    cosign.run(arguments(&["verify"], flags, &[&format!("{repository}:1")])).ok();
    for manifest in image.manifests() {
        let reference = format!("{repository}@{}", manifest.digest);
        cosign.run(arguments(&["verify"], flags, &[&reference])).ok();
        cosign.run(arguments(&["verify-attestation", "--type", "spdxjson"], flags, &[&reference])).ok();
    }
    let root = format!("{repository}@{}", image.root.digest);
    for (kind, _, predicate_type) in KINDS {
        cosign.run(arguments(&["verify-attestation", "--type", kind], flags, &[&root])).ok();
        let tree = cosign.run(["tree", &root]).ok();
        assert!(tree.stdout.contains(predicate_type), "{tree}");
    }
    let tree = cosign.run(["tree", &root]).ok();
    assert!(tree.stdout.contains("https://sigstore.dev/cosign/sign/v1"), "{tree}");
}

/// Signed and attested in `staging`; verified there, at `prod` after the promotion, and again when only the registry is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_keeps_everything_attached_to_it() {
    let mut lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::two_platforms("cosign");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let cosign = workflow(&lab);
    sign_and_attest(&cosign, &host, "staging/app", &image);
    for (kind, predicate, _) in &KINDS[1..] {
        attest(&cosign, kind, predicate, &by_digest(&host, "staging/app", &image.root));
    }
    verify(&cosign, &by_workflow(&lab), &format!("{host}/staging/app"), &image);
    let stranger = by("eve@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER"));
    let staged = by_digest(&host, "staging/app", &image.root);
    cosign.run(arguments(&["verify"], &stranger, &[&staged])).refused("no matching");
    cosign
        .run(arguments(&["verify-attestation", "--type", "cyclonedx"], &by_workflow(&lab), &[&staged]))
        .refused("none of the attestations matched the predicate type: cyclonedx");

    promote(&lab, "staging/app:1", "prod/app:1").ok();
    let repository = format!("{host}/prod/app");
    verify(&cosign, &by_workflow(&lab), &repository, &image);
    let closure = Registry::of(&lab).assert_whole("staging/app", "1").await;
    assert_eq!(Registry::of(&lab).assert_whole("prod/app", "1").await, closure);

    // Nothing but the registry, and a cosign that knows a file: no log, no trust root's server, no certificate authority.
    let (by, root) = (by_workflow(&lab), lab.env().get("CHANCERY_TRUSTED_ROOT").to_owned());
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    let mut gateway = Gateway::of(lab.dir());
    gateway.start().await;
    let flags = arguments(&["--trusted-root", &root], &by, &[]);
    verify(&Client::cosign(), &flags, &repository, &image);
}

/// Signatures and SBOMs in the Rekor v1 log alone are as good to the policy as those in the v2 log.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_signed_with_the_v1_log_alone_is_promoted() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::two_platforms("v1");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let cosign = workflow(&lab).with("COSIGN_SIGNING_CONFIG", lab.env().get("CHANCERY_SIGNING_CONFIG_V1"));
    sign_and_attest(&cosign, &host, "staging/app", &image);
    promote(&lab, "staging/app:1", "prod/app:1").ok();
    for manifest in image.manifests() {
        let reference = by_digest(&host, "prod/app", manifest);
        for client in [&workflow(&lab), &Client::cosign2().with_environment(lab.env())] {
            client.run(arguments(&["verify"], &by_workflow(&lab), &[&reference])).ok();
        }
    }
}

/// A second promotion of the same image brings what was attached since, and says that nothing else changed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_attached_later_follows() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let (registry, image) = (Registry::of(&lab), Image::two_platforms("late"));
    registry.push("staging/app", "1", &image).await;
    let cosign = workflow(&lab);
    sign_and_attest(&cosign, &host, "staging/app", &image);
    promote(&lab, "staging/app:1", "prod/app:1").ok();
    let before = registry.assert_whole("prod/app", "1").await;

    attest(&cosign, "vuln", SCAN, &by_digest(&host, "staging/app", &image.platforms[1]));
    promote(&lab, "staging/app:1", "prod/app:1").ok();
    let after = registry.assert_whole("prod/app", "1").await;
    assert!(after.is_superset(&before) && after.len() == before.len() + 2, "one manifest and one layer: {before:?} {after:?}");
    let reference = format!("{host}/prod/app@{}", image.platforms[1].digest);
    cosign.run(arguments(&["verify-attestation", "--type", "vuln"], &by_workflow(&lab), &[&reference])).ok();
}

/// What a person reads of an image: who signed it, and what is attached where.
#[tokio::test(flavor = "multi_thread")]
async fn tree_and_verify_say_what_is_attached() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::two_platforms("tree");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let cosign = workflow(&lab);
    sign(&cosign, &host, "staging/app", &image);
    attest_sbom(&cosign, &host, "staging/app", &image.platforms[0]);
    let chancery =
        |words: &[&str], flags: &[String]| Chancery::run(Chancery::command().args(words).args(flags).arg("--dir").arg(lab.dir()));
    let tree = chancery(&["tree", "staging/app:1"], &[]).ok();
    let lines: Vec<&str> = tree.stdout.lines().collect();
    let count = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((count("signature"), count("SBOM"), count("linux/")), (3, 1, 2), "{tree}");
    for manifest in image.manifests() {
        let short = &manifest.digest["sha256:".len()..][..12];
        assert_eq!(count(short), 1, "{short} in {tree}");
    }
    // With and without the host, by tag and by digest.
    let root = format!("staging/app@{}", image.root.digest);
    for reference in ["staging/app:1", &root, &format!("{host}/staging/app:1")] {
        chancery(&["verify", reference], &by_workflow(&lab)).ok();
    }
    chancery(&["verify", "staging/app:1"], &by("eve@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER"))).exits(3);
    chancery(&["verify", "staging/App:1"], &by_workflow(&lab)).exits(2);
    chancery(&["verify", "staging/none:1"], &by_workflow(&lab)).exits(1);
}
