//! The released sigstore-python signs and verifies; its bundles and those of the others mean the same to all.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::Path;

use integration::bundle::{at, flip};
use integration::people::{WORKFLOW, arguments, by, by_workflow, workflow};
use serde_json::Value;
use testkit::{Chancery, Client, Ran};

/// sigstore-python with two words that say whom to trust.
struct Python {
    client: Client,
    trust: [String; 2],
    token: String,
    issuer: String,
}

impl Python {
    /// By the file that says it all.
    fn by_config(lab: &Chancery) -> Self {
        Self::new(lab, ["--trust-config", lab.env().get("CHANCERY_CLIENT_TRUST_CONFIG")])
    }

    /// By the trust root's server, whose first root it is given.
    fn by_instance(lab: &Chancery) -> Self {
        let python = Self::new(lab, ["--instance", lab.env().get("CHANCERY_TUF_URL")]);
        python.run(&["trust-instance", lab.env().get("CHANCERY_ROOT_JSON")]).ok();
        python
    }

    fn new(lab: &Chancery, trust: [&str; 2]) -> Self {
        Self {
            client: Client::sigstore_python(),
            trust: trust.map(str::to_owned),
            token: lab.token(&["--ghes", "platform/hello"]),
            issuer: lab.env().url("CHANCERY_OIDC_ISSUER", "/ghe/_services/token"),
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.client.run(self.trust.iter().map(String::as_str).chain(arguments.iter().copied()))
    }

    /// Signs a file of its home.
    fn sign(&self, file: &str, bundle: &str, more: &[&str]) -> Ran {
        self.run(&[&["sign", "--identity-token", &self.token, "--bundle", bundle], more, &[file]].concat())
    }

    /// Verifies a file of its home, signed by the workflow, with a bundle from anywhere.
    fn verify(&self, bundle: &Path, file: &str) -> Ran {
        self.verify_by(WORKFLOW, bundle, file)
    }

    fn verify_by(&self, identity: &str, bundle: &Path, file: &str) -> Ran {
        let bundle = bundle.display().to_string();
        let names = ["--cert-identity", identity, "--cert-oidc-issuer", &self.issuer];
        self.run(&[&["verify", "identity", "--bundle", &bundle], names.as_slice(), &[file]].concat())
    }

    fn bundle(&self, name: &str) -> std::path::PathBuf {
        self.client.home().join(name)
    }
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Verifies a bundle by both generations of cosign and by `chancery verify`, each with the trusted root alone.
fn verified_by_the_others(lab: &Chancery, bundle: &Path, blob: &str) {
    let root = ["--trusted-root", lab.env().get("CHANCERY_TRUSTED_ROOT")];
    let bundle = bundle.display().to_string();
    let with =
        |first: &[&str], file: &str| arguments(&[first, &root, &["--bundle", &bundle]].concat(), &by_workflow(lab), &[file]);
    let (two, three) = (Client::cosign2(), Client::cosign());
    three.file("blob", blob);
    three.run(with(&["verify-blob"], "blob")).ok();
    two.file("blob", blob);
    two.run(with(&["verify-blob", "--new-bundle-format", "--use-signed-timestamps"], "blob")).ok();
    Chancery::run(Chancery::command().args(with(&["verify"], &three.home().join("blob").display().to_string()))).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_config_is_enough() {
    let lab = Chancery::lab().await;
    let python = Python::by_config(&lab);
    python.client.file("blob", "hello");
    python.sign("blob", "b.json", &[]).ok();
    let bundle = python.bundle("b.json");
    assert!(python.verify(&bundle, "blob").ok().to_string().contains("OK: blob"));
    verified_by_the_others(&lab, &bundle, "hello");
    let entry = &json(&bundle)["verificationMaterial"]["tlogEntries"][0];
    assert_eq!(entry["kindVersion"], serde_json::json!({"kind": "hashedrekord", "version": "0.0.2"}));

    python.verify_by("eve@corp.example", &bundle, "blob").refused("SANs do not match eve@corp.example");
    python.client.file("blob", "hullo");
    python.verify(&bundle, "blob").refused("Bundle message digest mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_trusted_by_its_first_root() {
    let lab = Chancery::lab().await;
    let python = Python::by_instance(&lab);
    python.client.file("blob", "hello");
    python.sign("blob", "b.json", &[]).ok();
    python.verify(&python.bundle("b.json"), "blob").ok();
    verified_by_the_others(&lab, &python.bundle("b.json"), "hello");

    // Told to, it takes the log of older clients, which the same signing config lists.
    python.sign("blob", "v1.json", &["--rekor-version", "1"]).ok();
    let entry = &json(&python.bundle("v1.json"))["verificationMaterial"]["tlogEntries"][0];
    assert_eq!(entry["kindVersion"], serde_json::json!({"kind": "hashedrekord", "version": "0.0.1"}));
    python.verify(&python.bundle("v1.json"), "blob").ok();
    verified_by_the_others(&lab, &python.bundle("v1.json"), "hello");
}

/// What cosign signs, into either log, sigstore-python verifies.
#[tokio::test(flavor = "multi_thread")]
async fn bundles_of_cosign_are_verified() {
    let lab = Chancery::lab().await;
    let (python, cosign) = (Python::by_config(&lab), workflow(&lab));
    let blob = cosign.file("blob", "hello").display().to_string();
    cosign.run(["sign-blob", "--yes", "--bundle", "v2.json", "blob"]).ok();
    let v1 = lab.env().get("CHANCERY_SIGNING_CONFIG_V1");
    cosign.run(["sign-blob", "--yes", "--signing-config", v1, "--bundle", "v1.json", "blob"]).ok();
    for bundle in ["v1.json", "v2.json"] {
        python.verify(&cosign.home().join(bundle), &blob).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_attested_for_the_others() {
    let lab = Chancery::lab().await;
    let python = Python::by_config(&lab);
    python.client.file("blob", "hello");
    python.client.file("predicate.json", r#"{"buildDefinition":{"buildType":"https://build.example/v1","externalParameters":{},"resolvedDependencies":[]},
        "runDetails":{"builder":{"id":"https://builder.example","builderDependencies":[],"version":{}},"metadata":{"invocationId":"1","startedOn":"2026-01-01T00:00:00Z","finishedOn":"2026-01-01T00:00:01Z"},"byproducts":[]}}"#);
    let attest = ["attest", "--identity-token", &python.token, "--predicate", "predicate.json", "--predicate-type"];
    python.run(&[attest.as_slice(), &["https://slsa.dev/provenance/v1", "--bundle", "a.json", "blob"]].concat()).ok();
    python.verify(&python.bundle("a.json"), "blob").ok();
    let cosign = Client::cosign();
    cosign.file("blob", "hello");
    let (root, bundle) = (lab.env().get("CHANCERY_TRUSTED_ROOT"), python.bundle("a.json").display().to_string());
    let verify = |kind: &str| {
        let first = ["verify-blob-attestation", "--trusted-root", root, "--bundle", &bundle, "--type", kind];
        cosign.run(arguments(&first, &by_workflow(&lab), &["blob"]))
    };
    verify("slsaprovenance1").ok();
    verify("spdxjson").refused("predicate type");

    // The other way round only where the statement is of the current version, which cosign's own are not.
    let cosign = workflow(&lab);
    let blob = cosign.file("blob", "hello").display().to_string();
    cosign.file("predicate.json", "{}");
    let attest = ["attest-blob", "--yes", "--bundle", "a.json"];
    cosign.run([attest.as_slice(), &["--type", "custom", "--predicate", "predicate.json", "blob"]].concat()).ok();
    python.verify(&cosign.home().join("a.json"), &blob).refused("malformed in-toto statement");
}

/// One thing wrong at a time, and a signature of another Sigstore that calls itself the same.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_foreign_bundles_are_refused() {
    let (lab, other) = (Chancery::lab().await, Chancery::lab().await);
    let (python, stranger) = (Python::by_config(&lab), Python::by_config(&other));
    python.client.file("blob", "hello");
    python.sign("blob", "b.json", &[]).ok();
    let whole = json(&python.bundle("b.json"));
    let refused = |damage: &dyn Fn(&mut Value), reason: &str| {
        let mut bundle = whole.clone();
        damage(&mut bundle);
        let damaged = python.client.file("damaged.json", bundle.to_string());
        python.verify(&damaged, "blob").refused(reason);
    };
    let material =
        |bundle: &mut Value, member: &str, value: Value| *at(bundle, &format!("/verificationMaterial/{member}")) = value;
    let entry = "/verificationMaterial/tlogEntries/0";
    refused(&|bundle| flip(bundle, "/messageSignature/signature", 0), "not enough sources of verified time");
    refused(&|bundle| flip(bundle, &format!("{entry}/inclusionProof/rootHash"), 0), "inclusion proof contains invalid root hash");
    refused(&|bundle| flip(bundle, &format!("{entry}/canonicalizedBody"), 8), "invalid log entry");
    refused(&|bundle| material(bundle, "tlogEntries", serde_json::json!([])), "expected exactly one log entry in bundle");
    let no_time = |bundle: &mut Value| material(bundle, "timestampVerificationData", serde_json::json!({}));
    refused(&no_time, "bundle must contain an inclusion promise or signed timestamp(s)");

    // A log id that nobody knows makes it try every key, where cosign and we refuse.
    let mut renamed = whole.clone();
    flip(&mut renamed, &format!("{entry}/logId/keyId"), 0);
    let renamed = python.client.file("renamed.json", renamed.to_string());
    python.verify(&renamed, "blob").ok();
    let (root, bundle) = (lab.env().get("CHANCERY_TRUSTED_ROOT"), renamed.display().to_string());
    let cosign = Client::cosign();
    let blob = cosign.file("blob", "hello").display().to_string();
    let told = ["--trusted-root", root, "--bundle", &bundle];
    cosign
        .run(arguments(&[&["verify-blob"], told.as_slice()].concat(), &by_workflow(&lab), &["blob"]))
        .refused("not enough verified log entries");
    Chancery::run(Chancery::command().arg("verify").args(arguments(&told, &by_workflow(&lab), &[&blob]))).exits(3);

    stranger.client.file("blob", "hello");
    stranger.sign("blob", "b.json", &[]).ok();
    let same_name = by(WORKFLOW, &stranger.issuer);
    let foreign = stranger.bundle("b.json");
    stranger.verify(&foreign, "blob").ok();
    python.verify(&foreign, "blob").refused("FAIL: blob");
    let foreign = foreign.display().to_string();
    let told = ["--trusted-root", root, "--bundle", &foreign];
    cosign.run(arguments(&[&["verify-blob"], told.as_slice()].concat(), &same_name, &["blob"])).refused("failed to verify");
    Chancery::run(Chancery::command().arg("verify").args(arguments(&told, &same_name, &[&blob]))).exits(3);
}
