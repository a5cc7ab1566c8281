//! Signatures and attestations as cosign 2 attaches them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A layer of a `.sig` or `.att` manifest.
#[derive(Debug, Clone)]
pub struct LegacyLayer {
    /// The layer.
    pub content: Vec<u8>,
    /// What stands at its descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// The annotation with the signature, in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation with the certificate, in PEM.
pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// The annotation with those above the certificate, in PEM.
pub const CHAIN: &str = "dev.sigstore.cosign/chain";
/// The annotation with the log entry.
pub const ENTRY: &str = "dev.sigstore.cosign/bundle";
/// The annotation with the timestamp.
pub const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

impl LegacyLayer {
    /// An annotation; empty where it is missing.
    #[must_use]
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// With an annotation changed, which is JSON.
    #[must_use]
    pub fn changed(&self, name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut value: Value = serde_json::from_str(self.annotation(name)).unwrap();
        change(&mut value);
        self.with(name, &value.to_string())
    }

    /// With another annotation, or none where it is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut layer = self.clone();
        layer.annotations.remove(name);
        if !value.is_empty() {
            layer.annotations.insert(name.to_owned(), value.to_owned());
        }
        layer
    }
}

/// What cosign 2 signs in the place of an image with this digest, `sha256:HEX`.
#[must_use]
pub fn simple_signing(digest: impl std::fmt::Display) -> Vec<u8> {
    let document = json!({
        "critical": {
            "identity": {"docker-reference": "registry.example/app"},
            "image": {"docker-manifest-digest": digest.to_string()},
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    document.to_string().into_bytes()
}
