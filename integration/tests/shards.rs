//! Logs that follow each other: clients sign into the newest and verify what is in all of them.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use integration::bundle::bytes;
use integration::people::{EMAIL, arguments, by_developer, developer};
use integration::rekor::{Entry, Log};
use serde_json::{Value, json};
use testkit::{Chancery, Client, Ran};

const CHECKPOINT: &str = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";

/// `chancery log …` on a lab that is stopped.
fn log(lab: &Chancery, words: &[&str]) -> Ran {
    Chancery::run(Chancery::command().arg("log").args(words).arg("--dir").arg(lab.dir()))
}

/// Signs the file `blob` and returns the first line of the checkpoint: the log that has the entry.
fn sign(client: &Client, bundle: &str, flags: &[&str]) -> String {
    client.run([&["sign-blob", "--yes", "--bundle", bundle], flags, &["blob"]].concat()).ok();
    let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join(bundle)).unwrap()).unwrap();
    bundle.pointer(CHECKPOINT).unwrap().as_str().unwrap().lines().next().unwrap().to_owned()
}

/// Whoever holds a bundle of any shard believes it, by the trust root and by the file alone.
fn verify(lab: &Chancery, client: &Client, bundles: &[&str]) {
    let trusted_root = lab.env().path("CHANCERY_TRUSTED_ROOT").display().to_string();
    for bundle in bundles {
        for root in [&[][..], &["--trusted-root", &trusted_root]] {
            let first = [&["verify-blob", "--bundle", bundle], root].concat();
            client.run(arguments(&first, &by_developer(lab), &["blob"])).ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v2_shard_is_written_to_when_it_is_told_of_and_the_old_one_is_read_for_ever() {
    let mut lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    let old_url = lab.env().get("CHANCERY_REKOR_URL").to_owned();
    assert_eq!(sign(&client, "before", &[]), "127.0.0.1");

    lab.stop();
    let same_host = log(&lab, &["new-shard", "rekor-v2", "--public-url", "rekor-v2=http://127.0.0.1:1"]).exits(2);
    assert!(same_host.stderr.contains("[origin_shared]"), "{same_host}");
    let port = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port();
    let url = format!("rekor-v2=http://127.0.0.2:{port}");
    log(&lab, &["new-shard", "rekor-v2", "--public-url", &url, "--starts-in", "0s"]).ok();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert_eq!(lab.env().get("CHANCERY_REKOR_URL"), format!("http://127.0.0.2:{port}"));
    assert_eq!(sign(&client, "between", &[]), "127.0.0.2");

    lab.stop();
    log(&lab, &["freeze", "rekor-v2"]).ok();
    let list = log(&lab, &["list", "--output", "json"]).ok();
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let states: Vec<_> =
        list["logs"].as_array().unwrap().iter().filter(|log| log["log"] == "rekor-v2").map(|log| &log["state"]).collect();
    assert_eq!(states, ["frozen", "open"]);
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert_eq!(sign(&client, "after", &[]), "127.0.0.2");
    verify(&lab, &client, &["before", "between", "after"]);

    let http = testkit::http(&[]);
    let checkpoint = http.get(format!("{old_url}/checkpoint")).send().await.unwrap().text().await.unwrap();
    assert!(checkpoint.starts_with("127.0.0.1\n") && checkpoint.contains("\nLog frozen \u{2014} "), "{checkpoint}");
    let old = Log::new(&old_url, &lab.env().path("CHANCERY_TRUSTED_ROOT"), http);
    let answer = old.post(Entry::random().request.to_string()).await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.text().await.unwrap(), "This log has been frozen, please switch to the latest log.\n");
    let head = old.head().await;
    assert_eq!(old.leaves(head.size).await.len() as u64, head.size, "every entry is read");
}

/// The certificate logs of the trust root, by URL and id.
fn certificate_logs(lab: &Chancery) -> Vec<(String, Vec<u8>)> {
    let root = std::fs::read(lab.env().path("CHANCERY_TRUSTED_ROOT")).unwrap();
    let root: Value = serde_json::from_slice(&root).unwrap();
    let logs = root["ctlogs"].as_array().unwrap().iter();
    logs.map(|log| (log["baseUrl"].as_str().unwrap().to_owned(), bytes(&log["logId"]["keyId"]))).collect()
}

/// Which of these logs the certificate in a bundle has a timestamp of.
fn logged_in(client: &Client, bundle: &str, logs: &[(String, Vec<u8>)]) -> Vec<usize> {
    let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join(bundle)).unwrap()).unwrap();
    let certificate = bytes(&bundle["verificationMaterial"]["certificate"]["rawBytes"]);
    let names = |id: &[u8]| certificate.windows(id.len()).any(|part| part == id);
    (0..logs.len()).filter(|log| names(&logs[*log].1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_go_to_the_next_log_when_the_first_is_frozen() {
    let mut lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    sign(&client, "before", &[]);
    let old_url = lab.env().get("CHANCERY_CTLOG_URL").to_owned();

    lab.stop();
    let same_url = log(&lab, &["new-shard", "ctlog", "--public-url", &format!("ctlog={old_url}")]).exits(2);
    assert!(same_url.stderr.contains("[origin_shared]"), "{same_url}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let new_url = format!("http://127.0.0.1:{port}/2027");
    log(&lab, &["new-shard", "ctlog", "--public-url", &format!("ctlog={new_url}"), "--starts-in", "0s"]).ok();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    sign(&client, "between", &[]);
    let logs = certificate_logs(&lab);
    assert_eq!(logs.iter().map(|(url, _)| url.as_str()).collect::<Vec<_>>(), [old_url.as_str(), new_url.as_str()]);
    let http = testkit::http(&[]);
    let size = async |url: &str| {
        let head: Value = http.get(format!("{url}/ct/v1/get-sth")).send().await.unwrap().json().await.unwrap();
        head["tree_size"].as_u64().unwrap()
    };
    let (old_size, new_size) = (size(&old_url).await, size(&new_url).await);
    assert!(old_size >= 2 && new_size == 0, "the authority submits to the old log until that is frozen");

    lab.stop();
    log(&lab, &["freeze", "ctlog"]).ok();
    let list = log(&lab, &["list", "--output", "json"]).ok();
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let states: Vec<_> =
        list["logs"].as_array().unwrap().iter().filter(|log| log["log"] == "ctlog").map(|log| &log["state"]).collect();
    assert_eq!(states, ["frozen", "open"]);
    let config = lab.dir().join("chancery.yaml").display().to_string();
    let checked = Chancery::run(Chancery::command().args(["log", "fsck", &config])).ok();
    assert!(checked.stdout.contains("ctlog, shard 2"), "{checked}");
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert_eq!(lab.env().get("CHANCERY_CTLOG_URL"), new_url);
    sign(&client, "after", &[]);
    assert_eq!((size(&old_url).await, size(&new_url).await), (old_size, 1));
    for (bundle, expected) in [("before", 0), ("between", 0), ("after", 1)] {
        assert_eq!(logged_in(&client, bundle, &logs), [expected], "{bundle}");
    }
    verify(&lab, &client, &["before", "between", "after"]);

    // What the old log promised is believed by its own key alone.
    let root = std::fs::read(lab.env().path("CHANCERY_TRUSTED_ROOT")).unwrap();
    let mut without: Value = serde_json::from_slice(&root).unwrap();
    without["ctlogs"].as_array_mut().unwrap().remove(0);
    client.file("without.json", without.to_string());
    let verified = |bundle: &str| {
        let first = ["verify-blob", "--bundle", bundle, "--trusted-root", "without.json"];
        client.run(arguments(&first, &by_developer(&lab), &["blob"]))
    };
    verified("after").ok();
    verified("before").refused("SCT");

    // The old log is read, and takes nothing: not with a status that would be waited for.
    let entries: Value =
        http.get(format!("{old_url}/ct/v1/get-entries?start=0&end=0")).send().await.unwrap().json().await.unwrap();
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1);
    let bundle: Value = serde_json::from_slice(&std::fs::read(client.home().join("after")).unwrap()).unwrap();
    let certificate = bundle["verificationMaterial"]["certificate"]["rawBytes"].as_str().unwrap();
    let issued =
        pki::Certificate::chain_from_pem(&std::fs::read_to_string(lab.dir().join("trust/fulcio_chain.pem")).unwrap()).unwrap();
    let chain: Vec<String> = std::iter::once(certificate.to_owned())
        .chain(issued.iter().map(|certificate| BASE64.encode(certificate.der())))
        .collect();
    let answer = http.post(format!("{old_url}/ct/v1/add-chain")).json(&json!({ "chain": chain })).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().contains("log_frozen")), (400, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v1_tree_takes_the_entries_when_the_one_before_it_is_frozen() {
    let mut lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    let config = lab.env().get("CHANCERY_SIGNING_CONFIG_V1").to_owned();
    let cli = Client::rekor_cli().with("REKOR_REKOR_SERVER", lab.env().get("CHANCERY_REKOR_V1_URL"));
    let v1 = ["--signing-config", config.as_str()];
    let old = sign(&client, "before", &v1);
    cli.run(["loginfo"]).ok();

    lab.stop();
    log(&lab, &["new-shard", "rekor-v1", "--starts-in", "0s"]).ok();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    assert_eq!(sign(&client, "between", &v1), old, "the new tree waits until the old one is frozen");
    let grown = cli.run(["loginfo"]).ok();
    assert!(!grown.stderr.contains("No previous log state stored"), "{grown}");

    lab.stop();
    log(&lab, &["freeze", "rekor-v1"]).ok();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let new = sign(&client, "after", &v1);
    assert!(new != old && new.starts_with("127.0.0.1 - "), "{old}, {new}");
    verify(&lab, &client, &["before", "between", "after"]);

    // One list of entries: two seeds and two entries in the old tree, then those of the new one.
    let info = cli.run(["loginfo"]).ok();
    let says = |line: &str| info.stdout.lines().any(|found| found.split_whitespace().collect::<Vec<_>>().join(" ") == line);
    assert!(
        info.stdout.contains("Verification Successful!") && says("Active Tree Size: 3") && says("Total Tree Size: 7"),
        "{info}"
    );
    for index in 0..7 {
        let entry = cli.run(["get", "--log-index", &index.to_string()]).ok();
        assert!(entry.stdout.contains(&format!("Index: {index}\n")), "{entry}");
    }
    cli.run(["get", "--log-index", "7"]).refused("404");
    let found = cli.run(["search", "--email", EMAIL, "--format", "json"]).ok();
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let trees: Vec<_> = found["UUIDs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| u64::from_str_radix(&id.as_str().unwrap()[..16], 16).unwrap())
        .collect();
    let tree = |origin: &str| origin.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(trees, [tree(&old), tree(&old), tree(&new)]);
    for id in found["UUIDs"].as_array().unwrap() {
        cli.run(["verify", "--uuid", id.as_str().unwrap()]).ok();
    }
    for (origin, size) in [(&old, "4"), (&new, "3")] {
        cli.run(["logproof", "--first-size", "1", "--last-size", size, "--tree-id", &tree(origin).to_string()]).ok();
    }
}
