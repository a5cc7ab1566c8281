//! Sigstore bundles against a trusted root, offline, under our policy.
//!
//! [`Verifier::verify`] tells the steps of a verification as one story; each is a module here. It accepts bundles v0.1 to v0.3
//! over an artifact or an in-toto statement, with Rekor v1 and v2 entries and RFC 3161 timestamps, for any trusted root.
//! [`Verifier::verify_legacy`] accepts what cosign 2 attached to images before there were bundles, by the same steps.
//!
//! It is built on sigstore-verify, and both have to agree. Alone that is not enough: it believes the stored body of a Rekor v2
//! entry, takes a checkpoint that any listed log signed, compares no origin, treats each certificate of a trusted chain as an
//! anchor that never expires, and reads no otherName. So the log, the times and validities of whole chains, identities and the
//! signature are ours, and what a log entry says is compared with the bundle's content here; certificate paths, SCTs and the
//! cryptography of timestamps are sigstore-verify's.
//!
//! Refused, though some client may accept it: certificates with several SCTs, certificates for ECDSA P-521 keys, and Rekor v1
//! entries over another hash than SHA-256. sigstore-verify looks at the machine's clock for one thing, whether an entry lies in
//! the future; nothing else here has a clock.

mod artifact;
mod chain;
mod identity;
mod legacy;
mod log;
mod policy;
mod refusal;
mod report;
mod second_opinion;
mod shape;
mod signature;
mod simple_signing;
mod statement;
mod timestamp;
mod trust;
mod verifier;

pub use artifact::{Artifact, ArtifactDigest, ArtifactDigestError};
pub use legacy::{Legacy, LegacyForm};
pub use policy::{IdentityPolicy, Matcher, Pattern, Policy, PolicyError, SignedBy};
pub use refusal::{Refusal, VerifyError};
pub use report::{LoggedEntry, SignerReport, StatementReport, TimeSource, Verified, VerifiedTime};
pub use shape::{MAX_BUNDLE, MAX_ENTRIES, MAX_TIMESTAMPS};
pub use statement::{MAX_DIGESTS, MAX_SUBJECTS};
pub use trust::TrustRootError;
pub use verifier::Verifier;
