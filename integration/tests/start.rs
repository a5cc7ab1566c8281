//! Starting: what is created once is kept, and what does not fit is refused with its code.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use integration::people::{arguments, by_developer, developer};
use integration::rekor::{Entry, Log, new_key};
use integration::store::{fingerprint, flip_byte, flip_value};
use serde_json::Value;
use testkit::{Chancery, Client, Launch};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_keeps_all_trust_and_skips_the_proof() {
    let mut lab = Chancery::lab().await;
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let first = lab.stop();
    assert_eq!(first.code, Some(0), "{first}");
    let trust = |folder: &str| fingerprint(&lab.dir().join(folder));
    let before = (trust("keys"), trust("trust"), std::fs::read(lab.dir().join("anchors.json")).unwrap(), lab.env().clone());

    let begun = Instant::now();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    // Under a second on a quiet machine; this one may be running other tests.
    assert!(begun.elapsed() < Duration::from_secs(5), "ready after {} ms", begun.elapsed().as_millis());
    let trust = |folder: &str| fingerprint(&lab.dir().join(folder));
    let after = (trust("keys"), trust("trust"), std::fs::read(lab.dir().join("anchors.json")).unwrap(), lab.env().clone());
    assert_eq!(before, after);
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by_developer(&lab), &["blob"])).ok();
    let second = lab.interrupt();
    assert_eq!(second.code, Some(0), "{second}");
    assert!(first.stdout.contains("certified") && !second.stdout.contains("certified"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offline_keys_are_not_needed_by_a_running_service() {
    let mut lab = Chancery::lab().await;
    lab.stop();
    std::fs::rename(lab.dir().join("keys/offline"), lab.dir().join("../offline")).unwrap();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let client = developer(&lab);
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn private_keys_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Chancery::lab().await;
    let keys: Vec<PathBuf> = fingerprint(&lab.dir().join("keys")).into_keys().collect();
    assert!(keys.len() >= 8, "{keys:?}");
    for key in keys {
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
    }
}

/// Makes a lab what it would be if it had been created before there was a registry: no section, files, variables or proof of one.
fn forget_the_registry(dir: &Path) {
    let edit = |name: &str, change: &dyn Fn(&str) -> String| {
        let file = dir.join(name);
        std::fs::write(&file, change(&std::fs::read_to_string(&file).unwrap())).unwrap();
    };
    edit("chancery.yaml", &|text| {
        let (before, section) = text.split_once("\ngateway:\n").expect("the lab has a registry");
        let rest = section.split_inclusive('\n').skip_while(|line| line.starts_with(' ') || line.trim().is_empty());
        format!("{before}\n{}", rest.collect::<String>())
    });
    let ours = |line: &&str| !line.contains("CHANCERY_REGISTRY") && !line.contains("CHANCERY_TOKEN_FILE");
    edit("env", &|text| text.lines().filter(ours).map(|line| format!("{line}\n")).collect());
    edit("proof.json", &|_| r#"{"passed":["certified","timestamped","logged","verified"]}"#.to_owned());
    std::fs::remove_file(dir.join("keys/promotion.token")).unwrap();
    std::fs::remove_file(dir.join("db/gateway.db")).unwrap();
    remove_leftovers(&dir.join("db/gateway.db"));
    std::fs::remove_dir_all(dir.join("blobs")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_from_before_the_registry_is_completed_and_proves_it() {
    let mut lab = Chancery::lab().await;
    lab.stop();
    forget_the_registry(lab.dir());
    let trust = || (fingerprint(&lab.dir().join("trust")), std::fs::read(lab.dir().join("anchors.json")).unwrap());
    let before = trust();
    // Alone it is not made: the error says by what.
    let config = lab.dir().join("chancery.yaml");
    let alone = Chancery::run(Chancery::command().args(["gateway", "--config"]).arg(&config));
    assert!(alone.code != Some(0) && alone.stderr.contains("chancery gateway add --dir"), "{alone}");

    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    Client::crane().run(["digest", &format!("{host}/prod/hello:1")]).ok();
    let ended = lab.interrupt();
    assert!(ended.stdout.contains("added ") && ended.stdout.contains("promoted "), "{ended}");
    let trust = || (fingerprint(&lab.dir().join("trust")), std::fs::read(lab.dir().join("anchors.json")).unwrap());
    assert_eq!(trust(), before);

    // By hand, and a second time, which changes nothing.
    forget_the_registry(lab.dir());
    let add = || Chancery::run(Chancery::command().args(["gateway", "add", "--dir"]).arg(lab.dir()));
    add().ok();
    let after = fingerprint(lab.dir());
    add().ok();
    assert_eq!(fingerprint(lab.dir()), after);
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
}

/// A file that is not as it was left.
enum Damage {
    /// One bit of the byte that far from the end of a file.
    Byte(&'static str, usize),
    /// One bit of a value in a database: how to read it, and how to write it.
    Value(&'static str, &'static str, &'static str),
    /// A sound key, of somebody else.
    OtherKey(&'static str),
}

const DAMAGES: &[(Damage, &[&str])] = &[
    (Damage::Byte("keys/rekor-v2.pem", 60), &["key"]),
    (Damage::Byte("keys/rekor-v1.pem", 60), &["key"]),
    (Damage::Byte("keys/ctlog.pem", 60), &["key"]),
    (Damage::Byte("keys/fulcio-intermediate.pem", 60), &["key"]),
    (Damage::Byte("keys/tsa.pem", 60), &["key"]),
    (Damage::OtherKey("keys/rekor-v2.pem"), &["key_mismatch", "anchors"]),
    (Damage::OtherKey("keys/rekor-v1.pem"), &["key_mismatch", "anchors"]),
    (Damage::OtherKey("keys/ctlog.pem"), &["key_mismatch", "anchors"]),
    (Damage::OtherKey("keys/tsa.pem"), &["key_mismatch", "anchors"]),
    (Damage::Byte("anchors.json", 100), &["anchors"]),
    (Damage::Byte("trust/trusted_root.json", 40), &["anchor_mismatch"]),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT root FROM log WHERE name = 'rekor-v2'",
            "UPDATE log SET root = $1 WHERE name = 'rekor-v2'",
        ),
        &["log_state_damaged"],
    ),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT root FROM log WHERE name = 'rekor-v1'",
            "UPDATE log SET root = $1 WHERE name = 'rekor-v1'",
        ),
        &["log_state_damaged"],
    ),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT frontier FROM log WHERE name = 'rekor-v2'",
            "UPDATE log SET frontier = $1 WHERE name = 'rekor-v2'",
        ),
        &["log_state_damaged"],
    ),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT key_id FROM log WHERE name = 'rekor-v2'",
            "UPDATE log SET key_id = $1 WHERE name = 'rekor-v2'",
        ),
        &["log_key_mismatch", "log_state_damaged"],
    ),
    // The Rekor v2 log is the first of its database, and the only one with a full tile.
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT hashes FROM tile WHERE level = 0 ORDER BY idx DESC LIMIT 1",
            "UPDATE tile SET hashes = $1 WHERE level = 0 AND idx = (SELECT max(idx) FROM tile WHERE level = 0)",
        ),
        &["log_tile_damaged"],
    ),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT leaf_hash FROM entry WHERE log = 1 ORDER BY idx DESC LIMIT 1",
            "UPDATE entry SET leaf_hash = $1 WHERE log = 1 AND idx = (SELECT max(idx) FROM entry WHERE log = 1)",
        ),
        &["log_entry_damaged"],
    ),
    (
        Damage::Value(
            "db/rekor.db",
            "SELECT data FROM entry WHERE log = 1 ORDER BY idx DESC LIMIT 1",
            "UPDATE entry SET data = $1 WHERE log = 1 AND idx = (SELECT max(idx) FROM entry WHERE log = 1)",
        ),
        &["log_entry_damaged"],
    ),
    (Damage::Value("db/ctlog.db", "SELECT root FROM log", "UPDATE log SET root = $1"), &["log_state_damaged"]),
];

impl Damage {
    async fn apply(&self, dir: &Path) {
        match self {
            Self::Byte(file, from_end) => {
                let file = dir.join(file);
                let length = std::fs::metadata(&file).unwrap().len() as usize;
                flip_byte(&file, length - from_end);
            }
            Self::Value(database, select, update) => flip_value(&dir.join(database), select, update).await,
            Self::OtherKey(file) => {
                let openssl = Client::openssl();
                openssl.run(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"]).ok();
                std::fs::copy(openssl.home().join("key.pem"), dir.join(file)).unwrap();
            }
        }
    }

    fn file(&self) -> &'static str {
        match self {
            Self::Byte(file, _) | Self::Value(file, ..) | Self::OtherKey(file) => file,
        }
    }
}

/// A log of over 256 entries, so that there is a full tile; each damage alone, and then the same folder without any.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere_that_matters_refuses_to_start() {
    let mut lab = Chancery::lab().await;
    let log = Log::of(lab.env());
    let key = new_key();
    for _ in 0..300 {
        log.append(&Entry::by(&key)).await.unwrap();
    }
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    for (damage, codes) in DAMAGES {
        let file = lab.dir().join(damage.file());
        let sound = std::fs::read(&file).unwrap();
        damage.apply(lab.dir()).await;
        let what = damage.file();
        let Err(ended) = lab.restart().await else { panic!("{what}: it started with a damaged file") };
        assert_eq!(ended.code, Some(1), "{what}: {ended}");
        let code = ended.stderr.lines().rev().find_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
        let code = code.unwrap_or_else(|| panic!("{what}: the refusal has no code: {ended}"));
        assert!(codes.iter().any(|expected| code.contains(expected)), "{what}: {codes:?} expected: {ended}");
        std::fs::write(&file, sound).unwrap();
        remove_leftovers(&file);
    }
    lab.restart().await.unwrap_or_else(|ended| panic!("the sound folder does not start: {ended}"));
    assert!(log.append(&Entry::by(&key)).await.unwrap().index >= 300);
}

/// What SQLite keeps beside a database belongs to the damaged one.
fn remove_leftovers(database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut file = database.as_os_str().to_owned();
        file.push(suffix);
        let _ = std::fs::remove_file(file);
    }
}

/// The signed trust root names the ports: another program on one of them is an error that names it, not a reason to move.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_taken_later_is_an_error_that_names_it() {
    let mut lab = Chancery::lab().await;
    lab.stop();
    let address = lab.env().get("CHANCERY_REKOR_URL").strip_prefix("http://").unwrap().to_owned();
    let _taken = std::net::TcpListener::bind(&address).unwrap();
    let ended = lab.restart().await.expect_err("it must not start");
    assert_eq!(ended.code, Some(1), "{ended}");
    let port = address.rsplit(':').next().unwrap();
    assert!(ended.stderr.contains(port) && ended.stderr.contains("[listen_port_in_use]"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("D");
    let init = || {
        let mut command = Chancery::command();
        command.args(["init", "--domain", "sigstore.corp.example", "--dir"]).arg(&dir);
        Chancery::run(&mut command)
    };
    let ran = init().exits(0);
    assert!(ran.stdout.contains("fulcio.sigstore.corp.example") && ran.stdout.contains("keys/offline"), "{ran}");
    let before = fingerprint(&dir);
    let again = init();
    assert_eq!(again.code, Some(1), "{again}");
    assert_eq!(fingerprint(&dir), before);
    // Moved aside under the name that `init` works under, it is still somebody's installation.
    let aside = folder.path().join("D.new");
    std::fs::rename(&dir, &aside).unwrap();
    let in_the_way = init();
    assert!(in_the_way.code == Some(1) && in_the_way.stderr.contains("[installation_exists]"), "{in_the_way}");
    assert!(fingerprint(&aside).values().eq(before.values()));
    // What an interrupted run left there is cleared away.
    std::fs::write(aside.join(".unfinished"), "").unwrap();
    init().exits(0);
    assert!(!aside.exists() && !dir.join(".unfinished").exists());
}

#[test]
fn exit_codes_tell_usage_from_failure() {
    let run = |arguments: &[&str]| Chancery::run(Chancery::command().args(arguments));
    run(&["--help"]).exits(0);
    run(&["--version"]).exits(0);
    run(&["no-such-command"]).exits(2);
    run(&["lab", "--ports", "some"]).exits(2);
    run(&["serve"]).exits(2);
    let ran = run(&["env", "--dir", "/nonexistent"]).exits(1);
    assert!(ran.stderr.starts_with("error: "), "{ran}");
    let ran = run(&["--output", "json", "env", "--dir", "/nonexistent"]).exits(1);
    assert!(serde_json::from_str::<Value>(&ran.stdout).is_ok(), "one JSON document expected: {ran}");
}

/// What programs read: one document, with the names a person sees on the screen.
#[tokio::test(flavor = "multi_thread")]
async fn environment_and_tokens_are_printed_for_programs_too() {
    let lab = Chancery::lab().await;
    let run = |arguments: &[&str]| {
        let mut command = Chancery::command();
        Chancery::run(command.args(arguments).arg("--dir").arg(lab.dir())).exits(0).stdout
    };
    let printed = run(&["env"]);
    assert_eq!(printed, std::fs::read_to_string(lab.dir().join("env")).unwrap());
    let json: Value = serde_json::from_str(&run(&["--output", "json", "env"])).unwrap();
    for (name, value) in lab.env().iter() {
        assert_eq!(json[name], value);
    }
    assert!(!run(&["lab", "token", "--email", "a@b.c"]).ends_with('\n'), "some clients use what they read as it is");
}

/// Both loopback addresses are answered: clients differ in which one they try for `localhost`.
#[tokio::test(flavor = "multi_thread")]
async fn both_loopback_addresses_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let lab = Launch::lab(&folder.path().join("lab")).start_in(folder.path()).await.unwrap();
    let url = lab.env().get("CHANCERY_REKOR_URL").to_owned();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let url = format!("{}/checkpoint", url.replace("127.0.0.1", host));
        assert_eq!(testkit::http(&[]).get(&url).send().await.unwrap().status(), 200, "{url}");
    }
}
