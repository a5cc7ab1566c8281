//! Listings of referrers (distribution-spec, "Listing Referrers"), as we write them and as others do.

use bytes::Bytes;
use serde::Deserialize;

use crate::digest::Digest;
use crate::json::{self, JsonError};
use crate::media_type;
use crate::text::shown;

/// The index of these descriptors, each one line of JSON ([`crate::Descriptor::to_json`]), in this order. An empty one is a listing
/// too.
pub fn referrers_index<'a>(descriptors: impl IntoIterator<Item = &'a str>) -> Bytes {
    let mut index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":["#, media_type::IMAGE_INDEX);
    for (at, descriptor) in descriptors.into_iter().enumerate() {
        if at > 0 {
            index.push(',');
        }
        index.push_str(descriptor);
    }
    index.push_str("]}");
    index.into()
}

/// What another registry says refers to something: candidates, in its order. Who believes them reads the manifests themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrersIndex {
    /// The candidates.
    pub entries: Vec<Listed>,
    /// How many entries have a digest of a kind that we do not take; nobody could fetch them through us.
    pub unusable: usize,
}

/// One candidate. The type, annotations and size that come with it are not kept: fallback indexes are known to be wrong about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Of the manifest.
    pub digest: Digest,
    /// The artifact type as claimed, for filters that only save work.
    pub artifact_type: Option<String>,
}

impl ReferrersIndex {
    /// Reads an answer of the referrers API: it counts only with the index's own `Content-Type`, schema version 2 and `manifests`.
    ///
    /// # Errors
    /// [`ReferrersError`]: this registry does not have the API.
    pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, ReferrersError> {
        Ok(Self::read(content_type, body)?.0)
    }

    /// Reads what lies under the fallback tag of `subject`.
    ///
    /// # Errors
    /// [`ReferrersError`]: what lies there is no listing. Some registries take the tag for the digest and answer with the subject
    /// itself, whose members would all look like signatures of it; and tools have been seen to copy images to that tag.
    pub fn parse_fallback(subject: &Digest, content_type: Option<&str>, body: &[u8]) -> Result<Self, ReferrersError> {
        if subject.verify(body) {
            return Err(ReferrersError::TheSubject);
        }
        let (index, has_subject) = Self::read(content_type, body)?;
        if has_subject { Err(ReferrersError::HasSubject) } else { Ok(index) }
    }

    fn read(content_type: Option<&str>, body: &[u8]) -> Result<(Self, bool), ReferrersError> {
        let found = content_type.and_then(media_type::essence).unwrap_or_default();
        if found != media_type::IMAGE_INDEX {
            return Err(ReferrersError::Type(found.to_owned()));
        }
        let outline = json::outline(body)?;
        let index: Index = serde_json::from_slice(body).map_err(|error| ReferrersError::Shape(shown(&error.to_string())))?;
        if index.schema_version != Some(2) || !outline.contains_key("manifests") {
            return Err(ReferrersError::Shape("expected schemaVersion 2 and manifests".to_owned()));
        }
        let listed = index.manifests.unwrap_or_default();
        let total = listed.len();
        let entries: Vec<Listed> = listed.into_iter().filter_map(Entry::usable).collect();
        let unusable = total - entries.len();
        Ok((Self { entries, unusable }, outline.get("subject").copied().unwrap_or(false)))
    }
}

/// Why an answer is no listing of referrers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferrersError {
    /// Another type of content.
    #[error("Content-Type is `{}`, expected {}", shown(.0), media_type::IMAGE_INDEX)]
    Type(String),
    /// Not JSON that every reader reads alike.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another document.
    #[error("the document is not a listing of referrers: {0}")]
    Shape(String),
    /// The subject itself.
    #[error("the tag answers with the subject itself")]
    TheSubject,
    /// An index that is attached to something is no listing.
    #[error("the index under the tag has a subject of its own")]
    HasSubject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: Option<u64>,
    /// Go writes an empty list that was never made as `null`.
    manifests: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    digest: String,
    artifact_type: Option<String>,
}

impl Entry {
    fn usable(self) -> Option<Listed> {
        let artifact_type = self.artifact_type.filter(|text| !text.is_empty());
        self.digest.parse().ok().map(|digest| Listed { digest, artifact_type })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Manifest, media_type::IMAGE_INDEX};

    const D: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn subject() -> Digest {
        Digest::of(b"another")
    }

    #[test]
    fn what_we_write_is_an_index() {
        let empty = referrers_index([]);
        assert_eq!(&empty[..], br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#);
        let entry = format!(r#"{{"mediaType":"m","digest":"{D}","size":2,"artifactType":"a"}}"#);
        let two = referrers_index([entry.as_str(), entry.as_str()]);
        assert_eq!(Manifest::parse(Some(IMAGE_INDEX), two.clone()).unwrap().manifests().len(), 2);
        let read = ReferrersIndex::parse(Some(IMAGE_INDEX), &two).unwrap();
        assert_eq!(read.entries[1], Listed { digest: D.parse().unwrap(), artifact_type: Some("a".into()) });
    }

    #[test]
    fn what_counts_as_the_api() {
        let parse = |content_type: Option<&str>, body: &str| ReferrersIndex::parse(content_type, body.as_bytes());
        let none = ReferrersIndex { entries: vec![], unusable: 0 };
        assert_eq!(parse(Some(IMAGE_INDEX), r#"{"schemaVersion":2,"manifests":[]}"#), Ok(none.clone()));
        assert_eq!(parse(Some(IMAGE_INDEX), r#"{"schemaVersion":2,"manifests":null}"#), Ok(none.clone()));
        assert_eq!(parse(Some(&format!("{IMAGE_INDEX}; charset=utf-8")), r#"{"schemaVersion":2,"manifests":[]}"#), Ok(none));
        let other = parse(Some("application/json"), r#"{"schemaVersion":2,"manifests":[]}"#);
        assert_eq!(other, Err(ReferrersError::Type("application/json".into())));
        assert_eq!(parse(None, "{}"), Err(ReferrersError::Type(String::new())));
        assert!(matches!(parse(Some(IMAGE_INDEX), r#"{"schemaVersion":2}"#), Err(ReferrersError::Shape(_))));
        assert!(matches!(parse(Some(IMAGE_INDEX), r#"{"schemaVersion":1,"manifests":[]}"#), Err(ReferrersError::Shape(_))));
        assert!(matches!(parse(Some(IMAGE_INDEX), r#"{"manifests":[]}"#), Err(ReferrersError::Shape(_))));
        assert!(matches!(parse(Some(IMAGE_INDEX), "<html>"), Err(ReferrersError::Json(_))));
    }

    #[test]
    fn entries_of_unknown_algorithms_hide_no_others() {
        let body =
            format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"blake3:00"}},{{"digest":"{D}","artifactType":""}}]}}"#);
        let read = ReferrersIndex::parse(Some(IMAGE_INDEX), body.as_bytes()).unwrap();
        assert_eq!((read.unusable, read.entries.len(), &read.entries[0].artifact_type), (1, 1, &None));
    }

    #[test]
    fn the_traps_of_fallback_tags() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        let parse = |subject: &Digest, content_type, body| ReferrersIndex::parse_fallback(subject, Some(content_type), body);
        assert!(parse(&subject(), IMAGE_INDEX, index).is_ok());
        assert_eq!(
            parse(&Digest::of(index), IMAGE_INDEX, index),
            Err(ReferrersError::TheSubject),
            "the registry took it for a digest"
        );
        let image = parse(&subject(), media_type::IMAGE_MANIFEST, br#"{"schemaVersion":2}"#);
        assert!(matches!(image, Err(ReferrersError::Type(_))), "an image was copied to the tag");
        let attached = format!(r#"{{"schemaVersion":2,"manifests":[],"subject":{{"mediaType":"m","digest":"{D}","size":2}}}}"#);
        assert_eq!(parse(&subject(), IMAGE_INDEX, attached.as_bytes()), Err(ReferrersError::HasSubject));
        assert!(parse(&subject(), IMAGE_INDEX, br#"{"schemaVersion":2,"manifests":[],"subject":null}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(body: Vec<u8>) {
            let _ = ReferrersIndex::parse_fallback(&subject(), Some(IMAGE_INDEX), &body);
        }
    }
}
