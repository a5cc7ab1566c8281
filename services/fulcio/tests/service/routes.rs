//! Paths, methods, bodies, headers.

use axum::body::Body;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use tonic::Request;

use fulcio::proto::health::HealthCheckRequest;
use fulcio::proto::health::health_check_response::ServingStatus;
use fulcio::proto::health::health_client::HealthClient;

use crate::support::{EMAIL, Fixture, p256_request};

const GETS: [&str; 4] = ["/api/v2/trustBundle", "/api/v2/configuration", "/api/v1/rootCert", "/healthz"];
const POSTS: [&str; 2] = ["/api/v2/signingCert", "/api/v1/signingCert"];

#[tokio::test]
async fn one_method_each() {
    let f = Fixture::new().await;
    for path in GETS {
        assert_eq!(f.get(path).await.status, StatusCode::OK, "{path}");
    }
    for (paths, right) in [(&GETS[..], Method::GET), (&POSTS[..], Method::POST)] {
        for path in paths {
            for method in [Method::HEAD, Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
                if method == right {
                    continue;
                }
                let answer = f.send(method.clone(), path, &[], Body::empty()).await;
                assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED, "{method} {path}");
                if method != Method::HEAD {
                    assert_eq!(answer.refusal(501, 12), "Method Not Allowed");
                }
            }
        }
    }
}

#[tokio::test]
async fn unknown_paths() {
    let f = Fixture::new().await;
    for path in ["/", "/api/v2/signingCert/", "/api/v2", "/api/v2/signingcert", "/nope?x=//", "/api/%2e%2e/healthz"] {
        assert_eq!(f.get(path).await.refusal(404, 5), "Not Found", "{path}");
    }
    assert_eq!(f.get("//healthz").await.status, StatusCode::OK);
    let headers = [("content-type", "application/grpc")];
    let answer = f.send(Method::POST, "/dev.sigstore.fulcio.v1beta.CA/X", &headers, Body::empty()).await;
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (StatusCode::OK, &"12".parse().unwrap()));
}

/// sigstore-go with a base URL that ends in a slash.
#[tokio::test]
async fn doubled_slashes_collapse() {
    let f = Fixture::new().await;
    let bearer = format!("Bearer {}", f.email_token());
    for path in ["//api/v2/signingCert", "/api//v2///signingCert?x=y"] {
        let body = p256_request(EMAIL).await.to_string();
        f.send(Method::POST, path, &[("authorization", &bearer)], body).await.leaf();
    }
}

#[tokio::test]
async fn bodies() {
    let f = Fixture::new().await;
    let post = async |body: Body| f.send(Method::POST, "/api/v2/signingCert", &[], body).await;
    let padded = |length: usize| Body::from(format!("{{}}{}", " ".repeat(length - 2)));
    assert!(post(padded(4 << 20)).await.refusal(400, 3).contains("[token_missing]"));
    let answer = post(padded((4 << 20) + 1)).await;
    assert_eq!(answer.headers["connection"], "close");
    assert!(answer.refusal(400, 3).starts_with("http: request body too large: ["));
    for empty in ["", " ", "{}", "{}garbage"] {
        let message = post(Body::from(empty)).await.refusal(400, 3);
        assert!(message.starts_with("There was an error processing the identity token: [token_missing] "), "{message}");
    }
    for (body, code) in [
        ("{", "[request_not_json] "),
        ("[]", "[request_malformed] "),
        ("{\"credentials\":1}", "[request_malformed] "),
        ("{\"publicKeyRequest\":{},\"certificateSigningRequest\":\"\"}", "[request_two_keys] "),
    ] {
        let message = post(Body::from(body)).await.refusal(400, 3);
        assert!(message.starts_with(code), "{message}");
    }
    let answer = f.send(Method::POST, "/api/v1/signingCert", &[], "{}").await;
    assert!(answer.refusal(400, 3).starts_with("The public key supplied in the request could not be parsed: [key_missing] "));
}

/// The token of the body counts, then the header, with or without its scheme.
#[tokio::test]
async fn where_the_token_may_be() {
    let f = Fixture::new().await;
    let token = f.email_token();
    let mut body = p256_request(EMAIL).await;
    f.send(Method::POST, "/api/v2/signingCert", &[("authorization", &token)], body.to_string()).await.leaf();
    body["credentials"] = json!({ "oidcIdentityToken": token });
    f.send(Method::POST, "/api/v2/signingCert", &[("authorization", "Bearer rubbish")], body.to_string()).await.leaf();
    body["credentials"] = json!({ "oidc_identity_token": "rubbish" });
    f.sign(&token, &body).await.refusal(400, 3);
}

#[tokio::test]
async fn chains_are_spelled_as_clients_expect() {
    let f = Fixture::new().await;
    let bundle = f.get("/api/v2/trustBundle").await.json();
    let pems: Vec<&str> =
        bundle["chains"][0]["certificates"].as_array().unwrap().iter().map(|pem| pem.as_str().unwrap()).collect();
    assert_eq!((pems.len(), bundle["chains"].as_array().unwrap().len()), (2, 1));
    assert!(pems.iter().all(|pem| pem.ends_with("-----END CERTIFICATE-----\n")));
    let root = f.get("/api/v1/rootCert").await;
    assert_eq!(root.headers["content-type"], "application/pem-certificate-chain");
    assert_eq!(root.text(), pems.join("\n").trim_end());
    assert!(root.text().contains("-----END CERTIFICATE-----\n\n-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn the_configuration_is_told_without_secrets() {
    let f = Fixture::new().await;
    let configuration = f.get("/api/v2/configuration").await.json();
    assert_eq!(
        configuration["issuers"][1],
        json!({
            "issuerUrl": f.uri.url, "audience": "sigstore", "challengeClaim": "sub", "spiffeTrustDomain": "",
            "issuerType": "uri", "subjectDomain": "http://127.0.0.1", "skipEmailVerification": false,
        })
    );
    assert_eq!(configuration["issuers"][0]["challengeClaim"], "email");
    assert_eq!(configuration["issuers"][4]["issuerType"], "ci-provider");
    assert_eq!(f.get("/healthz?service=x").await.json(), json!({ "status": "SERVING" }));
}

/// One message of 4 MiB at most, as grpc-go; a longer body is not read to its end.
#[tokio::test]
async fn grpc_bodies_are_bounded() {
    let f = Fixture::new().await;
    let body =
        axum::body::Body::from_stream(futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![0; 1 << 20]))));
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = f.send(Method::POST, "/dev.sigstore.fulcio.v2.CA/CreateSigningCertificate", &headers, body).await;
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (StatusCode::OK, &"8".parse().unwrap()));
}

#[tokio::test]
async fn grpc_health() {
    let f = Fixture::new().await;
    let mut client = HealthClient::new(f.router());
    let status = client.check(Request::new(HealthCheckRequest::default())).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);
}

/// Any origin, three methods, three headers; `Authorization` is not among them.
#[tokio::test]
async fn cross_origin_requests() {
    let f = Fixture::new().await;
    let preflight = async |method: &str, names: &str| {
        let headers =
            [("origin", "https://x"), ("access-control-request-method", method), ("access-control-request-headers", names)];
        let answer = f.send(Method::OPTIONS, "/api/v2/signingCert", &headers, Body::empty()).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NO_CONTENT, 0));
        answer.headers
    };
    let allowed = |headers: &HeaderMap| headers.get("access-control-allow-origin").is_some_and(|value| value == "*");
    let headers = preflight("POST", "content-type, x-requested-with").await;
    assert!(allowed(&headers));
    assert_eq!(headers["access-control-allow-methods"], "POST");
    assert!(!headers.contains_key("access-control-allow-credentials"));
    assert!(!allowed(&preflight("POST", "authorization").await));
    assert!(!allowed(&preflight("POST", "content-type,authorization").await));
    assert!(!allowed(&preflight("PUT", "").await));
    let answer = f.send(Method::GET, "/healthz", &[("origin", "https://x")], Body::empty()).await;
    assert!(allowed(&answer.headers));
    assert!(!f.get("/healthz").await.headers.contains_key("access-control-allow-origin"));
    // Refusals can be read by a page, too.
    let answer = f.send(Method::POST, "/api/v2/signingCert", &[("origin", "https://x")], "{}").await;
    assert!(answer.status == StatusCode::BAD_REQUEST && allowed(&answer.headers));
}
