//! `chancery log fsck` and `accept-rollback`: what a log has is what it signed, and a database that went back in time is found out.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use integration::installation::Installation;
use integration::rekor::{Entry, Log, new_key};
use integration::store::flip_value;
use note::{NoteKey, VerifierKey};
use pki::PublicKey;
use serde_json::{Value, json};
use testkit::{Chancery, Ran, TestCa};

fn fsck(arguments: &[&str]) -> Ran {
    let mut command = Chancery::command();
    command.args(["log", "fsck"]).args(arguments);
    Chancery::run(&mut command)
}

async fn append(lab: &Chancery, entries: usize) {
    let (log, key) = (Log::of(lab.env()), new_key());
    for _ in 0..entries {
        log.append(&Entry::by(&key)).await.unwrap();
    }
}

fn config(lab: &Chancery) -> String {
    lab.dir().join("chancery.yaml").display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_order_is_said_to_be_over_http_and_in_its_database() {
    let mut lab = Chancery::lab().await;
    append(&lab, 5).await;
    let (url, root) = (lab.env().get("CHANCERY_REKOR_URL").to_owned(), lab.env().get("CHANCERY_TRUSTED_ROOT").to_owned());
    let size = Log::of(lab.env()).head().await.size;
    for arguments in [vec![url.as_str(), "--trusted-root", &root], vec!["--deep", &url, "--trusted-root", &root]] {
        let ran = fsck(&arguments);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(ran.stdout.contains(&format!("in order {url}")) && ran.stdout.contains(&format!("entries   {size},")), "{ran}");
    }
    // The key alone does, too; another one does not.
    let key = lab.dir().join("trust/rekor_v2.pub").display().to_string();
    assert_eq!(fsck(&[&url, "--key", &key]).code, Some(0));
    let other = lab.dir().join("trust/ctfe.pub").display().to_string();
    let ran = fsck(&[&url, "--key", &other]);
    assert!(ran.code == Some(3) && ran.stderr.contains("[log_head_invalid]"), "{ran}");

    // What runs is not looked at behind its back.
    let ran = fsck(&[&config(&lab)]);
    assert!(ran.code == Some(1) && ran.stderr.contains("[database_in_use]"), "{ran}");
    lab.stop();
    for arguments in [vec![config(&lab)], vec!["--deep".to_owned(), config(&lab)]] {
        let ran = fsck(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, Some(0), "{ran}");
        for log in ["ctlog", "rekor_v2", "rekor_v1"] {
            assert!(ran.stdout.contains(&format!("in order {log}")), "{ran}");
        }
    }
    let ran = fsck(&["--output", "json", &config(&lab)]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["checked"][1]["entries"], size);
    let ran = fsck(&[&url, "--trusted-root", &root]);
    assert!(ran.code == Some(1) && ran.stderr.contains("[log_unreadable]"), "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_entry_far_from_the_edge_is_found() {
    let mut lab = Chancery::lab().await;
    append(&lab, 300).await;
    lab.stop();
    flip_value(
        &lab.dir().join("db/rekor.db"),
        "SELECT data FROM entry WHERE idx = 3 AND log = (SELECT id FROM log WHERE name = 'rekor-v2')",
        "UPDATE entry SET data = $1 WHERE idx = 3 AND log = (SELECT id FROM log WHERE name = 'rekor-v2')",
    )
    .await;
    let ran = fsck(&[&config(&lab)]);
    assert!(ran.code == Some(3) && ran.stderr.contains("[log_entry_damaged]") && ran.stderr.contains("rekor_v2"), "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_older_database_signs_nothing_until_that_is_accepted() {
    let mut lab = Chancery::lab().await;
    append(&lab, 3).await;
    lab.stop();
    let database = lab.dir().join("db/rekor.db");
    let backup: PathBuf = lab.dir().join("../backup.db");
    fs::copy(&database, &backup).unwrap();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    append(&lab, 4).await;
    let published = Log::of(lab.env()).head().await.size;
    lab.stop();
    for leftover in ["rekor.db-wal", "rekor.db-shm"] {
        let _ = fs::remove_file(lab.dir().join("db").join(leftover));
    }
    fs::copy(&backup, &database).unwrap();

    let ran = fsck(&[&config(&lab)]);
    assert!(ran.code == Some(3) && ran.stderr.contains("[log_rolled_back]"), "{ran}");
    let ended = lab.restart().await.unwrap_err();
    assert!(ended.stderr.contains("[log_rolled_back]") && ended.stderr.contains("accept-rollback"), "{ended}");

    let accept = |published: u64| {
        let mut command = Chancery::command();
        command.args(["log", "accept-rollback", "rekor-v2", "--config", &config(&lab), "--published", &published.to_string()]);
        Chancery::run(&mut command)
    };
    let ran = accept(published - 1);
    assert!(ran.code == Some(1) && ran.stderr.contains("[log_rollback_size]"), "{ran}");
    let ran = accept(published);
    assert!(ran.code == Some(0) && ran.stdout.contains("given-up"), "{ran}");
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    append(&lab, 1).await;
    assert_eq!(Log::of(lab.env()).head().await.size, published - 3);
}

/// Tessera's fsck reads Ed25519 keys only, so this log has one.
#[tokio::test(flavor = "multi_thread")]
async fn tessera_finds_our_tiles_in_order() {
    const ORIGIN: &str = "localhost";
    let ca = TestCa::new("Corp TLS");
    let mut installation = Installation::init(&ca, &["--domain", "sigstore.example", "--rekor-v2-key", "ed25519"]);
    let port = installation.url("rekor-v2").rsplit_once(':').unwrap().1.to_owned();
    // On loopback, so without the private authority's TLS.
    *installation.config("/rekor_v2/http") = json!({"listen": [format!("127.0.0.1:{port}")]});
    let _services = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let (url, key, http) = (format!("http://127.0.0.1:{port}"), new_key(), testkit::http(&[]));
    for _ in 0..300 {
        let request = http.post(format!("{url}/api/v2/log/entries")).header("content-type", "application/json");
        assert_eq!(request.body(Entry::by(&key).request.to_string()).send().await.unwrap().status(), 201);
    }
    let pem = installation.dir().join("trust/rekor_v2.pub");
    let public = PublicKey::from_pem(&fs::read_to_string(&pem).unwrap()).unwrap();
    let vkey = VerifierKey::new(ORIGIN, NoteKey::Ed25519(public.key_bytes().try_into().unwrap())).unwrap();
    let file = installation.dir().join("../rekor.vkey");
    fs::write(&file, vkey.to_string()).unwrap();

    let tessera = Command::new(testkit::pinned("tessera-fsck"))
        .args(["--ui=false", "--storage_url", &format!("{url}/"), "--origin", ORIGIN, "--public_key"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[tessera.stdout, tessera.stderr].concat()).into_owned();
    assert!(tessera.status.success() && said.contains("Successfully fsck'd log with size 302"), "{said}");

    let ran = fsck(&["--deep", &url, "--key", &pem.display().to_string(), "--origin", ORIGIN]);
    assert!(ran.code == Some(0) && ran.stdout.contains("entries   302,"), "{ran}");
}
