//! Logs and witnesses: two installations that watch each other, and a released witness.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::time::Duration;

use integration::installation::Installation;
use integration::people::{EMAIL, arguments, by};
use integration::rekor::Entry;
use integration::witness::{self, Litewitness, signers};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Client, FakeIssuer, TestCa, TokenKey, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

/// Status and body of a request to log an entry.
async fn log(http: &reqwest::Client, installation: &Installation, entry: &Entry) -> (u16, Value) {
    let request = http.post(format!("{}/api/v2/log/entries", installation.url("rekor-v2")));
    let answer = request.header("content-type", "application/json").body(entry.request.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn checkpoint(http: &reqwest::Client, installation: &Installation) -> reqwest::Response {
    http.get(format!("{}/checkpoint", installation.url("rekor-v2"))).send().await.unwrap()
}

fn envelope(answer: &Value) -> &str {
    answer["inclusionProof"]["checkpoint"]["envelope"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// Signs with released cosign, and verifies with it and sigstore-python; the checkpoint in the bundle.
fn sign(installation: &Installation, people: &FakeIssuer, name: &str) -> String {
    let token = people.mint(json!({"sub": EMAIL, "email": EMAIL, "email_verified": true}));
    let client = installation.cosign().with("SIGSTORE_ID_TOKEN", token);
    client.file("blob", name);
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by(EMAIL, people.url()), &["blob"])).ok();
    let (config, bundle) = (installation.dir().join("trust/client_trust_config.json"), client.home().join("b.json"));
    let (config, bundle, blob) = (config.display().to_string(), bundle.display().to_string(), client.home().join("blob"));
    let verify = ["--trust-config", &config, "verify", "identity", "--bundle", &bundle, "--cert-identity", EMAIL];
    let python = Client::sigstore_python();
    python.run(verify.into_iter().chain(["--cert-oidc-issuer", people.url(), &blob.display().to_string()])).ok();
    let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join("b.json")).unwrap()).unwrap();
    envelope(&bundle["verificationMaterial"]["tlogEntries"][0]).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_witness_each_other() {
    let ca = TestCa::new("authority");
    let people = FakeIssuer::http("", TokenKey::rs256("k")).await;
    let mut ours = Installation::init(&ca, &["--oidc-issuer", people.url()]);
    let mut theirs = Installation::init(&ca, &["--oidc-issuer", people.url()]);
    let (our_keys, their_keys) = (witness::add(&mut ours), witness::add(&mut theirs));
    witness::watch(&mut ours, &our_keys, &[&their_keys.log]);
    witness::watch(&mut theirs, &their_keys, &[&our_keys.log]);
    witness::ask(&mut ours, &format!("{}quorum {}\n", their_keys.line(), their_keys.witness.name()), "refuse");
    witness::ask(&mut theirs, &format!("{}quorum {}\n", our_keys.line(), our_keys.witness.name()), "publish");
    let mut first = ours.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let mut second = theirs.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let http = testkit::http(&[&ca.pem()]);

    // Both logs are cosigned by the other's witness, and released clients take it.
    wait_until("our log is cosigned", LIMIT, async || checkpoint(&http, &ours).await.status() == 200).await;
    let note = sign(&ours, &people, "ours");
    assert_eq!(signers(&note, &[&their_keys.witness]), ["localhost", their_keys.witness.name()]);
    wait_until("their log is cosigned", LIMIT, async || {
        let text = checkpoint(&http, &theirs).await.text().await.unwrap();
        signers(&text, &[&our_keys.witness]).len() == 2
    })
    .await;
    let note = sign(&theirs, &people, "theirs");
    assert_eq!(signers(&note, &[&our_keys.witness]), ["localhost", our_keys.witness.name()]);
    let v1 = http.get(format!("{}/api/v1/log", ours.url("rekor-v1"))).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(signers(v1["signedTreeHead"].as_str().unwrap(), &[]), ["localhost"], "v1 keeps one signature line");

    // Without their witness our log answers nothing that they have not seen; what was sent is logged.
    second.kill();
    let entry = Entry::random();
    let (status, refused) = log(&http, &ours, &entry).await;
    assert_eq!(status, 503, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("[log_not_cosigned]"), "{refused}");
    second.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let mut answer = Value::Null;
    wait_until("the retry is answered", LIMIT, async || {
        let (status, body) = log(&http, &ours, &entry).await;
        answer = body;
        status == 201
    })
    .await;
    assert_eq!(signers(envelope(&answer), &[&their_keys.witness]).len(), 2);

    // Without ours their log goes on, uncosigned.
    let ended = first.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    let (status, answer) = log(&http, &theirs, &Entry::random()).await;
    assert_eq!((status, signers(envelope(&answer), &[])), (201, vec!["localhost".to_owned()]), "{answer}");
    first.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    wait_until("what was logged meanwhile is cosigned", LIMIT, async || {
        let text = checkpoint(&http, &theirs).await.text().await.unwrap();
        signers(&text, &[&our_keys.witness]).len() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_witness_cosigns_our_checkpoints() {
    let ca = TestCa::new("authority");
    let people = FakeIssuer::http("", TokenKey::rs256("k")).await;
    let folder = TempDir::with_prefix("litewitness-").unwrap();
    let litewitness = Litewitness::start(folder.path()).await;
    // It takes logs with an Ed25519 key alone.
    let mut installation = Installation::init(&ca, &["--oidc-issuer", people.url(), "--rekor-v2-key", "ed25519"]);
    let keys = witness::add(&mut installation);
    let policy = format!("witness lite {} {}\nquorum lite\n", litewitness.vkey, litewitness.url);
    witness::ask(&mut installation, &policy, "refuse");
    let mut chancery = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let http = testkit::http(&[&ca.pem()]);
    assert_eq!(checkpoint(&http, &installation).await.status(), 503);
    wait_until("the refusal is explained", LIMIT, async || {
        let log = chancery.log();
        log.contains("it does not know this log") && log.contains(&keys.log.to_string())
    })
    .await;
    litewitness.watch(&keys.log).await;
    wait_until("it cosigns", LIMIT, async || checkpoint(&http, &installation).await.status() == 200).await;
    let expected = ["localhost", litewitness.vkey.name()];
    for name in ["one", "two"] {
        assert_eq!(signers(&sign(&installation, &people, name), &[&litewitness.vkey]), expected);
    }
    for _ in 0..300 {
        let (status, answer) = log(&http, &installation, &Entry::random()).await;
        assert_eq!(
            (status, signers(envelope(&answer), &[&litewitness.vkey])),
            (201, expected.map(str::to_owned).to_vec()),
            "{answer}"
        );
    }
    // It knows what it has seen, and we learn it again.
    chancery.kill();
    chancery.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert_eq!(signers(&sign(&installation, &people, "three"), &[&litewitness.vkey]), expected);
}
