//! The `tsa` section of the configuration.

use chassis::config::{FilePath, ListenConfig};
use serde::{Deserialize, Serialize};
use tsp::PolicyId;

/// What a timestamp authority is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL clients use, without a path. It is baked into the trust root and the signing configuration.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The signing key, PKCS#8 PEM: ECDSA P-256 (the fastest), ECDSA P-384 or RSA.
    pub key: FilePath,
    /// The certificate chain, PEM: the key's certificate first, the self-signed root last.
    pub certificate_chain: FilePath,
    /// The policy of tokens whose request names none.
    #[serde(default = "default_policy_oid")]
    pub default_policy_oid: PolicyId,
    /// Policies a request may name, besides the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_policy_oids: Vec<PolicyId>,
    /// Whether tokens that are asked for certificates carry the whole chain instead of the signing certificate alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub include_chain_in_response: bool,
    /// Whether intermediate certificates must carry the extended key usage timeStamping, as most verifiers want.
    #[serde(default = "enforce_intermediate_eku")]
    pub enforce_intermediate_eku: bool,
    /// The largest request body in bytes.
    #[serde(default = "max_request_body_size")]
    pub max_request_body_size: usize,
}

fn default_policy_oid() -> PolicyId {
    PolicyId::SIGSTORE
}

fn enforce_intermediate_eku() -> bool {
    true
}

fn max_request_body_size() -> usize {
    1 << 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_must_be_said() {
        let json =
            r#"{"public_url":"https://tsa.example","http":{"listen":["127.0.0.1:3004"]},"key":"k","certificate_chain":"c"}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert_eq!(config.default_policy_oid.to_string(), "1.3.6.1.4.1.57264.2");
        assert_eq!(config.max_request_body_size, 1_048_576);
        assert!(config.enforce_intermediate_eku && !config.include_chain_in_response);
        let unknown = json.replace("\"key\"", "\"ke\"");
        assert!(serde_json::from_str::<Config>(&unknown).unwrap_err().to_string().contains("unknown field `ke`"));
        let policy = json.replace("\"key\"", r#""default_policy_oid":"1.x","key""#);
        assert!(serde_json::from_str::<Config>(&policy).unwrap_err().to_string().contains("dotted form"));
    }
}
