//! Promotions as a client asks for them, and every way round them.

use evidence::predicate;
use gateway::{Promotion, PromotionState};
use http::{Method, StatusCode};
use oci::{Digest, media_type};
use serde_json::{Value, json};
use testkit::sigstore::{IDENTITY, ISSUER, Order, World};

use crate::support::{Answer, Registry, descriptor, request, whole};

const TOKEN: &str = "the promoter's token";
const PATH: &str = "/api/v1/promotions";

/// A registry with a policy over `prod/*`, and who may sign for it.
struct Lab {
    registry: Registry,
    sigstore: World,
    /// Trusted root and token, which are read again at every start.
    _files: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let sigstore = World::new();
        let files = tempfile::tempdir().unwrap();
        let (root, token) = (files.path().join("trusted_root.json"), files.path().join("token"));
        std::fs::write(&root, sigstore.trusted_root.to_string()).unwrap();
        std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let registry = Registry::with(|config| {
            config["trusted_root"] = root.to_str().unwrap().into();
            config["promoters"] = json!([{"name": "ops", "token_file": token}]);
            config["policies"] = json!([{
                "name": "prod-images", "repositories": "prod/*", "mode": "enforce", "attestations": [predicate::SPDX],
                "identities": [{"issuer": ISSUER, "subject": IDENTITY}],
            }]);
            config["upstreams"] = json!([{"prefix": "hub", "url": "https://registry.example", "offline": true}]);
            change(config);
        })
        .await;
        Self { registry, sigstore, _files: files }
    }

    /// An image with everything that the policy asks for.
    async fn signed(&self, tag: &str) -> Digest {
        let digest = self.registry.image("staging/app", tag, tag).await;
        self.attach("staging/app", &digest, predicate::SIGNATURE, &json!({})).await;
        self.attach("staging/app", &digest, predicate::SPDX, &json!({"packages": [{}]})).await;
        digest
    }

    async fn attach(&self, repository: &str, subject: &Digest, predicate_type: &str, predicate: &Value) -> Digest {
        let order = Order::about(subject.hex(), predicate_type, predicate);
        let bundle = self.sigstore.sign(&order).to_string();
        let (empty, layer) =
            (self.registry.blob(repository, b"{}").await, self.registry.blob(repository, bundle.as_bytes()).await);
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "artifactType": media_type::SIGSTORE_BUNDLE,
            "config": descriptor(media_type::EMPTY, &empty, 2),
            "layers": [descriptor(media_type::SIGSTORE_BUNDLE, &layer, bundle.len())],
            "subject": descriptor(media_type::IMAGE_MANIFEST, subject, 1),
            "annotations": {"dev.sigstore.bundle.predicateType": predicate_type},
        });
        let digest = Digest::of(document.to_string().as_bytes());
        self.registry.manifest(repository, digest.as_str(), &document).await.is(201);
        digest
    }

    async fn post(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.registry.send(whole(Method::POST, PATH, headers, body.to_string())).await
    }

    async fn promote(&self, source: &str, target: &str) -> Answer {
        let token = format!("Bearer {TOKEN}");
        self.post(&json!({"source": source, "target": target}), &[("authorization", &token)]).await
    }

    async fn promoted(&self, source: &str, target: &str) -> Promotion {
        let answer = self.promote(source, target).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// A refusal that is no answer of a policy.
#[track_caller]
fn refuses(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(!message.is_empty() && !message.contains(['\n', '"']), "{message}");
    assert!(!answer.text().contains(TOKEN));
}

#[tokio::test]
async fn promoted_and_recorded() {
    let lab = Lab::new().await;
    let digest = lab.signed("2.1").await;
    let promotion = lab.promoted("staging/app:2.1", "localhost:5000/prod/app:2.1").await;
    assert_eq!((promotion.state, &promotion.digest, promotion.actor.as_str()), (PromotionState::Done, &digest, "ops"));
    assert_eq!((promotion.signatures, promotion.attestations[0].count), (1, 1));
    let there = lab.registry.get("/v2/prod/app/manifests/2.1").await;
    assert_eq!(there.header("docker-content-digest"), digest.as_str());
    let referrers = |repository: &str| format!("/v2/{repository}/referrers/{digest}");
    let (from, to) = (lab.registry.get(&referrers("staging/app")).await, lab.registry.get(&referrers("prod/app")).await);
    assert_eq!(from.body, to.body, "the same list, in the same order");
    // Its record, for who may promote.
    let path = format!("{PATH}/{}", promotion.id.as_deref().unwrap());
    refuses(&lab.registry.get(&path).await, 401, "promoter_unauthorized");
    let token = format!("Bearer {TOKEN}");
    let record = lab.registry.get_with(&path, &[("authorization", &token)]).await;
    assert_eq!(serde_json::from_slice::<Promotion>(&record.body).unwrap(), promotion);
    let unknown = lab.registry.get_with(&format!("{PATH}/prm_0"), &[("authorization", &token)]).await;
    refuses(&unknown, 404, "promotion_unknown");
    // And after a restart.
    let lab = Lab { registry: lab.registry.restarted().await, ..lab };
    let record = lab.registry.get_with(&path, &[("authorization", &token)]).await;
    assert_eq!(record.json()["state"], "done");
    assert!(lab.promoted("staging/app:2.1", "prod/app:2.1").await.unchanged);
}

#[tokio::test]
async fn denied_with_the_same_document() {
    let lab = Lab::new().await;
    lab.registry.image("staging/app", "2.1", "layer").await;
    let answer = lab.promote("staging/app:2.1", "prod/app:2.1").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let promotion: Promotion = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((promotion.state, promotion.policy.unwrap().met()), (PromotionState::Denied, (0, 3)));
    assert_eq!(answer.json()["policy"]["result"], "deny");
    assert_eq!(answer.json()["policy"]["clauses"][2]["predicate_type"], predicate::SPDX);
    assert_eq!(lab.registry.get("/v2/prod/app/manifests/2.1").await.status, StatusCode::NOT_FOUND);
    let free = lab.promoted("staging/app:2.1", "mirror/app:2.1").await;
    assert_eq!(free.policy, None);
}

#[tokio::test]
async fn who_may_not() {
    let lab = Lab::new().await;
    lab.signed("1").await;
    let body = json!({"source": "staging/app:1", "target": "prod/app:1"});
    for authorization in ["", "Bearer", "Bearer wrong", "Basic b3BzOnRoZSBwcm9tb3RlcidzIHRva2Vu", "bearer the secret for pushing"]
    {
        let headers = [("authorization", authorization)];
        let answer = lab.post(&body, if authorization.is_empty() { &[] } else { &headers }).await;
        refuses(&answer, 401, "promoter_unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let nobody = Lab::with(|config| config["promoters"] = json!([])).await;
    nobody.signed("1").await;
    refuses(&nobody.promote("staging/app:1", "prod/app:1").await, 401, "promoter_unauthorized");
}

#[tokio::test]
async fn what_cannot_be_asked_for() {
    let lab = Lab::new().await;
    let digest = lab.signed("1").await;
    let token = format!("Bearer {TOKEN}");
    let asked = async |body: Value| lab.post(&body, &[("authorization", &token)]).await;
    let named = json!({"source": "staging/app:1", "target": "prod/app:1", "policy": "lax"});
    refuses(&asked(named).await, 400, "promotion_policy_named");
    refuses(&asked(json!({"source": "staging/app:1", "target": "prod/app:1", "force": true})).await, 400, "promotion_request");
    refuses(&asked(json!("staging/app:1")).await, 400, "promotion_request");
    refuses(&lab.promote("staging/app", "prod/app:1").await, 422, "promotion_reference");
    refuses(&lab.promote("staging/app:1", &format!("prod/app@{digest}")).await, 422, "promotion_reference");
    refuses(&lab.promote("other.example/staging/app:1", "prod/app:1").await, 422, "promotion_reference");
    refuses(&lab.promote("staging/app:1", &format!("prod/app:sha256-{}.sig", digest.hex())).await, 422, "promotion_reference");
    refuses(&lab.promote("staging/app:1", "hub/app:1").await, 422, "promotion_target_proxied");
    refuses(&lab.promote("staging/app:9", "prod/app:1").await, 404, "promotion_source_unknown");
    let stale = json!({"source": "staging/app:1", "target": "prod/app:1", "expected_previous": digest});
    refuses(&asked(stale).await, 409, "promotion_tag_moved");
    let large = json!({"source": "x".repeat(20_000), "target": "prod/app:1"});
    assert_eq!(asked(large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(lab.registry.get("/v2/prod/app/tags/list").await.status, StatusCode::NOT_FOUND);
}

/// After a promotion, whoever may push tries to change what was promoted.
#[tokio::test]
async fn no_way_round() {
    let lab = Lab::new().await;
    let digest = lab.signed("1").await;
    lab.promoted("staging/app:1", "prod/app:1").await;
    let registry = &lab.registry;
    let evil = registry.image_document("prod/app", "evil").await;
    let evil_digest = Digest::of(evil.to_string().as_bytes());
    let listing = lab.registry.get(&format!("/v2/prod/app/referrers/{digest}")).await.json();
    let signature = listing["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let good: Value = registry.get("/v2/prod/app/manifests/1").await.json();

    let refused = |answer: Answer| answer.refuses(403, "DENIED", "repository_under_policy");
    // Tags, by every way of naming one, and of the very image that was promoted too.
    for reference in ["1", "latest", "2", &format!("sha256-{}.sig", digest.hex()), &format!("sha256-{}", digest.hex())] {
        refused(registry.manifest("prod/app", reference, &evil).await);
    }
    refused(registry.manifest("prod/app", "stable", &good).await);
    refused(registry.manifest("prod/app", &format!("{digest}?tag=stable"), &good).await);
    refused(registry.manifest("prod/app", &format!("{evil_digest}?tag=1&tag=sha256-{}.sig", digest.hex()), &evil).await);
    // Manifests by digest: alone, attached, and as the member of an index of their own or attached.
    refused(registry.manifest("prod/app", evil_digest.as_str(), &evil).await);
    let mut attached = evil.clone();
    attached["subject"] = descriptor(media_type::IMAGE_MANIFEST, &digest, 1);
    let by_digest = |document: &Value| Digest::of(document.to_string().as_bytes()).to_string();
    refused(registry.manifest("prod/app", &by_digest(&attached), &attached).await);
    let index = |subject: bool| {
        let mut index = json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX,
            "manifests": [descriptor(media_type::IMAGE_MANIFEST, &digest, 1)],
        });
        if subject {
            index["subject"] = descriptor(media_type::IMAGE_MANIFEST, &digest, 1);
        }
        index
    };
    refused(registry.manifest("prod/app", &by_digest(&index(false)), &index(false)).await);
    refused(registry.manifest("prod/app", &by_digest(&index(true)), &index(true)).await);
    // A manifest that is there as a blob is no member either.
    let blob = registry.blob("prod/app", evil.to_string().as_bytes()).await;
    let mut hidden = index(true);
    hidden["manifests"][0]["digest"] = json!(blob);
    refused(registry.manifest("prod/app", &by_digest(&hidden), &hidden).await);
    // Deletions: the tag, the image, its signature, a blob.
    for path in ["manifests/1".to_owned(), format!("manifests/{digest}"), format!("manifests/{signature}")] {
        refused(registry.ask(Method::DELETE, &format!("/v2/prod/app/{path}")).await);
    }
    refused(registry.ask(Method::DELETE, &format!("/v2/prod/app/blobs/{}", Digest::of(b"1"))).await);
    // Mounting brings bytes and no image; the guard of one repository is not that of another.
    let mount = format!("/v2/prod/app/blobs/uploads/?mount={}&from=staging/app", Digest::of(b"1"));
    registry.send(request(Method::POST, &mount, &[], axum::body::Body::empty())).await.is(201);

    assert_eq!(registry.get("/v2/prod/app/tags/list").await.json()["tags"], json!(["1"]));
    assert_eq!(registry.get("/v2/prod/app/manifests/1").await.header("docker-content-digest"), digest.as_str());
    registry.get(&format!("/v2/prod/app/manifests/{evil_digest}")).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    // What is attached may come later.
    let scan = lab.attach("prod/app", &digest, "https://cosign.sigstore.dev/attestation/vuln/v1", &json!({})).await;
    let listed = registry.get(&format!("/v2/prod/app/referrers/{digest}")).await.json();
    assert_eq!(listed["manifests"][2]["digest"], scan.as_str());
}

#[tokio::test]
async fn a_policy_needs_something_to_verify_with() {
    use crate::support::config;
    let folder = tempfile::tempdir().unwrap();
    let policies = json!([{
        "name": "p", "repositories": "prod/*", "mode": "enforce", "identities": [{"issuer": ISSUER, "subject": IDENTITY}],
    }]);
    let open = async |change: &dyn Fn(&mut Value)| {
        let config = config(folder.path(), |config| {
            config["policies"] = policies.clone();
            change(config);
        });
        let clock = std::sync::Arc::new(clock::ManualClock::new(crate::support::NOW.parse().unwrap()));
        let error = gateway::open(&config, clock).await.err().unwrap();
        chassis::Explain::code(&error)
    };
    gateway::create(&config(folder.path(), |_| {})).await.unwrap();
    assert_eq!(open(&|_| {}).await, "policy_trusted_root");
    assert_eq!(open(&|config| config["trusted_root"] = "nowhere.json".into()).await, "policy_trusted_root_unreadable");
    std::fs::write(folder.path().join("root.json"), "{}").unwrap();
    assert_eq!(open(&|config| config["trusted_root"] = "root.json".into()).await, "trusted_root_malformed");
    let twice = |config: &mut Value| {
        config["policies"] =
            json!([policies[0], {"name": "q", "repositories": "*", "mode": "enforce", "identities": policies[0]["identities"]}]);
    };
    assert_eq!(open(&twice).await, "policy_overlap");
}
