//! What a registry's clients and servers say to each other: names, digests, manifests, referrers, error bodies. Pure.
//!
//! The specifications are the OCI image-spec and distribution-spec 1.1, and Docker's manifests of schema 2, which came before them.
//! Documents are read to know what they refer to; what is stored, served and hashed is always the bytes that came in.

mod descriptor;
mod digest;
mod error_body;
mod json;
mod manifest;
pub mod media_type;
mod name;
mod pattern;
mod reference;
mod referrers;
mod signature_tag;
mod tag;
mod text;

pub use descriptor::{Descriptor, MAX_CONTENT_BYTES, Platform};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use error_body::{ErrorBody, ErrorCode, ErrorEntry};
pub use json::{JsonError, MAX_DEPTH, MAX_MEMBERS};
pub use manifest::{Kind, MAX_DESCRIPTORS, MAX_MANIFEST_BYTES, Manifest, ManifestError};
pub use name::{MAX_NAME_LENGTH, NameError, RepositoryName};
pub use pattern::{PatternError, RepositoryPattern};
pub use reference::{Reference, ReferenceError, Target, TargetError};
pub use referrers::{Listed, ReferrersError, ReferrersIndex, referrers_index};
pub use signature_tag::{SignatureKind, SignatureTag, fallback_tag};
pub use tag::{MAX_TAG_LENGTH, Tag, TagError};
