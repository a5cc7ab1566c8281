use std::path::Path;

use axum::Router;
use axum::routing::get;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::client::http_client;
use crate::listen::{BindError, ListenConfig, Listener};
use crate::serve::{Limits, Serving};

/// A folder with `NAME.pem` and `NAME.key`: a certificate for loopback that is its own root.
fn make(folder: &Path, name: &str) {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
}

fn config(folder: &Path, certificate: &str, key: &str) -> ListenConfig {
    let files = TlsFiles { certificate: folder.join(certificate).into(), key: folder.join(key).into() };
    ListenConfig { tls: Some(files), ..ListenConfig::loopback(0) }
}

fn copy(folder: &TempDir, from: &str, to: &str) {
    std::fs::copy(folder.path().join(from), folder.path().join(to)).unwrap();
}

/// Whether a client that trusts only `root` is answered, on a new connection.
async fn accepted(url: &str, root: &Path) -> bool {
    let client = http_client(&[root.to_owned()]).unwrap();
    client.get(url).send().await.is_ok_and(|answer| answer.version() == http::Version::HTTP_2)
}

async fn start(folder: &TempDir, limits: Limits) -> (Serving, String) {
    let listener = Listener::bind("test", &config(folder.path(), "live.pem", "live.key")).await.unwrap();
    let url = listener.url();
    (Serving::start(listener, Router::new().route("/", get(async || "hello")), limits), url)
}

#[tokio::test]
async fn a_changed_pair_is_taken_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["old", "new", "live"] {
        make(folder.path(), name);
    }
    copy(&folder, "old.pem", "live.pem");
    copy(&folder, "old.key", "live.key");
    let (old, new) = (folder.path().join("old.pem"), folder.path().join("new.pem"));
    let (_serving, url) = start(&folder, Limits::default()).await;
    assert!(url.starts_with("https://"));
    assert!(accepted(&url, &old).await && !accepted(&url, &new).await);

    // The certificate arrives before its key: the old pair stays.
    copy(&folder, "new.pem", "live.pem");
    tokio::time::sleep(5 * POLL).await;
    assert!(accepted(&url, &old).await && !accepted(&url, &new).await);

    copy(&folder, "new.key", "live.key");
    while !accepted(&url, &new).await {
        tokio::time::sleep(POLL).await;
    }
    assert!(!accepted(&url, &old).await);

    // Removed and garbage files keep the last good pair.
    std::fs::remove_file(folder.path().join("live.key")).unwrap();
    std::fs::write(folder.path().join("live.pem"), "garbage").unwrap();
    tokio::time::sleep(5 * POLL).await;
    assert!(accepted(&url, &new).await);
}

#[tokio::test]
async fn a_handshake_that_is_not_finished_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "live");
    let (_serving, url) = start(&folder, Limits { handshake: POLL, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("https://")).await.unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn files_that_do_not_fit_end_the_start() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "a");
    make(folder.path(), "b");
    for (certificate, key, code) in [
        ("a.pem", "b.key", "tls_key_mismatch"),
        ("a.key", "a.key", "tls_no_certificate"),
        ("a.pem", "b.pem", "tls_no_key"),
        ("a.pem", "none", "tls_file_unreadable"),
    ] {
        let error = Listener::bind("test", &config(folder.path(), certificate, key)).await.unwrap_err();
        assert!(matches!(&error, BindError::Tls(_)), "{error:?}");
        let text = crate::report::render(&error);
        assert!(text.contains(key) && text.ends_with(&format!("[{code}]")), "{text}");
    }
}
