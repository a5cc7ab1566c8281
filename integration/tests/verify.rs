//! `chancery verify` accepts what cosign makes, and nothing that was altered.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::Path;

use integration::bundle::{at, copy, flip};
use integration::people::{EMAIL, by_developer, developer};
use serde_json::{Value, json};
use testkit::{Chancery, Client, Ran};

const MATERIAL: &str = "/verificationMaterial";
const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
const TOKEN: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";

/// Two blobs signed by one person.
struct Signed {
    lab: Chancery,
    client: Client,
    /// The bundle of `blob`.
    bundle: Value,
    /// The bundle of `other`, by another key and certificate.
    other: Value,
}

impl Signed {
    async fn new() -> Self {
        let lab = Chancery::lab().await;
        let client = developer(&lab);
        let sign = |name: &str| -> Value {
            client.file(name, name);
            client.run(["sign-blob", "--yes", "--bundle", &format!("{name}.json"), name]).ok();
            serde_json::from_slice(&std::fs::read(client.home().join(format!("{name}.json"))).unwrap()).unwrap()
        };
        let (bundle, other) = (sign("blob"), sign("other"));
        Self { lab, client, bundle, other }
    }

    fn identity(&self) -> Vec<String> {
        by_developer(&self.lab)
    }

    fn verify(&self, bundle: &Value, artifact: &str) -> Ran {
        self.verify_as(bundle, artifact, &self.identity())
    }

    fn verify_as(&self, bundle: &Value, artifact: &str, who: &[String]) -> Ran {
        let file = self.client.file("altered.json", bundle.to_string());
        verify(&file, &self.lab.env().path("CHANCERY_TRUSTED_ROOT"), who, artifact, self.client.home())
    }

    /// What the released client says to the same bundle.
    fn cosign_accepts(&self, bundle: &Value) -> bool {
        self.client.file("altered.json", bundle.to_string());
        let root = self.lab.env().get("CHANCERY_TRUSTED_ROOT");
        let mut arguments: Vec<String> =
            ["verify-blob", "--bundle", "altered.json", "--trusted-root", root].map(str::to_owned).to_vec();
        arguments.extend(self.identity());
        arguments.push("blob".to_owned());
        self.client.run(arguments).code == Some(0)
    }
}

fn verify(bundle: &Path, root: &Path, who: &[String], artifact: &str, folder: &Path) -> Ran {
    let mut command = Chancery::command();
    command.arg("verify").arg("--bundle").arg(bundle).arg("--trusted-root").arg(root).args(who).arg(artifact);
    Chancery::run(command.current_dir(folder))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_signs_is_accepted_with_every_server_stopped() {
    let mut signed = Signed::new().await;
    let client = developer(&signed.lab);
    client.file("blob", "blob");
    client.file("predicate.json", r#"{"ok": true}"#);
    client.run(["attest-blob", "--yes", "--type", "custom", "--predicate", "predicate.json", "--bundle", "a.json", "blob"]).ok();
    let attested: Value = serde_json::from_slice(&std::fs::read(client.home().join("a.json")).unwrap()).unwrap();
    let ended = signed.lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");

    signed.verify(&signed.bundle, "blob").exits(0);
    signed.verify(&attested, "blob").exits(0);
    let openssl = Client::openssl();
    openssl.file("blob", "blob");
    let digest = openssl.run(["dgst", "-sha256", "-r", "blob"]).ok().stdout;
    signed.verify(&signed.bundle, &format!("sha256:{}", &digest[..64])).exits(0);
    let mut json = Chancery::command();
    json.args(["verify", "--output", "json", "--bundle"]).arg(signed.client.home().join("blob.json")).args(signed.identity());
    json.arg("--trusted-root").arg(signed.lab.env().path("CHANCERY_TRUSTED_ROOT")).arg("blob");
    let said = Chancery::run(json.current_dir(signed.client.home())).exits(0).stdout;
    assert!(serde_json::from_str::<Value>(&said).is_ok(), "one JSON document expected: {said}");
}

/// A key of one's own instead of a certificate.
#[tokio::test(flavor = "multi_thread")]
async fn what_cosign_signs_with_a_key_is_accepted_for_that_key() {
    let lab = Chancery::lab().await;
    let client = developer(&lab).with("COSIGN_PASSWORD", "");
    client.file("blob", "blob");
    client.run(["generate-key-pair"]).ok();
    client.run(["sign-blob", "--yes", "--key", "cosign.key", "--bundle", "b.json", "blob"]).ok();
    let root = lab.env().path("CHANCERY_TRUSTED_ROOT");
    let verify =
        |key: &str| verify(&client.home().join("b.json"), &root, &["--key".to_owned(), key.to_owned()], "blob", client.home());
    verify("cosign.pub").exits(0);
    client.run(["generate-key-pair", "--output-key-prefix", "second"]).ok();
    verify("second.pub").exits(3);
}

/// One alteration of a bundle; the second bundle is the other signature's.
type Alteration = fn(&mut Value, &Value);

/// Each is small, and each was at one time accepted by some verifier or would defeat one of its checks.
const ALTERATIONS: &[(&str, Alteration)] = &[
    ("signature", |b, _| flip(b, "/messageSignature/signature", 0)),
    ("another signature", |b, o| copy(o, b, "/messageSignature/signature")),
    ("digest", |b, _| flip(b, "/messageSignature/messageDigest/digest", 0)),
    ("another certificate of the same person", |b, o| copy(o, b, "/verificationMaterial/certificate/rawBytes")),
    ("certificate's signature", |b, _| flip(b, "/verificationMaterial/certificate/rawBytes", 0)),
    ("entry of another signature", |b, o| copy(o, b, ENTRY)),
    ("no entry", |b, _| *at(b, "/verificationMaterial/tlogEntries") = json!([])),
    ("the same entry twice", |b, _| {
        let entry = at(b, ENTRY).clone();
        at(b, "/verificationMaterial/tlogEntries").as_array_mut().expect("a list").push(entry);
    }),
    ("entry's body", |b, _| flip(b, "/verificationMaterial/tlogEntries/0/canonicalizedBody", 3)),
    ("entry's body of another signature", |b, o| copy(o, b, "/verificationMaterial/tlogEntries/0/canonicalizedBody")),
    ("index", |b, _| {
        for path in
            ["/verificationMaterial/tlogEntries/0/logIndex", "/verificationMaterial/tlogEntries/0/inclusionProof/logIndex"]
        {
            let index: u64 = at(b, path).as_str().expect("a number").parse().expect("a number");
            *at(b, path) = (index ^ 1).to_string().into();
        }
    }),
    ("log", |b, _| flip(b, "/verificationMaterial/tlogEntries/0/logId/keyId", 0)),
    ("proof", |b, _| flip(b, "/verificationMaterial/tlogEntries/0/inclusionProof/hashes/0", 0)),
    ("shorter proof", |b, _| {
        at(b, "/verificationMaterial/tlogEntries/0/inclusionProof/hashes").as_array_mut().expect("a list").pop();
    }),
    ("root", |b, _| flip(b, "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash", 0)),
    ("tree size", |b, _| {
        let path = "/verificationMaterial/tlogEntries/0/inclusionProof/treeSize";
        let size: u64 = at(b, path).as_str().expect("a number").parse().expect("a number");
        *at(b, path) = (size + 1).to_string().into();
    }),
    ("checkpoint of another size", |b, o| copy(o, b, "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope")),
    ("checkpoint's origin", |b, _| {
        let note = at(b, "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope");
        *note = note.as_str().expect("text").replace("127.0.0.1", "127.0.0.2").into();
    }),
    ("checkpoint's signature", |b, _| {
        let note = at(b, "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope");
        let text = note.as_str().expect("text");
        let (signed, signature) = text.trim_end().rsplit_once(' ').expect("a signature line");
        let mut document = json!({"s": signature});
        flip(&mut document, "/s", 0);
        *note = format!("{signed} {}\n", document["s"].as_str().expect("text")).into();
    }),
    ("no timestamp", |b, _| *at(b, "/verificationMaterial/timestampVerificationData/rfc3161Timestamps") = json!([])),
    ("timestamp of another signature", |b, o| copy(o, b, TOKEN)),
    ("timestamp's signature", |b, _| flip(b, TOKEN, 0)),
    ("kind of entry", |b, _| *at(b, "/verificationMaterial/tlogEntries/0/kindVersion/version") = "0.0.1".into()),
    ("a bundle of the future", |b, _| *at(b, "/mediaType") = "application/vnd.dev.sigstore.bundle.v0.4+json".into()),
    ("a chain in place of the certificate", |b, _| {
        let certificate = at(b, "/verificationMaterial/certificate").clone();
        let material = at(b, MATERIAL).as_object_mut().expect("an object");
        material.remove("certificate");
        material.insert("x509CertificateChain".to_owned(), json!({"certificates": [certificate]}));
    }),
];

/// What cosign lets pass. It makes the leaf of an entry again from the bundle, whatever body and kind are stored, and takes size and
/// root from the checkpoint. None of it deceives anybody about the signature; a bundle that contradicts itself is refused here.
const COSIGN_IGNORES: &[&str] = &["entry's body of another signature", "root", "tree size", "kind of entry"];

#[tokio::test(flavor = "multi_thread")]
async fn every_alteration_is_refused() {
    let signed = Signed::new().await;
    signed.verify(&signed.bundle, "blob").exits(0);
    assert!(ALTERATIONS.len() >= 20);
    let mut passed_by_cosign = Vec::new();
    for (what, alter) in ALTERATIONS {
        let mut altered = signed.bundle.clone();
        alter(&mut altered, &signed.other);
        assert_ne!(altered, signed.bundle, "{what} was not altered");
        let ran = signed.verify(&altered, "blob");
        assert_eq!(ran.code, Some(3), "{what}: {ran}");
        if signed.cosign_accepts(&altered) {
            passed_by_cosign.push(*what);
        }
    }
    assert_eq!(passed_by_cosign, COSIGN_IGNORES);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_artifact_identity_issuer_or_root_is_refused() {
    let signed = Signed::new().await;
    let issuer = signed.lab.env().get("CHANCERY_OIDC_ISSUER").to_owned();
    let who = |identity: &str, issuer: &str| integration::people::by(identity, issuer);
    signed.verify(&signed.bundle, "other").exits(3);
    for (identity, issuer) in [
        ("eve@corp.example", issuer.as_str()),
        (EMAIL, "https://elsewhere.example"),
        ("dev@corp.exampl", &issuer),
        (".*", &issuer),
    ] {
        let ran = signed.verify_as(&signed.bundle, "blob", &who(identity, issuer)).exits(3);
        assert!(ran.stderr.contains(identity) || ran.stderr.contains(issuer), "what was expected is missing: {ran}");
    }
    let strangers = Chancery::lab().await;
    let root = strangers.env().path("CHANCERY_TRUSTED_ROOT");
    verify(&signed.client.home().join("blob.json"), &root, &signed.identity(), "blob", signed.client.home()).exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_and_missing_files_are_told_from_refusals() {
    let signed = Signed::new().await;
    let root = signed.lab.env().path("CHANCERY_TRUSTED_ROOT");
    let bundle = signed.client.home().join("blob.json");
    let home = signed.client.home();
    verify(&bundle, &root, &[], "blob", home).exits(2);
    verify(&bundle, &root, &signed.identity()[..2], "blob", home).exits(2);
    verify(&home.join("absent.json"), &root, &signed.identity(), "blob", home).exits(1);
    verify(&bundle, &root, &signed.identity(), "absent", home).exits(1);
}
