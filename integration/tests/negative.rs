//! What is not in order is refused with the reason, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use integration::ca::{Ca, Refusal, pem, request};
use integration::people::EMAIL;
use integration::rekor::{Entry, Log, new_key};
use integration::store::fingerprint;
use serde_json::{Value, json};
use testkit::{Chancery, Client, TokenKey};

/// A lab, and what its databases held before.
struct Untouched {
    lab: Chancery,
    ca: Ca,
    before: BTreeMap<PathBuf, String>,
}

impl Untouched {
    async fn new() -> Self {
        let lab = Chancery::lab().await;
        let ca = Ca::new(lab.env().get("CHANCERY_FULCIO_URL"), testkit::http(&[]));
        let before = fingerprint(&lab.dir().join("db"));
        Self { lab, ca, before }
    }

    /// A token for the developer with some claims changed; `null` removes one.
    fn token(&self, claims: &Value) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("claims.json");
        std::fs::write(&file, claims.to_string()).unwrap();
        self.lab.token(&["--email", EMAIL, "--claims", file.to_str().unwrap()])
    }

    async fn refusal(&self, what: &str, request: &Value) -> Refusal {
        let Err(refusal) = self.ca.ask(request).await else { panic!("{what}: a certificate was issued") };
        let fits = !refusal.message.contains(['\n', '"']);
        assert!(fits, "{what}: clients print a reason twice, JSON-escaped, so it is one line without quotes: {refusal:?}");
        refusal
    }

    fn assert_nothing_written(self) {
        assert_eq!(fingerprint(&self.lab.dir().join("db")), self.before, "something was written");
        let log = self.lab.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_prove_nothing_are_refused_with_the_reason() {
    const SENTENCE: &str = "There was an error processing the identity token: ";
    let lab = Untouched::new().await;
    let issuer = lab.lab.env().get("CHANCERY_OIDC_ISSUER").to_owned();
    let good = lab.token(&json!({}));
    let stranger = TokenKey::rs256("stranger");
    let claims = integration::ca::claims(&good);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = good.rsplit_once('.').unwrap().1;
    let header = good.split('.').next().unwrap();
    let cases: Vec<(&str, String, &str, Vec<&str>)> = vec![
        (
            "wrong audience",
            lab.token(&json!({"aud": "my-service"})),
            "token_audience",
            vec!["my-service", "expected sigstore", &issuer],
        ),
        ("no audience", lab.token(&json!({"aud": null})), "token_audience", vec!["expected sigstore"]),
        ("expired", lab.token(&json!({"exp": 1_700_000_000})), "token_expired", vec!["2023-11-14T22:13:20Z"]),
        (
            "not yet valid",
            lab.token(&json!({"nbf": 4_000_000_000_u64, "exp": 4_000_000_600_u64})),
            "token_not_yet_valid",
            vec!["2096-10-02T07:06:40Z"],
        ),
        (
            "unknown issuer",
            lab.token(&json!({"iss": "https://elsewhere.example"})),
            "token_issuer",
            vec!["https://elsewhere.example", &issuer],
        ),
        ("issuer with a slash", lab.token(&json!({"iss": format!("{issuer}/")})), "token_issuer", vec![]),
        ("address not verified", lab.token(&json!({"email_verified": false})), "email_unverified", vec![EMAIL]),
        ("no address", lab.token(&json!({"email": null})), "token_claim", vec!["email"]),
        ("alg none", format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims)), "token_algorithm", vec!["none"]),
        (
            "alg none with a signature",
            format!("{}.{}.{signature}", part(&json!({"alg": "none"})), part(&claims)),
            "token_algorithm",
            vec![],
        ),
        ("a stranger's key", stranger.mint(&claims), "token_key", vec![]),
        (
            "altered claims",
            format!("{header}.{}.{signature}", part(&changed(&claims, "email", "eve@corp.example"))),
            "token_signature",
            vec![],
        ),
        ("two parts", "a.b".to_owned(), "token_malformed", vec![]),
        ("many dots", ".".repeat(200_000), "token_", vec![]),
        ("no token", String::new(), "token_missing", vec![]),
    ];
    for (what, token, code, words) in cases {
        let refusal = lab.refusal(what, &request(&token, &new_key(), EMAIL.as_bytes())).await;
        assert_eq!((refusal.status, refusal.code), (400, 3), "{what}: {refusal:?}");
        assert!(refusal.message.starts_with(SENTENCE) && refusal.message.contains(&format!("[{code}")), "{what}: {refusal:?}");
        for word in words {
            assert!(refusal.message.contains(word), "{what}: {word} is missing: {refusal:?}");
        }
        assert!(token.len() < 20 || !refusal.message.contains(&token), "{what}: the token is echoed");
    }
    lab.assert_nothing_written();
}

fn changed(claims: &Value, name: &str, value: &str) -> Value {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_proofs_that_do_not_fit_are_refused_with_the_reason() {
    let lab = Untouched::new().await;
    let token = lab.token(&json!({}));
    let with_key = |content: &str| {
        let mut request = request(&token, &new_key(), EMAIL.as_bytes());
        request["publicKeyRequest"]["publicKey"]["content"] = content.into();
        request
    };
    let mut foreign = request(&token, &new_key(), EMAIL.as_bytes());
    foreign["publicKeyRequest"]["proofOfPossession"] =
        request(&token, &new_key(), EMAIL.as_bytes())["publicKeyRequest"]["proofOfPossession"].clone();
    let mut both = request(&token, &new_key(), EMAIL.as_bytes());
    both["certificateSigningRequest"] = STANDARD.encode("-----BEGIN CERTIFICATE REQUEST-----").into();
    let cases = [
        (
            "proof over another name",
            request(&token, &new_key(), b"eve@corp.example"),
            "[proof_invalid]",
            "The signature supplied in the request could not be verified",
        ),
        ("another key's proof", foreign, "[proof_invalid]", "The signature supplied in the request could not be verified"),
        (
            "no key",
            json!({"credentials": {"oidcIdentityToken": token}}),
            "[key_missing]",
            "The public key supplied in the request could not be parsed",
        ),
        ("no PEM", with_key("nonsense"), "[key_unparsable]", "The public key supplied in the request could not be parsed"),
        (
            "no DER",
            with_key(&pem("PUBLIC KEY", b"nonsense")),
            "[key_unparsable]",
            "The public key supplied in the request could not be parsed",
        ),
        (
            "RSA of 1024 bits",
            with_key(&weak_key(&["rsa_keygen_bits:1024"], "RSA")),
            "[key_insecure]",
            "The public key supplied in the request is insecure",
        ),
        ("P-224", with_key(&weak_key(&["ec_paramgen_curve:P-224"], "EC")), "[key_", "The public key supplied in the request"),
        (
            "a request that is none",
            json!({"credentials": {"oidcIdentityToken": token}, "certificateSigningRequest": STANDARD.encode("nonsense")}),
            "[csr_unparsable]",
            "The certificate signing request could not be parsed",
        ),
        ("both kinds of request", both, "[request_two_keys]", ""),
    ];
    for (what, request, code, sentence) in cases {
        let refusal = lab.refusal(what, &request).await;
        assert_eq!((refusal.status, refusal.code), (400, 3), "{what}: {refusal:?}");
        assert!(refusal.message.starts_with(sentence) && refusal.message.contains(code), "{what}: {refusal:?}");
    }
    lab.assert_nothing_written();
}

/// A public key that nobody should use, as openssl makes it.
fn weak_key(options: &[&str], algorithm: &str) -> String {
    let openssl = Client::openssl();
    let mut arguments = vec!["genpkey", "-algorithm", algorithm, "-out", "key.pem"];
    options.iter().for_each(|option| arguments.extend(["-pkeyopt", option]));
    openssl.run(arguments).ok();
    openssl.run(["pkey", "-in", "key.pem", "-pubout"]).ok().stdout
}

/// One request that no service takes.
struct Bad {
    what: &'static str,
    service: &'static str,
    path: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    status: u16,
    says: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_oversized_bodies_are_answered_as_each_contract_says() {
    const FULCIO: &str = "CHANCERY_FULCIO_URL";
    const CTLOG: &str = "CHANCERY_CTLOG_URL";
    const REKOR: &str = "CHANCERY_REKOR_URL";
    const TSA: &str = "CHANCERY_TSA_URL";
    const JSON: &str = "application/json";
    const QUERY: &str = "application/timestamp-query";
    const CERT: &str = "/api/v2/signingCert";
    const CERT_V1: &str = "/api/v1/signingCert";
    const ENTRIES: &str = "/api/v2/log/entries";
    const CHAIN: &str = "/ct/v1/add-chain";
    const PRE_CHAIN: &str = "/ct/v1/add-pre-chain";
    const TIMESTAMP: &str = "/api/v1/timestamp";
    let lab = Untouched::new().await;
    let bad = |what, service, path, content_type, body: &[u8], status, says| Bad {
        what,
        service,
        path,
        content_type,
        body: body.to_vec(),
        status,
        says,
    };
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let dsse = json!({"dsseRequestV002": {"envelope": {}, "verifiers": []}}).to_string();
    let chain = |der: &[u8]| json!({"chain": [STANDARD.encode(der)]}).to_string().into_bytes();
    let mut entry = Entry::random().request;
    entry["hashedRekordRequestV002"]["digest"] = STANDARD.encode([7; 32]).into();
    let mut unknown = Entry::random().request;
    unknown["surprise"] = 1.into();
    let cases = [
        bad("no JSON", FULCIO, CERT, JSON, b"{", 400, "[request_not_json]"),
        bad("no object", FULCIO, CERT, JSON, b"[]", 400, ""),
        bad("deep nesting", FULCIO, CERT, JSON, &deep, 400, ""),
        bad("no UTF-8", FULCIO, CERT, JSON, b"{\"a\":\"\xff\"}", 400, ""),
        bad("nothing", FULCIO, CERT, JSON, b"", 400, "There was an error processing the identity token"),
        bad("no JSON", FULCIO, CERT_V1, JSON, b"{", 400, ""),
        bad("nothing", FULCIO, CERT_V1, JSON, b"", 400, ""),
        bad("no JSON", REKOR, ENTRIES, JSON, b"{", 400, "[entry_json]"),
        bad("nothing", REKOR, ENTRIES, JSON, b"", 400, "["),
        bad("no entry", REKOR, ENTRIES, JSON, b"{}", 400, "[entry_type]"),
        bad("deep nesting", REKOR, ENTRIES, JSON, &deep, 400, "["),
        bad("an entry of older clients", REKOR, ENTRIES, JSON, dsse.as_bytes(), 400, "[entry_dsse]"),
        bad("an unknown member", REKOR, ENTRIES, JSON, unknown.to_string().as_bytes(), 400, "surprise"),
        bad("another digest", REKOR, ENTRIES, JSON, entry.to_string().as_bytes(), 400, "[entry_signature]"),
        bad("oversized", REKOR, ENTRIES, JSON, &vec![b' '; (4 << 20) + 1], 400, "large"),
        bad("no JSON", CTLOG, CHAIN, JSON, b"{", 400, ""),
        bad("no chain", CTLOG, PRE_CHAIN, JSON, b"{}", 400, ""),
        bad("an empty chain", CTLOG, PRE_CHAIN, JSON, b"{\"chain\":[]}", 400, ""),
        bad("no base64", CTLOG, CHAIN, JSON, b"{\"chain\":[\"*\"]}", 400, ""),
        bad("no certificate", CTLOG, CHAIN, JSON, &chain(b"nonsense"), 400, ""),
        bad("a bottomless certificate", CTLOG, CHAIN, JSON, &chain(&[0x30, 0x80].repeat(5_000)), 400, ""),
        bad("oversized", CTLOG, CHAIN, JSON, &vec![b' '; 1 << 20], 413, ""),
        bad("no DER", TSA, TIMESTAMP, QUERY, b"nonsense", 400, ""),
        bad("nothing", TSA, TIMESTAMP, QUERY, b"", 400, ""),
        bad("a bottomless request", TSA, TIMESTAMP, QUERY, &[0x30, 0x80].repeat(5_000), 400, ""),
        bad("no JSON", TSA, TIMESTAMP, JSON, b"{", 400, ""),
        bad("oversized JSON", TSA, TIMESTAMP, JSON, &vec![b' '; 1_025], 400, "too large"),
        bad("oversized", TSA, TIMESTAMP, QUERY, &vec![0; (1 << 20) + 1], 400, ""),
        bad("plain text", TSA, TIMESTAMP, "text/plain", b"hello", 415, ""),
    ];
    let http = testkit::http(&[]);
    for Bad { what, service, path, content_type, body, status, says } in cases {
        let url = lab.lab.env().url(service, path);
        let large = body.len() > 100_000;
        let answer = match http.post(url).header("content-type", content_type).body(body).send().await {
            Ok(answer) => answer,
            // The server may close while the rest is still being sent: then no client sees the answer.
            Err(_) if large => continue,
            Err(error) => panic!("{path}, {what}: {error}"),
        };
        let found = answer.status();
        let text = String::from_utf8_lossy(&answer.bytes().await.unwrap_or_default()).into_owned();
        assert_eq!(found, status, "{path}, {what}: {text}");
        assert!(text.contains(says), "{path}, {what}: {says} is missing in {text}");
    }
    lab.assert_nothing_written();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_signing_request_is_refused() {
    let lab = Untouched::new().await;
    let mut request = request(&lab.token(&json!({})), &new_key(), EMAIL.as_bytes()).to_string();
    request.insert_str(1, &" ".repeat(4 << 20));
    let url = lab.lab.env().url("CHANCERY_FULCIO_URL", "/api/v2/signingCert");
    if let Ok(answer) = testkit::http(&[]).post(url).body(request).send().await {
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains("request body too large"));
    }
    lab.assert_nothing_written();
}

/// The same entry twice is one entry: a retry after a lost answer gets the first one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_answered_with_the_entry_that_is_there() {
    let lab = Chancery::lab().await;
    let log = Log::of(lab.env());
    let entry = Entry::random();
    let first = log.append(&entry).await.unwrap();
    let between = log.append(&Entry::random()).await.unwrap();
    let again = log.append(&entry).await.unwrap();
    assert_eq!((again.index, again.body), (first.index, first.body));
    assert_eq!(log.head().await.size, between.index + 1);
}
