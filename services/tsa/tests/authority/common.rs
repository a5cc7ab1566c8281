//! A throwaway certificate chain, good unless a test spoils it, and an authority over it.

use std::path::Path;
use std::sync::Arc;

use ::http::{Request, StatusCode, header};
use axum::body::Body;
use chassis::config::{FilePath, ListenConfig};
use clock::{Clock, SystemClock};
use http_body_util::BodyExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tower::ServiceExt as _;
use tsa::{Config, Tsa};

/// What a test may spoil. Lists of extensions are DER contents of `extnValue`.
pub(crate) struct Chain {
    pub(crate) algorithm: &'static rcgen::SignatureAlgorithm,
    /// Intermediates between leaf and root.
    pub(crate) intermediates: usize,
    /// Whether intermediates name timeStamping.
    pub(crate) intermediate_purpose: bool,
    pub(crate) leaf_name: String,
    /// basicConstraints, keyUsage, extendedKeyUsage with its criticality.
    pub(crate) basic_constraints: Option<Vec<u8>>,
    pub(crate) key_usage: Option<Vec<u8>>,
    pub(crate) purposes: Option<(Vec<u8>, bool)>,
    pub(crate) leaf_days: (i64, i64),
}

pub(crate) const TIME_STAMPING: [u8; 12] = [0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];

impl Default for Chain {
    fn default() -> Self {
        Self {
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            intermediates: 0,
            intermediate_purpose: true,
            leaf_name: "tsa".into(),
            basic_constraints: Some(vec![0x30, 0]),
            key_usage: Some(vec![3, 2, 7, 0x80]),
            purposes: Some((TIME_STAMPING.to_vec(), true)),
            leaf_days: (-1, 3650),
        }
    }
}

/// PEM texts of a chain, leaf first, and the leaf's key.
pub(crate) struct Pems {
    pub(crate) certificates: Vec<String>,
    pub(crate) key: String,
}

impl Pems {
    pub(crate) fn chain(&self) -> String {
        self.certificates.concat()
    }

    pub(crate) fn root(&self) -> &str {
        self.certificates.last().unwrap()
    }
}

impl Chain {
    pub(crate) fn build(&self) -> Pems {
        let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut issuer_key = key();
        let mut issuer = ca("root");
        let mut certificates = vec![issuer.self_signed(&issuer_key).unwrap().pem()];
        for number in 0..self.intermediates {
            let mut params = ca(&format!("intermediate {number}"));
            if self.intermediate_purpose {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
            }
            let key = key();
            certificates.push(params.signed_by(&key, &Issuer::from_params(&issuer, &issuer_key)).unwrap().pem());
            (issuer, issuer_key) = (params, key);
        }
        let leaf_key = KeyPair::generate_for(self.algorithm).unwrap();
        let leaf = self.leaf().signed_by(&leaf_key, &Issuer::from_params(&issuer, &issuer_key)).unwrap();
        certificates.push(leaf.pem());
        certificates.reverse();
        Pems { certificates, key: leaf_key.serialize_pem() }
    }

    fn leaf(&self) -> CertificateParams {
        let mut params = params(&self.leaf_name, self.leaf_days);
        let extensions = [
            (19, self.basic_constraints.as_ref().map(|value| (value.clone(), true))),
            (15, self.key_usage.as_ref().map(|value| (value.clone(), true))),
            (37, self.purposes.clone()),
        ];
        for (arc, extension) in extensions {
            if let Some((value, critical)) = extension {
                let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, arc], value);
                extension.set_criticality(critical);
                params.custom_extensions.push(extension);
            }
        }
        params
    }
}

fn params(name: &str, (from, to): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() + Duration::days(from);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(to);
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = params(name, (-2, 3660));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Files of a chain as `init` leaves them, and their configuration.
pub(crate) fn configure(folder: &Path, pems: &Pems) -> Config {
    std::fs::write(folder.join("tsa.pem"), &pems.key).unwrap();
    std::fs::write(folder.join("chain.pem"), pems.chain()).unwrap();
    let json = serde_json::json!({
        "public_url": "http://127.0.0.1:3004",
        "http": ListenConfig::loopback(0),
        "key": FilePath::from(folder.join("tsa.pem")),
        "certificate_chain": FilePath::from(folder.join("chain.pem")),
    });
    serde_json::from_value(json).unwrap()
}

pub(crate) async fn authority(pems: &Pems) -> Tsa {
    authority_at(pems, Arc::new(SystemClock), |_| {}).await
}

pub(crate) async fn authority_at(pems: &Pems, clock: Arc<dyn Clock>, change: impl FnOnce(&mut Config)) -> Tsa {
    let folder = tempfile::tempdir().unwrap();
    let mut config = configure(folder.path(), pems);
    change(&mut config);
    tsa::open(&config, clock).await.unwrap()
}

/// A response, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: ::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The token of a response that must be granted.
    pub(crate) fn token(&self) -> tsp::Token {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        match tsp::Response::from_der(&self.body).unwrap() {
            tsp::Response::Granted(token) => token,
            tsp::Response::Refused(refused) => panic!("{refused}"),
        }
    }

    /// The refusal of a response to a timestamp-query.
    pub(crate) fn refused(&self) -> tsp::Refused {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/timestamp-reply");
        match tsp::Response::from_der(&self.body).unwrap() {
            tsp::Response::Refused(refused) => refused,
            tsp::Response::Granted(_) => panic!("granted"),
        }
    }
}

pub(crate) async fn send(tsa: &Tsa, request: Request<Body>) -> Answer {
    let response = tsa.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
}

pub(crate) async fn post(tsa: &Tsa, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/api/v1/timestamp").header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap();
    send(tsa, request).await
}

pub(crate) async fn query(tsa: &Tsa, body: impl Into<Body>) -> Answer {
    post(tsa, "application/timestamp-query", body).await
}
