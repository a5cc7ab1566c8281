//! 17: the way to an issuer's keys, and what happens when it is blocked.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use testkit::{FakeIssuer, TestCa, TokenKey};

use crate::support::issuer::{Discovery, TestIssuer};
use crate::support::{EMAIL, Fixture, workflow_claims};

/// Another issuer, unknown until the configuration names it.
async fn fixture_with(issuer: &TestIssuer) -> Fixture {
    let url = issuer.url.clone();
    Fixture::with(move |config| config["issuers"] = json!([{ "issuer_url": url, "type": "email" }])).await
}

fn token(key: &TokenKey, issuer: &TestIssuer) -> String {
    key.mint(&issuer.claims(json!({ "email": EMAIL, "email_verified": true })))
}

#[tokio::test]
async fn faults_of_the_issuer_are_ours_to_the_caller() {
    let elsewhere = TestIssuer::start("", &[]).await;
    for (mode, reason) in [
        (
            Discovery::OtherIssuer,
            "[issuer_mismatch] the keys of issuer ISSUER could not be fetched: ISSUER/.well-known/openid-configuration says issuer is ISSUER/, expected ISSUER",
        ),
        (Discovery::RedirectTo(format!("{}/.well-known/openid-configuration", elsewhere.url)), "[issuer_unreachable] "),
        (
            Discovery::Status(500),
            "[issuer_unreachable] the keys of issuer ISSUER could not be fetched: ISSUER/.well-known/openid-configuration answered 500, expected 200",
        ),
        (Discovery::Garbage, "[issuer_malformed] "),
        (Discovery::Huge, "[issuer_malformed] "),
        (Discovery::JwksAt("http://10.0.0.1/keys".into()), "[issuer_jwks_uri] "),
        (Discovery::JwksAt("file:///etc/passwd".into()), "[issuer_jwks_uri] "),
    ] {
        let key = TokenKey::es256("one");
        let issuer = TestIssuer::start("", &[&key]).await;
        issuer.set(mode);
        let f = fixture_with(&issuer).await;
        let message = f.sign_as(&token(&key, &issuer), EMAIL).await.refusal(503, 14);
        let expected = format!("There was an error processing the identity token: {}", reason.replace("ISSUER", &issuer.url));
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(f.recorded().await, 0);
        // Asked again at once, the issuer is left alone; a little later it is asked, and the token is good.
        let asked = issuer.discovered.load(Relaxed);
        issuer.set(Discovery::Good);
        f.sign_as(&token(&key, &issuer), EMAIL).await.refusal(503, 14);
        assert_eq!(issuer.discovered.load(Relaxed), asked);
        f.clock.advance(SignedDuration::from_secs(3));
        f.sign_as(&token(&key, &issuer), EMAIL).await.leaf();
    }
    assert_eq!(elsewhere.discovered.load(Relaxed), 0, "redirects are not followed there");
}

#[tokio::test]
async fn redirects_within_the_origin_are_followed() {
    let key = TokenKey::rs256("one");
    let issuer = TestIssuer::start("/tenant", &[&key]).await;
    issuer.set(Discovery::RedirectNear);
    let f = fixture_with(&issuer).await;
    f.sign_as(&token(&key, &issuer), EMAIL).await.leaf();
}

#[tokio::test]
async fn a_slow_issuer_is_given_five_seconds() {
    let key = TokenKey::es256("one");
    let issuer = TestIssuer::start("", &[&key]).await;
    issuer.set(Discovery::Slow(Duration::from_secs(60)));
    let f = fixture_with(&issuer).await;
    let message = f.sign_as(&token(&key, &issuer), EMAIL).await.refusal(503, 14);
    assert!(message.contains("[issuer_unreachable] ") && message.contains("no answer within 5 s"), "{message}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let key = TokenKey::es256("one");
    let issuer = url.clone();
    let f = Fixture::with(move |config| config["issuers"] = json!([{ "issuer_url": issuer, "type": "email" }])).await;
    let now = clock::Clock::now(&*f.clock).as_second();
    let token = key.mint(&json!({ "iss": url, "aud": "sigstore", "iat": now, "exp": now + 60, "sub": "me" }));
    let message = f.sign_as(&token, EMAIL).await.refusal(503, 14);
    assert!(message.contains("did not answer") && message.contains("refused"), "{message}");
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_kept() {
    let (one, two) = (TokenKey::es256("one"), TokenKey::rs256("two"));
    let issuer = TestIssuer::start("", &[&one]).await;
    let f = fixture_with(&issuer).await;
    f.sign_as(&token(&one, &issuer), EMAIL).await.leaf();
    // A key that appeared is found, but not before the floor of thirty seconds: forged tokens could ask at will.
    issuer.publish(&[&two]);
    let asked = issuer.fetched.load(Relaxed);
    for _ in 0..5 {
        assert!(f.sign_as(&token(&two, &issuer), EMAIL).await.refusal(400, 3).contains("[token_key] "));
    }
    assert_eq!(issuer.fetched.load(Relaxed), asked);
    f.clock.advance(SignedDuration::from_secs(31));
    f.sign_as(&token(&two, &issuer), EMAIL).await.leaf();
    assert_eq!(issuer.fetched.load(Relaxed), asked + 1);
    // An issuer that is down keeps the keys it had.
    issuer.set(Discovery::Status(500));
    f.clock.advance(SignedDuration::from_secs(31));
    assert!(f.sign_as(&token(&one, &issuer), EMAIL).await.refusal(400, 3).contains("[token_key] "));
    f.sign_as(&token(&two, &issuer), EMAIL).await.leaf();
}

/// Whoever sends a forged token and hangs up at once does not use up the fetch that it caused.
#[tokio::test]
async fn a_caller_who_hangs_up_keeps_new_keys_from_nobody() {
    let (one, two) = (TokenKey::es256("one"), TokenKey::es256("two"));
    let issuer = TestIssuer::start("", &[&one]).await;
    let f = fixture_with(&issuer).await;
    f.sign_as(&token(&one, &issuer), EMAIL).await.leaf();
    issuer.publish(&[&two]);
    issuer.set(Discovery::Slow(Duration::from_millis(100)));
    f.clock.advance(SignedDuration::from_secs(31));
    let forged = format!("Bearer {}", token(&TokenKey::es256("forged"), &issuer));
    let headers = [("authorization", forged.as_str()), ("grpc-timeout", "1m")];
    f.send(http::Method::POST, "/api/v2/signingCert", &headers, "{}").await.refusal(504, 4);
    f.sign_as(&token(&two, &issuer), EMAIL).await.leaf();
}

/// A key that was withdrawn while nobody asked is not believed once more.
#[tokio::test]
async fn keys_that_grew_old_are_asked_for_first() {
    let (one, two) = (TokenKey::es256("one"), TokenKey::es256("two"));
    let issuer = TestIssuer::start("", &[&one]).await;
    let f = fixture_with(&issuer).await;
    let claims = |minutes: i64| {
        let exp = clock::Clock::now(&*f.clock).as_second() + minutes * 60;
        issuer.claims(json!({ "email": EMAIL, "email_verified": true, "exp": exp }))
    };
    f.sign_as(&one.mint(&claims(10)), EMAIL).await.leaf();
    issuer.publish(&[&two]);
    f.clock.advance(SignedDuration::from_mins(61));
    assert!(f.sign_as(&one.mint(&claims(10)), EMAIL).await.refusal(400, 3).contains("[token_key] "));
    // Without an answer, old keys are better than none.
    issuer.set(Discovery::Status(500));
    f.clock.advance(SignedDuration::from_mins(61));
    f.sign_as(&two.mint(&claims(10)), EMAIL).await.leaf();
}

/// Invented issuers cause a handful of calls, and take nothing from those that are known.
#[tokio::test]
async fn issuers_of_a_pattern_share_an_allowance() {
    let key = TokenKey::es256("one");
    let issuer = TestIssuer::start("/octo", &[&key]).await;
    let pattern = issuer.url.replace("/octo", "/*");
    let f = Fixture::with(move |config| {
        config["issuers"] = json!([{ "issuer_url": pattern, "type": "ci-provider", "ci_provider": "github" }]);
    })
    .await;
    let sub = "repo:org/repo:ref:refs/heads/main";
    let genuine = key.mint(&issuer.claims(workflow_claims()));
    f.sign_as(&genuine, sub).await.leaf();
    f.clock.advance(SignedDuration::from_secs(2));
    let mut busy = 0;
    for number in 0..20 {
        let mut claims = issuer.claims(workflow_claims());
        claims["iss"] = issuer.url.replace("/octo", &format!("/invented{number}")).into();
        busy += usize::from(f.sign_as(&key.mint(&claims), sub).await.refusal(503, 14).contains("[issuer_busy] "));
    }
    assert_eq!(busy, 12);
    f.sign_as(&genuine, sub).await.leaf();
}

/// Keys are fetched again in the background, so that one that the issuer withdrew is forgotten; nobody waits for that.
#[tokio::test]
async fn withdrawn_keys_are_forgotten() {
    let (one, two) = (TokenKey::es256("one"), TokenKey::es256("two"));
    let issuer = TestIssuer::start("", &[&one]).await;
    let f = fixture_with(&issuer).await;
    let now = clock::Clock::now(&*f.clock).as_second();
    let token = one.mint(&issuer.claims(json!({ "email": EMAIL, "email_verified": true, "exp": now + 7200 })));
    f.sign_as(&token, EMAIL).await.leaf();
    issuer.publish(&[&two]);
    f.clock.advance(SignedDuration::from_mins(11));
    f.sign_as(&token, EMAIL).await.leaf();
    for _ in 0..100 {
        let answer = f.sign_as(&token, EMAIL).await;
        if answer.status == 400 {
            assert!(answer.refusal(400, 3).contains("[token_key] "));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the withdrawn key is still believed");
}

/// Tokens without a key id try every key; so do two keys of one id.
#[tokio::test]
async fn tokens_without_a_key_id() {
    let (one, two, twin) = (TokenKey::es256("one"), TokenKey::es256("two"), TokenKey::es256("two"));
    let issuer = TestIssuer::start("", &[&one, &two, &twin]).await;
    let f = fixture_with(&issuer).await;
    let claims = issuer.claims(json!({ "email": EMAIL, "email_verified": true }));
    for token in [two.mint_with(&json!({ "alg": "ES256" }), &claims), two.mint(&claims), twin.mint(&claims)] {
        f.sign_as(&token, EMAIL).await.leaf();
    }
}

/// Forty requests that wait for the first keys cause one fetch.
#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_for_all_who_wait() {
    let key = TokenKey::es256("one");
    let issuer = TestIssuer::start("", &[&key]).await;
    issuer.set(Discovery::Slow(Duration::from_millis(200)));
    let f = fixture_with(&issuer).await;
    let token = token(&key, &issuer);
    for answer in futures_util::future::join_all((0..40).map(|_| f.sign_as(&token, EMAIL))).await {
        answer.leaf();
    }
    assert_eq!((issuer.discovered.load(Relaxed), issuer.fetched.load(Relaxed)), (1, 1));
}

/// A GitHub Enterprise Server behind an authority of its own, with and without `ca_cert`.
#[tokio::test]
async fn private_authorities() {
    chassis::crypto::install();
    let ca = TestCa::new("corp");
    let issuer = FakeIssuer::https(&ca, "/_services/token", TokenKey::rs256("one")).await;
    let folder = tempfile::tempdir().unwrap();
    let path = ca.write(folder.path(), "ca");
    let entry = |ca_cert: Option<&std::path::Path>| {
        let mut entry = json!({ "issuer_url": issuer.url(), "type": "ci-provider", "ci_provider": { "template": "ghes", "url": "https://ghe.corp" } });
        if let Some(path) = ca_cert {
            entry["ca_cert"] = json!(path);
        }
        entry
    };
    let token = issuer.mint(workflow_claims());
    let sub = "repo:org/repo:ref:refs/heads/main";
    let f = Fixture::with(|config| config["issuers"] = json!([entry(Some(&path))])).await;
    f.sign_as(&token, sub).await.leaf();
    let f = Fixture::with(|config| config["issuers"] = json!([entry(None)])).await;
    let message = f.sign_as(&token, sub).await.refusal(503, 14);
    assert!(message.contains("[issuer_unreachable] ") && message.contains("ertificate"), "{message}");
}

/// 14: issuers that fit a pattern; others cause no call at all.
#[tokio::test]
async fn patterns() {
    let key = TokenKey::es256("one");
    let issuer = TestIssuer::start("/octo", &[&key]).await;
    let pattern = issuer.url.replace("/octo", "/*");
    let f = Fixture::with(move |config| {
        config["issuers"] = json!([{ "issuer_url": pattern, "type": "ci-provider", "ci_provider": "github" }]);
    })
    .await;
    let sub = "repo:org/repo:ref:refs/heads/main";
    // Whoever merely fits a pattern does not choose what we connect to.
    issuer.set(Discovery::JwksAt("https://keys.example/".into()));
    let message = f.sign_as(&key.mint(&issuer.claims(workflow_claims())), sub).await.refusal(503, 14);
    assert!(message.contains("[issuer_jwks_uri] "), "{message}");
    issuer.set(Discovery::Good);
    f.clock.advance(SignedDuration::from_secs(3));
    f.sign_as(&key.mint(&issuer.claims(workflow_claims())), sub).await.leaf();
    let asked = issuer.discovered.load(Relaxed);
    for other in ["/octo/x", "/", "", "/octo?x", ".evil.example/octo"] {
        let mut claims = issuer.claims(workflow_claims());
        claims["iss"] = issuer.url.replace("/octo", other).into();
        assert!(f.sign_as(&key.mint(&claims), sub).await.refusal(400, 3).contains("[token_issuer] "), "{other}");
    }
    assert_eq!(issuer.discovered.load(Relaxed), asked);
    let configuration = f.get("/api/v2/configuration").await.json();
    assert!(configuration["issuers"][0]["wildcardIssuerUrl"].as_str().unwrap().ends_with("/*"));
}
