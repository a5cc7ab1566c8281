use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bundle::{InclusionProof, KindVersion, LogId};
use keys::{FileKey, Signer as _};
use pki::{KeyKind, PublicKey};
use rcgen::{CertificateParams, Issuer, KeyPair, SubjectPublicKeyInfo};

use super::*;
use crate::content::Content;

const TIME: i64 = 1_795_000_000;

/// Strict doubles of the three services, under one address: what does not follow the protocol is answered 400.
struct Doubles {
    authority: Issuer<'static, KeyPair>,
    stamp: FileKey,
    stamp_certificate: Vec<u8>,
}

impl Doubles {
    async fn start() -> String {
        let stamp = FileKey::generate(KeyKind::P256).unwrap();
        let authority = Issuer::new(CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap());
        let stamp_certificate = certificate(&authority, stamp.public_key());
        let doubles = Arc::new(Self { authority, stamp, stamp_certificate });
        let routes = Router::new()
            .route("/api/v2/signingCert", post(signing_cert))
            .route("/api/v1/timestamp", post(timestamp))
            .route("/api/v2/log/entries", post(log_entry));
        serve(routes.with_state(doubles)).await
    }
}

async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

fn certificate(authority: &Issuer<'_, KeyPair>, key: &PublicKey) -> Vec<u8> {
    let key = SubjectPublicKeyInfo::from_der(key.spki_der()).unwrap();
    CertificateParams::new([]).unwrap().signed_by(&key, authority).unwrap().der().to_vec()
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap_or("none")).unwrap_or_default()
}

async fn signing_cert(State(doubles): State<Arc<Doubles>>, headers: HeaderMap, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let request = &body["publicKeyRequest"];
    let key = PublicKey::from_pem(request["publicKey"]["content"].as_str().unwrap()).unwrap();
    key.verify(b"a@b.c", &decoded(&request["proofOfPossession"])).map_err(|_| StatusCode::BAD_REQUEST)?;
    if request["publicKey"]["algorithm"] != "ECDSA" || headers["authorization"] != format!("Bearer {}", token_text()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let leaf = Certificate::from_der(&certificate(&doubles.authority, &key)).unwrap().to_pem();
    let chain = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [leaf, "the rest is not read"] } } });
    Ok(chain.to_string().into_bytes())
}

async fn timestamp(State(doubles): State<Arc<Doubles>>, headers: HeaderMap, body: Bytes) -> Result<Vec<u8>, StatusCode> {
    let query = tsp::Request::from_der(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    if headers["content-type"] != "application/timestamp-query" || query.nonce().is_some() || query.wants_certificates() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let time = tsp::GenTime::at(Timestamp::from_second(TIME).unwrap()).unwrap();
    let template = tsp::TokenTemplate::new(&doubles.stamp_certificate, &[]).unwrap();
    let draft = template.draft(&query, tsp::PolicyId::SIGSTORE, tsp::Serial::from_random([7; 20]), time);
    let signature = doubles.stamp.sign(draft.to_be_signed()).await.unwrap();
    Ok(draft.finish(&signature))
}

async fn log_entry(body: Bytes) -> Result<(StatusCode, Vec<u8>), StatusCode> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let request = &body["hashedRekordRequestV002"];
    let verifier = &request["signature"]["verifier"];
    let certificate = Certificate::from_der(&decoded(&verifier["x509Certificate"]["rawBytes"])).unwrap();
    let (digest, signature) = (decoded(&request["digest"]), decoded(&request["signature"]["content"]));
    let verified = certificate.public_key().verify_digest(pki::HashAlgorithm::Sha256, &digest, &signature);
    if verified.is_err() || verifier["keyDetails"] != "PKIX_ECDSA_P256_SHA_256" {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok((StatusCode::CREATED, entry().to_json()))
}

fn entry() -> TransparencyLogEntry {
    let proof = InclusionProof {
        log_index: 2,
        root_hash: vec![1; 32].into(),
        tree_size: 3,
        hashes: vec![],
        checkpoint: bundle::Checkpoint { envelope: "log.test\n3\n".into() },
    };
    TransparencyLogEntry {
        log_index: 2,
        log_id: LogId { key_id: vec![2; 32].into() },
        kind_version: KindVersion { kind: "hashedrekord".into(), version: "0.0.2".into() },
        integrated_time: 0,
        inclusion_promise: None,
        inclusion_proof: Some(proof),
        canonicalized_body: b"{}".to_vec().into(),
    }
}

fn token_text() -> String {
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"sub":"u","email":"a@b.c","email_verified":true}"#))
}

fn keyless(url: &str) -> Keyless {
    let endpoints = Endpoints { fulcio: url.into(), rekor: url.into(), tsa: format!("{url}/api/v1/timestamp") };
    Keyless::new(testkit::http(&[]), endpoints)
}

#[tokio::test]
async fn every_step_asks_as_the_released_clients_do() {
    let keyless = keyless(&Doubles::start().await);
    let (key, token) = (EphemeralKey::generate().unwrap(), IdentityToken::parse(&token_text()).unwrap());
    for content in [Content::Message(b"hello".to_vec()), Content::in_toto(&json!({ "_type": "x" }))] {
        let signed = key.sign(content).await.unwrap();
        let certificate = keyless.certify(&token, &key).await.unwrap();
        let timestamp = keyless.timestamp(&signed).await.unwrap();
        assert_eq!(timestamp.time.as_second(), TIME);
        let logged = keyless.log(&signed, &certificate).await.unwrap();
        assert_eq!(logged.0, entry());
        let bundle: Value = serde_json::from_slice(&assemble(signed, &certificate, timestamp, logged).to_json()).unwrap();
        let material = &bundle["verificationMaterial"];
        assert_eq!(decoded(&material["certificate"]["rawBytes"]), certificate.der());
        assert_eq!(material["tlogEntries"][0]["logIndex"], "2");
        assert!(material["timestampVerificationData"]["rfc3161Timestamps"][0]["signedTimestamp"].is_string());
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let refuse =
        async || (StatusCode::BAD_REQUEST, r#"{"code":3,"message":"[token_audience] audience is x, expected sigstore"}"#);
    let keyless = keyless(&serve(Router::new().fallback(refuse)).await);
    let (key, token) = (EphemeralKey::generate().unwrap(), IdentityToken::parse(&token_text()).unwrap());
    let error = keyless.certify(&token, &key).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the certificate authority refused with status 400: [token_audience] audience is x, expected sigstore"
    );
    let signed = key.sign(Content::Message(vec![])).await.unwrap();
    assert!(matches!(
        keyless.timestamp(&signed).await.unwrap_err(),
        SignError::Refused { service: Service::Tsa, status: 400, .. }
    ));
}

#[tokio::test]
async fn a_timestamp_that_is_not_granted_is_a_refusal() {
    let refuse = async || tsp::refusal(tsp::FailureInfo::BadAlg, "no such digest");
    let keyless = keyless(&serve(Router::new().fallback(refuse)).await);
    let signed = EphemeralKey::generate().unwrap().sign(Content::Message(vec![])).await.unwrap();
    let text = keyless.timestamp(&signed).await.unwrap_err().to_string();
    assert!(text.contains("the timestamp authority") && text.contains("no such digest"), "{text}");
}

#[tokio::test]
async fn an_answer_for_something_else_is_not_taken() {
    let keyless = keyless(&Doubles::start().await);
    let (key, token) = (EphemeralKey::generate().unwrap(), IdentityToken::parse(&token_text()).unwrap());
    let certificate = keyless.certify(&token, &key).await.unwrap().to_pem();
    let signed = key.sign(Content::Message(b"one".to_vec())).await.unwrap();
    let stamp = keyless.timestamp(&signed).await.unwrap().response;
    let chain = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [certificate] } } }).to_string();

    let replay =
        Router::new().route("/api/v2/signingCert", post(async || chain)).route("/api/v1/timestamp", post(async || stamp));
    let replaying = self::keyless(&serve(replay).await);
    let other = EphemeralKey::generate().unwrap();
    let text = replaying.certify(&token, &other).await.unwrap_err().to_string();
    assert!(text.contains("the certificate is for another key"), "{text}");
    let other = other.sign(Content::Message(b"two".to_vec())).await.unwrap();
    let text = replaying.timestamp(&other).await.unwrap_err().to_string();
    assert!(text.contains("over another digest"), "{text}");
}

#[tokio::test]
async fn answers_are_bounded_and_read_strictly() {
    let signed = EphemeralKey::generate().unwrap().sign(Content::Message(vec![])).await.unwrap();
    let endless = keyless(&serve(Router::new().fallback(async || vec![b'x'; ANSWER_LIMIT + 1])).await);
    let text = endless.timestamp(&signed).await.unwrap_err().to_string();
    assert!(text.contains("larger than 1048576 bytes"), "{text}");
    let nonsense = keyless(&serve(Router::new().fallback(async || "{}")).await);
    assert!(matches!(nonsense.timestamp(&signed).await.unwrap_err(), SignError::Answer { service: Service::Tsa, .. }));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let signed = EphemeralKey::generate().unwrap().sign(Content::Message(vec![])).await.unwrap();
    let text = keyless(&url).timestamp(&signed).await.unwrap_err().to_string();
    assert_eq!(text, format!("the timestamp authority at {url}/api/v1/timestamp did not answer"));
}

#[test]
fn the_servers_own_reason_is_kept() {
    assert_eq!(reason(br#"{"code":3,"message":"[x] no\nthanks"}"#), "[x] no thanks");
    assert_eq!(reason(b"<html>\n gone"), "<html> gone");
}
