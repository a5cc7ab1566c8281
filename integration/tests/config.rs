//! `chancery config check` refuses what a start would refuse, and changes nothing.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::path::Path;

use integration::store::fingerprint;
use testkit::{Chancery, Ran};

fn check(dir: &Path) -> Ran {
    Chancery::run(Chancery::command().args(["config", "check", "--config"]).arg(dir.join("chancery.yaml")))
}

#[test]
fn what_a_start_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("corp");
    let init = ["init", "--domain", "sigstore.corp.example", "--organization", "Corp", "--dir"];
    Chancery::run(Chancery::command().args(init).arg(&dir)).ok();
    let whole = fingerprint(&dir);
    check(&dir).ok();
    assert_eq!(fingerprint(&dir), whole, "checking changes nothing");

    let file = dir.join("chancery.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let policy = "  policies:\n    - { name: prod, repositories: prod/*, mode: enforce, identities: [] }\n";
    let changes: [(&str, String, &str); 4] = [
        ("a policy without identities", good.replacen("  policies: []\n", policy, 1), "policy_identity"),
        ("a name that is not ours", good.replacen("https://tsa.sigstore", "https://time.sigstore", 1), "public_url_changed"),
        ("no such certificate", good.replacen("keys/tsa.pem", "keys/none.pem", 1), "tsa_key"),
        ("an unknown member", good.replacen("\ngateway:\n", "\ngateway:\n  police: []\n", 1), "police"),
    ];
    for (what, changed, code) in changes {
        assert_ne!(changed, good, "{what}");
        std::fs::write(&file, changed).unwrap();
        let said = check(&dir).exits(2).to_string();
        assert!(said.contains(code), "{what}: {said}");
    }
    std::fs::write(&file, &good).unwrap();
    let root = dir.join("trust/trusted_root.json");
    let kept = std::fs::read(&root).unwrap();
    std::fs::write(&root, "{").unwrap();
    check(&dir).exits(2);
    std::fs::write(&root, kept).unwrap();
    check(&dir).ok();
}

/// Files that a start opens before any database, each with the code that it would be refused by.
#[test]
fn files_that_a_start_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("corp");
    Chancery::run(Chancery::command().args(["init", "--domain", "sigstore.corp.example", "--dir"]).arg(&dir)).ok();
    let new_shard = |log: &str| Chancery::run(Chancery::command().args(["log", "new-shard", log, "--dir"]).arg(&dir)).ok();
    let _ = (new_shard("rekor-v2"), new_shard("ctlog"), new_shard("rekor-v1"));
    let file = dir.join("chancery.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let v2 = "key: keys/rekor-v2.pem\n";
    let policy = "key: keys/rekor-v2.pem\n  witnesses: { policy: w.policy }\n";
    let in_shard = |text: &str| good.replacen("key: \"keys/rekor-v2-2.pem\"", text, 1);
    std::fs::write(dir.join("damaged.policy"), "witness\n").unwrap();
    std::fs::write(dir.join("empty.pem"), "").unwrap();
    let changes: [(&str, String, &str); 8] = [
        ("no such policy", good.replacen(v2, policy, 1), "witness_policy_unreadable"),
        (
            "a damaged policy of a later shard",
            in_shard("key: \"keys/rekor-v2-2.pem\", witnesses: { policy: damaged.policy }"),
            "witness_policy_invalid",
        ),
        ("no such key of a later shard", in_shard("key: none.pem"), "log_key_file"),
        ("no such key of a later tree", good.replacen("keys/rekor-v1-2.pem", "none.pem", 1), "log_key_file"),
        ("no such key of a later certificate log", good.replacen("keys/ctlog-2.pem", "none.pem", 1), "log_key_file"),
        ("no accepted roots", good.replacen("roots: trust/fulcio_root.pem", "roots: empty.pem", 1), "ctlog_roots"),
        (
            "no password",
            good.replacen("database: db/ctlog.db\n", "database: \"postgres://a@db/b\"\n  database_password_file: none\n", 1),
            "database_password",
        ),
        ("a place that is none", good.replacen("database: db/ctlog.db\n", "database: \"postgres://\"\n", 1), "database_address"),
    ];
    check(&dir).ok();
    for (what, changed, code) in changes {
        assert_ne!(changed, good, "{what}");
        std::fs::write(&file, changed).unwrap();
        let said = check(&dir).exits(2).to_string();
        assert!(said.contains(&format!("[{code}]")), "{what}: {said}");
    }
}

#[test]
fn what_a_configuration_comes_to() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("corp");
    Chancery::run(Chancery::command().args(["init", "--domain", "sigstore.corp.example", "--dir"]).arg(&dir)).ok();
    let mut print = Chancery::command();
    print.args(["config", "print", "--config"]).arg(dir.join("chancery.yaml"));
    let printed = Chancery::run(print.env("CHANCERY_REKOR_V2__DATABASE", "postgres://rekor@db/logs")).ok();
    let printed: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(printed["ctlog"]["leaf_index"], true);
    assert_eq!(printed["ctlog"]["key"], dir.join("keys/ctlog.pem").display().to_string());
    assert_eq!(printed["rekor_v2"]["head_record"], dir.join("db/rekor-v2.head").display().to_string());
}

/// What a run leaves in Postgres that was cut off before its folder got its name; the same that a whole one leaves there.
#[test]
fn an_init_that_was_cut_off_in_postgres_says_how_to_begin_again() {
    let (server, folder) = (testkit::Postgres::start(), tempfile::tempdir().unwrap());
    let (rekor, ctlog) = (server.database(), server.database());
    let init = |dir: &str| {
        let mut init = Chancery::command();
        init.args(["init", "--domain", "sigstore.corp.example", "--dir"]).arg(folder.path().join(dir));
        init.args(["--rekor-database", &server.over_tcp(&rekor), "--ctlog-database", &server.over_tcp(&ctlog)]);
        Chancery::run(init.arg("--database-password-file").arg(server.password_file()))
    };
    init("first").ok();
    let empty = |database: &str| server.sql(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    // The certificate log is made first; then it alone is emptied.
    for database in [&ctlog, &rekor] {
        let refused = init("second").exits(1).to_string();
        let name = database.split('?').next().unwrap().rsplit('/').next().unwrap();
        assert!(
            refused.contains("[log_exists]") && refused.contains(&format!("dropdb {name} && createdb --owner ")),
            "{refused}"
        );
        assert!(!folder.path().join("second").exists() && !folder.path().join("second.new").exists());
        empty(&ctlog);
    }
    // That run made the certificate log anew before it was refused.
    empty(&rekor);
    init("second").ok();
}
