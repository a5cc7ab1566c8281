//! What was answered is on disk, whatever happens next.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use der::DecodePem as _;
use integration::ca::Ca;
use integration::ctlog::CtLog;
use integration::long_runs;
use integration::people::{EMAIL, arguments, by_developer, developer};
use integration::rekor::{Entry, Head, Log, Logged, assert_consistent, new_key};
use integration::trace;
use rand::Rng as _;
use testkit::{Chancery, Launch};
use tokio::task::JoinSet;

/// Both tests keep the machine busy: one after the other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Strace records what arrives, what is written and synced, and what is answered. For each entry, in this order: its bytes are
/// written to the database's log, that file is synced to disk, and only then does `201` go out on the connection it came in on.
#[tokio::test(flavor = "multi_thread")]
async fn every_answered_entry_was_synced_to_disk_before() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let traces = folder.path().join("traces");
    std::fs::create_dir(&traces).unwrap();
    let launch = Launch::lab(&folder.path().join("lab")).under(trace::strace(&traces));
    let mut lab = launch.start_in(folder.path()).await.unwrap_or_else(|ended| panic!("{ended}"));

    let entries = written_by_many(&lab, 8, 8).await;
    let ca = Ca::new(lab.env().get("CHANCERY_FULCIO_URL"), testkit::http(&[]));
    let token = lab.token(&["--email", EMAIL]);
    for _ in 0..10 {
        ca.certify(&token).await.unwrap();
    }
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");

    let calls = trace::read(&traces);
    for entry in &entries {
        trace::synced_before_answered(&calls, &entry.digest, "/rekor.db-wal", "201")
            .unwrap_or_else(|problem| panic!("{problem}"));
    }
    for database in ["/fulcio.db-wal", "/ctlog.db-wal"] {
        let requests = trace::synced_within_requests(&calls, "POST /api/v2/signingCert", database, "200");
        // The lab's proof asked for one too.
        assert_eq!(requests, Ok(11), "certificates and {database}");
    }
}

/// Entries written by several connections at once, so that batches form; each entry has a connection of its own.
async fn written_by_many(lab: &Chancery, connections: usize, each: usize) -> Vec<Entry> {
    let mut writers = JoinSet::new();
    for _ in 0..connections {
        let env = lab.env().clone();
        writers.spawn(async move {
            let mut entries = Vec::new();
            for _ in 0..each {
                let entry = Entry::random();
                Log::of(&env).append(&entry).await.unwrap();
                entries.push(entry);
            }
            entries
        });
    }
    writers.join_all().await.concat()
}

/// How often the server is killed: `cargo xtask soak` says so, else 30 times, or 300 in long runs.
fn kills() -> usize {
    let said = std::env::var("CHANCERY_KILLS").ok().map(|number| number.parse().unwrap());
    said.unwrap_or(if long_runs() { 300 } else { 30 })
}

/// What clients were told by a server that was then killed.
#[derive(Default)]
struct Told {
    entries: Vec<Logged>,
    certificates: Vec<String>,
    heads: BTreeSet<Head>,
}

impl Told {
    /// Adds what was told in one more round, and the head that was seen after it.
    fn absorb(&mut self, round: Self, head: Head) {
        self.heads.extend(round.entries.iter().map(|entry| entry.head).chain([head]));
        self.entries.extend(round.entries);
        self.certificates.extend(round.certificates);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_by_kill_9_under_load() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rounds = kills();
    let mut lab = Chancery::lab().await;
    let env = lab.env().clone();
    let (log, certificates) = (Log::of(&env), CtLog::of(&env));
    // One home for all rounds: its cache of the trust root notices when versions go back.
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "first.json", "blob"]).ok();
    let told = Arc::new(Mutex::new(Told::default()));
    let mut all = Told::default();
    let mut ct_head = certificates.head().await;

    for round in 0..rounds {
        let load = begin_load(&lab, &told);
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(50..400))).await;
        lab.kill();
        load.join_all().await;
        lab.restart().await.unwrap_or_else(|ended| panic!("round {round}: {ended}"));
        assert_eq!(*lab.env(), env, "round {round}");

        let head = log.head().await;
        all.absorb(std::mem::take(&mut told.lock().unwrap()), head);
        let leaves = log.leaves(head.size).await;
        assert_consistent(&leaves, all.heads.iter().copied());
        for entry in &all.entries {
            assert_eq!(leaves.get(entry.index as usize), Some(&entry.body), "round {round}: entry {} is not there", entry.index);
        }
        let grown = certificates.head().await;
        certificates.assert_grown(&ct_head, &grown).await;
        ct_head = grown;
        assert_all_certified(&certificates.leaves(ct_head.size).await, &all.certificates);

        let bundle = format!("{round}.json");
        client.run(["sign-blob", "--yes", "--bundle", &bundle, "blob"]).ok();
        for bundle in ["first.json", &bundle] {
            client.run(arguments(&["verify-blob", "--bundle", bundle], &by_developer(&lab), &["blob"])).ok();
        }
    }
    assert!(all.entries.len() > rounds * 10 && all.certificates.len() > rounds, "there was hardly any load");
}

/// Clients that write until nobody answers any more, and remember every answer.
fn begin_load(lab: &Chancery, told: &Arc<Mutex<Told>>) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let (log, told) = (Log::of(lab.env()), Arc::clone(told));
        load.spawn(async move {
            let key = new_key();
            while let Ok(logged) = log.append(&Entry::by(&key)).await {
                told.lock().unwrap().entries.push(logged);
            }
        });
    }
    let token = lab.token(&["--email", EMAIL]);
    for _ in 0..2 {
        let (ca, token, told) =
            (Ca::new(lab.env().get("CHANCERY_FULCIO_URL"), testkit::http(&[])), token.clone(), Arc::clone(told));
        load.spawn(async move {
            while let Ok(Ok(chain)) = ca.try_certify(&token).await {
                told.lock().unwrap().certificates.push(chain[0].clone());
            }
        });
    }
    load
}

/// Every certificate's serial number is in a leaf of the certificate log.
fn assert_all_certified(leaves: &[Vec<u8>], certificates: &[String]) {
    for pem in certificates {
        let certificate = x509_cert::Certificate::from_pem(pem).unwrap();
        let serial = certificate.tbs_certificate().serial_number().as_bytes().to_vec();
        let logged = leaves.iter().any(|leaf| leaf.windows(serial.len()).any(|window| window == serial));
        assert!(logged, "certificate {} was answered and is in no log", hex::encode(serial));
    }
}
