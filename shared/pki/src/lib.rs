//! X.509: public keys, CSRs, byte-exact certificates, poison and SCT extensions. Pure.
//!
//! Bytes are parsed once, at the boundary, into values that hold only what passed: a [`PublicKey`] is one that can be used, a
//! [`Certificate`] keeps the bytes it came in. Nothing here reads a clock, a file or a random source.

pub mod ca;
pub mod certificate;
pub mod chain;
pub mod csr;
pub mod key;
pub mod leaf;
pub mod oid;
pub mod splice;

mod algorithm;
mod hash;
mod pem_text;
mod san;
#[cfg(test)]
mod testing;

pub use algorithm::{SignatureAlgorithm, UnknownSignatureAlgorithm};
pub use certificate::{Certificate, CertificateError};
pub use const_oid::ObjectIdentifier;
pub use csr::{Csr, CsrError, CsrSignatureError};
pub use hash::HashAlgorithm;
pub use key::{BadSignature, KeyError, KeyFault, KeyKind, PublicKey};
pub use pem_text::{PemError, pem_blocks};
pub use san::{SanError, SubjectAltName};
