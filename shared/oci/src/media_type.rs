//! The media types that mean something to a registry or to a promotion.

/// An image for one platform, or an artifact.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Several manifests; also what the referrers API answers.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Withdrawn before image-spec 1.1 was final; some registries still hold them.
pub const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Docker's schema 1, signed: its digest is not that of its bytes.
pub const DOCKER_SCHEMA_ONE_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Docker's schema 1.
pub const DOCKER_SCHEMA_ONE: &str = "application/vnd.docker.distribution.manifest.v1+json";

/// The configuration of an image.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The same in Docker's words.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The type of [`EMPTY_CONTENT`].
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// What stands where an artifact needs no content.
pub const EMPTY_CONTENT: &[u8] = b"{}";

/// A Sigstore bundle, as a layer and as the artifact type of the manifest that carries it.
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What the layers of cosign's `.sig` tags hold.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What the layers of cosign's `.att` tags hold.
pub const DSSE_ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// An in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The artifact type of Notation's signatures.
pub const NOTATION_SIGNATURE: &str = "application/vnd.cncf.notary.signature";
/// The configuration of a Helm chart.
pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

/// Everything that a manifest may be, as clients list it in `Accept`.
pub const MANIFESTS: [&str; 5] = [IMAGE_INDEX, IMAGE_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, ARTIFACT_MANIFEST];

/// A `Content-Type` without its parameters; `None` when there is nothing before them.
#[must_use]
pub fn essence(content_type: &str) -> Option<&str> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    (!essence.is_empty()).then_some(essence)
}

/// Whether layers of this type may not be given away: their bytes stay with whom their `urls` name (image-spec, layer.md).
#[must_use]
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.")
        || media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        || media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_no_part_of_a_type() {
        assert_eq!(essence(" application/json ; charset=utf-8"), Some("application/json"));
        assert_eq!(essence(IMAGE_INDEX), Some(IMAGE_INDEX));
        assert_eq!((essence(""), essence(" ;x")), (None, None));
    }

    #[test]
    fn foreign_layers_are_known() {
        assert!(is_nondistributable("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"));
        assert!(is_nondistributable("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"));
        assert!(!is_nondistributable("application/vnd.oci.image.layer.v1.tar+gzip"));
    }
}
