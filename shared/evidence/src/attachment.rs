//! What an attached manifest says it is.

use oci::media_type::{DSSE_ENVELOPE, NOTATION_SIGNATURE, SIMPLE_SIGNING};
use oci::{Descriptor, Kind, Manifest};
use serde::Serialize;

use crate::predicate;

/// What a manifest that is attached to an image claims to be, by its layers. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A Sigstore bundle: its one layer.
    Bundle(Descriptor),
    /// Signatures in the form of cosign 2, from before bundles: a layer each, the signature in its annotations.
    LegacySignatures(Vec<Descriptor>),
    /// Attestations in the form of cosign 2: a layer each, too.
    LegacyAttestations(Vec<Descriptor>),
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
            _ if all(|media_type| media_type == SIMPLE_SIGNING) => Self::LegacySignatures(layers.to_vec()),
            _ if all(|media_type| media_type == DSSE_ENVELOPE) => Self::LegacyAttestations(layers.to_vec()),
            _ if all(|media_type| SBOMS.contains(&media_type)) => Self::UnsignedSbom,
            _ if manifest.artifact_type() == Some(NOTATION_SIGNATURE) => Self::Notation,
            _ => Self::Other,
        }
    }
}

/// In which form something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A Sigstore bundle.
    Bundle,
    /// A signature in the form of cosign 2.
    LegacySignature,
    /// An attestation in the form of cosign 2.
    LegacyAttestation,
}

impl Form {
    /// Whether it is from before bundles. Clients that find a bundle at an image do not look for these.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        !matches!(self, Self::Bundle)
    }
}

/// Something in an attached manifest that claims to be signed. Nothing of it is proven before it is
/// [examined](crate::examine).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// In which form.
    pub form: Form,
    /// The layer that it is in; of the older forms with what signs it, in its annotations.
    pub layer: Descriptor,
    /// The predicate type that it says it has.
    pub predicate_type: Option<String>,
}

impl Claim {
    /// All that is in a manifest: one of a bundle, as many as there are layers of the older forms.
    #[must_use]
    pub fn all_of(manifest: &Manifest) -> Vec<Self> {
        match Attachment::of(manifest) {
            Attachment::Bundle(layer) => {
                let predicate_type = manifest.annotations().get("dev.sigstore.bundle.predicateType").cloned();
                vec![Self { form: Form::Bundle, layer, predicate_type }]
            }
            Attachment::LegacySignatures(layers) => {
                let claim =
                    |layer| Self { form: Form::LegacySignature, layer, predicate_type: Some(predicate::SIGNATURE.into()) };
                layers.into_iter().map(claim).collect()
            }
            Attachment::LegacyAttestations(layers) => {
                let claim = |layer: Descriptor| {
                    let predicate_type = layer.annotations.get("predicateType").cloned();
                    Self { form: Form::LegacyAttestation, layer, predicate_type }
                };
                layers.into_iter().map(claim).collect()
            }
            Attachment::UnsignedSbom | Attachment::Notation | Attachment::Other => Vec::new(),
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
        assert!(matches!(of(&[SIMPLE_SIGNING], None), Attachment::LegacySignatures(layers) if layers.len() == 1));
        assert!(matches!(of(&[SIMPLE_SIGNING, SIMPLE_SIGNING], None), Attachment::LegacySignatures(layers) if layers.len() == 2));
        assert!(matches!(of(&[DSSE_ENVELOPE, DSSE_ENVELOPE], None), Attachment::LegacyAttestations(layers) if layers.len() == 2));
        assert_eq!(of(&[SIMPLE_SIGNING, DSSE_ENVELOPE], None), Attachment::Other);
        assert_eq!(of(&["text/spdx+json"], None), Attachment::UnsignedSbom);
        assert_eq!(of(&["application/jose+json"], Some(NOTATION_SIGNATURE)), Attachment::Notation);
    }

    #[test]
    fn what_claims_to_be_signed() {
        let forms = |layers: &[&str]| Claim::all_of(&manifest(layers, None)).iter().map(|claim| claim.form).collect::<Vec<_>>();
        assert_eq!(forms(&[media_type::SIGSTORE_BUNDLE]), [Form::Bundle]);
        assert_eq!(forms(&[SIMPLE_SIGNING, SIMPLE_SIGNING]), [Form::LegacySignature; 2]);
        assert_eq!(forms(&[DSSE_ENVELOPE]), [Form::LegacyAttestation]);
        for none in [&["text/spdx"][..], &[SIMPLE_SIGNING, DSSE_ENVELOPE], &[]] {
            assert_eq!(forms(none), []);
        }
        assert_eq!(Claim::all_of(&manifest(&[SIMPLE_SIGNING], None))[0].predicate_type.as_deref(), Some(predicate::SIGNATURE));
    }

    #[test]
    fn an_index_is_none() {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [], "artifactType": NOTATION_SIGNATURE});
        let index = Manifest::parse(None, index.to_string().into_bytes().into()).unwrap();
        assert_eq!(Attachment::of(&index), Attachment::Other);
    }
}
