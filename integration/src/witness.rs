//! Witnesses: an installation's own, and a released one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::EMPTY_ROOT;
use note::{NoteKey, SignedNote, VerifierKey};
use pki::PublicKey;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use testkit::{Chancery, free_port, on_path, pinned, wait_until};

use crate::installation::Installation;

/// What operators tell each other of an installation.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Of its witness.
    pub witness: VerifierKey,
    /// Of its transparency log.
    pub log: VerifierKey,
    /// Where its witness is.
    pub url: String,
}

impl Keys {
    /// The line of a policy that names its witness.
    #[must_use]
    pub fn line(&self) -> String {
        format!("witness {} {} {}\n", self.witness.name(), self.witness, self.url)
    }
}

/// Runs `chancery witness add` in an installation that was never started.
///
/// # Panics
/// It fails.
#[must_use]
pub fn add(installation: &mut Installation) -> Keys {
    let (url, dir) = (format!("http://127.0.0.1:{}", free_port()), installation.dir());
    let mut command = Chancery::command();
    command.args(["witness", "add", "--output", "json", "--public-url", &format!("witness={url}"), "--dir"]).arg(&dir);
    let told: Value = serde_json::from_str(&Chancery::run(&mut command).ok().stdout).expect("one JSON document");
    assert_eq!((&told["added"], &told["witness"]), (&json!(true), &json!(url)));
    let again: Value = serde_json::from_str(&Chancery::run(&mut command).ok().stdout).expect("one JSON document");
    assert_eq!((&again["added"], &again["vkey"]), (&json!(false), &told["vkey"]), "nothing is made twice");
    let key = |name: &str| told[name].as_str().expect("a verifier key").parse().expect("a verifier key");
    Keys { witness: key("vkey"), log: key("log_vkey"), url }
}

/// Has an installation's witness watch these logs from its next start.
pub fn watch(installation: &mut Installation, keys: &Keys, logs: &[&VerifierKey]) {
    let (dir, address) = (installation.dir(), keys.url.trim_start_matches("http://").to_owned());
    let logs: Vec<_> = logs.iter().map(|log| json!({"vkey": log.to_string()})).collect();
    installation.config("")["witness"] = json!({
        "public_url": keys.url,
        "name": keys.witness.name(),
        "http": {"listen": [address]},
        "database": dir.join("db/witness.db"),
        "key": dir.join("keys/witness.pem"),
        "logs": logs,
    });
}

/// Has an installation's log ask the witnesses of a policy from its next start.
///
/// # Panics
/// The policy cannot be written.
pub fn ask(installation: &mut Installation, policy: &str, without_quorum: &str) {
    let file = installation.dir().join("witnesses.policy");
    std::fs::write(&file, policy).expect("the folder can be written");
    installation.config("/rekor_v2")["witnesses"] = json!({"policy": file, "without_quorum": without_quorum, "timeout": "5s"});
}

/// The names on a checkpoint's signature lines; every cosignature by one of `witnesses` is verified.
///
/// # Panics
/// It is no checkpoint, or a cosignature is false.
#[must_use]
pub fn signers(checkpoint: &str, witnesses: &[&VerifierKey]) -> Vec<String> {
    let note: SignedNote = checkpoint.parse().unwrap_or_else(|error| panic!("{error}: {checkpoint}"));
    for witness in witnesses {
        let key = PublicKey::from_spki_der(&witness.spki_der()).expect("an Ed25519 key");
        for line in note.signatures_by(witness.name(), witness.hint()) {
            let cosignature = note::Cosignature::from_bytes(&line.signature).expect("a cosignature");
            let message = note::Cosignature::message(cosignature.time, note.text());
            key.verify(message.as_bytes(), &cosignature.signature).expect("the cosignature verifies");
        }
    }
    note.signatures().iter().map(|line| line.name.clone()).collect()
}

/// A released litewitness on loopback, with its key in an agent of its own. Both are killed when this is dropped.
#[derive(Debug)]
pub struct Litewitness {
    agent: Child,
    witness: Child,
    database: PathBuf,
    /// What a policy calls it.
    pub vkey: VerifierKey,
    /// Where it is.
    pub url: String,
}

impl Litewitness {
    /// Starts one with its files in `folder`.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(folder: &Path) -> Self {
        let (key, socket, database) = (folder.join("k"), folder.join("agent"), folder.join("litewitness.db"));
        run(Command::new(on_path("ssh-keygen")).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let agent = Command::new(on_path("ssh-agent"))
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent can be started");
        wait_until("the agent listens", LIMIT, async || socket.exists()).await;
        run(Command::new(on_path("ssh-add")).arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket));
        let fingerprint = run(Command::new(on_path("ssh-keygen")).arg("-lf").arg(folder.join("k.pub")));
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::create(folder.join("litewitness.log")).expect("the folder can be written");
        let witness = Command::new(pinned("litewitness"))
            .args([
                "-name",
                NAME,
                "-listen",
                &address,
                "-key",
                fingerprint.split(' ').nth(1).expect("a fingerprint"),
                "-ssh-agent",
            ])
            .arg(&socket)
            .arg("-db")
            .arg(&database)
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("litewitness can be started");
        let url = format!("http://{address}");
        let http = testkit::http(&[]);
        wait_until("litewitness answers", LIMIT, async || http.get(&url).send().await.is_ok()).await;
        Self { agent, witness, database, vkey: vkey(&folder.join("k.pub")), url }
    }

    /// Has it watch a log, as its `witnessctl add-log` and `add-key` do.
    ///
    /// # Panics
    /// Its database cannot be written.
    pub async fn watch(&self, log: &VerifierKey) {
        let options = SqliteConnectOptions::new().filename(&self.database);
        let mut database = SqliteConnection::connect_with(&options).await.expect("its database can be opened");
        for (statement, value) in [
            ("INSERT INTO log (origin, tree_size, tree_hash) VALUES ($1, 0, $2)", STANDARD.encode(EMPTY_ROOT)),
            ("INSERT INTO key (origin, key) VALUES ($1, $2)", log.to_string()),
        ] {
            sqlx::query(statement).bind(log.name()).bind(value).execute(&mut database).await.expect("it takes the log");
        }
        database.close().await.expect("its database can be closed");
    }
}

impl Drop for Litewitness {
    fn drop(&mut self) {
        for child in [&mut self.witness, &mut self.agent] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const NAME: &str = "witness.lab/w1";
const LIMIT: Duration = Duration::from_secs(60);

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it says text")
}

/// The key of an OpenSSH public key file, under the witness's name: the last 32 bytes of its blob.
fn vkey(file: &Path) -> VerifierKey {
    let text = std::fs::read_to_string(file).expect("the key can be read");
    let blob = STANDARD.decode(text.split(' ').nth(1).expect("a key")).expect("base64");
    let key = blob.last_chunk::<32>().expect("an Ed25519 key");
    VerifierKey::new(NAME, NoteKey::Cosigner(*key)).expect("a name")
}
