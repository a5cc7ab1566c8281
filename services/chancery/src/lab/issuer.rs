//! The lab's identity provider: four issuers on one loopback listener, all with one RS256 key. It exists in the lab only.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{FileKey, SignError, Signer as _};
use serde_json::{Map, Value, json};

use super::identity::Issuer;

/// Mints tokens and answers discovery.
#[derive(Debug)]
pub(crate) struct LabIssuer {
    /// The listener's base URL, no trailing slash.
    base: String,
    key: FileKey,
}

impl LabIssuer {
    /// An issuer at `base` that signs with `key`, an RSA key.
    pub(crate) fn new(base: String, key: FileKey) -> Self {
        Self { base, key }
    }

    /// The base URL, which is also the e-mail issuer.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// A compact RS256 token over `claims`.
    ///
    /// # Errors
    /// The key cannot sign.
    pub(crate) async fn mint(&self, claims: &Map<String, Value>) -> Result<String, SignError> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id() });
        let part = |value: &str| URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", part(&header.to_string()), part(&Value::Object(claims.clone()).to_string()));
        let signature = self.key.sign(signed.as_bytes()).await?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Discovery and keys of all four issuers.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let mut router = Router::new();
        for issuer in Issuer::ALL {
            let discovery = format!("{}/.well-known/openid-configuration", issuer.path());
            let answer = move |State(lab): State<Arc<Self>>| async move { Json(lab.discovery(issuer)) };
            let keys = |State(lab): State<Arc<Self>>| async move { Json(lab.jwks()) };
            router = router.route(&discovery, get(answer)).route(&format!("{}/keys", issuer.path()), get(keys));
        }
        router.with_state(self)
    }

    fn discovery(&self, issuer: Issuer) -> Value {
        let url = issuer.url(&self.base);
        json!({
            "issuer": url,
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    fn jwks(&self) -> Value {
        let Some((modulus, exponent)) = self.key.public_key().rsa_numbers() else { return json!({ "keys": [] }) };
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id(), "n": number(&modulus), "e": number(&exponent),
        }] })
    }

    fn key_id(&self) -> String {
        self.key.public_key().short()
    }
}
