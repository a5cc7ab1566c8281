//! Policies and signatures in the form of cosign 2: what the released one attaches is judged by the same rules as bundles, and
//! carried where these let it.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::bundle::flip;
use integration::gateway::Promoter;
use integration::image::{Content, Image};
use integration::people::{arguments, by_workflow, cosign2, workflow};
use integration::registry::Registry;
use integration::supply::{SBOM, attest_sbom, by_digest, promote, sign, sign_and_attest};
use serde_json::{Value, json};
use testkit::{Chancery, Client};

const ENTRY: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

struct World {
    lab: Chancery,
    host: String,
    registry: Registry,
    promoter: Promoter,
}

impl World {
    async fn new() -> Self {
        let lab = Chancery::lab().await;
        let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
        let (registry, promoter) = (Registry::of(&lab), Promoter::of(&lab));
        Self { lab, host, registry, promoter }
    }

    /// cosign 2 as the workflow that the lab's policy takes, or as another one.
    fn cosign2(&self, repository: &str) -> Client {
        cosign2(&self.lab, &["--ghes", repository])
    }

    /// A new image with one manifest in `staging`, tagged 1.
    async fn staged(&self, name: &str) -> Image {
        let image = Image::plain(name.as_bytes());
        self.registry.push(&format!("staging/{name}"), "1", &image).await;
        image
    }

    /// The same, with all that the policy wants, by cosign 2.
    async fn signed(&self, name: &str) -> Image {
        let image = self.staged(name).await;
        sign_and_attest(&self.cosign2("platform/hello"), &self.host, &format!("staging/{name}"), &image);
        image
    }

    /// The manifest under the tag of an image that ends in `ending`.
    async fn attached(&self, name: &str, image: &Image, ending: &str) -> Value {
        self.registry.manifest(&format!("staging/{name}"), &tag(image, ending)).await.expect(200).json()
    }

    /// Puts it there, changed, as whoever may push to `staging` can.
    async fn attach(&self, name: &str, image: &Image, ending: &str, manifest: &Value) {
        let manifest = Content::json(manifest["mediaType"].as_str().unwrap(), manifest);
        let pushed = self.registry.put_manifest(&format!("staging/{name}"), &tag(image, ending), &manifest).await;
        let _ = pushed.unwrap().expect(201);
    }

    /// Why `staging/NAME:1` is not promoted: the codes of all reasons.
    async fn denied(&self, name: &str) -> Vec<String> {
        let answer = self.promoter.promote(&format!("staging/{name}:1"), &format!("prod/{name}:1")).await.expect(403).json();
        assert_eq!(answer["state"], "denied", "{answer}");
        assert_eq!(self.registry.tags(&format!("prod/{name}")).await, Vec::<String>::new());
        let clauses = answer["policy"]["clauses"].as_array().unwrap().iter();
        let reasons = clauses.flat_map(|clause| clause["reasons"].as_array().into_iter().flatten());
        reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    }
}

fn tag(image: &Image, ending: &str) -> String {
    format!("{}.{ending}", image.root.digest.replace(':', "-"))
}

/// The first layer's annotation, which is JSON, changed.
fn change(manifest: &mut Value, annotation: &str, change: impl FnOnce(&mut Value)) {
    let annotation = &mut manifest["layers"][0]["annotations"][annotation];
    let mut value: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    change(&mut value);
    *annotation = value.to_string().into();
}

/// Signed, attested, promoted under an enforcing policy, and verified where it was promoted to by both generations and by us.
#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_2_attaches_meets_a_policy() {
    let world = World::new().await;
    let (host, image) = (world.host.as_str(), Image::two_platforms("cosign 2"));
    world.registry.push("staging/app", "1", &image).await;
    let two = world.cosign2("platform/hello");
    sign(&two, host, "staging/app", &image);
    // Without the SBOMs it is denied.
    promote(&world.lab, "staging/app:1", "prod/app:1").exits(3);
    image.manifests().for_each(|manifest| attest_sbom(&two, host, "staging/app", manifest));
    let said = promote(&world.lab, "staging/app:1", "prod/app:1").ok();
    assert!(said.stdout.contains("in the form of cosign 2") && said.stdout.contains("3 of 3 clauses met"), "{said}");
    assert!(!said.stdout.contains("note"), "{said}");

    let files = arguments(&["--trusted-root", world.lab.env().get("CHANCERY_TRUSTED_ROOT")], &by_workflow(&world.lab), &[]);
    for manifest in image.manifests() {
        let reference = by_digest(host, "prod/app", manifest);
        two.run(arguments(&["verify"], &by_workflow(&world.lab), &[&reference])).ok();
        two.run(arguments(&["verify-attestation", "--type", "spdxjson"], &by_workflow(&world.lab), &[&reference])).ok();
        Client::cosign().run(arguments(&["verify"], &files, &[&reference])).ok();
        let flags = arguments(&["verify"], &by_workflow(&world.lab), &[&reference, "--dir"]);
        Chancery::run(Chancery::command().args(flags).arg(world.lab.dir())).ok();
    }
    let tree = Chancery::run(Chancery::command().args(["tree", "prod/app:1", "--dir"]).arg(world.lab.dir())).ok();
    assert_eq!(tree.stdout.matches("signature (cosign 2)").count(), 3, "{tree}");
    assert_eq!(tree.stdout.matches("SPDX SBOM (cosign 2)").count(), 3, "{tree}");
    assert!(!tree.stdout.contains("proves nothing") && !tree.stdout.contains("not verified"), "{tree}");
}

/// cosign appends to the manifest that is there: whoever signed too does no harm, and one that counts is enough.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_signatures_is_enough() {
    let world = World::new().await;
    let image = world.staged("app").await;
    sign_and_attest(&world.cosign2("platform/other"), &world.host, "staging/app", &image);
    let codes = world.denied("app").await;
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "identity_mismatch" || code == "attestation_only"), "{codes:?}");
    sign_and_attest(&world.cosign2("platform/hello"), &world.host, "staging/app", &image);
    assert_eq!(world.attached("app", &image, "sig").await["layers"].as_array().unwrap().len(), 2);
    promote(&world.lab, "staging/app:1", "prod/app:1").ok();
}

/// What a registry, or whoever may push to it, can do to an image's signature.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_that_prove_nothing_do_not_count() {
    let world = World::new().await;
    let (one, other) = (world.signed("one").await, world.signed("other").await);
    let (good, foreign) = (world.attached("one", &one, "sig").await, world.attached("other", &other, "sig").await);
    let annotation = |name: &str| foreign["layers"][0]["annotations"][name].clone();

    // The blobs of the other image's signature, where they can be referred to.
    for layer in foreign["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap();
        let bytes = world.registry.blob("staging/other", digest).await.expect(200).body;
        let blob = Content::new("application/octet-stream", bytes.to_vec());
        world.registry.push_blob("staging/one", &blob).await.unwrap();
    }

    type Damage<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let cases: Vec<(&str, Damage<'_>, &str)> = vec![
        ("another image's", Box::new(|v| v["layers"] = foreign["layers"].clone()), "artifact_mismatch"),
        (
            "another image's document",
            Box::new(|v| v["layers"][0]["digest"] = foreign["layers"][0]["digest"].clone()),
            "log_entry_mismatch",
        ),
        (
            "another signature",
            Box::new(|v| v["layers"][0]["annotations"][SIGNATURE] = annotation(SIGNATURE)),
            "log_entry_mismatch",
        ),
        (
            "another certificate",
            Box::new(|v| v["layers"][0]["annotations"][CERTIFICATE] = annotation(CERTIFICATE)),
            "log_entry_mismatch",
        ),
        ("another entry", Box::new(|v| v["layers"][0]["annotations"][ENTRY] = annotation(ENTRY)), "log_entry_mismatch"),
        ("no entry", Box::new(|v| drop(v["layers"][0]["annotations"].as_object_mut().unwrap().remove(ENTRY))), "not_logged"),
        (
            "no certificate",
            Box::new(|v| drop(v["layers"][0]["annotations"].as_object_mut().unwrap().remove(CERTIFICATE))),
            "certificate_expected",
        ),
        ("a promise that is none", Box::new(|v| change(v, ENTRY, |entry| flip(entry, "/SignedEntryTimestamp", 0))), "not_logged"),
        (
            "a time of one's own",
            Box::new(|v| {
                change(v, ENTRY, |entry| {
                    entry["Payload"]["integratedTime"] = json!(entry["Payload"]["integratedTime"].as_i64().unwrap() + 1);
                });
            }),
            "not_logged",
        ),
        ("another log", Box::new(|v| change(v, ENTRY, |entry| entry["Payload"]["logID"] = json!("00".repeat(32)))), "not_logged"),
    ];
    for (what, damage, code) in &cases {
        let mut manifest = good.clone();
        damage(&mut manifest);
        assert_ne!(manifest, good, "{what}");
        world.attach("one", &one, "sig", &manifest).await;
        let codes = world.denied("one").await;
        assert!(codes.iter().any(|found| found == code), "{what}: {codes:?}");
    }
    world.attach("one", &one, "sig", &good).await;
    promote(&world.lab, "staging/one:1", "prod/one:1").ok();
}

/// In no log, by a key, or made of attestations alone: each is what cosign 2 can be told to make.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_less_than_a_keyless_signature_in_the_log_is_denied() {
    let world = World::new().await;
    let two = world.cosign2("platform/hello").with("COSIGN_PASSWORD", "only here");

    let image = world.staged("unlogged").await;
    attest_sbom(&two, &world.host, "staging/unlogged", &image.root);
    assert_eq!(world.denied("unlogged").await, ["attestation_only"]);
    two.run(["sign", "--yes", "--tlog-upload=false", &by_digest(&world.host, "staging/unlogged", &image.root)]).ok();
    assert!(world.denied("unlogged").await.contains(&"not_logged".to_owned()));

    let image = world.staged("keyed").await;
    attest_sbom(&two, &world.host, "staging/keyed", &image.root);
    two.run(["generate-key-pair"]).ok();
    two.run(["sign", "--yes", "--key", "cosign.key", &by_digest(&world.host, "staging/keyed", &image.root)]).ok();
    assert!(world.denied("keyed").await.contains(&"certificate_expected".to_owned()));

    // intoto 0.0.1, whose body holds no signature.
    let image = world.staged("intoto").await;
    sign(&two, &world.host, "staging/intoto", &image);
    two.file("predicate.json", SBOM);
    let reference = by_digest(&world.host, "staging/intoto", &image.root);
    let attest = ["attest", "--yes", "--rekor-entry-type", "intoto", "--type", "spdxjson", "--predicate", "predicate.json"];
    two.run([&attest[..], &[&reference]].concat()).ok();
    assert_eq!(world.denied("intoto").await, ["unsupported"]);
}

/// Clients of today look for a bundle first, and where there is one no further.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_beside_such_a_signature_is_warned_of() {
    let world = World::new().await;
    let image = world.staged("app").await;
    let (two, three) = (world.cosign2("platform/hello"), workflow(&world.lab));
    sign(&two, &world.host, "staging/app", &image);
    attest_sbom(&three, &world.host, "staging/app", &image.root);
    let said = promote(&world.lab, "staging/app:1", "prod/app:1").ok();
    assert!(said.stdout.contains("in the form of cosign 2 alone and carries bundles"), "{said}");
    sign(&three, &world.host, "staging/app", &image);
    let said = promote(&world.lab, "staging/app:1", "prod/app:1").ok();
    assert!(!said.stdout.contains("cosign 2"), "{said}");
}
