//! The logs with clients that know but one answer: Rekor v1, whose duplicates are conflicts, and the certificate log, whose duplicates get
//! the first promise again. Through several processes, of which one is killed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration::rekor::new_key;
use integration::rekor_v1::EntryV1;
use merkle::{Hash, leaf_hash, verify_consistency};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testkit::{TestCa, wait_until};
use tokio::task::JoinSet;

use super::{Installation, ONE_AT_A_TIME, Replica};

const CLIENTS: usize = 8;
/// For each log; and so long until the kill, and after it.
const LASTING: Duration = Duration::from_secs(2);

/// What a log said of an entry, the same whoever is asked and however often.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    index: u64,
    /// Name, time, body: whatever the log's own answer consists of.
    answer: Value,
}

/// Calls until there is an answer: a replica that is away is not one, and neither is its word that the database is.
async fn answered<T, F: Future<Output = Option<T>>>(mut call: impl FnMut() -> F) -> T {
    loop {
        if let Some(answer) = call().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An answer below 500, with its text and where it points to.
async fn sent(request: reqwest::RequestBuilder) -> Option<(StatusCode, Option<String>, String)> {
    let answer = request.send().await.ok()?;
    let status = answer.status();
    let location = answer.headers().get("location").and_then(|location| location.to_str().ok()).map(ToOwned::to_owned);
    let text = answer.text().await.ok()?;
    (!status.is_server_error()).then_some((status, location, text))
}

/// One log through all of its replicas.
trait Face: Clone + Send + Sync + 'static {
    /// What is submitted.
    type Entry: Send + Sync;

    fn entry(&self, number: usize) -> Self::Entry;

    /// Submits an entry to a replica. `again`: it was answered before.
    fn submit(&self, replica: &str, entry: &Self::Entry, again: bool) -> impl Future<Output = Option<Said>> + Send;
}

#[derive(Clone)]
struct RekorV1 {
    http: Client,
}

impl Face for RekorV1 {
    type Entry = EntryV1;

    fn entry(&self, _number: usize) -> EntryV1 {
        EntryV1::by(&new_key())
    }

    async fn submit(&self, replica: &str, entry: &EntryV1, again: bool) -> Option<Said> {
        let request = self.http.post(format!("{replica}/api/v1/log/entries")).header("content-type", "application/json");
        let (status, location, text) = sent(request.body(entry.request.clone())).await?;
        let text = match status {
            StatusCode::CREATED => {
                assert!(!again, "what was answered is not logged once more: {text}");
                text
            }
            // Also the first answer, where an earlier one was lost with its replica.
            StatusCode::CONFLICT => {
                let url = format!("{replica}{}", location.expect("a conflict says where the entry is"));
                // At once: whoever conflicts can show with what. Only a replica that is killed right now cannot.
                let (status, _, text) = sent(self.http.get(&url)).await?;
                assert_eq!(status, StatusCode::OK, "{url}: {text}");
                text
            }
            _ => panic!("{status}: {text}"),
        };
        let answer: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let (id, entry) = answer.into_iter().next().unwrap();
        let index = entry["logIndex"].as_u64().unwrap();
        Some(Said { index, answer: json!([id, entry["body"], entry["integratedTime"], entry["logID"]]) })
    }
}

#[derive(Clone)]
struct Certificates {
    http: Client,
    authority: Arc<TestCa>,
}

impl Face for Certificates {
    /// The body of `add-chain`.
    type Entry = String;

    fn entry(&self, number: usize) -> String {
        let leaf = self.authority.code_signer(&format!("signer-{number}.test"));
        json!({"chain": [STANDARD.encode(leaf.der)]}).to_string()
    }

    async fn submit(&self, replica: &str, entry: &String, _again: bool) -> Option<Said> {
        let (status, _, text) = sent(self.http.post(format!("{replica}/ct/v1/add-chain")).body(entry.clone())).await?;
        assert_eq!(status, StatusCode::OK, "{text}");
        let sct: Value = serde_json::from_str(&text).unwrap();
        // The extension leaf_index of static-ct: type 0, length 5, 40 bits.
        let extensions = STANDARD.decode(sct["extensions"].as_str().unwrap()).unwrap();
        let (0, [0, 5, index @ ..]) = (extensions[0], &extensions[1..]) else { panic!("no index in {sct}") };
        let index = index.iter().fold(0, |index, byte| index << 8 | u64::from(*byte));
        Some(Said { index, answer: json!([sct["id"], sct["timestamp"], sct["extensions"]]) })
    }
}

/// Submits entries for a while, each to one replica and then to all, kills one meanwhile, and returns what was said.
async fn load<F: Face>(face: F, replicas: &mut [Replica]) -> Vec<Said> {
    let urls: Vec<String> = replicas.iter().map(|replica| replica.urls.last().unwrap().clone()).collect();
    let (stop, told) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<Said>>>::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (face, urls, stop, told) = (face.clone(), urls.clone(), Arc::clone(&stop), Arc::clone(&told));
        clients.spawn(async move {
            let mut next = client;
            while !stop.load(Ordering::Relaxed) {
                let entry = face.entry(next);
                let mut at = next / CLIENTS;
                next += CLIENTS;
                let first = answered(|| {
                    at += 1;
                    face.submit(&urls[at % urls.len()], &entry, false)
                });
                let first = first.await;
                for url in &urls {
                    let again = answered(|| face.submit(url, &entry, true)).await;
                    assert_eq!(again, first, "a duplicate at {url}");
                }
                told.lock().unwrap().push(first);
            }
        });
    }
    tokio::time::sleep(LASTING).await;
    replicas[0].process.kill();
    tokio::time::sleep(LASTING).await;
    replicas[0].process.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    tokio::time::sleep(LASTING).await;
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let told = std::mem::take(&mut *told.lock().unwrap());
    let indices: BTreeMap<u64, &Said> = told.iter().map(|said| (said.index, said)).collect();
    assert!(told.len() > 50 && indices.len() == told.len(), "{} answers, {} places", told.len(), indices.len());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_rekor_v1_are_conflicts_that_every_replica_can_show() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let installation = Installation::init();
    let mut replicas = [installation.rekor(0).await, installation.rekor(1).await, installation.rekor(2).await];
    let http = testkit::http(&[]);
    let get = async |url: String| http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    let head = async |replica: &Replica| {
        let log = get(format!("{}/api/v1/log", replica.urls[1])).await;
        let root: [u8; 32] = hex::decode(log["rootHash"].as_str().unwrap()).unwrap().try_into().unwrap();
        (log["treeSize"].as_u64().unwrap(), Hash::from(root))
    };
    let before = head(&replicas[1]).await;
    let told = load(RekorV1 { http: http.clone() }, &mut replicas).await;
    let size = told.iter().map(|said| said.index + 1).max().unwrap();
    for replica in &replicas {
        wait_until("the replica follows", Duration::from_secs(30), async || head(replica).await.0 >= size).await;
        let (size, root) = head(replica).await;
        let proof = format!("{}/api/v1/log/proof?firstSize={}&lastSize={size}", replica.urls[1], before.0);
        let proof: Vec<Hash> = get(proof).await["hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| Hash::try_from(hex::decode(hash.as_str().unwrap()).unwrap().as_slice()).unwrap())
            .collect();
        verify_consistency(before.0, size, &proof, &before.1, &root).expect("the log has only grown");
        for said in &told {
            let found = get(format!("{}/api/v1/log/entries?logIndex={}", replica.urls[1], said.index)).await;
            let (id, entry) = found.as_object().unwrap().iter().next().unwrap();
            assert_eq!(json!([id, entry["body"], entry["integratedTime"], entry["logID"]]), said.answer);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_certificates_get_the_first_promise_from_every_replica() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let installation = Installation::init();
    let authority = Arc::new(TestCa::new("signers"));
    let roots = authority.write(installation.folder.path(), "roots");
    let with_roots = [("CHANCERY_CTLOG__ROOTS", roots.display().to_string())];
    let mut replicas = Vec::new();
    for number in 0..3 {
        replicas.push(installation.replica_with("ctlog", &["ctlog"], number, &with_roots).await);
    }
    let http = testkit::http(&[]);
    let told = load(Certificates { http: http.clone(), authority }, &mut replicas).await;
    let size = told.iter().map(|said| said.index + 1).max().unwrap();
    let mut trees = Vec::new();
    for replica in &replicas {
        let get = async |call: String| {
            http.get(format!("{}/ct/v1/{call}", replica.urls[0])).send().await.unwrap().json::<Value>().await.unwrap()
        };
        let tree_size = async || get("get-sth".into()).await["tree_size"].as_u64().unwrap();
        wait_until("the replica follows", Duration::from_secs(30), async || tree_size().await >= size).await;
        let mut leaves = Vec::new();
        while (leaves.len() as u64) < size {
            let page = get(format!("get-entries?start={}&end={}", leaves.len(), size - 1)).await;
            let entries = page["entries"].as_array().unwrap();
            assert!(!entries.is_empty(), "{page}");
            leaves.extend(entries.iter().map(|entry| STANDARD.decode(entry["leaf_input"].as_str().unwrap()).unwrap()));
        }
        for said in &told {
            // MerkleTreeLeaf (RFC 6962 §3.4): version, type, then the time that was promised.
            let time = u64::from_be_bytes(leaves[said.index as usize][2..10].try_into().unwrap());
            assert_eq!(json!(time), said.answer[1], "entry {}", said.index);
        }
        trees.push(leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Vec<_>>());
    }
    assert!(trees.windows(2).all(|pair| pair[0] == pair[1]), "all have the same log");
}
