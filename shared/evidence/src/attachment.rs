//! What an attached manifest says it is.

use oci::media_type::{DSSE_ENVELOPE, NOTATION_SIGNATURE, SIMPLE_SIGNING};
use oci::{Descriptor, Kind, Manifest};

/// What a manifest that is attached to an image claims to be, by its layers. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A Sigstore bundle: its one layer.
    Bundle(Descriptor),
    /// Signatures as cosign wrote them before bundles: one layer each, the signature in its annotations.
    LegacySignature,
    /// Attestations as cosign wrote them before bundles.
    LegacyAttestation,
    /// An SBOM that nobody signed.
    UnsignedSbom,
    /// A signature of the Notary Project.
    Notation,
    /// Anything else.
    Other,
}

impl Attachment {
    /// Reads the manifest's types.
    ///
    /// The layer decides whether it is a bundle, as in cosign, and not the artifact type, which older clients get wrong. Two
    /// layers are none: which of them counts would be the reader's choice.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        if manifest.kind() != Kind::Image {
            return Self::Other;
        }
        let layers = manifest.layers();
        let all = |is: fn(&str) -> bool| !layers.is_empty() && layers.iter().all(|layer| is(&layer.media_type));
        match layers {
            [layer] if is_bundle(&layer.media_type) => Self::Bundle(layer.clone()),
            _ if all(|media_type| media_type == SIMPLE_SIGNING) => Self::LegacySignature,
            _ if all(|media_type| media_type == DSSE_ENVELOPE) => Self::LegacyAttestation,
            _ if all(|media_type| SBOMS.contains(&media_type)) => Self::UnsignedSbom,
            _ if manifest.artifact_type() == Some(NOTATION_SIGNATURE) => Self::Notation,
            _ => Self::Other,
        }
    }
}

/// Every version's media type; one that is too old is refused with its reason, not passed over as something else.
fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// What `cosign attach sbom` writes.
const SBOMS: [&str; 5] = [
    "text/spdx",
    "text/spdx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.cyclonedx+json",
    "application/vnd.syft+json",
];

#[cfg(test)]
mod tests {
    use oci::media_type;
    use serde_json::{Value, json};

    use super::*;

    fn manifest(layers: &[&str], artifact_type: Option<&str>) -> Manifest {
        let digest = oci::Digest::of(b"{}").to_string();
        let descriptor = |media_type: &str| json!({"mediaType": media_type, "size": 2, "digest": digest});
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::EMPTY),
            "layers": layers.iter().map(|layer| descriptor(layer)).collect::<Vec<Value>>(),
        });
        if let Some(artifact_type) = artifact_type {
            document["artifactType"] = json!(artifact_type);
        }
        Manifest::parse(None, document.to_string().into_bytes().into()).unwrap()
    }

    #[test]
    fn layers_decide() {
        const BUNDLE: &str = media_type::SIGSTORE_BUNDLE;
        let of = |layers: &[&str], artifact_type| Attachment::of(&manifest(layers, artifact_type));
        for artifact_type in [Some(BUNDLE), Some(media_type::EMPTY), None] {
            assert!(matches!(of(&[BUNDLE], artifact_type), Attachment::Bundle(layer) if layer.media_type == BUNDLE));
        }
        assert!(matches!(of(&["application/vnd.dev.sigstore.bundle+json;version=0.2"], None), Attachment::Bundle(_)));
        assert_eq!(of(&["application/json"], Some(BUNDLE)), Attachment::Other);
        assert_eq!(of(&[BUNDLE, BUNDLE], Some(BUNDLE)), Attachment::Other);
        assert_eq!(of(&[], Some(BUNDLE)), Attachment::Other);
        assert_eq!(of(&[SIMPLE_SIGNING], None), Attachment::LegacySignature);
        assert_eq!(of(&[SIMPLE_SIGNING, SIMPLE_SIGNING], None), Attachment::LegacySignature);
        assert_eq!(of(&[DSSE_ENVELOPE, DSSE_ENVELOPE], None), Attachment::LegacyAttestation);
        assert_eq!(of(&[SIMPLE_SIGNING, DSSE_ENVELOPE], None), Attachment::Other);
        assert_eq!(of(&["text/spdx+json"], None), Attachment::UnsignedSbom);
        assert_eq!(of(&["application/jose+json"], Some(NOTATION_SIGNATURE)), Attachment::Notation);
    }

    #[test]
    fn an_index_is_none() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [], "artifactType": NOTATION_SIGNATURE});
        let index = Manifest::parse(None, index.to_string().into_bytes().into()).unwrap();
        assert_eq!(Attachment::of(&index), Attachment::Other);
    }
}
