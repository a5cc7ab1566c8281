//! Kyverno's command line as a verifier of images: `cargo xtask ci --all` runs this.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration::image::Image;
use integration::people::{EMAIL, developer};
use integration::registry::Registry;
use integration::supply::by_digest;
use serde_json::{Value, json};
use testkit::{Chancery, Client, Ran, pinned};

/// A lab with a signed image and one that is not, and Kyverno's command line.
struct World {
    lab: Chancery,
    kyverno: Client,
    signed: String,
    unsigned: String,
}

impl World {
    /// `legacy` signs as cosign 2 did, into the Rekor v1 log.
    async fn new(legacy: bool) -> Self {
        let lab = Chancery::lab().await;
        let (registry, env) = (Registry::of(&lab), lab.env().clone());
        let (signed, unsigned) = (Image::two_platforms("signed"), Image::two_platforms("unsigned"));
        registry.push("staging/signed", "1", &signed).await;
        registry.push("staging/unsigned", "1", &unsigned).await;
        let host = env.get("CHANCERY_REGISTRY");
        let cosign = developer(&lab);
        let reference = by_digest(host, "staging/signed", &signed.root);
        let old = ["--use-signing-config=false", "--new-bundle-format=false", "--fulcio-url", env.get("CHANCERY_FULCIO_URL")];
        let old = old.into_iter().chain(["--rekor-url", env.get("CHANCERY_REKOR_V1_URL")]);
        let how: Vec<&str> = if legacy { old.collect() } else { Vec::new() };
        cosign.run(["sign", "--yes"].into_iter().chain(how).chain([reference.as_str()])).ok();
        let kyverno = Client::new(pinned("kyverno"));
        let named = |name: &str| format!("{host}/staging/{name}:1");
        Self { kyverno, signed: named("signed"), unsigned: named("unsigned"), lab }
    }

    fn trust(&self, name: &str) -> String {
        std::fs::read_to_string(self.lab.dir().join("trust").join(name)).unwrap()
    }

    fn apply(&self, policy: &Value, image: &str) -> Ran {
        self.kyverno.file("policy.yaml", policy.to_string());
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", "namespace": "default"},
            "spec": {"containers": [{"name": "app", "image": image}]},
        });
        self.kyverno.file("pod.yaml", pod.to_string());
        self.kyverno.run(["apply", "policy.yaml", "--resource", "pod.yaml", "--registry"])
    }

    /// Passes the signed image, and neither the unsigned one nor another signer's.
    fn judge(&self, policy: impl Fn(&str) -> Value, [passes, no_signature, wrong_subject]: [&str; 3]) {
        let passed = self.apply(&policy(EMAIL), &self.signed).ok();
        assert!(passed.stdout.contains(passes), "{passed}");
        self.apply(&policy(EMAIL), &self.unsigned).refused(no_signature);
        self.apply(&policy("stranger@corp.example"), &self.signed).refused(wrong_subject);
    }
}

/// Roots, log and key of the certificate log are in the policy, and the signature is one in cosign's older form.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "kyverno is installed by: cargo xtask tools --all"]
async fn a_cluster_policy_passes_what_the_lab_signed() {
    let world = World::new(true).await;
    let env = world.lab.env();
    let policy = |subject: &str| {
        let keyless = json!({
            "issuer": env.get("CHANCERY_OIDC_ISSUER"),
            "subject": subject,
            "roots": world.trust("fulcio_chain.pem"),
            "rekor": {"url": env.get("CHANCERY_REKOR_V1_URL"), "pubkey": world.trust("rekor.pub")},
            "ctlog": {"pubkey": world.trust("ctfe.pub")},
        });
        let rule = json!({
            "name": "signed",
            "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "verifyImages": [{
                "imageReferences": ["*"],
                "failureAction": "Enforce",
                "mutateDigest": false,
                "verifyDigest": false,
                "attestors": [{"entries": [{"keyless": keyless}]}],
            }],
        });
        json!({
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "signed"},
            "spec": {"background": false, "webhookTimeoutSeconds": 30, "rules": [rule]},
        })
    };
    // One rule of ours, and the one that Kyverno makes of it: that the image is a verified one.
    let passes = "pass: 2, fail: 0, warn: 0, error: 0, skip: 0";
    world.judge(policy, [passes, "no signatures found", "expected stranger@corp.example, received dev@corp.example"]);
}

/// The policy names the trust root's server and its root; the signature is a bundle.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "kyverno is installed by: cargo xtask tools --all"]
async fn an_image_validating_policy_passes_what_the_lab_signed() {
    let world = World::new(false).await;
    let env = world.lab.env();
    let root = STANDARD.encode(world.trust("root.json"));
    let policy = |subject: &str| {
        let attestor = json!({
            "name": "lab",
            "cosign": {
                "keyless": {"identities": [{"issuer": env.get("CHANCERY_OIDC_ISSUER"), "subject": subject}]},
                "tuf": {"mirror": env.get("CHANCERY_TUF_URL"), "root": {"data": root}},
            },
        });
        json!({
            "apiVersion": "policies.kyverno.io/v1beta1",
            "kind": "ImageValidatingPolicy",
            "metadata": {"name": "signed"},
            "spec": {
                "validationActions": ["Deny"],
                "validationConfigurations": {"mutateDigest": false, "verifyDigest": false, "required": false},
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                ]},
                "matchImageReferences": [{"glob": "*"}],
                "attestors": [attestor],
                "validations": [{
                    "expression": "images.containers.map(image, verifyImageSignatures(image, [attestors.lab])).all(e, e > 0)",
                    "message": "not signed by whom it should be",
                }],
            },
        })
    };
    let passes = "pass: 1, fail: 0, warn: 0, error: 0, skip: 0";
    world.judge(policy, [passes, "not signed by whom it should be", "not signed by whom it should be"]);
}
