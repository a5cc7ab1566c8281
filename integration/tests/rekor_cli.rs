//! The released rekor-cli against the Rekor v1 log.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration::long_runs;
use integration::people::{EMAIL, cosign2};
use integration::rekor::new_key;
use integration::rekor_v1::{EntryV1, LogV1, LoggedV1};
use merkle::{CompactRange, Hash, verify_consistency};
use rand::Rng as _;
use serde_json::Value;
use testkit::{Chancery, Client, Ran};
use tokio::task::JoinSet;

/// rekor-cli for the log of a lab.
struct RekorCli(Client);

impl RekorCli {
    fn of(lab: &Chancery) -> Self {
        Self(Client::rekor_cli().with("REKOR_REKOR_SERVER", lab.env().get("CHANCERY_REKOR_V1_URL")))
    }

    fn run(&self, arguments: &str) -> Ran {
        self.0.run(arguments.split(' '))
    }

    fn json(&self, arguments: &str) -> Value {
        let ran = self.run(&format!("{arguments} --format json")).ok();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    /// The names that a search found.
    fn found(&self, criterion: &str) -> Vec<String> {
        let found = self.json(&format!("search {criterion}"));
        found["UUIDs"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Writes a file, its signature and the key, and says what `upload` and `verify` are told of them.
    fn signed(&self, name: &str) -> String {
        let openssl = Client::openssl();
        let home = self.0.home().display();
        self.0.file(name, format!("content of {name}"));
        openssl.run(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key"]).ok();
        openssl.run(["ec", "-in", "key", "-pubout", "-out", &format!("{home}/{name}.pub")]).ok();
        openssl.run(["dgst", "-sha256", "-sign", "key", "-out", &format!("{home}/{name}.sig"), &format!("{home}/{name}")]).ok();
        format!("--artifact {name} --signature {name}.sig --pki-format x509 --public-key {name}.pub")
    }

    /// `loginfo`, which is to have found the log a continuation of the one it has seen before, and the size of the tree.
    fn grown(&self) -> u64 {
        let info = self.run("loginfo").ok();
        assert!(!info.stderr.contains("No previous log state stored"), "{info}");
        assert!(info.stdout.contains("Verification Successful!"), "{info}");
        let size = info.stdout.lines().find_map(|line| line.strip_prefix("Active Tree Size:"));
        size.unwrap_or_else(|| panic!("{info}")).trim().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_is_found_read_and_verified() {
    let lab = Chancery::lab().await;
    let cli = RekorCli::of(&lab);
    let first = cli.run("loginfo").ok();
    assert!(
        first.stderr.contains("No previous log state stored") && first.stdout.contains("Verification Successful!"),
        "{first}"
    );

    let artifact = cli.signed("artifact");
    let uploaded = cli.run(&format!("upload {artifact}")).ok();
    let id = uploaded.stdout.trim().rsplit_once("/api/v1/log/entries/").unwrap_or_else(|| panic!("{uploaded}")).1.to_owned();
    assert_eq!(id.len(), 80, "{uploaded}");
    let again = cli.run(&format!("upload {artifact}")).ok();
    assert!(again.stdout.contains("Entry already exists") && again.stdout.contains(&id), "{again}");

    let entry = cli.json(&format!("get --uuid {id}"));
    assert_eq!(cli.json(&format!("get --uuid {}", &id[16..])), entry, "by the leaf's hash alone");
    assert_eq!(cli.json(&format!("get --log-index {}", entry["LogIndex"])), entry);
    assert_eq!(entry["UUID"], id.as_str());
    let sha256 = entry["Body"]["HashedRekordObj"]["data"]["hash"]["value"].as_str().unwrap();
    cli.run(&format!("get --uuid {}", "00".repeat(32))).refused("404");
    cli.run("get --log-index 1000000").refused("404");

    for criterion in ["--artifact artifact", &format!("--sha {sha256}"), "--public-key artifact.pub --pki-format x509"] {
        assert_eq!(cli.found(criterion), [id.as_str()], "{criterion}");
    }
    assert_eq!(cli.found(&format!("--sha {sha256} --public-key artifact.pub --pki-format x509 --operator and")), [id.as_str()]);
    cli.run(&format!("search --sha {}", "00".repeat(32))).refused("no matching entries found");

    for known in [artifact.as_str(), &format!("--uuid {id}"), &format!("--log-index {}", entry["LogIndex"])] {
        let verified = cli.run(&format!("verify {known}")).ok();
        assert!(verified.stdout.contains(&id[16..]) && verified.stdout.contains("Computed Root Hash"), "{verified}");
    }
    let unknown = cli.signed("unknown");
    cli.run(&format!("verify {unknown}")).refused("entry in log cannot be located");
    cli.0.file("artifact", "another content");
    cli.run(&format!("upload {artifact}")).refused("verifying signature");
    cli.run(&format!("upload --type rekord {unknown}"))
        .refused("entry kind 'rekord' is not enabled for submission on this server");
    assert_eq!(cli.grown(), 3, "two seeds, and the one entry that was accepted");
}

/// cosign 2 signs as a person; rekor-cli finds it by e-mail address, certificate and hash as soon as it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_found_by_who_made_them() {
    let lab = Chancery::lab().await;
    let (cli, cosign) = (RekorCli::of(&lab), cosign2(&lab, &["--email", EMAIL]));
    cosign.file("blob", "hello");
    let certificate = cli.0.home().join("certificate").display().to_string();
    cosign.run(["sign-blob", "--yes", "--output-signature", "s", "--output-certificate", "c", "blob"]).ok();
    Client::openssl()
        .run(["base64", "-d", "-A", "-in", &cosign.home().join("c").display().to_string(), "-out", &certificate])
        .ok();
    cli.0.file("blob", "hello");
    let by_email = cli.found(&format!("--email {EMAIL}"));
    assert_eq!(by_email.len(), 1);
    assert_eq!(cli.found("--public-key certificate --pki-format x509"), by_email);
    assert_eq!(cli.found("--artifact blob"), by_email);
    cli.run("search --email eve@corp.example").refused("no matching entries found");
    cli.run(&format!("verify --uuid {}", by_email[0])).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_had_between_any_two_sizes() {
    let lab = Chancery::lab().await;
    let (cli, log, key) = (RekorCli::of(&lab), LogV1::of(lab.env()), new_key());
    for _ in 0..8 {
        log.append(&EntryV1::by(&key)).await.unwrap();
    }
    // A name ends with the hash of its leaf, so that the names are the tree.
    let names = (0..10).map(|index| cli.json(&format!("get --log-index {index}"))["UUID"].as_str().unwrap().to_owned());
    let leaves: Vec<Hash> = names.map(|name| hash(&name[16..])).collect();
    let root = |size: u64| {
        let mut range = CompactRange::new();
        leaves[..size as usize].iter().for_each(|leaf| range.append(*leaf));
        range.root()
    };
    for (first, last) in [(1, 10), (2, 10), (8, 10), (10, 10), (3, 7), (7, 9)] {
        let proof = cli.json(&format!("logproof --first-size {first} --last-size {last}"));
        let hashes: Vec<Hash> = proof["Hashes"].as_array().unwrap().iter().map(|text| hash(text.as_str().unwrap())).collect();
        verify_consistency(first, last, &hashes, &root(first), &root(last)).unwrap_or_else(|e| panic!("{first} to {last}: {e}"));
    }
    cli.run("logproof --first-size 5 --last-size 11")
        .refused("the tree size requested(11) was greater than what is currently observable(10)");
}

fn hash(hex: &str) -> Hash {
    Hash::try_from(hex::decode(hex).unwrap().as_slice()).unwrap()
}

/// One home through all of it: `loginfo` demands a consistency proof from what it saw before each kill, and every entry that anyone
/// was answered is where it was.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_continues_through_kill_9() {
    let rounds = if long_runs() { 100 } else { 20 };
    let mut lab = Chancery::lab().await;
    let (cli, log) = (RekorCli::of(&lab), LogV1::of(lab.env()));
    cli.run("loginfo").ok();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (mut all, mut size): (Vec<LoggedV1>, u64) = (Vec::new(), cli.grown());
    for round in 0..rounds {
        let load = begin_load(&log, &told);
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(50..300))).await;
        let seen = if round % 2 == 0 { cli.grown() } else { size };
        lab.kill();
        load.join_all().await;
        lab.restart().await.unwrap_or_else(|ended| panic!("round {round}: {ended}"));

        let now = cli.grown();
        let new = std::mem::take(&mut *told.lock().unwrap());
        assert!(now >= seen && now >= size + new.len() as u64, "round {round}: {size}, {seen}, {now}, {} answered", new.len());
        for entry in &new {
            assert_eq!(log.get(&entry.id).await, *entry, "round {round}");
        }
        size = now;
        all.extend(new);
    }
    assert!(all.len() > rounds * 10, "there was hardly any load");
    for entry in all.iter().step_by(all.len() / 50 + 1) {
        assert_eq!(log.get(&entry.id).await, *entry);
        cli.run(&format!("verify --uuid {}", entry.id)).ok();
    }
}

/// Clients that write until nobody answers any more, and remember every answer.
fn begin_load(log: &LogV1, told: &Arc<Mutex<Vec<LoggedV1>>>) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (log, told) = (log.clone(), Arc::clone(told));
        load.spawn(async move {
            let key = new_key();
            while let Ok(logged) = log.append(&EntryV1::by(&key)).await {
                told.lock().unwrap().push(logged);
            }
        });
    }
    load
}

/// The guard that the test above relies on: a log that was put back to an older state is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_put_back_is_noticed() {
    let mut lab = Chancery::lab().await;
    let (cli, log, key) = (RekorCli::of(&lab), LogV1::of(lab.env()), new_key());
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    let (databases, kept) = (lab.dir().join("db"), cli.0.home().join("kept"));
    copy(&databases, &kept);
    lab.restart().await.unwrap();
    for _ in 0..3 {
        log.append(&EntryV1::by(&key)).await.unwrap();
    }
    cli.run("loginfo").ok();
    assert_eq!(cli.grown(), 5);
    lab.kill();
    std::fs::remove_dir_all(&databases).unwrap();
    copy(&kept, &databases);
    lab.restart().await.unwrap();
    cli.run("loginfo").refused("inclusion proof returned a tree size larger than the verified tree size");
    for _ in 0..4 {
        log.append(&EntryV1::by(&key)).await.unwrap();
    }
    cli.run("loginfo").refused("does not match expected root");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
