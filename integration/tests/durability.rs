//! What was answered is on disk, whatever happens next.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use der::DecodePem as _;
use integration::audit::Audit;
use integration::ca::Ca;
use integration::ctlog::{CtLog, TreeHead};
use integration::long_runs;
use integration::people::{EMAIL, arguments, by_developer, developer};
use integration::rekor::{Entry, Head, Log, Logged, new_key};
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
}

/// Both logs, as an auditor sees them who was there from the beginning.
struct Auditor {
    log: Log,
    entries: Audit,
    heads: BTreeSet<Head>,
    ct_log: CtLog,
    certificates: Audit,
    ct_head: TreeHead,
}

impl Auditor {
    async fn of(lab: &Chancery) -> Self {
        let (log, ct_log) = (Log::of(lab.env()), CtLog::of(lab.env()));
        let ct_head = ct_log.head().await;
        Self { log, entries: Audit::default(), heads: BTreeSet::new(), ct_log, certificates: Audit::default(), ct_head }
    }

    /// Reads what is new, and checks that everything which was told since the last time is in it, at its place.
    async fn follow(&mut self, told: &Told) {
        let heads: BTreeSet<Head> = told.entries.iter().map(|entry| entry.head).collect();
        let head = self.log.head().await;
        self.entries.follow(&self.log, head, &heads).await;
        self.heads.extend(heads.into_iter().chain([head]));
        for entry in &told.entries {
            assert_eq!(self.entries.leaf(entry.index), Some(&*entry.body), "entry {} is not there", entry.index);
        }
        let (known, head) = (self.certificates.size(), self.ct_log.head().await);
        self.ct_log.assert_extends(&self.ct_head, &head).await;
        self.certificates.follow_certificates(&self.ct_log, &head).await;
        self.ct_head = head;
        assert_all_certified(self.certificates.since(known), &told.certificates);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "the figures of a long run are what it is run for")]
async fn nothing_answered_is_lost_by_kill_9_under_load() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rounds = kills();
    let mut lab = Chancery::lab().await;
    let env = lab.env().clone();
    // One home for all rounds: its cache of the trust root notices when versions go back.
    let mut client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "first.json", "blob"]).ok();
    let mut auditor = Auditor::of(&lab).await;
    let (mut entries, mut certificates) = (0, 0);

    for round in 0..rounds {
        let told = Arc::new(Mutex::new(Told::default()));
        let load = begin_load(&lab, &told);
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(50..400))).await;
        lab.kill();
        load.join_all().await;
        lab.restart().await.unwrap_or_else(|ended| panic!("round {round}: {ended}"));
        assert_eq!(*lab.env(), env, "round {round}");

        let told = std::mem::take(&mut *told.lock().unwrap());
        auditor.follow(&told).await;
        entries += told.entries.len();
        certificates += told.certificates.len();

        // Its token is good for ten minutes; hundreds of rounds take longer.
        client = client.with("SIGSTORE_ID_TOKEN", lab.token(&["--email", EMAIL]));
        let bundle = format!("{round}.json");
        client.run(["sign-blob", "--yes", "--bundle", &bundle, "blob"]).ok();
        for bundle in ["first.json", &bundle] {
            client.run(arguments(&["verify-blob", "--bundle", bundle], &by_developer(&lab), &["blob"])).ok();
        }
    }
    auditor.entries.assert_unchanged(&auditor.log).await;
    eprintln!(
        "{rounds} kills, {entries} entries and {certificates} certificates answered and there, {} checkpoints checked",
        auditor.heads.len()
    );
    assert!(entries > rounds * 10 && certificates > rounds, "there was hardly any load");
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
