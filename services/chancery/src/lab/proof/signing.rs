//! Signing one manifest after another with one certificate, and the shape in which a signature is attached.

use bytes::Bytes;
use jiff::Timestamp;
use oci::media_type;
use pki::Certificate;
use serde_json::{Value, json};
use sign::{Content, EphemeralKey, IdentityToken, Keyless, SignError};

use super::image::{Manifest, descriptor};

/// A key and a certificate for it: ten minutes of an identity.
pub(super) struct Signer {
    key: EphemeralKey,
    certificate: Certificate,
}

/// A signature over a statement about a manifest.
pub(super) struct Signature {
    /// Where it was logged.
    pub index: u64,
    /// The bundle, JSON.
    pub bundle: Bytes,
}

impl Signer {
    /// Turns a token into a certificate.
    pub(super) async fn certify(keyless: &Keyless, token: &str) -> Result<Self, SignError> {
        let token = IdentityToken::parse(token)?;
        let key = EphemeralKey::generate()?;
        let certificate = keyless.certify(&token, &key).await?;
        Ok(Self { key, certificate })
    }

    /// States something about a manifest: signed, timestamped, logged.
    pub(super) async fn sign(
        &self,
        keyless: &Keyless,
        about: &Manifest,
        predicate_type: &str,
        predicate: &Value,
    ) -> Result<Signature, SignError> {
        let statement = sign::statement(None, about.digest.hex(), predicate_type, predicate);
        let signed = self.key.sign(Content::in_toto(&statement)).await?;
        let (timestamp, logged) = tokio::try_join!(keyless.timestamp(&signed), keyless.log(&signed, &self.certificate))?;
        let index = logged.0.log_index;
        let bundle = sign::assemble(signed, &self.certificate, timestamp, logged).to_json();
        Ok(Signature { index, bundle: bundle.into() })
    }
}

/// The manifest that attaches `bundle` to `subject`, as cosign 3 writes it: without a tag, one layer, an empty configuration.
pub(super) fn attachment(bundle: &Bytes, subject: &Manifest, predicate_type: &str, now: Timestamp) -> Manifest {
    let mut config = descriptor(media_type::EMPTY, media_type::EMPTY_CONTENT);
    // Readers differ in where they look for the type.
    config["artifactType"] = media_type::SIGSTORE_BUNDLE.into();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::IMAGE_MANIFEST,
        "artifactType": media_type::SIGSTORE_BUNDLE,
        "config": config,
        "layers": [descriptor(media_type::SIGSTORE_BUNDLE, bundle)],
        "subject": descriptor(subject.media_type, &subject.bytes),
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
            "org.opencontainers.image.created": format!("{now:.0}"),
        },
    });
    Manifest::new(media_type::IMAGE_MANIFEST, &manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::proof::image::Image;

    #[test]
    fn an_attachment_is_read_as_a_bundle_on_its_subject() {
        let image = Image::saying("hello\n");
        let now = "2026-11-21T09:14:03.7Z".parse().unwrap();
        let bundle = Bytes::from_static(b"{\"a\":1}");
        let attached = attachment(&bundle, &image.index, evidence::predicate::SIGNATURE, now);
        let manifest = oci::Manifest::parse(Some(attached.media_type), attached.bytes).unwrap();
        assert_eq!((manifest.digest(), manifest.artifact_type()), (&attached.digest, Some(media_type::SIGSTORE_BUNDLE)));
        assert_eq!(manifest.subject().unwrap().digest, image.index.digest);
        assert_eq!(manifest.annotations()["org.opencontainers.image.created"], "2026-11-21T09:14:03Z");
        let evidence::Attachment::Bundle(layer) = evidence::Attachment::of(&manifest) else { panic!("{manifest:?}") };
        assert_eq!(layer.digest, oci::Digest::of(&bundle));
    }
}
