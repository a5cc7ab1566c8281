//! The chain of a certificate authority.

use jiff::Timestamp;

use super::{ChainError, Problem, check_authority, check_links, check_root, check_time};
use crate::certificate::Certificate;
use crate::key::{KeyKind, PublicKey};
use crate::oid;

/// Evidence that certificates issued with this chain will verify: made by [`IssuingChain::check`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuingChain(Vec<Certificate>);

impl IssuingChain {
    /// Checks a chain, from the issuing certificate to the self-signed root, against what the strictest client demands, at the time
    /// `now`, and that its first certificate is for `signer`.
    ///
    /// # Errors
    /// The first demand that is not met.
    pub fn check(chain: Vec<Certificate>, signer: &PublicKey, now: Timestamp) -> Result<Self, ChainError> {
        check_links(&chain)?;
        for (index, certificate) in chain.iter().enumerate() {
            check_one(certificate, index, chain.len(), now).map_err(|problem| ChainError::at(index, certificate, problem))?;
        }
        let certified = chain[0].public_key();
        if certified != signer {
            return Err(ChainError::OtherKey { certified: certified.short(), configured: signer.short() });
        }
        Ok(Self(chain))
    }

    /// From the issuing certificate to the root.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The certificate that issues.
    #[must_use]
    pub fn issuing(&self) -> &Certificate {
        &self.0[0]
    }

    /// From when on the whole chain is valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.iter().map(Certificate::not_before).max().expect("a checked chain is not empty")
    }

    /// Until when the whole chain is valid: nothing may be issued beyond it.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.iter().map(Certificate::not_after).min().expect("a checked chain is not empty")
    }
}

fn check_one(certificate: &Certificate, index: usize, length: usize, now: Timestamp) -> Result<(), Problem> {
    check_time(certificate, now)?;
    check_authority(certificate, index)?;
    check_client_demands(certificate, index + 1 == length)?;
    // An issuing certificate below a root must say what it is for; above it, saying something else forbids everything below.
    match certificate.extensions().ext_key_usage() {
        None if index == 0 && length > 1 => Err(Problem::Purpose { expected: "codeSigning" }),
        Some(usages) if !usages.contains(&oid::CODE_SIGNING) => Err(Problem::Purpose { expected: "codeSigning" }),
        _ => Ok(()),
    }
}

/// What sigstore-python demands of every certificate authority beyond a valid chain.
fn check_client_demands(certificate: &Certificate, is_root: bool) -> Result<(), Problem> {
    let extensions = certificate.extensions();
    let (constraints, usage) = (extensions.basic_constraints(), extensions.key_usage());
    if !constraints.is_some_and(|constraints| constraints.critical) {
        return Err(Problem::NotCritical("BasicConstraints"));
    }
    if !usage.ok_or(Problem::Missing("KeyUsage"))?.critical {
        return Err(Problem::NotCritical("KeyUsage"));
    }
    if extensions.subject_key_id().is_none() {
        return Err(Problem::Missing("SubjectKeyIdentifier"));
    }
    if certificate.public_key().kind() == KeyKind::Ed25519 {
        return Err(Problem::Ed25519);
    }
    if is_root {
        return check_root(certificate);
    }
    if extensions.authority_key_id().is_none() { Err(Problem::Missing("AuthorityKeyIdentifier")) } else { Ok(()) }
}
