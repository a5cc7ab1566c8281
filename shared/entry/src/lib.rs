//! Rekor entry kinds: parse, verify, canonicalise. Pure.
//!
//! One module per kind and version, because a released client rebuilds exactly that body and a single byte more or less makes
//! the entry unverifiable:
//!
//! - [`hashedrekord_v002`]: hashedrekord 0.0.2, the one kind of a Rekor v2 log;
//! - [`v1`]: hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.1 and 0.0.2, the kinds of a Rekor v1 log.
//!
//! In [`hashedrekord_v002`] a proposal goes through three types: the request's bytes, [`HashedRekordRequest`] (parsed, nothing of it believed),
//! [`HashedRekord`] (every check passed; the only thing a log takes).

pub mod hashedrekord_v002;
pub mod v1;

mod algorithm;
mod error;

pub use algorithm::{default_key_details, hash_name};
pub use error::RequestError;
pub use hashedrekord_v002::{HashedRekord, HashedRekordRequest, MAX_BODY, Verifier, canonical_hashedrekord_v002};
