//! Descriptors (image-spec, descriptor.md).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::{Digest, DigestError};
use crate::media_type;

/// The largest size that a descriptor may claim: what a signed 64-bit number holds, as in every other implementation.
pub const MAX_CONTENT_BYTES: u64 = i64::MAX.unsigned_abs();

/// What a manifest says about content elsewhere.
///
/// Serialises as an entry of a referrers listing; the order of the members is the specification's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Of the content.
    pub media_type: String,
    /// Of the content.
    pub digest: Digest,
    /// Of the content in bytes, at most [`MAX_CONTENT_BYTES`]. A claim until the content is at hand.
    pub size: u64,
    /// The content's artifact type, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// In the order of their keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the content runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where else the content may be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Whether the content need not be in the registry: it has `urls`, or may not be given away.
    #[must_use]
    pub fn is_external(&self) -> bool {
        !self.urls.is_empty() || media_type::is_nondistributable(&self.media_type)
    }

    /// As one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and maps with text as keys always serialise")
    }

    /// # Errors
    /// The digest is of no kind that we take, or the size is beyond [`MAX_CONTENT_BYTES`].
    pub(crate) fn read(read: &oci_spec::image::Descriptor) -> Result<Self, DescriptorError> {
        let size = read.size();
        if size > MAX_CONTENT_BYTES {
            return Err(DescriptorError::Size(size));
        }
        Ok(Self {
            media_type: read.media_type().to_string(),
            digest: read.digest().as_ref().parse()?,
            size,
            artifact_type: text(read.artifact_type().as_ref()),
            annotations: sorted(read.annotations().as_ref()),
            platform: read.platform().as_ref().map(Platform::read),
            urls: read.urls().clone().unwrap_or_default(),
        })
    }
}

/// Why a descriptor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Its digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Its size.
    #[error("size {0} is more than {MAX_CONTENT_BYTES} bytes")]
    Size(u64),
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Platform {
    /// As in Go's `GOOS`; `unknown` for attestations that sit in an index.
    pub os: String,
    /// As in Go's `GOARCH`.
    pub architecture: String,
    /// Of the architecture, for example `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether this stands for no platform at all, as BuildKit writes beside its attestations.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    fn read(read: &oci_spec::image::Platform) -> Self {
        let variant = read.variant().clone().filter(|variant| !variant.is_empty());
        Self { os: read.os().to_string(), architecture: read.architecture().to_string(), variant }
    }
}

impl std::fmt::Display for Platform {
    /// `linux/arm64`, `linux/arm/v7`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// A media type that is there and not empty: Go programs write an absent one as either.
pub(crate) fn text(media_type: Option<&oci_spec::image::MediaType>) -> Option<String> {
    media_type.map(ToString::to_string).filter(|text| !text.is_empty())
}

/// Annotations in an order that is always the same.
pub(crate) fn sorted(annotations: Option<&std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    annotations.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Descriptor, DescriptorError> {
        Descriptor::read(&serde_json::from_str(json).unwrap())
    }

    const D: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn members_of_every_kind_are_read() {
        let json = format!(
            r#"{{"mediaType":"m","digest":"{D}","size":2,"artifactType":"a","annotations":{{"z":"1","b":"2"}},"data":"e30=","x":1,
            "platform":{{"os":"linux","architecture":"arm","variant":"v7","os.version":"1"}},"urls":["https://e.example"]}}"#
        );
        let descriptor = read(&json).unwrap();
        assert_eq!(descriptor.platform.as_ref().unwrap().to_string(), "linux/arm/v7");
        assert!(descriptor.is_external());
        let expected = format!(
            r#"{{"mediaType":"m","digest":"{D}","size":2,"artifactType":"a","annotations":{{"b":"2","z":"1"}},"platform":{{"os":"linux","architecture":"arm","variant":"v7"}},"urls":["https://e.example"]}}"#
        );
        assert_eq!(descriptor.to_json(), expected);
    }

    #[test]
    fn what_is_absent_is_not_written() {
        let descriptor = read(&format!(r#"{{"mediaType":"m","digest":"{D}","size":2,"artifactType":""}}"#)).unwrap();
        assert_eq!(descriptor.to_json(), format!(r#"{{"mediaType":"m","digest":"{D}","size":2}}"#));
        assert!(!descriptor.is_external());
    }

    #[test]
    fn refusals() {
        let with = |digest: &str, size: &str| read(&format!(r#"{{"mediaType":"m","digest":"{digest}","size":{size}}}"#));
        assert!(with(D, "9223372036854775807").is_ok());
        assert_eq!(with(D, "9223372036854775808"), Err(DescriptorError::Size(1 << 63)));
        assert!(matches!(with("md5:d41d8cd98f00b204e9800998ecf8427e", "1"), Err(DescriptorError::Digest(_))));
    }
}
