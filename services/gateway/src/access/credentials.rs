//! The header `Authorization` (RFC 7617, RFC 6750).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a request says about who sent it.
pub(super) enum Credentials<'a> {
    /// Nothing.
    None,
    /// `Basic`: the password. The user name means nothing yet.
    Password(String),
    /// `Bearer`: the token.
    Token(&'a str),
    /// Another scheme, or not as its scheme wants it.
    Unreadable,
}

impl<'a> Credentials<'a> {
    /// Of a request's headers.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::None };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')) else {
            return Self::Unreadable;
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Token(rest);
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Unreadable;
        }
        let pair = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        // A password may contain colons, a user name may not.
        match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((_user, password)) => Self::Password(password.to_owned()),
            None => Self::Unreadable,
        }
    }
}
