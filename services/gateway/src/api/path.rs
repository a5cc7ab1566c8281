//! What a path below `/v2` names.
//!
//! Repository names contain slashes, and any word of the API may be a component of one (`a/manifests/tags/list` is the list of tags
//! of `a/manifests`), so a path is read from its end. One reading exists for each: what follows the name has a fixed number of
//! components, and neither a tag nor a digest contains a slash.

use std::borrow::Cow;

use oci::{Digest, DigestError, NameError, RepositoryName, TagError, Target, TargetError};

use super::query::percent_decode;

/// A path of the distribution specification, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`: is this a registry, and who am I to it?
    Base,
    /// `/v2/_catalog`: repositories.
    Catalog,
    /// `/v2/_oci/ext/discover`: extensions.
    Extensions,
    /// `/v2/<name>/blobs/<digest>`.
    Blob { repository: RepositoryName, digest: Digest },
    /// `/v2/<name>/manifests/<tag or digest>`.
    Manifest { repository: RepositoryName, target: Target },
    /// `/v2/<name>/blobs/uploads/`.
    Uploads { repository: RepositoryName },
    /// `/v2/<name>/blobs/uploads/<session>`; the session as it was written.
    Upload { repository: RepositoryName, session: String },
    /// `/v2/<name>/tags/list`.
    Tags { repository: RepositoryName },
    /// `/v2/<name>/referrers/<digest>`.
    Referrers { repository: RepositoryName, subject: Digest },
}

impl Route {
    /// Reads the path of a request, as it was sent.
    ///
    /// It is decoded once. An encoded slash would make two paths out of one name, for us and for whoever filters in front of us.
    ///
    /// # Errors
    /// [`PathError`].
    pub(super) fn of(path: &str) -> Result<Self, PathError> {
        let path = decoded(path)?;
        let rest = path.strip_prefix("/v2").ok_or(PathError::Unknown)?;
        match rest {
            "" | "/" => return Ok(Self::Base),
            "/_catalog" => return Ok(Self::Catalog),
            "/_oci/ext/discover" => return Ok(Self::Extensions),
            _ => {}
        }
        let rest = rest.strip_prefix('/').ok_or(PathError::Unknown)?;
        if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
            return Ok(Self::Uploads { repository: repository(name)? });
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags { repository: repository(name)? });
        }
        let (before, last) = rest.rsplit_once('/').ok_or(PathError::Unknown)?;
        if let Some(name) = before.strip_suffix("/manifests") {
            return Ok(Self::Manifest { repository: repository(name)?, target: target(last)? });
        }
        if let Some(name) = before.strip_suffix("/blobs") {
            return Ok(Self::Blob { repository: repository(name)?, digest: digest(last)? });
        }
        if let Some(name) = before.strip_suffix("/referrers") {
            return Ok(Self::Referrers { repository: repository(name)?, subject: digest(last)? });
        }
        match before.strip_suffix("/blobs/uploads") {
            Some(name) => Ok(Self::Upload { repository: repository(name)?, session: last.to_owned() }),
            None => Err(PathError::Unknown),
        }
    }

    /// The repository that it is about, if it is about one.
    pub(super) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog | Self::Extensions => None,
            Self::Blob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }

    /// Its name as a label of metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Extensions => "extensions",
            Self::Blob { .. } => "blob",
            Self::Manifest { .. } => "manifest",
            Self::Uploads { .. } | Self::Upload { .. } => "upload",
            Self::Tags { .. } => "tags",
            Self::Referrers { .. } => "referrers",
        }
    }

    /// Its methods, for answers to others.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Extensions | Self::Tags { .. } | Self::Referrers { .. } => "GET, HEAD",
            Self::Blob { .. } => "GET, HEAD, DELETE",
            Self::Manifest { .. } => "GET, HEAD, PUT, DELETE",
            Self::Uploads { .. } => "POST",
            Self::Upload { .. } => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }
}

/// A path that names nothing of the distribution specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// No path of ours.
    #[error("no such path; a registry has /v2/, and below it NAME/manifests, NAME/blobs, NAME/tags/list and NAME/referrers")]
    Unknown,
    /// `%2F`, or percent signs that are no encoding.
    #[error("the path is encoded in a way that names no repository; write slashes as they are")]
    Encoding,
    /// The repository.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What stands in a tag's place is none.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// What stands in a digest's place, or has a colon, is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

fn decoded(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let slash = |bytes: &[u8]| bytes.eq_ignore_ascii_case(b"%2f");
    if path.as_bytes().windows(3).any(slash) {
        return Err(PathError::Encoding);
    }
    percent_decode(path).map_err(|_| PathError::Encoding)
}

fn repository(name: &str) -> Result<RepositoryName, PathError> {
    Ok(name.parse()?)
}

fn digest(text: &str) -> Result<Digest, PathError> {
    Ok(text.parse()?)
}

fn target(text: &str) -> Result<Target, PathError> {
    text.parse().map_err(|error| match error {
        TargetError::Tag(error) => PathError::Tag(error),
        TargetError::Digest(error) => PathError::Digest(error),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn every_path_of_the_specification() {
        let digest: Digest = DIGEST.parse().unwrap();
        let tag = |tag: &str| Target::Tag(tag.parse().unwrap());
        for (path, route) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/_oci/ext/discover", Route::Extensions),
            ("/v2/a/b/tags/list", Route::Tags { repository: name("a/b") }),
            ("/v2/a/manifests/1.0", Route::Manifest { repository: name("a"), target: tag("1.0") }),
            (
                &format!("/v2/a/manifests/{DIGEST}"),
                Route::Manifest { repository: name("a"), target: Target::Digest(digest.clone()) },
            ),
            (&format!("/v2/a/b/c/blobs/{DIGEST}"), Route::Blob { repository: name("a/b/c"), digest: digest.clone() }),
            ("/v2/a/blobs/uploads/", Route::Uploads { repository: name("a") }),
            ("/v2/a/blobs/uploads", Route::Uploads { repository: name("a") }),
            ("/v2/a/blobs/uploads/7f", Route::Upload { repository: name("a"), session: "7f".into() }),
            (&format!("/v2/a/referrers/{DIGEST}"), Route::Referrers { repository: name("a"), subject: digest.clone() }),
            (&format!("/v2/a/blobs/{}", DIGEST.replace(':', "%3A")), Route::Blob { repository: name("a"), digest }),
        ] {
            assert_eq!(Route::of(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn words_of_the_api_may_be_components_of_a_name() {
        for (path, repository) in [
            ("/v2/a/manifests/tags/list", "a/manifests"),
            ("/v2/tags/list/tags/list", "tags/list"),
            ("/v2/v2/_x/tags/list", ""),
            ("/v2/blobs/uploads/manifests/latest", "blobs/uploads"),
            ("/v2/a/referrers/blobs/uploads/", "a/referrers"),
            ("/v2/a/blobs/uploads/blobs/uploads/7", "a/blobs/uploads"),
        ] {
            let found = match Route::of(path) {
                Ok(
                    Route::Tags { repository }
                    | Route::Manifest { repository, .. }
                    | Route::Uploads { repository }
                    | Route::Upload { repository, .. },
                ) => repository.to_string(),
                _ => String::new(),
            };
            assert_eq!(found, repository, "{path}");
        }
    }

    #[test]
    fn what_names_nothing() {
        for path in ["", "/", "/v1/", "/v2x", "/v2/a", "/v2/a/b", "/v2/a/tags", "/v2/manifests/latest", "/v2/a/_oci/ext/discover"]
        {
            assert_eq!(Route::of(path), Err(PathError::Unknown), "{path}");
        }
        for path in
            ["/v2//manifests/x", "/v2/A/manifests/x", "/v2/a/../b/manifests/x", "/v2/a%2e%2e/tags/list", "/v2/-a/tags/list"]
        {
            assert!(matches!(Route::of(path), Err(PathError::Name(_))), "{path}");
        }
        for path in ["/v2/a%2Fb/tags/list", "/v2/a%2fb/tags/list", "/v2/a%2/tags/list", "/v2/a%ff/tags/list"] {
            assert_eq!(Route::of(path), Err(PathError::Encoding), "{path}");
        }
        // Decoded once: what is still encoded afterwards is no name.
        assert!(matches!(Route::of("/v2/a%252Fb/tags/list"), Err(PathError::Name(_))));
        for path in
            ["/v2/a/manifests/sha256:baddigeststring", "/v2/a/blobs/latest", "/v2/a/referrers/x", "/v2/a/manifests/md5:00"]
        {
            assert!(matches!(Route::of(path), Err(PathError::Digest(_))), "{path}");
        }
        for path in ["/v2/a/manifests/.x", "/v2/a/manifests/", &format!("/v2/a/manifests/{}", "x".repeat(129))] {
            assert!(matches!(Route::of(path), Err(PathError::Tag(_))), "{path}");
        }
    }

    proptest! {
        /// Whatever a path is read as can be written again, and that is read as the same.
        #[test]
        fn a_path_has_one_reading(path in "/v2(/(a|b1|manifests|blobs|uploads|tags|list|referrers|_catalog|v2|x\\.y|%2F|%41|sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a)){0,7}/?") {
            let Ok(route) = Route::of(&path) else { return Ok(()) };
            let written = match &route {
                Route::Base => "/v2/".to_owned(),
                Route::Catalog => "/v2/_catalog".to_owned(),
                Route::Extensions => "/v2/_oci/ext/discover".to_owned(),
                Route::Blob { repository, digest } => format!("/v2/{repository}/blobs/{digest}"),
                Route::Manifest { repository, target } => format!("/v2/{repository}/manifests/{target}"),
                Route::Uploads { repository } => format!("/v2/{repository}/blobs/uploads/"),
                Route::Upload { repository, session } => format!("/v2/{repository}/blobs/uploads/{session}"),
                Route::Tags { repository } => format!("/v2/{repository}/tags/list"),
                Route::Referrers { repository, subject } => format!("/v2/{repository}/referrers/{subject}"),
            };
            prop_assert_eq!(Route::of(&written), Ok(route));
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC{0,80}") {
            let _ = Route::of(&path);
            let _ = Route::of(&format!("/v2/{path}/manifests/{path}"));
        }
    }
}
