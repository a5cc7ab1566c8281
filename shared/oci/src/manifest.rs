//! Manifests: what a document refers to, without ever writing it again.

use std::collections::BTreeMap;

use bytes::Bytes;
use oci_spec::image::{ArtifactManifest, ImageIndex, ImageManifest};
use serde::de::DeserializeOwned;

use crate::descriptor::{self, Descriptor, DescriptorError};
use crate::digest::Digest;
use crate::error_body::ErrorCode;
use crate::json::{self, JsonError, Outline};
use crate::media_type;
use crate::text::shown;

/// The largest manifest, in bytes. containerd reads little more.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// The most descriptors in one manifest.
pub const MAX_DESCRIPTORS: usize = 10_000;

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An image for one platform, or an artifact: `config` and `layers`.
    Image,
    /// Other manifests.
    Index,
    /// The withdrawn artifact manifest: `blobs`.
    Artifact,
}

impl Kind {
    fn of_media_type(text: &str) -> Result<Self, ManifestError> {
        match text {
            media_type::IMAGE_MANIFEST | media_type::DOCKER_MANIFEST => Ok(Self::Image),
            media_type::IMAGE_INDEX | media_type::DOCKER_LIST => Ok(Self::Index),
            media_type::ARTIFACT_MANIFEST => Ok(Self::Artifact),
            media_type::DOCKER_SCHEMA_ONE | media_type::DOCKER_SCHEMA_ONE_SIGNED => Err(ManifestError::SchemaOne),
            other => Err(ManifestError::UnknownType(other.to_owned())),
        }
    }

    /// Members that would make the document mean something else to a reader who goes by another type.
    const fn foreign_members(self) -> &'static [&'static str] {
        match self {
            Self::Image => &["manifests", "fsLayers"],
            Self::Index => &["layers", "config", "fsLayers"],
            Self::Artifact => &["manifests", "layers", "config", "fsLayers"],
        }
    }
}

/// A manifest that was read, with the bytes it was read from. What it refers to need not exist.
#[derive(Debug, Clone)]
pub struct Manifest {
    kind: Kind,
    media_type: String,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    manifests: Vec<Descriptor>,
    blobs: Vec<Descriptor>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    bytes: Bytes,
    digest: Digest,
}

impl Manifest {
    /// Reads `bytes` that came with the header `Content-Type: content_type`.
    ///
    /// The type is the header's without its parameters, which must be what `mediaType` says when both are there; without a header it
    /// is `mediaType`; without either, `manifests` makes an index and `config` an image.
    ///
    /// # Errors
    /// [`ManifestError`]; [`ManifestError::error_code`] is the registry's word for it.
    pub fn parse(content_type: Option<&str>, bytes: Bytes) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let outline = json::outline(&bytes)?;
        let media_type = media_type_of(content_type, &bytes, &outline)?;
        let kind = Kind::of_media_type(&media_type)?;
        if let Some(member) = kind.foreign_members().iter().find(|member| outline.contains_key(**member)) {
            return Err(ManifestError::Confused { media_type, member });
        }
        match kind {
            Kind::Image => Self::image(media_type, bytes),
            Kind::Index => Self::index(media_type, bytes),
            Kind::Artifact => Self::artifact(media_type, bytes),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its media type, without parameters: one of [`media_type::MANIFESTS`].
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The configuration of an image.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        self.config.as_ref()
    }

    /// The layers of an image, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        &self.layers
    }

    /// The members of an index.
    #[must_use]
    pub fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// The blobs of an artifact manifest.
    #[must_use]
    pub fn blobs(&self) -> &[Descriptor] {
        &self.blobs
    }

    /// Configuration, layers and blobs: everything that is no manifest and no subject.
    pub fn contents(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.blobs)
    }

    /// What this manifest is attached to. Its size and type are claims; only its digest means something.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }

    /// The artifact type as the referrers API gives it: the manifest's own; else, for an image, that of its configuration.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// In the order of their keys.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The bytes that were read: what is stored and served.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The SHA-256 digest of the bytes. Who asked for, or pushed, another digest keeps that one.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The entry of this manifest, known as `digest`, in the referrers listing of its subject (distribution-spec, "Listing
    /// Referrers"): everything in it is taken from the manifest itself.
    #[must_use]
    pub fn referrer_descriptor(&self, digest: Digest) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest,
            size: self.bytes.len() as u64,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
            platform: None,
            urls: Vec::new(),
        }
    }

    fn image(media_type: String, bytes: Bytes) -> Result<Self, ManifestError> {
        let read: ImageManifest = shape(&bytes, "an image manifest")?;
        check_schema_version(read.schema_version())?;
        let config = member("config", read.config())?;
        // An image without a type of its own is what its configuration is.
        let artifact_type = descriptor::text(read.artifact_type().as_ref()).unwrap_or_else(|| config.media_type.clone());
        Ok(Self {
            layers: list("layers", read.layers())?,
            subject: optional("subject", read.subject().as_ref())?,
            artifact_type: Some(artifact_type).filter(|text| !text.is_empty()),
            annotations: descriptor::sorted(read.annotations().as_ref()),
            config: Some(config),
            ..Self::bare(Kind::Image, media_type, bytes)
        })
    }

    fn index(media_type: String, bytes: Bytes) -> Result<Self, ManifestError> {
        let read: ImageIndex = shape(&bytes, "an index")?;
        check_schema_version(read.schema_version())?;
        Ok(Self {
            manifests: list("manifests", read.manifests())?,
            subject: optional("subject", read.subject().as_ref())?,
            artifact_type: descriptor::text(read.artifact_type().as_ref()),
            annotations: descriptor::sorted(read.annotations().as_ref()),
            ..Self::bare(Kind::Index, media_type, bytes)
        })
    }

    fn artifact(media_type: String, bytes: Bytes) -> Result<Self, ManifestError> {
        let read: ArtifactManifest = shape(&bytes, "an artifact manifest")?;
        Ok(Self {
            blobs: list("blobs", read.blobs())?,
            subject: optional("subject", read.subject().as_ref())?,
            artifact_type: descriptor::text(Some(read.artifact_type())),
            annotations: descriptor::sorted(read.annotations().as_ref()),
            ..Self::bare(Kind::Artifact, media_type, bytes)
        })
    }

    fn bare(kind: Kind, media_type: String, bytes: Bytes) -> Self {
        Self {
            kind,
            media_type,
            config: None,
            layers: Vec::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            subject: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
            digest: Digest::of(&bytes),
            bytes,
        }
    }
}

/// Why a document is no manifest that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Beyond the limit.
    #[error("the manifest has {0} bytes; at most {MAX_MANIFEST_BYTES} are allowed")]
    TooLarge(usize),
    /// Not JSON that every reader reads alike.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Docker's schema 1, whose digest is not that of its bytes.
    #[error("the manifest is of Docker's schema 1, which is not supported; build the image again with a current tool")]
    SchemaOne,
    /// A type that is no manifest's.
    #[error("media type `{}` is not that of a manifest; expected an OCI image manifest or index, or Docker's schema 2", shown(.0))]
    UnknownType(String),
    /// Two types for one document.
    #[error("Content-Type is `{}` but mediaType says `{}`; expected the same", shown(.header), shown(.body))]
    TwoTypes {
        /// In the header.
        header: String,
        /// In the document.
        body: String,
    },
    /// No type, and nothing to tell one by.
    #[error("the manifest has no Content-Type, no mediaType, no manifests and no config; say what it is with Content-Type")]
    NoType,
    /// A member of another kind of manifest.
    #[error("a manifest of type {media_type} may not have `{member}`: readers would disagree on what it is")]
    Confused {
        /// Its type.
        media_type: String,
        /// What it may not have.
        member: &'static str,
    },
    /// A member is missing or of another type.
    #[error("the document is not {expected}: {reason}")]
    Shape {
        /// What it should be.
        expected: &'static str,
        /// What is missing or wrong.
        reason: String,
    },
    /// Not the one version there is.
    #[error("schemaVersion is {0}, expected 2")]
    SchemaVersion(u32),
    /// A descriptor says something impossible.
    #[error("a descriptor in `{member}` is not acceptable")]
    Descriptor {
        /// Where it stands.
        member: &'static str,
        /// What is wrong with it.
        source: DescriptorError,
    },
}

impl ManifestError {
    /// The registry's word for it.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::TooLarge(_) => ErrorCode::SizeInvalid,
            Self::Json(_)
            | Self::SchemaOne
            | Self::UnknownType(_)
            | Self::TwoTypes { .. }
            | Self::NoType
            | Self::Confused { .. }
            | Self::Shape { .. }
            | Self::SchemaVersion(_)
            | Self::Descriptor { .. } => ErrorCode::ManifestInvalid,
        }
    }
}

fn media_type_of(content_type: Option<&str>, bytes: &[u8], outline: &Outline) -> Result<String, ManifestError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    let header = content_type.and_then(media_type::essence);
    let typed: Typed = shape(bytes, "a manifest")?;
    let has = |member| outline.get(member).copied().unwrap_or(false);
    match (header, typed.media_type.filter(|text| !text.is_empty())) {
        (Some(header), Some(body)) if header != body => Err(ManifestError::TwoTypes { header: header.to_owned(), body }),
        (_, Some(body)) => Ok(body),
        (Some(header), None) => Ok(header.to_owned()),
        (None, None) if has("manifests") => Ok(media_type::IMAGE_INDEX.to_owned()),
        (None, None) if has("config") => Ok(media_type::IMAGE_MANIFEST.to_owned()),
        (None, None) => Err(ManifestError::NoType),
    }
}

fn shape<T: DeserializeOwned>(bytes: &[u8], expected: &'static str) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(|error| ManifestError::Shape { expected, reason: shown(&error.to_string()) })
}

fn check_schema_version(version: u32) -> Result<(), ManifestError> {
    if version == 2 { Ok(()) } else { Err(ManifestError::SchemaVersion(version)) }
}

fn member(member: &'static str, read: &oci_spec::image::Descriptor) -> Result<Descriptor, ManifestError> {
    Descriptor::read(read).map_err(|source| ManifestError::Descriptor { member, source })
}

fn optional(name: &'static str, read: Option<&oci_spec::image::Descriptor>) -> Result<Option<Descriptor>, ManifestError> {
    read.map(|read| member(name, read)).transpose()
}

fn list(name: &'static str, read: &[oci_spec::image::Descriptor]) -> Result<Vec<Descriptor>, ManifestError> {
    read.iter().map(|read| member(name, read)).collect()
}

#[cfg(test)]
mod tests;
