//! Equal processes on one Postgres database: whoever dies, and whatever the database goes through, there is one log.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

#[path = "replicas/older_faces.rs"]
mod older_faces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use integration::long_runs;
use integration::rekor::{Entry, Head, Log, Logged, assert_consistent, new_key};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Chancery, Launch, Postgres, free_port, wait_until};
use tokio::task::JoinSet;

/// These tests keep the machine busy: one after the other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// An installation whose logs are in Postgres.
struct Installation {
    server: Postgres,
    /// The URL of the Rekor logs' database, by which tests find it.
    database: String,
    folder: TempDir,
}

impl Installation {
    fn init() -> Self {
        let (server, folder) = (Postgres::start(), tempfile::tempdir().unwrap());
        let database = server.database();
        let mut init = Chancery::command();
        init.args(["init", "--domain", "replicas.test", "--dir"]).arg(folder.path().join("D"));
        init.args(["--rekor-database", &server.over_tcp(&database), "--ctlog-database", &server.over_tcp(&server.database())]);
        init.arg("--database-password-file").arg(server.password_file());
        let _ = Chancery::run(&mut init).ok();
        Self { server, database, folder }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("D")
    }

    /// Starts a replica of a service as another machine would have it: the same configuration, anchors and keys in a folder of its own,
    /// and listeners of its own by the environment.
    async fn replica(&self, service: &str, sections: &[&str], number: usize) -> Replica {
        self.replica_with(service, sections, number, &[]).await
    }

    /// With settings of its own besides.
    async fn replica_with(&self, service: &str, sections: &[&str], number: usize, settings: &[(&str, String)]) -> Replica {
        let folder = self.folder.path().join(format!("{service}{number}"));
        copy(&self.dir(), &folder);
        let admin = free_port();
        let listen = |port: u16| format!("[\"127.0.0.1:{port}\"]");
        let launch = Launch::service(service, &folder.join("chancery.yaml"), &format!("http://127.0.0.1:{admin}"));
        let launch = launch.with("CHANCERY_ADMIN__HTTP__LISTEN", listen(admin));
        let mut launch = settings.iter().fold(launch, |launch, (name, value)| launch.with(name, value.clone()));
        let mut urls = Vec::new();
        for section in sections {
            let port = free_port();
            launch = launch.with(&format!("CHANCERY_{}__HTTP__LISTEN", section.to_uppercase()), listen(port));
            urls.push(format!("http://127.0.0.1:{port}"));
        }
        let process = launch.start_in(&folder).await.unwrap_or_else(|ended| panic!("{ended}"));
        Replica { process, urls }
    }

    async fn rekor(&self, number: usize) -> Replica {
        self.replica("rekor", &["rekor_v2", "rekor_v1"], number).await
    }

    /// The log, at a replica.
    fn log(&self, replica: &Replica) -> Log {
        let log = Log::new("https://log1.rekor.replicas.test", &self.dir().join("trust/trusted_root.json"), testkit::http(&[]));
        log.at(&replica.urls[0])
    }
}

struct Replica {
    process: Chancery,
    /// Where its services are, in the order in which they were asked for.
    urls: Vec<String>,
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// Clients that send each entry to one replica after the other until one has answered, and remember every answer.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    told: Arc<Mutex<Vec<Logged>>>,
    clients: JoinSet<()>,
}

impl Load {
    fn begin(logs: &[Log]) -> Self {
        let (stop, answered, told) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<_>>>::default());
        let mut clients = JoinSet::new();
        for client in 0..24 {
            let (logs, stop, answered, told) = (logs.to_vec(), Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&told));
            clients.spawn(async move {
                let key = new_key();
                let mut next = client;
                while !stop.load(Ordering::Relaxed) {
                    let entry = Entry::by(&key);
                    let logged = loop {
                        next += 1;
                        // A refusal says that the database is away: the entry is sent again, and found if it was logged after all.
                        match logs[next % logs.len()].try_append(&entry).await {
                            Ok(logged) => break logged,
                            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                    };
                    told.lock().unwrap().push(logged);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, answered, told, clients }
    }

    /// Answers per second, over so long.
    async fn rate(&self, over: Duration) -> f64 {
        let (before, begun) = (self.answered.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(over).await;
        (self.answered.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64()
    }

    async fn end(self) -> Vec<Logged> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// Asks every replica for its head again and again. What is seen must be kept for ever, and no run of a replica may go back.
fn watch(logs: &[Log], stop: &Arc<AtomicBool>) -> JoinSet<BTreeSet<Head>> {
    let mut watching = JoinSet::new();
    for log in logs {
        let (log, stop) = (log.clone(), Arc::clone(stop));
        watching.spawn(async move {
            let mut seen = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                seen.extend(log.try_head().await);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            seen
        });
    }
    watching
}

/// Every answer and every head is kept by every replica.
async fn assert_kept(logs: &[Log], told: &[Logged], seen: BTreeSet<Head>) {
    let newest = told.iter().map(|logged| logged.head).chain(seen.iter().copied()).max().unwrap();
    let mut heads: BTreeSet<Head> = told.iter().map(|logged| logged.head).chain(seen).collect();
    for log in logs {
        wait_until("the replica follows", Duration::from_secs(30), || async { log.head().await.size >= newest.size }).await;
        heads.insert(log.head().await);
    }
    let size = heads.last().unwrap().size;
    for log in logs {
        let leaves = log.leaves(size).await;
        assert_consistent(&leaves, heads.iter().copied());
        for entry in told {
            assert_eq!(leaves.get(entry.index as usize), Some(&entry.body), "entry {} is not there", entry.index);
        }
    }
}

/// How long replicas are killed: `cargo xtask soak` says so, else 20 s, or two minutes in long runs.
fn lasting() -> Duration {
    let said = std::env::var("CHANCERY_REPLICA_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    Duration::from_secs(said.unwrap_or(if long_runs() { 120 } else { 20 }))
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "the figures of a long run are what it is run for")]
async fn replicas_that_are_killed_one_after_the_other_lose_and_fork_nothing() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let lasting = lasting();
    let installation = Installation::init();
    let mut replicas = Vec::new();
    for number in 0..3 {
        replicas.push(installation.rekor(number).await);
    }
    let logs: Vec<Log> = replicas.iter().map(|replica| installation.log(replica)).collect();
    let load = Load::begin(&logs);
    let seen = watch(&logs, &load.stop);
    let before = load.rate(Duration::from_secs(3)).await;

    let (begun, mut kills) = (Instant::now(), 0);
    while begun.elapsed() < lasting {
        let replica = &mut replicas[kills % 3].process;
        replica.kill();
        kills += 1;
        let (restarted, ()) = tokio::join!(replica.restart(), tokio::time::sleep(Duration::from_secs(1)));
        restarted.unwrap_or_else(|ended| panic!("after {kills} kills: {ended}"));
    }
    wait_until("throughput recovers", Duration::from_secs(60), || async {
        load.rate(Duration::from_secs(2)).await > before / 2.0
    })
    .await;
    let told = load.end().await;
    let seen: BTreeSet<Head> = seen.join_all().await.into_iter().flatten().collect();
    eprintln!("{kills} kills, {} entries answered, {} checkpoints seen", told.len(), seen.len());
    assert!(kills >= 5 && told.len() > 100, "{kills} kills, {} answers", told.len());
    assert_kept(&logs, &told, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_under_load_loses_nothing_that_was_answered() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let installation = Installation::init();
    let replicas = [installation.rekor(0).await, installation.rekor(1).await];
    let logs: Vec<Log> = replicas.iter().map(|replica| installation.log(replica)).collect();
    let load = Load::begin(&logs);
    let seen = watch(&logs, &load.stop);
    for round in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if round % 2 == 0 {
            // After a restart it may take a moment until there are any.
            wait_until("there are sessions to end", Duration::from_secs(30), || async {
                installation.server.end_sessions(&installation.database) > 0
            })
            .await;
        } else {
            installation.server.restart();
        }
    }
    wait_until("entries are taken again", Duration::from_secs(60), || async { load.rate(Duration::from_secs(1)).await > 0.0 })
        .await;
    let told = load.end().await;
    let seen = seen.join_all().await.into_iter().flatten().collect();
    assert!(told.len() > 50, "{} answers", told.len());
    assert_kept(&logs, &told, seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_every_log_answer_alike() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let installation = Installation::init();
    let http = testkit::http(&[]);
    let get = async |url: String| http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    // The last of the sections is asked: the certificate log, and Rekor v1.
    for (service, sections, path, member) in [
        ("ctlog", &["ctlog"][..], "/ct/v1/get-sth", "tree_size"),
        ("rekor", &["rekor_v2", "rekor_v1"], "/api/v1/log", "rootHash"),
    ] {
        let mut answers = Vec::new();
        for number in 0..2 {
            let replica = installation.replica(service, sections, number).await;
            answers.push(get(format!("{}{path}", replica.urls.last().unwrap())).await);
        }
        assert!(answers[0].get(member).is_some(), "{}", answers[0]);
        assert_eq!(answers[0][member], answers[1][member], "{path}");
    }
    // What one of them has answered, the other one has.
    let (one, two) = (installation.rekor(2).await, installation.rekor(3).await);
    let logged = installation.log(&one).append(&Entry::random()).await.unwrap();
    let leaves = installation.log(&two).leaves(logged.head.size).await;
    assert_eq!(leaves[logged.index as usize], logged.body);
}

#[tokio::test]
async fn a_password_in_the_url_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("D");
    let mut init = Chancery::command();
    init.args(["init", "--domain", "replicas.test", "--rekor-database", "postgres://rekor:secret@127.0.0.1/logs", "--dir"])
        .arg(&dir);
    let ran = Chancery::run(&mut init);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("database_address") && !ran.stderr.contains("secret"), "{ran}");
    assert!(!dir.exists());
}
