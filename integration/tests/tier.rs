//! Old entries are in a folder or a bucket, and no client can tell.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration::ca::Ca;
use integration::ctlog::CtLog;
use integration::installation::Installation;
use integration::people::{EMAIL, arguments, by_developer, developer};
use integration::rekor::{Entry, Head, Log, Logged, assert_consistent, new_key};
use integration::rekor_v1::{EntryV1, LogV1, LoggedV1};
use integration::store::{Moved, moved};
use note::{NoteKey, VerifierKey};
use pki::PublicKey;
use rand::Rng as _;
use serde_json::{Value, json};
use testkit::{Chancery, Ran, Reply, S3, Scripted, TestCa, wait_until};
use tokio::task::JoinSet;

/// These tests keep the machine busy: one after the other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const LOGS: [&str; 3] = ["ctlog", "rekor_v1", "rekor_v2"];

/// Changes the configuration of a lab that is not running.
fn configure(lab: &Chancery, change: impl Fn(&mut Value)) {
    let file = lab.dir().join("chancery.yaml");
    let mut config: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut config);
    // JSON is YAML.
    fs::write(&file, config.to_string()).unwrap();
}

fn move_all_to(config: &mut Value, place: &Value) {
    for log in LOGS {
        config[log]["objects"] = place.clone();
        config[log]["keep_entries"] = 0.into();
    }
}

fn fsck(arguments: &[&str]) -> Ran {
    let mut command = Chancery::command();
    command.args(["log", "fsck", "--deep"]).args(arguments);
    Chancery::run(&mut command)
}

/// What every log of a lab has been given, and said of it.
struct Written {
    v2: Vec<(Entry, Logged)>,
    v1: Vec<(EntryV1, LoggedV1)>,
}

/// 600 entries of Rekor v2, 300 of v1, 300 certificates.
async fn write(lab: &Chancery) -> Written {
    let (v2, v1) = (Log::of(lab.env()), LogV1::of(lab.env()));
    let ca = Ca::new(lab.env().get("CHANCERY_FULCIO_URL"), testkit::http(&[]));
    let (mut writers, key) = (JoinSet::new(), Arc::new(new_key()));
    let written = Arc::new(Mutex::new(Written { v2: Vec::new(), v1: Vec::new() }));
    for _ in 0..6 {
        let (v2, v1, ca, key, written) = (v2.clone(), v1.clone(), ca.clone(), Arc::clone(&key), Arc::clone(&written));
        let token = lab.token(&["--email", EMAIL]);
        writers.spawn(async move {
            for turn in 0..100 {
                let entry = Entry::by(&key);
                let logged = v2.append(&entry).await.unwrap();
                written.lock().unwrap().v2.push((entry, logged));
                if turn % 2 == 0 {
                    let entry = EntryV1::by(&key);
                    let logged = v1.append(&entry).await.unwrap();
                    written.lock().unwrap().v1.push((entry, logged));
                    ca.certify(&token).await.unwrap();
                }
            }
        });
    }
    writers.join_all().await;
    Arc::into_inner(written).unwrap().into_inner().unwrap()
}

async fn all_moved(lab: &Chancery) -> Vec<Moved> {
    let (rekor, ctlog) = (lab.dir().join("db/rekor.db"), lab.dir().join("db/ctlog.db"));
    wait_until("every complete bundle is moved", Duration::from_secs(60), async || {
        let logs = [moved(&rekor).await, moved(&ctlog).await].concat();
        logs.len() == 3 && logs.iter().all(|log| log.moved == log.size / 256 * 256 && log.moved > 0)
    })
    .await;
    let logs = [moved(&rekor).await, moved(&ctlog).await].concat();
    for log in &logs {
        assert_eq!(log.with_content, log.size - log.moved, "the content of {} is gone", log.name);
    }
    logs
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_to_a_folder_is_read_as_before() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    read_as_before(&json!({ "folder": folder.path() })).await;
    for name in ["ctlog/leaves/000", "rekor-v1/leaves/000", "rekor-v2/tile/entries/001", "rekor-v2/tile/0/001"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_to_a_bucket_is_read_as_before() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let s3 = S3::shared();
    let bucket = s3.bucket();
    read_as_before(&json!({ "s3": {
        "endpoint": s3.endpoint(), "bucket": bucket, "prefix": "corp/logs", "access_key_id": s3.access_key_id(),
        "secret_access_key_file": s3.secret_access_key_file(), "ca_file": s3.ca_file(),
    }}))
    .await;
    assert!(s3.files(&bucket).join("corp/logs/rekor-v2/tile/entries/001").is_file());
}

async fn read_as_before(place: &Value) {
    let mut lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "first.json", "blob"]).ok();
    let written = write(&lab).await;
    let (v2, v1, ct) = (Log::of(lab.env()), LogV1::of(lab.env()), CtLog::of(lab.env()));
    let (head, tree_head) = (v2.head().await, ct.head().await);
    let (leaves, certificates) = (v2.leaves(head.size).await, ct.leaves(tree_head.size).await);
    lab.stop();

    // It is turned on for logs that have entries.
    configure(&lab, |config| move_all_to(config, place));
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let logs = all_moved(&lab).await;
    let mut list = Chancery::command();
    let listed = Chancery::run(list.args(["log", "list", "--dir"]).arg(lab.dir())).ok().stdout;
    for (log, moved) in [("ctlog ", 256), ("rekor-v2 ", 512), ("rekor-v1 ", 256)] {
        let line = listed.lines().find(|line| line.starts_with(log)).unwrap();
        assert!(line.ends_with(&format!("   {moved} entries moved")), "{line}");
    }
    for restarted in [false, true] {
        if restarted {
            lab.stop();
            lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
        }
        let (head, tree_head_now) = (v2.head().await, ct.head().await);
        assert_eq!(v2.leaves(head.size).await[..leaves.len()], leaves);
        assert_eq!(ct.leaves(tree_head_now.size).await[..certificates.len()], certificates);
        ct.assert_grown(&tree_head, &tree_head_now).await;
        for (_, logged) in written.v1.iter().step_by(17) {
            assert_eq!(v1.get(&logged.id).await, *logged);
        }
        // What was sent before is found again, whole.
        for (entry, logged) in written.v2.iter().step_by(37) {
            let again = v2.append(entry).await.unwrap();
            assert_eq!((again.index, &again.body), (logged.index, &logged.body));
        }
        client.run(arguments(&["verify-blob", "--bundle", "first.json"], &by_developer(&lab), &["blob"])).ok();
        client.run(["sign-blob", "--yes", "--bundle", "next.json", "blob"]).ok();
        client.run(arguments(&["verify-blob", "--bundle", "next.json"], &by_developer(&lab), &["blob"])).ok();
    }
    let ran = fsck(&[lab.env().get("CHANCERY_REKOR_URL"), "--trusted-root", lab.env().get("CHANCERY_TRUSTED_ROOT")]);
    assert_eq!(ran.code, Some(0), "{ran}");
    lab.stop();

    let config = lab.dir().join("chancery.yaml").display().to_string();
    let ran = fsck(&[&config]);
    assert!(ran.code == Some(0) && logs.len() == 3 && ran.stdout.matches("in order").count() == 3, "{ran}");
    configure(&lab, |config| {
        config["rekor_v2"].as_object_mut().unwrap().remove("objects").unwrap();
    });
    let ended = lab.restart().await.unwrap_err();
    assert!(ended.stderr.contains("[log_objects_unset]"), "{ended}");
    let ran = fsck(&[&config]);
    assert!(ran.code == Some(1) && ran.stderr.contains("[log_objects_unset]"), "{ran}");
}

/// A bucket that is away keeps old entries back, and nothing else: not even a start.
#[tokio::test(flavor = "multi_thread")]
async fn only_old_entries_need_the_bucket() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let s3 = S3::start(false);
    let relay = s3.relay();
    let mut lab = Chancery::lab().await;
    let written = write(&lab).await;
    lab.stop();
    let place = json!({ "s3": {
        "endpoint": relay.url(), "bucket": s3.bucket(), "access_key_id": s3.access_key_id(),
        "secret_access_key_file": s3.secret_access_key_file(),
    }});
    configure(&lab, |config| move_all_to(config, &place));
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    all_moved(&lab).await;
    lab.stop();
    relay.down();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));

    let (v2, http) = (Log::of(lab.env()), testkit::http(&[]));
    let head = v2.head().await;
    v2.append(&Entry::by(&new_key())).await.unwrap();
    v2.get(&format!("tile/1/000.p/{}", head.size / 256)).await;
    let old = [
        format!("{}/tile/entries/000", lab.env().get("CHANCERY_REKOR_URL")),
        format!("{}/api/v1/log/entries/{}", lab.env().get("CHANCERY_REKOR_V1_URL"), written.v1[0].1.id),
        format!("{}/ct/v1/get-entries?start=3&end=3", lab.env().get("CHANCERY_CTLOG_URL")),
    ];
    for url in &old {
        let answer = http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 503, "{url}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("log_objects_failed") && !text.contains("s3://"), "{text}");
    }
    relay.up();
    for url in &old {
        wait_until("the bucket is there again", Duration::from_secs(30), async || {
            http.get(url).send().await.unwrap().status() == 200
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_entries_move_loses_nothing() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Chancery::lab().await;
    lab.stop();
    configure(&lab, |config| move_all_to(config, &json!({ "folder": folder.path() })));
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let log = Log::of(lab.env());
    let (mut told, mut heads, mut last) = (Vec::<Logged>::new(), BTreeSet::<Head>::new(), 0);
    for round in 0..6 {
        let mut load = JoinSet::new();
        for _ in 0..8 {
            let log = log.clone();
            load.spawn(async move {
                let (key, mut told) = (new_key(), Vec::new());
                while let Ok(logged) = log.append(&Entry::by(&key)).await {
                    told.push(logged);
                }
                told
            });
        }
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(1_000..2_000))).await;
        lab.kill();
        told.extend(load.join_all().await.concat());
        lab.restart().await.unwrap_or_else(|ended| panic!("round {round}: {ended}"));
        let head = log.head().await;
        heads.extend(told.iter().map(|logged| logged.head).chain([head]));
        let leaves = log.leaves(head.size).await;
        assert_consistent(&leaves, heads.iter().copied());
        for logged in &told {
            assert_eq!(leaves.get(logged.index as usize), Some(&logged.body), "round {round}: entry {}", logged.index);
        }
        let logs = moved(&lab.dir().join("db/rekor.db")).await;
        let moved = logs.iter().find(|log| log.name == "rekor-v2").unwrap().moved;
        assert!(moved >= last, "what is moved stays so");
        last = moved;
    }
    assert!(last >= 512, "hardly anything was moved: {last}");
    lab.stop();
    let ran = fsck(&[&lab.dir().join("chancery.yaml").display().to_string()]);
    assert_eq!(ran.code, Some(0), "{ran}");
}

/// With an export to the place where the log's bundles go, a plain file server shows the whole log to any reader of tiles.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_file_server_shows_the_log_to_tessera() {
    let _alone = ONE_AT_A_TIME.lock().await;
    const ORIGIN: &str = "localhost";
    let (ca, folder) = (TestCa::new("Corp TLS"), tempfile::tempdir().unwrap());
    let log_folder = folder.path().join("rekor-v2");
    fs::create_dir(&log_folder).unwrap();
    let mut installation = Installation::init(&ca, &["--domain", "sigstore.example", "--rekor-v2-key", "ed25519"]);
    let port = installation.url("rekor-v2").rsplit_once(':').unwrap().1.to_owned();
    // On loopback, so without the private authority's TLS.
    *installation.config("/rekor_v2/http") = json!({"listen": [format!("127.0.0.1:{port}")]});
    let section = installation.config("/rekor_v2");
    section["objects"] = json!({ "folder": folder.path() });
    section["keep_entries"] = 100.into();
    section["export"] = json!(log_folder);
    let _services = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let (url, key, http) = (format!("http://127.0.0.1:{port}"), new_key(), testkit::http(&[]));
    for _ in 0..700 {
        let request = http.post(format!("{url}/api/v2/log/entries")).header("content-type", "application/json");
        assert_eq!(request.body(Entry::by(&key).request.to_string()).send().await.unwrap().status(), 201);
    }
    let database = installation.dir().join("db/rekor.db");
    wait_until("two bundles are moved, and all is exported", Duration::from_secs(60), async || {
        let exported = fs::read_to_string(log_folder.join("checkpoint")).unwrap_or_default();
        let logs = moved(&database).await;
        logs.iter().any(|log| log.name == "rekor-v2" && log.moved == 512) && exported.lines().nth(1) == Some("702")
    })
    .await;

    let server = static_server(&log_folder).await;
    let pem = installation.dir().join("trust/rekor_v2.pub");
    let public = PublicKey::from_pem(&fs::read_to_string(&pem).unwrap()).unwrap();
    let vkey = VerifierKey::new(ORIGIN, NoteKey::Ed25519(public.key_bytes().try_into().unwrap())).unwrap();
    let file = installation.dir().join("../rekor.vkey");
    fs::write(&file, vkey.to_string()).unwrap();
    let tessera = Command::new(testkit::pinned("tessera-fsck"))
        .args(["--ui=false", "--storage_url", &format!("{}/", server.url()), "--origin", ORIGIN, "--public_key"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[tessera.stdout, tessera.stderr].concat()).into_owned();
    assert!(tessera.status.success() && said.contains("Successfully fsck'd log with size 702"), "{said}");
    let ran = fsck(&[&log_folder.display().to_string(), "--key", &pem.display().to_string(), "--origin", ORIGIN]);
    assert!(ran.code == Some(0) && ran.stdout.contains("entries   702,"), "{ran}");
}

/// Files, and nothing else.
async fn static_server(folder: &Path) -> Scripted {
    let folder = folder.to_owned();
    Scripted::start(move |request, _| {
        let path = request.line.strip_prefix("GET /")?;
        Some(match fs::read(folder.join(path)) {
            Ok(content) => Reply::new(200, &[], content),
            Err(_) => Reply::new(404, &[], ""),
        })
    })
    .await
}
