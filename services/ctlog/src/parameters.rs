//! Query parameters, with reasons.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::request::Parts;
use merkle::Hash;

/// A parameter that cannot be used: the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("the query cannot be read, expected NAME=VALUE pairs")]
    Query,
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("the parameter {0} is not a whole number from 0 to 2^64 - 1")]
    Number(&'static str),
    #[error("the parameter hash is not 32 bytes in standard base64, URL-escaped")]
    Hash,
}

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Parameters(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = crate::error::QueryError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.uri)?)
    }
}

impl Parameters {
    /// Those of a URI.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ParameterError> {
        Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs)).map_err(|_| ParameterError::Query)
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &'static str) -> Result<u64, ParameterError> {
        // `+5` is a number to Rust, and to nobody else.
        let text = self.text(name)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| u64::from_str(text).ok()).flatten().ok_or(ParameterError::Number(name))
    }

    /// The parameter `hash`. An unescaped `+` arrives as a space.
    pub(crate) fn hash(&self) -> Result<Hash, ParameterError> {
        let bytes = STANDARD.decode(self.text("hash")?.replace(' ', "+")).map_err(|_| ParameterError::Hash)?;
        bytes.try_into().map(Hash::new).map_err(|_| ParameterError::Hash)
    }

    fn text(&self, name: &'static str) -> Result<&str, ParameterError> {
        self.0.get(name).map(String::as_str).ok_or(ParameterError::Missing(name))
    }
}
