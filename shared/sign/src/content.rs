//! What is signed, and the key that signs it once.

use aws_lc_rs::digest::{SHA256, digest};
use bundle::HashAlgorithm;
use keys::{FileKey, Signer as _};
use pki::{KeyKind, PublicKey};
use serde_json::{Value, json};

use crate::error::SignError;

/// The media type of in-toto statements.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What a signature speaks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The bytes of an artifact.
    Message(Vec<u8>),
    /// A DSSE envelope around `payload`.
    Dsse {
        /// Media type of the payload.
        payload_type: String,
        /// The payload's bytes.
        payload: Vec<u8>,
    },
}

impl Content {
    /// An in-toto statement in a DSSE envelope; see [`statement`].
    #[must_use]
    pub fn in_toto(statement: &Value) -> Self {
        Self::Dsse { payload_type: IN_TOTO.to_owned(), payload: statement.to_string().into_bytes() }
    }

    /// The bytes that the signature is over: the message itself, or the pre-authentication encoding of DSSE v1.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        match self {
            Self::Message(message) => message.clone(),
            Self::Dsse { payload_type, payload } => {
                let mut encoding = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
                encoding.extend_from_slice(payload);
                encoding
            }
        }
    }
}

/// An in-toto statement v1 about one artifact by its SHA-256, `digest` in hex. An image's subject has no name.
#[must_use]
pub fn statement(name: Option<&str>, digest: &str, predicate_type: &str, predicate: &Value) -> Value {
    let mut subject = json!({ "digest": { "sha256": digest } });
    if let Some(name) = name {
        subject["name"] = name.into();
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}

/// A P-256 key that lives for one certificate.
#[derive(Debug)]
pub struct EphemeralKey(FileKey);

impl EphemeralKey {
    /// A new key.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate() -> Result<Self, SignError> {
        FileKey::generate(KeyKind::P256).map(Self).map_err(|error| SignError::Key(error.into()))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// Signs `content`.
    ///
    /// # Errors
    /// [`SignError::Key`].
    pub async fn sign(&self, content: Content) -> Result<Signed, SignError> {
        let message = content.to_be_signed();
        let signature = self.signature(&message).await?;
        let digest = digest(&SHA256, &message).as_ref().try_into().expect("SHA-256 has 32 bytes");
        Ok(Signed { content, digest, signature })
    }

    pub(crate) async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(message).await.map_err(|error| SignError::Key(error.into()))
    }
}

/// Content and its signature.
#[derive(Debug, Clone)]
pub struct Signed {
    content: Content,
    digest: [u8; 32],
    signature: Vec<u8>,
}

impl Signed {
    /// SHA-256 of what the signature is over: what the log records.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// DER ECDSA.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub(crate) fn into_bundle_content(self) -> bundle::Content {
        match self.content {
            Content::Message(_) => bundle::Content::message(HashAlgorithm::Sha2_256, &self.digest, self.signature),
            Content::Dsse { payload_type, payload } => bundle::Content::dsse(payload_type, payload, self.signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_authentication_encoding_counts_bytes() {
        let content = Content::Dsse { payload_type: "http://example.com/HelloWorld".into(), payload: "hello wörld".into() };
        assert_eq!(content.to_be_signed(), "DSSEv1 29 http://example.com/HelloWorld 12 hello wörld".as_bytes());
        assert_eq!(Content::Message(b"x".to_vec()).to_be_signed(), b"x");
    }

    #[tokio::test]
    async fn a_signature_verifies_under_the_key() {
        let key = EphemeralKey::generate().unwrap();
        let signed = key.sign(Content::in_toto(&statement(Some("a"), "00", "https://x", &json!({})))).await.unwrap();
        key.public_key().verify(&signed.content.to_be_signed(), signed.signature()).unwrap();
        assert!(key.public_key().verify(b"other", signed.signature()).is_err());
    }

    #[test]
    fn an_image_subject_has_no_name() {
        assert_eq!(statement(None, "ab", "t", &json!({}))["subject"], json!([{ "digest": { "sha256": "ab" } }]));
    }
}
