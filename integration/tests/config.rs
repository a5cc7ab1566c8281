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
