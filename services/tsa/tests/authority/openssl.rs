//! OpenSSL asks, we answer, OpenSSL verifies.

use std::path::Path;
use std::process::Command;

use crate::common::{Chain, Pems, authority_at, query};
use tempfile::TempDir;

/// Runs openssl in `folder`; its output when it fails.
fn openssl(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need openssl (Debian package openssl): {error}"));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// A folder with the artifact, the root and the whole chain.
fn folder(pems: &Pems) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("artifact"), "an artifact").unwrap();
    std::fs::write(folder.path().join("other"), "another artifact").unwrap();
    std::fs::write(folder.path().join("root.pem"), pems.root()).unwrap();
    std::fs::write(folder.path().join("chain.pem"), pems.chain()).unwrap();
    folder
}

async fn answer(folder: &Path, pems: &Pems, options: &[&str], include_chain: bool) -> tsp::Token {
    openssl(folder, &[&["ts", "-query", "-data", "artifact", "-out", "query"], options].concat()).unwrap();
    let body = std::fs::read(folder.join("query")).unwrap();
    let tsa = authority_at(pems, std::sync::Arc::new(clock::SystemClock), |config| {
        config.include_chain_in_response = include_chain;
    });
    let answer = query(&tsa.await, body).await;
    let token = answer.token();
    std::fs::write(folder.join("reply"), &answer.body).unwrap();
    token
}

const VERIFY: [&str; 6] = ["ts", "-verify", "-in", "reply", "-CAfile", "root.pem"];

#[tokio::test]
async fn every_digest_with_and_without_certificates() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let pems = Chain { algorithm, ..Chain::default() }.build();
        let folder = folder(&pems);
        let folder = folder.path();
        for digest in ["-sha256", "-sha384", "-sha512"] {
            let with = answer(folder, &pems, &[digest, "-cert"], false).await;
            assert_eq!(with.certificates().len(), 1);
            assert!(with.nonce().is_some());
            openssl(folder, &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap();
            openssl(folder, &[&VERIFY[..], &["-data", "artifact"]].concat()).unwrap();
            openssl(folder, &[&VERIFY[..], &["-data", "other"]].concat()).unwrap_err();

            let without = answer(folder, &pems, &[digest, "-no_nonce"], false).await;
            assert!(without.certificates().is_empty() && without.nonce().is_none());
            openssl(folder, &[&VERIFY[..], &["-queryfile", "query", "-untrusted", "chain.pem"]].concat()).unwrap();
            openssl(folder, &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_longer_chain() {
    let pems = Chain { intermediates: 1, ..Chain::default() }.build();
    let folder = folder(&pems);
    let folder = folder.path();
    let whole = answer(folder, &pems, &["-sha256", "-cert"], true).await;
    assert_eq!(whole.certificates().len(), 3);
    openssl(folder, &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap();
    let leaf = answer(folder, &pems, &["-sha256", "-cert"], false).await;
    assert_eq!(leaf.certificates().len(), 1);
    openssl(folder, &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap_err();
    openssl(folder, &[&VERIFY[..], &["-queryfile", "query", "-untrusted", "chain.pem"]].concat()).unwrap();
}

#[tokio::test]
async fn a_requested_policy() {
    let pems = Chain::default().build();
    let folder = folder(&pems);
    let token = answer(folder.path(), &pems, &["-sha256", "-cert", "-tspolicy", "1.3.6.1.4.1.57264.2"], false).await;
    assert_eq!(token.policy(), tsp::PolicyId::SIGSTORE);
    openssl(folder.path(), &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap();
}

#[tokio::test]
async fn rsa_keys_sign_too() {
    let pems = Chain::default().build();
    let folder = folder(&pems);
    let folder = folder.path();
    // rcgen makes no RSA keys; openssl makes key and certificate as an operator would.
    std::fs::write(
        folder.join("ext"),
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n",
    )
    .unwrap();
    let steps: [&[&str]; 4] = [
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-noenc",
            "-keyout",
            "ca.key",
            "-out",
            "root.pem",
            "-days",
            "9",
            "-subj",
            "/O=Example/CN=root",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ],
        &["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "tsa.key"],
        &["req", "-new", "-key", "tsa.key", "-subj", "/O=Example/CN=tsa", "-out", "csr"],
        &[
            "x509", "-req", "-in", "csr", "-CA", "root.pem", "-CAkey", "ca.key", "-days", "8", "-extfile", "ext", "-out",
            "leaf.pem",
        ],
    ];
    for step in steps {
        openssl(folder, step).unwrap();
    }
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let pems = Pems { certificates: vec![read("leaf.pem"), read("root.pem")], key: read("tsa.key") };
    answer(folder, &pems, &["-sha512", "-cert"], false).await;
    openssl(folder, &[&VERIFY[..], &["-queryfile", "query"]].concat()).unwrap();
}
