//! The timestamp authority: a digest in, an RFC 3161 token out. What its compromise would cost is in the README.
//!
//! - [`open`] reads the key and the certificate chain and refuses to start unless verifiers would accept what they sign
//!   ([`CertificateChain`]).
//! - [`Tsa::timestamp`] is the life of a request: read, decide, take the time, draft, sign.
//! - [`Tsa::router`] serves it under the paths of Sigstore's timestamp authority.

mod authority;
mod chain;
mod config;
mod error;
mod http;
mod metrics;
mod start;

pub use authority::{Form, Tsa};
pub use chain::{CertificateChain, ChainError, Rules};
pub use config::Config;
pub use error::TimestampError;
pub use start::{StartError, open};
