//! Keyless signing as a client: token, certificate, signature, timestamp, log entry, bundle.
//!
//! The steps are separate so that a caller can show or time each; a bundle can only be put together from the results of all of
//! them:
//!
//! 1. [`Content`] says what is signed, [`EphemeralKey::sign`] signs it;
//! 2. [`Keyless::certify`] turns a token and the key into a certificate;
//! 3. [`Keyless::timestamp`] has the signature timestamped;
//! 4. [`Keyless::log`] has signature and certificate logged;
//! 5. [`assemble`] makes the bundle.
//!
//! Nothing here decides whether to believe the result: verify the bundle against the trusted root before handing it out.

mod client;
mod content;
mod endpoints;
mod error;
mod token;

pub use client::{Keyless, Logged, Timestamped, assemble};
pub use content::{Content, EphemeralKey, Signed, statement};
pub use endpoints::Endpoints;
pub use error::{Service, SignError};
pub use token::IdentityToken;
