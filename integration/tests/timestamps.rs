//! Timestamps that others than Sigstore's clients verify.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use testkit::{Chancery, Client};

/// As the README of any RFC 3161 client says: openssl makes the query, the answer is verified against chain and query.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_a_token() {
    let lab = Chancery::lab().await;
    let (tsa, http) = (lab.env().get("CHANCERY_TSA_URL"), testkit::http(&[]));
    let chain = http.get(format!("{tsa}/api/v1/timestamp/certchain")).send().await.unwrap();
    assert_eq!(
        (chain.status().as_u16(), chain.headers()["content-type"].to_str().unwrap()),
        (200, "application/pem-certificate-chain")
    );
    let openssl = Client::openssl();
    let chain = chain.text().await.unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "leaf and root: {chain}");
    openssl.file("chain.pem", chain);
    openssl.file("data", "hello");
    for hash in ["-sha256", "-sha384", "-sha512"] {
        openssl.run(["ts", "-query", "-data", "data", hash, "-cert", "-out", "q.tsq"]).ok();
        let query = std::fs::read(openssl.home().join("q.tsq")).unwrap();
        let post = http.post(format!("{tsa}/api/v1/timestamp")).header("content-type", "application/timestamp-query").body(query);
        let answer = post.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "application/timestamp-reply")
        );
        openssl.file("r.tsr", answer.bytes().await.unwrap());
        let verify = ["ts", "-verify", "-queryfile", "q.tsq", "-in", "r.tsr", "-CAfile", "chain.pem"];
        openssl.run(verify).ok();
        openssl.file("data", "hullo");
        openssl.run(["ts", "-verify", "-data", "data", "-in", "r.tsr", "-CAfile", "chain.pem"]).refused("");
        openssl.file("data", "hello");
    }
}

/// What sigstore-js sends: JSON, and no wish for certificates, so the token has none.
#[tokio::test(flavor = "multi_thread")]
async fn json_requests_are_answered_with_a_token_without_certificates() {
    let lab = Chancery::lab().await;
    let url = lab.env().url("CHANCERY_TSA_URL", "/api/v1/timestamp");
    let body = serde_json::json!({"artifactHash": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", "hashAlgorithm": "sha256"});
    let post = testkit::http(&[]).post(url).header("content-type", "application/json; charset=utf-8").body(body.to_string());
    let answer = post.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let openssl = Client::openssl();
    openssl.file("r.tsr", answer.bytes().await.unwrap());
    let said = openssl.run(["ts", "-reply", "-in", "r.tsr", "-text"]).ok().stdout;
    assert!(said.contains("Status: Granted.") && said.contains("Nonce: unspecified"), "{said}");
    openssl.run(["ts", "-reply", "-in", "r.tsr", "-token_out", "-out", "token.der"]).ok();
    let certificates = openssl.run(["pkcs7", "-inform", "DER", "-in", "token.der", "-print_certs", "-noout"]).ok().stdout;
    assert_eq!(certificates.trim(), "");
}
