//! What a policy does not take is refused with every reason, and nothing of it reaches the target; and there is no way round it.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::{BTreeMap, BTreeSet};

use integration::bundle::flip;
use integration::gateway::Promoter;
use integration::image::{BUNDLE, Content, Image};
use integration::people::{EMAIL, cosign, workflow};
use integration::registry::Registry;
use integration::store::fingerprint;
use integration::supply::{attest_sbom, by_digest, promote, sign, sign_and_attest};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Chancery, Client};

const INDEX: &str = "index";
const AMD64: &str = "linux/amd64";
const ARM64: &str = "linux/arm64";

/// A lab, its registry, and who pushes and promotes there.
struct World {
    lab: Chancery,
    host: String,
    registry: Registry,
    promoter: Promoter,
    /// The pipeline whose signatures count.
    pipeline: Client,
}

impl World {
    async fn new() -> Self {
        let lab = Chancery::lab().await;
        let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
        let (registry, promoter, pipeline) = (Registry::of(&lab), Promoter::of(&lab), workflow(&lab));
        Self { lab, host, registry, promoter, pipeline }
    }

    /// A new image in `staging`, tagged 1.
    async fn staged(&self, name: &str) -> Image {
        let image = Image::two_platforms(name);
        self.registry.push(&format!("staging/{name}"), "1", &image).await;
        image
    }

    /// A new image with all that the policy wants.
    async fn signed(&self, name: &str) -> Image {
        let image = self.staged(name).await;
        sign_and_attest(&self.pipeline, &self.host, &format!("staging/{name}"), &image);
        image
    }

    /// The bundles attached to a manifest, as pushed.
    async fn bundles(&self, repository: &str, manifest: &Content) -> Vec<Value> {
        let mut bundles = Vec::new();
        for referrer in self.registry.referrers(repository, &manifest.digest).await {
            let referrer = self.registry.manifest(repository, referrer["digest"].as_str().unwrap()).await.expect(200).json();
            let layer = referrer["layers"][0]["digest"].as_str().unwrap().to_owned();
            bundles.push(self.registry.blob(repository, &layer).await.expect(200).json());
        }
        bundles
    }

    /// Attaches a bundle as cosign would.
    async fn attach(&self, repository: &str, subject: &Content, bundle: &Value) {
        let referrer = Image::referrer(subject, BUNDLE, Content::json(BUNDLE, bundle));
        self.registry.push(repository, &referrer.root.digest, &referrer).await;
    }

    /// Asks for the promotion of `staging/NAME:1`, which is denied, and checks that the target holds nothing of it.
    async fn denied(&self, name: &str, image: &Image) -> Denied {
        let blobs = fingerprint(&self.lab.dir().join("blobs"));
        let target = format!("prod/{name}");
        let answer = self.promoter.promote(&format!("staging/{name}:1"), &format!("{target}:1")).await.expect(403);
        let document = answer.json();
        assert_eq!((&document["state"], &document["policy"]["result"]), (&json!("denied"), &json!("deny")), "{answer}");
        assert_eq!(self.registry.tags(&target).await, Vec::<String>::new(), "{name}");
        for part in image.manifests() {
            let _ = self.registry.manifest(&target, &part.digest).await.expect(404);
        }
        for blob in &image.blobs {
            let _ = self.registry.blob(&target, &blob.digest).await.expect(404);
        }
        let catalog = self.registry.get("/v2/_catalog").await.expect(200).json();
        assert!(!catalog["repositories"].as_array().unwrap().contains(&json!(target)), "{catalog}");
        assert_eq!(fingerprint(&self.lab.dir().join("blobs")), blobs, "{name}: a blob was written");
        Denied(document)
    }
}

/// The document of a promotion that a policy denied.
struct Denied(Value);

impl Denied {
    fn clause(&self, requires: &str) -> &Value {
        let clauses = self.0["policy"]["clauses"].as_array().unwrap();
        clauses.iter().find(|clause| clause["requires"] == requires).unwrap_or_else(|| panic!("{requires} in {}", self.0))
    }

    /// Where something is missing.
    fn missing(&self, requires: &str) -> BTreeSet<&str> {
        let clause = self.clause(requires);
        let roles = clause["missing_on"].as_array().into_iter().flatten().map(|place| place["role"].as_str().unwrap());
        let roles: BTreeSet<&str> = roles.collect();
        assert_eq!(clause["met"], json!(roles.is_empty()), "{clause}");
        roles
    }

    #[track_caller]
    fn lacks(&self, what: &str, signature_on: &[&str], sbom_on: &[&str]) {
        let set = |roles: &[&'static str]| roles.iter().copied().collect::<BTreeSet<_>>();
        let wanted =
            |roles: &[&str]| set(&[INDEX, AMD64, ARM64].into_iter().filter(|role| roles.contains(role)).collect::<Vec<_>>());
        assert_eq!(self.missing("signature"), wanted(signature_on), "{what}: {}", self.0);
        assert_eq!(self.missing("attestation"), wanted(sbom_on), "{what}: {}", self.0);
    }

    /// Every line in which it says why something attached does not count.
    fn reasons(&self) -> Vec<String> {
        let clauses = self.0["policy"]["clauses"].as_array().unwrap();
        let reasons = clauses.iter().flat_map(|clause| clause["reasons"].as_array().into_iter().flatten());
        reasons.map(|reason| reason["text"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn says(&self, what: &str, word: &str) {
        let reasons = self.reasons();
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{what}: {word} is in none of {reasons:#?}\n{}", self.0);
    }
}

const ALL: &[&str] = &[INDEX, AMD64, ARM64];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_manifest_by_manifest() {
    let world = World::new().await;
    let host = world.host.as_str();

    let image = world.staged("unsigned").await;
    world.denied("unsigned", &image).await.lacks("unsigned", ALL, ALL);

    // An SBOM is no signature, whatever cosign says of it.
    let image = world.staged("described").await;
    image.manifests().for_each(|manifest| attest_sbom(&world.pipeline, host, "staging/described", manifest));
    world.denied("described", &image).await.lacks("only SBOMs", ALL, &[]);

    let image = world.staged("signed").await;
    sign(&world.pipeline, host, "staging/signed", &image);
    world.denied("signed", &image).await.lacks("no SBOM", &[], ALL);

    let image = world.staged("half").await;
    for manifest in [&image.root, &image.platforms[0]] {
        world.pipeline.run(["sign", "--yes", &by_digest(host, "staging/half", manifest)]).ok();
    }
    image.manifests().for_each(|manifest| attest_sbom(&world.pipeline, host, "staging/half", manifest));
    world.denied("half", &image).await.lacks("one platform unsigned", &[ARM64], &[]);

    // The command says the same, and how it ended.
    let said = promote(&world.lab, "staging/half:1", "prod/half:1").exits(3);
    let short = &image.platforms[1].digest["sha256:".len()..][..12];
    assert!(said.to_string().contains(short) && said.to_string().contains(ARM64), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_signatures_do_not_count_and_are_named() {
    let world = World::new().await;
    let others = [
        ("repository", cosign(&world.lab, &["--ghes", "platform/other"]), "https://ghe.lab/platform/other/"),
        ("branch", cosign(&world.lab, &["--ghes", "platform/hello", "--ref", "refs/heads/evil"]), "refs/heads/evil"),
        ("issuer", cosign(&world.lab, &["--github", "platform/hello"]), "https://github.com/platform/hello/"),
        ("person", cosign(&world.lab, &["--email", EMAIL]), EMAIL),
    ];
    for (name, client, subject) in others {
        let image = world.staged(name).await;
        sign_and_attest(&client, &world.host, &format!("staging/{name}"), &image);
        let denied = world.denied(name, &image).await;
        denied.lacks(name, ALL, ALL);
        denied.says(name, subject);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_prove_nothing_do_not_count() {
    let world = World::new().await;
    let signed = world.signed("signed").await;
    let mut by_role = BTreeMap::new();
    for (role, manifest) in ALL.iter().zip(signed.manifests()) {
        by_role.insert(*role, world.bundles("staging/signed", manifest).await);
    }

    // The bundles of another image, each on the manifest of the same role.
    let image = world.staged("borrowed").await;
    for (role, manifest) in ALL.iter().zip(image.manifests()) {
        for bundle in &by_role[role] {
            world.attach("staging/borrowed", manifest, bundle).await;
        }
    }
    let denied = world.denied("borrowed", &image).await;
    denied.lacks("bundles of another image", ALL, ALL);
    denied.says("bundles of another image", &format!("has the artifact's digest {}", image.root.digest));

    // Its own bundles with one bit changed, in each place that a bundle proves something with.
    for (name, path) in [
        ("payload", "/dsseEnvelope/payload"),
        ("signature", "/dsseEnvelope/signatures/0/sig"),
        ("certificate", "/verificationMaterial/certificate/rawBytes"),
        ("entry", "/verificationMaterial/tlogEntries/0/canonicalizedBody"),
        ("root", "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash"),
        ("timestamp", "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp"),
    ] {
        let image = world.staged(name).await;
        sign_and_attest(&world.pipeline, &world.host, &format!("staging/{name}"), &image);
        // Moved to a repository where nothing else is attached.
        let target = format!("tampered-{name}");
        world.registry.push(&format!("staging/{target}"), "1", &image).await;
        for manifest in image.manifests() {
            for mut bundle in world.bundles(&format!("staging/{name}"), manifest).await {
                flip(&mut bundle, path, 20);
                world.attach(&format!("staging/{target}"), manifest, &bundle).await;
            }
        }
        let denied = world.denied(&target, &image).await;
        denied.lacks(&target, ALL, ALL);
        assert_eq!(denied.reasons().len(), 6, "{target}: {:#?}", denied.reasons());
        // Unaltered it is taken: nothing but the bit made the difference.
        let _ = world.promoter.promote(&format!("staging/{name}:1"), &format!("prod/{name}:1")).await.expect(200);
    }
}

/// Two who promote to one tag: the second is told that it moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_is_not_overwritten() {
    let world = World::new().await;
    let (first, second) = (world.signed("first").await, world.signed("second").await);
    let request = |name: &str| json!({"source": format!("staging/{name}:1"), "target": "prod/app:1", "expected_previous": null});
    let done = world.promoter.ask(&request("first")).await.expect(200).json();
    assert_eq!((&done["state"], &done["previous"], &done["unchanged"]), (&json!("done"), &Value::Null, &json!(false)), "{done}");
    let moved = world.promoter.ask(&request("second")).await.expect(409).json();
    assert!(moved["message"].as_str().is_some_and(|message| message.contains("tag 1 of prod/app")), "{moved}");
    assert_eq!(world.registry.manifest("prod/app", "1").await.header("docker-content-digest"), first.root.digest);

    // Some at once, all of them from where the tag is now: one moves it, who wanted the same is content, the others are told.
    let third = world.signed("third").await;
    let mut rivals = tokio::task::JoinSet::new();
    for rival in 0..4 {
        let (promoter, previous) = (world.promoter.clone(), first.root.digest.clone());
        let (name, digest) =
            [("second", &second), ("third", &third)].map(|(name, image)| (name, image.root.digest.clone()))[rival % 2].clone();
        rivals.spawn(async move {
            let source = format!("staging/{name}:1");
            let answer = promoter.ask(&json!({"source": source, "target": "prod/app:1", "expected_previous": previous})).await;
            (digest, answer.status, answer.json()["unchanged"] == json!(false))
        });
    }
    let answers = rivals.join_all().await;
    let winner = world.registry.manifest("prod/app", "1").await.expect(200).header("docker-content-digest").to_owned();
    assert_eq!(answers.iter().filter(|(_, status, moved)| *status == 200 && *moved).count(), 1, "{answers:?}");
    for (digest, status, _) in &answers {
        assert!(*status == 409 || (*status == 200 && *digest == winner), "{winner} won: {answers:?}");
    }
    assert!(answers.iter().any(|(digest, status, _)| *status == 409 && *digest != winner), "{winner} won: {answers:?}");
    world.registry.assert_whole("prod/app", "1").await;
    // The same digest again changes nothing and is no error.
    let name = if winner == second.root.digest { "second" } else { "third" };
    let again = world.promoter.promote(&format!("staging/{name}:1"), "prod/app:1").await.expect(200).json();
    assert_eq!((&again["unchanged"], &again["previous"]), (&json!(true), &json!(winner)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_in_order_are_refused_with_a_code() {
    let world = World::new().await;
    let _ = world.signed("app").await;
    let asked = |change: Value| {
        let mut request = json!({"source": "staging/app:1", "target": "prod/app:1"});
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        request
    };
    let nobody = world.promoter.clone().with_token("");
    let stranger = world.promoter.clone().with_token("not-the-token");
    let cases = [
        ("without a token", &nobody, asked(json!({})), 401),
        ("with another token", &stranger, asked(json!({})), 401),
        ("a policy named", &world.promoter, asked(json!({"policy": "none"})), 400),
        ("no source", &world.promoter, json!({"target": "prod/app:1"}), 400),
        ("a bad source", &world.promoter, asked(json!({"source": "staging/App:1"})), 422),
        ("a bad target", &world.promoter, asked(json!({"target": "prod/app:-"})), 422),
        ("a digest for a target", &world.promoter, asked(json!({"target": format!("prod/app@sha256:{}", "0".repeat(64))})), 422),
        ("a source that is not there", &world.promoter, asked(json!({"source": "staging/app:2"})), 404),
    ];
    for (what, promoter, request, status) in cases {
        let answer = promoter.ask(&request).await;
        assert_eq!(answer.status, status, "{what}: {answer}");
        let document = answer.json();
        assert!(document["code"].is_string() && document["message"].is_string(), "{what}: {answer}");
        assert!(!answer.to_string().contains("not-the-token"), "{what}: {answer}");
    }
    assert_eq!(world.registry.tags("prod/app").await, Vec::<String>::new());
    // A dry run says what would be done.
    let planned = world.promoter.ask(&asked(json!({"dry_run": true}))).await.expect(200).json();
    assert_eq!((&planned["state"], &planned["manifests"]), (&json!("planned"), &json!(3)), "{planned}");
    assert_eq!(world.registry.tags("prod/app").await, Vec::<String>::new());
    let done = world.promoter.ask(&asked(json!({}))).await.expect(200).json();
    assert_eq!(done["plan"], planned["plan"]);
    let id = done["id"].as_str().unwrap();
    let record = world.registry.get(&format!("/api/v1/promotions/{id}")).await;
    assert!(record.status == 200 || record.status == 401, "{record}");

    for (source, target, code) in
        [("staging/app:1", "prod/App:1", 2), ("staging/none:1", "prod/app:1", 1), ("staging/app:1", "prod/app:1", 0)]
    {
        promote(&world.lab, source, target).exits(code);
    }
}

/// A repository under policy takes tags by promotion only, whatever client asks in whatever way.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_way_round_a_policy() {
    let world = World::new().await;
    let (promoted, unsigned) = (world.signed("promoted").await, world.staged("unsigned").await);
    let _ = world.promoter.promote("staging/promoted:1", "prod/app:1").await.expect(200);
    let before = world.registry.assert_whole("prod/app", "1").await;
    let plain = Image::plain(b"not signed either");

    let crane = Client::crane();
    let source = format!("{}/staging/unsigned:1", world.host);
    for target in ["prod/app:1", "prod/app:2", "prod/new:1"] {
        crane.run(["cp", &source, &format!("{}/{target}", world.host)]).refused("DENIED");
    }
    crane.run(["tag", &format!("{}/prod/app:1", world.host), "2"]).refused("DENIED");
    crane.run(["delete", &by_digest(&world.host, "prod/app", &promoted.root)]).refused("DENIED");

    let registry = &world.registry;
    for blob in plain.blobs.iter().chain(&unsigned.blobs) {
        registry.push_blob("prod/app", blob).await.unwrap();
    }
    let subject_tag = promoted.root.digest.replace(':', "-");
    let unknown_tag = unsigned.root.digest.replace(':', "-");
    let puts = [
        ("a tag that is there", "1".to_owned()),
        ("a new tag", "2".to_owned()),
        ("by digest", plain.root.digest.clone()),
        ("by digest, with a tag", format!("{}?tag=2", plain.root.digest)),
        ("under the tag of referrers", subject_tag.clone()),
        ("under a signature's tag", format!("{subject_tag}.sig")),
        ("under an attestation's tag", format!("{subject_tag}.att")),
        ("under a tag like a signature's", format!("{subject_tag}.exe")),
        ("under the tag of a digest that is not there", format!("{unknown_tag}.sig")),
    ];
    for (what, reference) in puts {
        let answer = registry.put_manifest("prod/app", &reference, &plain.root).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "{what}: {answer}");
    }
    for (what, reference) in [("its tag", "1".to_owned()), ("its index", promoted.root.digest.clone())]
        .into_iter()
        .chain([("a platform of it", promoted.platforms[0].digest.clone())])
    {
        let answer = registry.send(Method::DELETE, &format!("/v2/prod/app/manifests/{reference}"), &[], []).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "DENIED"), "deleting {what}: {answer}");
    }
    assert_eq!(registry.tags("prod/app").await, ["1"]);
    assert_eq!(registry.assert_whole("prod/app", "1").await, before);

    // What may be attached still may.
    let note = Image::referrer(&promoted.root, "application/vnd.example.note", Content::new("text/plain", b"seen".to_vec()));
    registry.push("prod/app", &note.root.digest, &note).await;
    attest_sbom(&world.pipeline, &world.host, "prod/app", &promoted.platforms[0]);
    assert!(registry.assert_whole("prod/app", "1").await.is_superset(&before));
}
