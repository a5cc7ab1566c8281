//! Configuration of the certificate authority, as `chancery.yaml` has it under `fulcio`.

use std::collections::BTreeMap;

use chassis::config::{Duration, FilePath, ListenConfig};
use serde::{Deserialize, Serialize};

use crate::identity::ExtensionField;

/// The certificate authority.
///
/// ```yaml
/// fulcio:
///   public_url: https://fulcio.corp.example
///   http: { listen: ["127.0.0.1:5555"] }
///   certificate_chain: trust/fulcio_chain.pem
///   key: keys/fulcio-intermediate.pem
///   database: db/fulcio.db
///   ct_log: { url: "http://127.0.0.1:6962", public_key: trust/ctfe.pub }
///   issuers:
///     - issuer_url: https://ghe.corp.example/_services/token
///       type: ci-provider
///       ci_provider: { template: ghes, url: "https://ghe.corp.example" }
///       ca_cert: /etc/chancery/ghe-ca.pem
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How clients reach this service. HTTP and gRPC share it, at the root of the host.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// PEM: the issuing certificate first, the root last.
    pub certificate_chain: FilePath,
    /// PEM (PKCS#8): the issuing certificate's private key.
    pub key: FilePath,
    /// The SQLite file that records what is signed before it is signed.
    pub database: FilePath,
    /// The certificate transparency log. There is no way to do without one: a certificate that is in no log can be made unseen.
    pub ct_log: CtLogConfig,
    /// How far before now a certificate begins, at most 60 s. Zero unless services run on several machines whose clocks differ:
    /// clients refuse a signature whose timestamp lies before its certificate.
    #[serde(default = "no_skew")]
    pub not_before_skew: Duration,
    /// The client keys that get certificates.
    #[serde(default = "default_algorithms")]
    pub client_signing_algorithms: Vec<ClientAlgorithm>,
    /// Whose tokens are accepted. An empty list is allowed and refuses everyone.
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    /// Templates for `ci-provider` issuers, by a name that `issuers[].ci_provider` refers to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ci_providers: BTreeMap<String, CiProviderConfig>,
}

/// The certificate transparency log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CtLogConfig {
    /// The submission prefix: `/ct/v1/add-pre-chain` is appended.
    pub url: String,
    /// PEM: the log's public key. What the log answers is verified with it before a certificate is made.
    pub public_key: FilePath,
    /// PEM: authorities to trust besides the machine's when calling the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<FilePath>,
}

/// One issuer of identity tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The `iss` of its tokens, byte for byte. A `*` stands for one or more letters, digits, `-` and `_`.
    pub issuer_url: String,
    /// The audience its tokens must have.
    #[serde(default = "default_client_id")]
    pub client_id: String,
    /// What its tokens say about their holder.
    #[serde(rename = "type")]
    pub kind: IssuerKind,
    /// For `ci-provider`: a name, or the templates themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci_provider: Option<CiProviderRef>,
    /// For `uri`: scheme and host that subjects must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_domain: Option<String>,
    /// PEM: authorities to trust besides the machine's when fetching this issuer's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<FilePath>,
    /// For `email`: take addresses that the issuer does not call verified. Sigstore's clients still refuse such tokens themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_email_verification: bool,
}

/// What an issuer's tokens say about their holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerKind {
    /// A person, by e-mail address.
    Email,
    /// A CI job, by templates.
    CiProvider,
    /// A Kubernetes service account.
    Kubernetes,
    /// Whatever `sub` names, if it is a URI of the right domain.
    Uri,
}

/// Templates, or their name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum CiProviderRef {
    /// A key of `ci_providers`, or `github`.
    Named(String),
    /// In place.
    Inline(CiProviderConfig),
}

/// How certificates are made from the claims of a CI system: a ready-made template, or one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CiProviderConfig {
    /// `github` (github.com), `ghes` (GitHub Enterprise Server) or `gitlab`. Name and extensions come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The server as people browse it, for `ghes` and `gitlab`: `https://ghe.corp.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Values that templates find besides the claims. A claim takes the place of an empty one; a token that contradicts one
    /// that is not empty is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<String, String>,
    /// The certificate's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_alternative_name: Option<String>,
    /// The certificate's extensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<ExtensionField, String>,
}

/// A kind of client key together with the hash it signs with, under upstream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum ClientAlgorithm {
    /// P-256 with SHA-256.
    #[serde(rename = "ecdsa-sha2-256-nistp256")]
    EcdsaP256Sha256,
    /// P-384 with SHA-384.
    #[serde(rename = "ecdsa-sha2-384-nistp384")]
    EcdsaP384Sha384,
    /// P-521 with SHA-512.
    #[serde(rename = "ecdsa-sha2-512-nistp521")]
    EcdsaP521Sha512,
    /// P-384 with SHA-256, in CSRs of older clients.
    #[serde(rename = "ecdsa-sha2-256-nistp384")]
    EcdsaP384Sha256,
    /// P-521 with SHA-256, likewise.
    #[serde(rename = "ecdsa-sha2-256-nistp521")]
    EcdsaP521Sha256,
    /// RSA of 2048 bits, PKCS#1 v1.5, SHA-256.
    #[serde(rename = "rsa-sign-pkcs1-2048-sha256")]
    Rsa2048Sha256,
    /// RSA of 3072 bits, likewise.
    #[serde(rename = "rsa-sign-pkcs1-3072-sha256")]
    Rsa3072Sha256,
    /// RSA of 4096 bits, likewise.
    #[serde(rename = "rsa-sign-pkcs1-4096-sha256")]
    Rsa4096Sha256,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl ClientAlgorithm {
    /// Upstream's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-sha2-256-nistp256",
            Self::EcdsaP384Sha384 => "ecdsa-sha2-384-nistp384",
            Self::EcdsaP521Sha512 => "ecdsa-sha2-512-nistp521",
            Self::EcdsaP384Sha256 => "ecdsa-sha2-256-nistp384",
            Self::EcdsaP521Sha256 => "ecdsa-sha2-256-nistp521",
            Self::Rsa2048Sha256 => "rsa-sign-pkcs1-2048-sha256",
            Self::Rsa3072Sha256 => "rsa-sign-pkcs1-3072-sha256",
            Self::Rsa4096Sha256 => "rsa-sign-pkcs1-4096-sha256",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// Upstream's default list.
#[must_use]
pub fn default_algorithms() -> Vec<ClientAlgorithm> {
    use ClientAlgorithm as A;
    vec![
        A::EcdsaP256Sha256,
        A::EcdsaP384Sha384,
        A::EcdsaP521Sha512,
        A::Rsa2048Sha256,
        A::Rsa3072Sha256,
        A::Rsa4096Sha256,
        A::Ed25519,
    ]
}

/// The audience that every Sigstore client asks for.
#[must_use]
pub fn default_client_id() -> String {
    "sigstore".into()
}

/// Certificates begin now.
#[must_use]
pub fn no_skew() -> Duration {
    Duration::from_secs(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ghes_takes_four_lines() {
        let issuer: IssuerConfig = serde_json::from_value(json!({
            "issuer_url": "https://ghe.corp/_services/token",
            "type": "ci-provider",
            "ci_provider": { "template": "ghes", "url": "https://ghe.corp" },
        }))
        .unwrap();
        assert_eq!(issuer.client_id, "sigstore");
        let Some(CiProviderRef::Inline(provider)) = issuer.ci_provider else { panic!("inline") };
        assert_eq!((provider.template.as_deref(), provider.url.as_deref()), (Some("ghes"), Some("https://ghe.corp")));
    }

    #[test]
    fn algorithms_are_spelled_as_upstream() {
        for algorithm in default_algorithms() {
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let issuer = |key: &str| json!({ "issuer_url": "https://x", "type": "email", key: "x" });
        assert!(serde_json::from_value::<IssuerConfig>(issuer("client_id")).is_ok());
        assert!(serde_json::from_value::<IssuerConfig>(issuer("clientId")).is_err());
        let provider = json!({ "extensions": { "build_signer_url": "x" } });
        assert!(serde_json::from_value::<CiProviderConfig>(provider).is_err());
    }
}
