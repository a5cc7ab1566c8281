//! Who is asking: from a token to a `VerifiedIdentity`.
//!
//! 1. `token`: the compact form is bounded and taken apart; `iss` says whose keys to ask.
//! 2. `issuers`: only configured issuers are known; nothing is fetched for any other.
//! 3. `provider`, `jwk`: that issuer's keys, discovered and kept.
//! 4. `token` again: signature, audience, times.
//! 5. `principal`, `ci_provider`: the claims become a name, extensions, and what must be signed to prove possession.

mod builtin;
mod ci_provider;
mod extension;
mod issuers;
mod jwk;
mod principal;
mod provider;
mod token;
mod uri;

use std::collections::BTreeMap;

use pki::SubjectAltName;

pub use self::builtin::BuiltinError;
pub use self::ci_provider::CiProviderError;
pub use self::extension::ExtensionField;
pub(crate) use self::issuers::Issuers;
pub use self::issuers::{IssuerError, IssuerSummary};
use self::principal::Principal;
pub use self::principal::PrincipalError;
pub use self::provider::{FetchError, ProviderError};
pub use self::token::TokenError;
use self::token::VerifiedClaims;
pub(crate) use self::token::{MAX_TOKEN, UnverifiedToken};

/// Evidence that a configured issuer vouches for someone, now, towards us. Made by [`Issuers::authenticate`] only.
#[derive(Debug)]
pub(crate) struct VerifiedIdentity {
    issuer: String,
    subject: String,
    principal: Principal,
}

impl VerifiedIdentity {
    fn new(claims: &VerifiedClaims, principal: Principal) -> Self {
        Self { issuer: claims.issuer().to_owned(), subject: claims.subject().to_owned(), principal }
    }

    /// The token's `iss`.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token's `sub`.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// The name the certificate will bear.
    pub(crate) fn name(&self) -> &SubjectAltName {
        &self.principal.name
    }

    /// What templates made of the claims.
    pub(crate) fn extensions(&self) -> &BTreeMap<ExtensionField, String> {
        &self.principal.extensions
    }

    /// The texts of which one must be signed to prove possession of the key.
    pub(crate) fn challenges(&self) -> &[String] {
        &self.principal.challenges
    }
}

/// A token that is not good for an identity, by who erred.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The caller's token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The caller's token is genuine but does not say what a certificate needs.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The issuer, or the way to it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}
