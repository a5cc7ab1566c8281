//! Waiting for what takes a moment, and talking HTTP meanwhile.

use std::time::{Duration, Instant};

/// Asks again and again until the answer is yes.
///
/// # Panics
/// It is not within `limit`; `what` is then the message.
pub async fn wait_until(what: &str, limit: Duration, mut answer: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !answer().await {
        assert!(begun.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client for tests: no proxy, no redirects, and no authorities but those given as PEM.
///
/// # Panics
/// An authority is not PEM.
#[must_use]
pub fn http(authorities: &[&str]) -> reqwest::Client {
    // Whoever is first installs it; all install the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = authorities.iter().map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).expect("PEM of one certificate"));
    reqwest::Client::builder()
        .tls_certs_only(roots)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
        .expect("these settings are complete")
}
