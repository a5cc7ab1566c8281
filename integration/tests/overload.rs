//! More than a log can hold: it says so at once and looks at nothing first, shares what there is, and is afterwards what it was before.
//!
//! The server runs under `strace`, which lets every sync to disk take so long that few entries a second can be written on any machine:
//! its queue is full for as long as a test offers more.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::EcdsaKeyPair;
use integration::audit::Audit;
use integration::load::{Connection, request};
use integration::rekor::{Entry, Log, new_key};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Chancery, Launch, wait_until};
use tokio::task::JoinSet;

/// Both tests keep the machine busy: one after the other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the log holds of entries on their way in (`tlog::Limits`).
const QUEUE_BYTES: usize = 32 << 20;

/// How long each sync takes. One batch has at most 8 MiB, so a full queue takes four.
const SYNC: Duration = Duration::from_millis(400);

/// The length of most bodies. More would wait for a share of the memory for large ones.
const BODY: usize = 60 << 10;

/// All the memory that the process may ever have: the queue, what is made of the entries in it, 64 MiB of large bodies, and the
/// connections.
const MEMORY: usize = 256 << 20;

/// Where a proxy is that the log trusts.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A Rekor v2 log with a slow disk.
struct SlowLog {
    process: Chancery,
    _folder: TempDir,
    address: String,
    /// As somebody sees it who came from [`Ipv4Addr::LOCALHOST`].
    log: Log,
}

impl SlowLog {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("D");
        let mut init = Chancery::command();
        let _ = Chancery::run(init.args(["init", "--domain", "overload.test", "--dir"]).arg(&dir)).ok();
        let file = dir.join("chancery.yaml");
        let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        // All at once, so that they differ.
        let bound = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [address, v1, admin] = bound.map(|listener| listener.local_addr().unwrap().to_string());
        config["rekor_v2"]["http"] = json!({"listen": [address], "trusted_proxies": [PROXY]});
        config["rekor_v1"]["http"] = json!({"listen": [v1]});
        config["admin"]["http"] = json!({"listen": [admin]});
        // JSON is YAML.
        std::fs::write(&file, config.to_string()).unwrap();
        let launch = Launch::service("rekor", &file, &format!("http://{admin}")).under(slow_syncs());
        let process = launch.start_in(folder.path()).await.unwrap_or_else(|ended| panic!("{ended}"));
        let log = Log::new("https://log1.rekor.overload.test", &dir.join("trust/trusted_root.json"), testkit::http(&[]));
        let log = log.at(&format!("http://{address}"));
        Self { process, _folder: folder, address, log }
    }

    /// The most memory that the process ever had, in bytes.
    fn most_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Every entry of which somebody was told is where it was said to be, and the log takes and refuses as ever.
    async fn assert_as_before(&self, told: &BTreeMap<u64, String>) {
        let head = self.log.head().await;
        let mut audit = Audit::default();
        audit.follow(&self.log, head, &[].into()).await;
        for (index, body) in told {
            assert_eq!(audit.leaf(*index), Some(body.as_bytes()), "entry {index} is not there");
        }
        let entry = Entry::random();
        let logged = self.log.append(&entry).await.unwrap();
        assert_eq!(self.log.append(&entry).await.unwrap().index, logged.index, "sent again, it is found");
        assert_eq!(self.log.post(forged().request.to_string()).await.unwrap().status(), 400);
    }
}

/// `strace`, which traces nothing but syncs, and stays out of the way.
fn slow_syncs() -> Vec<OsString> {
    let delay = format!("inject=fdatasync,fsync:delay_enter={}", SYNC.as_micros());
    let flags = ["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fdatasync,fsync", "-e"];
    let words = std::iter::once(testkit::on_path("strace").into_os_string()).chain(flags.map(Into::into));
    words.chain([delay.into()]).collect()
}

/// An entry whose signature is of something else.
fn forged() -> Entry {
    let (mut entry, other) = (Entry::random(), Entry::random());
    entry.request["hashedRekordRequestV002"]["digest"] = other.request["hashedRekordRequestV002"]["digest"].clone();
    entry
}

/// A request as JSON of this length: there may be space around it.
fn padded(request: &Value, length: usize) -> String {
    let mut text = request.to_string();
    text.extend(std::iter::repeat_n(' ', length.saturating_sub(text.len())));
    text
}

/// Somebody at an address, with as many connections as it takes: 256 requests go over each.
#[derive(Clone)]
struct Client {
    connections: Vec<reqwest::Client>,
    url: String,
    /// What it says of whom it asks for.
    forwarded: Option<String>,
}

impl Client {
    fn at(address: Ipv4Addr, connections: usize, log: &SlowLog) -> Self {
        // Once in a process, this installs what every client needs.
        let _ = testkit::http(&[]);
        let connection = |_| {
            let builder = reqwest::Client::builder().no_proxy().local_address(Some(address.into()));
            builder.http2_prior_knowledge().timeout(Duration::from_secs(90)).build().unwrap()
        };
        let url = format!("http://{}/api/v2/log/entries", log.address);
        Self { connections: (0..connections).map(connection).collect(), url, forwarded: None }
    }

    fn forwarding(self, client: &str) -> Self {
        Self { forwarded: Some(client.to_owned()), ..self }
    }

    /// Sends a body, and returns status and text of the answer. With 503, and with nothing else, it says when to come again.
    async fn send(&self, number: usize, body: String) -> (u16, String) {
        let mut request = self.connections[number % self.connections.len()].post(&self.url).body(body);
        if let Some(client) = &self.forwarded {
            request = request.header("x-forwarded-for", client);
        }
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        let status = answer.status().as_u16();
        let seconds = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<u64>().unwrap());
        let text = answer.text().await.unwrap();
        assert_eq!(seconds.is_some_and(|seconds| seconds > 0), status == 503, "{status} {text}");
        (status, text)
    }
}

/// What became of what was offered.
#[derive(Default)]
struct Offered {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    refused: AtomicUsize,
    told: Mutex<BTreeMap<u64, String>>,
    stop: AtomicBool,
}

impl Offered {
    fn count(&self, status: u16, text: &str, entry: &Entry, length: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length, Ordering::Relaxed);
        match status {
            201 => {
                let answer: Value = serde_json::from_str(text).unwrap();
                let index = answer["logIndex"].as_str().unwrap().parse().unwrap();
                assert!(self.told.lock().unwrap().insert(index, entry.body.clone()).is_none(), "{index} was told twice");
            }
            503 => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
            _ => panic!("{status}: {text}"),
        }
    }

    /// Sends one entry after the other until enough was offered. Told to come again in a second, it comes five times.
    async fn greedily(self: Arc<Self>, client: Client, number: usize, length: usize, key: Arc<EcdsaKeyPair>) {
        while !self.stop.load(Ordering::Relaxed) {
            let entry = Entry::by(&key);
            let (status, text) = client.send(number, padded(&entry.request, length)).await;
            self.count(status, &text, &entry, length);
            if status == 503 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// A client that takes all it can get has half of the places. What it sends beyond that is refused before anything is looked at, be it
/// garbage or a forgery; whoever else comes is served, directly or through a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_greedy_client_is_refused_unseen_and_the_polite_are_served() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (log, offered, key) = (SlowLog::start().await, Arc::new(Offered::default()), Arc::new(new_key()));
    let greedy = Client::at(Ipv4Addr::new(127, 0, 0, 2), 2, &log);
    // It may write what it likes: nobody but the proxy is believed.
    let lying = greedy.clone().forwarding("198.51.100.77");
    let proxied = Client::at(PROXY, 2, &log).forwarding("198.51.100.1");
    let mut load = JoinSet::new();
    for (number, client) in [greedy.clone(), lying, proxied].iter().cycle().take(750).enumerate() {
        load.spawn(Arc::clone(&offered).greedily(client.clone(), number, BODY, Arc::clone(&key)));
    }
    wait_until("it is full", Duration::from_secs(60), async || offered.refused.load(Ordering::Relaxed) > 100).await;

    let garbage = format!("{:1$}", "no request", BODY);
    let forgery = padded(&forged().request, BODY);
    wait_until("nothing is looked at", Duration::from_secs(60), async || {
        let mut answers = JoinSet::new();
        for number in 0..20 {
            let (client, body) = (greedy.clone(), if number % 2 == 0 { garbage.clone() } else { forgery.clone() });
            answers.spawn(async move { client.send(number, body).await.0 });
        }
        let answers = answers.join_all().await;
        // Between two batches there may be a place for one of them; then it is looked at, and said to be wrong.
        assert!(answers.iter().all(|status| [503, 400].contains(status)), "{answers:?}");
        answers.iter().all(|status| *status == 503)
    })
    .await;

    let polite = [
        Client::at(Ipv4Addr::new(127, 0, 0, 3), 1, &log),
        Client::at(PROXY, 1, &log).forwarding("198.51.100.2"),
        Client::at(PROXY, 1, &log).forwarding("198.51.100.77, 198.51.100.3"),
    ];
    for client in polite.iter().cycle().take(9) {
        let entry = Entry::by(&key);
        let (status, text) = client.send(0, padded(&entry.request, BODY)).await;
        assert_eq!(status, 201, "a polite client was told: {text}");
        offered.count(status, &text, &entry, BODY);
    }
    offered.stop.store(true, Ordering::Relaxed);
    load.join_all().await;
    let told = offered.told.lock().unwrap().clone();
    log.assert_as_before(&told).await;
}

/// Ten times what the queue holds, from many addresses at once, some of it in large bodies and some of it slowly: every entry is taken
/// or refused for now, and the process needs no more memory than is stated.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "figures")]
async fn ten_times_what_the_queue_holds_takes_no_more_memory() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (log, offered, key) = (SlowLog::start().await, Arc::new(Offered::default()), Arc::new(new_key()));
    let mut load = JoinSet::new();
    for address in 0..12 {
        let client = Client::at(Ipv4Addr::new(127, 0, 1, address), 1, &log);
        for number in 0..40 {
            load.spawn(Arc::clone(&offered).greedily(client.clone(), number, BODY, Arc::clone(&key)));
        }
        // The largest that there may be; a few, since of these sixteen at a time are read.
        if address < 4 {
            load.spawn(Arc::clone(&offered).greedily(client, 0, 4 << 20, Arc::clone(&key)));
        }
    }
    for number in 0..100 {
        load.spawn(slowly(log.address.clone(), Ipv4Addr::new(127, 0, 2, number), Arc::clone(&offered), Arc::clone(&key)));
    }
    wait_until("ten times as much was offered", Duration::from_secs(120), async || {
        offered.bytes.load(Ordering::Relaxed) > 10 * QUEUE_BYTES
    })
    .await;
    offered.stop.store(true, Ordering::Relaxed);
    load.join_all().await;
    let (most, told) = (log.most_memory(), std::mem::take(&mut *offered.told.lock().unwrap()));
    let [requests, bytes, refused] =
        [&offered.requests, &offered.bytes, &offered.refused].map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "{requests} entries offered, {} MiB: {} taken, {refused} refused; {} MiB of memory at most",
        bytes >> 20,
        told.len(),
        most >> 20
    );
    assert!(refused > 0 && told.len() > 16, "{refused} refused, {} taken", told.len());
    assert!(most <= MEMORY, "{} MiB, expected at most {}", most >> 20, MEMORY >> 20);
    log.assert_as_before(&told).await;
}

/// A client whose body arrives a bit at a time, over some seconds.
async fn slowly(server: String, address: Ipv4Addr, offered: Arc<Offered>, key: Arc<EcdsaKeyPair>) {
    let entry = Entry::by(&key);
    let body = padded(&entry.request, BODY);
    let headers = [("Content-Type", "application/json")];
    let request = request("POST", &server, "/api/v2/log/entries", &headers, body.as_bytes());
    let mut connection = Connection::open_from(address, &server).await;
    let (all_but_the_last, last) = request.split_at(request.len() - 1);
    for part in all_but_the_last.chunks(BODY / 20) {
        connection.send(part).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = connection.exchange(&[last]).await;
    offered.count(answer.status, &String::from_utf8_lossy(&answer.body), &entry, BODY);
}
