//! The released cosign 2: signatures in the form from before bundles, in the Rekor v1 log.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::bundle::{at, flip};
use integration::image::Image;
use integration::people::{WORKFLOW, arguments, by, by_developer, by_workflow, cosign2, env_cosign2, workflow};
use integration::registry::Registry;
use integration::supply::{SBOM, attest_sbom, by_digest, promote, sign};
use serde_json::Value;
use testkit::{Chancery, Client};

/// The workflow that the lab's policy takes, at cosign 2.
fn workflow2(lab: &Chancery) -> Client {
    cosign2(lab, &["--ghes", "platform/hello"])
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_enough_and_verifying_needs_no_server() {
    let mut lab = Chancery::lab().await;
    let client = cosign2(&lab, &["--email", "dev@corp.example"]);
    client.file("blob", "hello");
    let signed = client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    assert!(signed.stderr.contains("Successfully verified SCT") && signed.stderr.contains("tlog entry created"), "{signed}");
    let verify = |flags: &[String]| client.run(arguments(&["verify-blob", "--bundle", "b.json"], flags, &["blob"]));
    let (developer, stranger) = (by_developer(&lab), by("eve@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER")));
    verify(&stranger).refused("none of the expected identities matched");

    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(verify(&developer).ok().stderr.contains("Verified OK"));
    client.file("blob", "hullo");
    verify(&developer).refused("matching bundle to payload");
    assert!(!client.home().join(".sigstore").exists(), "no trust root's server was asked");
}

/// Every member that the log's promise covers, and the signature itself.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_bundles_are_refused() {
    let lab = Chancery::lab().await;
    let client = workflow2(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let whole: Value = serde_json::from_slice(&std::fs::read(client.home().join("b.json")).unwrap()).unwrap();
    let refused = |damage: &dyn Fn(&mut Value), reason: &str| {
        let mut bundle = whole.clone();
        damage(&mut bundle);
        client.file("damaged.json", bundle.to_string());
        client.run(arguments(&["verify-blob", "--bundle", "damaged.json"], &by_workflow(&lab), &["blob"])).refused(reason);
    };
    let other_number = |path: &'static str| {
        move |bundle: &mut Value| {
            let member = at(bundle, path);
            *member = (member.as_u64().unwrap() + 1).into();
        }
    };
    refused(&other_number("/rekorBundle/Payload/logIndex"), "unable to verify SET");
    refused(&other_number("/rekorBundle/Payload/integratedTime"), "unable to verify SET");
    refused(&|bundle| flip(bundle, "/rekorBundle/SignedEntryTimestamp", 0), "unable to verify SET");
    let foreign = |bundle: &mut Value| *at(bundle, "/rekorBundle/Payload/logID") = "00".repeat(32).into();
    refused(&foreign, "rekor log public key not found for payload");
    refused(&|bundle| flip(bundle, "/base64Signature", 0), "signature in bundle does not match signature being verified");
}

/// By mirror and root, with the trust root's server for everything but the two URLs.
#[tokio::test(flavor = "multi_thread")]
async fn initialize_takes_the_mirror_and_the_root() {
    let lab = Chancery::lab().await;
    let env = lab.env();
    let client = Client::cosign2().with("SIGSTORE_ID_TOKEN", lab.token(&["--email", "dev@corp.example"]));
    client.run(["initialize", "--mirror", env.get("CHANCERY_TUF_URL"), "--root", env.get("CHANCERY_ROOT_JSON")]).ok();
    client.file("blob", "hello");
    let urls = ["--fulcio-url", env.get("CHANCERY_FULCIO_URL"), "--rekor-url", env.get("CHANCERY_REKOR_V1_URL")];
    client.run([&["sign-blob", "--yes", "--bundle", "b.json"], urls.as_slice(), &["blob"]].concat()).ok();
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
    assert!(client.home().join(".sigstore/root").exists());
}

/// RSA signatures of one thing are the same each time: the second entry is a duplicate, which cosign 2 fetches and verifies.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_taken_for_the_entry_that_is_there() {
    let lab = Chancery::lab().await;
    let client = workflow2(&lab).with("COSIGN_PASSWORD", "only here");
    let openssl = Client::openssl();
    openssl.run(["genrsa", "-out", "rsa.pem", "3072"]).ok();
    let key = openssl.home().join("rsa.pem").display().to_string();
    client.run(["import-key-pair", "--key", &key, "--output-key-prefix", "rsa"]).ok();
    client.file("blob", "hello");
    let index = |bundle: &str, said: &str| -> u64 {
        let signed = client.run(["sign-blob", "--yes", "--key", "rsa.key", "--bundle", bundle, "blob"]).ok();
        assert!(signed.stderr.contains(said), "{signed}");
        client.run(["verify-blob", "--key", "rsa.pub", "--bundle", bundle, "blob"]).ok();
        let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join(bundle)).unwrap()).unwrap();
        bundle["rekorBundle"]["Payload"]["logIndex"].as_u64().unwrap()
    };
    let first = index("first.json", "tlog entry created with index");
    assert_eq!(index("second.json", "Signature already exists. Fetching and verifying inclusion proof."), first);
}

/// A signature without a bundle is looked up in the log by what it is.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_bundle_the_log_is_asked() {
    let lab = Chancery::lab().await;
    let client = workflow2(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--output-signature", "s", "--output-certificate", "c", "blob"]).ok();
    let detached = ["verify-blob", "--signature", "s", "--certificate", "c"];
    client.run(arguments(&detached, &by_workflow(&lab), &["blob"])).ok();
    // Signed by the same certificate authority, and in no log.
    client
        .run(["sign-blob", "--yes", "--tlog-upload=false", "--output-signature", "s", "--output-certificate", "c", "blob"])
        .ok();
    client.run(arguments(&detached, &by_workflow(&lab), &["blob"])).refused("signature not found in transparency log");
}

/// It asks with a nonce, and for the certificates, where cosign 3 asks for neither.
#[tokio::test(flavor = "multi_thread")]
async fn timestamps_are_taken_and_verified() {
    let lab = Chancery::lab().await;
    let tsa = lab.env().url("CHANCERY_TSA_URL", "/api/v1/timestamp");
    let client = workflow2(&lab).with("COSIGN_TIMESTAMP_SERVER_URL", tsa);
    client.file("blob", "hello");
    for number in ["1", "2"] {
        let (timestamp, bundle) = (format!("t{number}"), format!("b{number}"));
        client.run(["sign-blob", "--yes", "--rfc3161-timestamp", &timestamp, "--bundle", &bundle, "blob"]).ok();
    }
    let verify = |timestamp: &str, bundle: &str| {
        let first = ["verify-blob", "--use-signed-timestamps", "--rfc3161-timestamp", timestamp, "--bundle", bundle];
        client.run(arguments(&first, &by_workflow(&lab), &["blob"]))
    };
    verify("t1", "b1").ok();
    verify("t2", "b2").ok();
    verify("t2", "b1").refused("hashed messages don't match");
}

/// The kind of entry for statements that came before `dsse`.
#[tokio::test(flavor = "multi_thread")]
async fn statements_are_logged_as_intoto_too() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::plain(b"intoto");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let (client, reference) = (workflow2(&lab), by_digest(&host, "staging/app", &image.root));
    client.file("predicate.json", r#"{"ok": true}"#);
    let attest = ["attest", "--yes", "--rekor-entry-type", "intoto", "--type", "custom", "--predicate", "predicate.json"];
    client.run([attest.as_slice(), &[&reference]].concat()).ok();
    let verify = |kind: &str| client.run(arguments(&["verify-attestation", "--type", kind], &by_workflow(&lab), &[&reference]));
    verify("custom").ok();
    verify("spdxjson").refused("none of the attestations matched the predicate type: spdxjson");
}

/// Verifies what is signed and attested of an image in one repository.
fn verify(client: &Client, flags: &[String], host: &str, repository: &str, image: &Image) {
    for manifest in image.manifests() {
        let reference = by_digest(host, repository, manifest);
        client.run(arguments(&["verify"], flags, &[&reference])).ok();
        client.run(arguments(&["verify-attestation", "--type", "spdxjson"], flags, &[&reference])).ok();
    }
}

/// Signed and attested under tags; verified by both generations, where it was made and where it was promoted to.
#[tokio::test(flavor = "multi_thread")]
async fn what_it_attaches_is_carried_and_verified_by_both_generations() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let (registry, image) = (Registry::of(&lab), Image::two_platforms("cosign 2"));
    registry.push("staging/app", "1", &image).await;
    let (two, three) = (workflow2(&lab), workflow(&lab));
    sign(&two, &host, "staging/app", &image);
    image.manifests().for_each(|manifest| attest_sbom(&two, &host, "staging/app", manifest));
    promote(&lab, "staging/app:1", "prod/app:1").ok();

    let mut tags: Vec<String> = image.manifests().map(|manifest| manifest.digest.replace(':', "-")).collect();
    tags = tags.iter().flat_map(|tag| [format!("{tag}.att"), format!("{tag}.sig")]).chain(["1".to_owned()]).collect();
    tags.sort();
    let files = env_cosign2(&lab);
    let trusted_root = arguments(&["--trusted-root", files.get("CHANCERY_TRUSTED_ROOT")], &by_workflow(&lab), &[]);
    for repository in ["staging/app", "prod/app"] {
        let mut found = registry.tags(repository).await;
        found.sort();
        assert_eq!(found, tags, "{repository}");
        verify(&two, &by_workflow(&lab), &host, repository, &image);
        verify(&three, &by_workflow(&lab), &host, repository, &image);
        verify(&Client::cosign(), &trusted_root, &host, repository, &image);
        let stranger = by("eve@corp.example", lab.env().get("CHANCERY_OIDC_ISSUER"));
        let reference = by_digest(&host, repository, &image.root);
        two.run(arguments(&["verify"], &stranger, &[&reference])).refused("none of the expected identities matched");
        three.run(arguments(&["verify"], &stranger, &[&reference])).refused("none of the expected identities matched");
    }
}

/// cosign 3 attaches bundles of the Rekor v2 log. cosign 2 reads them when told that the time is in the timestamp.
#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_3_attaches_is_verified_with_a_trusted_root_and_signed_timestamps() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::two_platforms("cosign 3");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let three = workflow(&lab);
    sign(&three, &host, "staging/app", &image);
    attest_sbom(&three, &host, "staging/app", &image.root);

    let root = lab.env().get("CHANCERY_TRUSTED_ROOT");
    let reference = by_digest(&host, "staging/app", &image.root);
    let told = arguments(&["--trusted-root", root, "--use-signed-timestamps"], &by_workflow(&lab), &[]);
    let two = Client::cosign2();
    two.run(arguments(&["verify"], &told, &[&reference])).ok();
    two.run(arguments(&["verify-attestation", "--new-bundle-format", "--type", "spdxjson"], &told, &[&reference])).ok();
    let stranger = arguments(&["--trusted-root", root, "--use-signed-timestamps"], &by("eve", WORKFLOW), &[]);
    two.run(arguments(&["verify"], &stranger, &[&reference])).refused("no matching CertificateIdentity");

    let untold = arguments(&["--trusted-root", root], &by_workflow(&lab), &[]);
    two.run(arguments(&["verify"], &untold, &[&reference]))
        .refused("threshold not met for verified log entry integrated timestamps: 0 < 1");
    // The four files switch the trust root off, and bundles need one.
    workflow2(&lab)
        .run(arguments(&["verify"], &by_workflow(&lab), &[&reference]))
        .refused("trusted root is required when using new bundle format");
}

/// The log is sent the whole statement, and keeps its hash.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_megabytes_is_logged() {
    let lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let image = Image::plain(b"large");
    Registry::of(&lab).push("staging/app", "1", &image).await;
    let client = workflow2(&lab);
    let mut sbom: Value = serde_json::from_str(SBOM).unwrap();
    sbom["comment"] = "x".repeat(8 << 20).into();
    client.file("sbom.json", sbom.to_string());
    let reference = by_digest(&host, "staging/app", &image.root);
    client.run(["attest", "--yes", "--type", "spdxjson", "--predicate", "sbom.json", &reference]).ok();
    client.run(arguments(&["verify-attestation", "--type", "spdxjson"], &by_workflow(&lab), &[&reference])).ok();
}
