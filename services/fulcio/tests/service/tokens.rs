//! Which tokens are refused, and what is said.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Clock as _;
use serde_json::{Value, json};
use testkit::TokenKey;

use crate::support::{EMAIL, Fixture, p256_request, workflow_claims};

const SENTENCE: &str = "There was an error processing the identity token: ";

/// The reason after the sentence; nothing may have been recorded or logged.
async fn refused(f: &Fixture, token: &str) -> String {
    let message = f.sign(token, &p256_request(EMAIL).await).await.refusal(400, 3);
    assert_eq!((f.recorded().await, f.log.submissions().len()), (0, 0));
    assert!(token.len() < 20 || !message.contains(&token[..20]), "a token is never repeated");
    message.strip_prefix(SENTENCE).unwrap_or_else(|| panic!("{message}")).to_owned()
}

fn email_claims(f: &Fixture, extra: Value) -> Value {
    let mut claims = f.email.claims(json!({ "email": EMAIL, "email_verified": true }));
    let Value::Object(extra) = extra else { panic!("an object") };
    claims.as_object_mut().unwrap().extend(extra);
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

/// The example of the manual, word for word.
#[tokio::test]
async fn a_wrong_audience_is_told_what_was_expected() {
    let f = Fixture::new().await;
    let mut claims = f.ghes.claims(workflow_claims());
    claims["aud"] = "my-service".into();
    let reason = refused(&f, &f.key.mint(&claims)).await;
    assert_eq!(reason, format!("[token_audience] audience is my-service, expected sigstore (issuer {})", f.ghes.url));
    claims["aud"] = json!(["a", "b"]);
    assert!(refused(&f, &f.key.mint(&claims)).await.starts_with("[token_audience] audience is a, b, expected sigstore"));
    for nothing in [json!(null), json!([]), json!("")] {
        claims["aud"] = nothing;
        let reason = refused(&f, &f.key.mint(&claims)).await;
        assert!(reason.starts_with("[token_audience]") || reason.starts_with("[token_claim]"), "{reason}");
    }
    claims["aud"] = json!(["a", "sigstore"]);
    f.sign_as(&f.key.mint(&claims), "repo:org/repo:ref:refs/heads/main").await.leaf();
}

/// 8: what is no token, and forgeries.
#[tokio::test]
async fn what_no_issuer_signed() {
    let f = Fixture::new().await;
    let claims = email_claims(&f, json!({}));
    let good = f.key.mint(&claims);
    for (token, code) in [
        (String::new(), "[token_missing] "),
        ("a.b".into(), "[token_malformed] the token has 1 dots"),
        ("not a token".into(), "[token_malformed] "),
        ("a.b.c".into(), "[token_malformed] the header of the token is not base64url"),
        (
            unsigned(&json!({ "alg": "none" }), &claims),
            "[token_algorithm] the token is signed with none, expected one of RS256, ES256",
        ),
        (f.key.mint_with(&json!({ "alg": "HS256", "kid": "one" }), &claims), "[token_algorithm] the token is signed with HS256"),
        (f.key.mint_with(&json!({ "alg": "RS256", "kid": "one" }), &claims), "[token_signature] "),
        (f.key.mint_with(&json!({ "alg": "ES256", "kid": "two" }), &claims), "[token_key] the token is signed with key two"),
        (f.key.mint_with(&json!({ "alg": "ES256", "kid": "one", "crit": ["x"], "x": 1 }), &claims), "[token_header] "),
        (f.key.mint_with(&json!({ "alg": "ES256", "kid": "one", "typ": "at+jwt" }), &claims), "[token_header] "),
        (TokenKey::es256("one").mint(&claims), "[token_signature] "),
        (format!("{good}x"), "[token_"),
        (
            email_with(&f, "iss", json!("https://evil.example")),
            "[token_issuer] issuer https://evil.example is not configured; expected one of http://127.0.0.1",
        ),
        (email_with(&f, "iss", json!(format!("{}/", f.email.url))), "[token_issuer] "),
        (email_with(&f, "iss", json!(null)), "[token_claim] claim iss is absent"),
    ] {
        let reason = refused(&f, &token).await;
        assert!(reason.starts_with(code), "{code}: {reason}");
    }
    let (head, rest) = good.split_once('.').unwrap();
    let forged = URL_SAFE_NO_PAD.encode(email_claims(&f, json!({ "email": "other@corp.example" })).to_string());
    let tampered = format!("{head}.{forged}.{}", rest.split_once('.').unwrap().1);
    assert!(refused(&f, &tampered).await.starts_with("[token_signature] "));
    let dots = json!({ "credentials": { "oidcIdentityToken": ".".repeat(3 << 20) } });
    let answer = f.send(http::Method::POST, "/api/v2/signingCert", &[], dots.to_string()).await;
    assert!(answer.refusal(400, 3).contains("[token_too_large] the token has 3145728 bytes, expected at most 65536"));
}

fn email_with(f: &Fixture, name: &str, value: Value) -> String {
    f.key.mint(&email_claims(f, Value::Object([(name.to_owned(), value)].into_iter().collect())))
}

/// 9: the clock is exact for `exp` and five minutes wide for `nbf`.
#[tokio::test]
async fn times() {
    let f = Fixture::new().await;
    let now = f.clock.now().as_second();
    for (name, value, code) in [
        ("exp", json!(now), "[token_expired] the token expired at "),
        ("exp", json!(now - 1), "[token_expired] "),
        ("exp", json!(null), "[token_claim] claim exp is absent, expected a number"),
        ("exp", json!("soon"), "[token_claim] claim exp is text, expected a number"),
        ("exp", json!(1e300), "[token_claim] "),
        ("nbf", json!(now + 360), "[token_not_yet_valid] the token is not valid before "),
        ("nbf", json!("x"), "[token_claim] claim nbf is text, expected a number"),
        ("iat", json!(null), "[token_claim] claim iat is absent"),
        ("sub", json!(""), "[token_claim] claim sub is empty, expected text that is not empty"),
        ("sub", json!(null), "[token_claim] claim sub is absent"),
        ("sub", json!(7), "[token_claim] claim sub is a number"),
    ] {
        let reason = refused(&f, &email_with(&f, name, value)).await;
        assert!(reason.starts_with(code), "{code}: {reason}");
    }
    for (name, value) in
        [("exp", json!(now + 1)), ("exp", json!(now as f64 + 0.5 + 1.0)), ("nbf", json!(now + 240)), ("nbf", json!(null))]
    {
        f.sign_as(&email_with(&f, name, value), EMAIL).await.leaf();
    }
}

/// 10: whom the issuer vouches for.
#[tokio::test]
async fn verified_addresses() {
    let f = Fixture::new().await;
    for (value, code) in [
        (json!(false), "[email_unverified] claim email_verified is false, expected true"),
        (json!(null), "[email_unverified] claim email_verified is absent, expected true"),
        (json!(1), "[token_claim] "),
    ] {
        let reason = refused(&f, &email_with(&f, "email_verified", value)).await;
        assert!(reason.starts_with(code), "{code}: {reason}");
    }
    assert!(refused(&f, &email_with(&f, "email", json!("jörg@corp.example"))).await.starts_with("[token_claim] claim email is "));
    f.sign_as(&email_with(&f, "email_verified", json!("true")), EMAIL).await.leaf();
    let f = Fixture::with(|config| config["issuers"][0]["skip_email_verification"] = true.into()).await;
    for value in [json!(false), json!(null), json!(true)] {
        f.sign_as(&email_with(&f, "email_verified", value), EMAIL).await.leaf();
    }
}

/// 13: what templates need and what they do not take.
#[tokio::test]
async fn workflow_claims_that_do_not_fit() {
    let f = Fixture::new().await;
    let with = |name: &str, value: Value| {
        let mut claims = workflow_claims();
        claims[name] = value;
        f.key.mint(&f.ghes.claims(claims))
    };
    for (name, value, code) in [
        ("job_workflow_ref", json!(null), "[claim_missing] field subject_alternative_name cannot be made from this token"),
        ("run_id", json!(null), "[claim_missing] field extensions.run_invocation_uri"),
        ("sha", json!(["a"]), "[token_claim] field extensions.github_workflow_sha"),
        (
            "url",
            json!("https://github.com"),
            "[claim_fixed] claim url is https://github.com, but the configuration fixes it to https://ghe.corp",
        ),
        ("job_workflow_ref", json!("o/r/w.yml@refs/heads/100%"), "[name_not_a_url] "),
        ("workflow", json!("x".repeat(10_000)), "[claim_too_long] field extensions.github_workflow_name"),
    ] {
        let reason = refused(&f, &with(name, value)).await;
        assert!(reason.starts_with(code), "{code}: {reason}");
    }
    assert!(refused(&f, &with("run_id", json!(null))).await.contains("claim run_id is absent from the token"));
    let sub = "repo:org/repo:ref:refs/heads/main";
    for (branch, spelled) in [("fix#12", "fix#12"), ("a b", "a%20b"), ("é", "%C3%A9"), ("100%25", "100%25")] {
        let leaf = f.sign_as(&with("job_workflow_ref", json!(format!("o/r/w.yml@refs/heads/{branch}"))), sub).await.leaf();
        let name = pki::SubjectAltName::Uri(format!("https://ghe.corp/o/r/w.yml@refs/heads/{spelled}"));
        assert_eq!(leaf.extensions().subject_alt_names(), [name]);
    }
    let leaf = f.sign_as(&with("run_id", json!(12_345_678_901_234_567_u64)), sub).await.leaf();
    let run = leaf.extensions().get(pki::ObjectIdentifier::new("1.3.6.1.4.1.57264.1.21").unwrap()).unwrap();
    assert_eq!(&run.value[2..], b"https://ghe.corp/org/repo/actions/runs/12345678901234567/attempts/1");
}

/// 16: subjects of another host or scheme.
#[tokio::test]
async fn subjects_of_other_domains() {
    let f = Fixture::new().await;
    for (sub, code) in [
        ("http://127.0.0.2/x", "[subject_domain] subject http://127.0.0.2/x does not belong to http://127.0.0.1"),
        ("https://127.0.0.1/x", "[subject_domain] "),
        ("me@corp.example", "[name_not_a_url] "),
    ] {
        let reason = refused(&f, &f.key.mint(&f.uri.claims(json!({ "sub": sub })))).await;
        assert!(reason.starts_with(code), "{code}: {reason}");
    }
}
