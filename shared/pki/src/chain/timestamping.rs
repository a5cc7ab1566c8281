//! The chain of a timestamp authority (ct-tsa-tuf.md §2.4).

use jiff::Timestamp;

use super::{ChainError, Problem, check_links, check_root, check_time};
use crate::certificate::Certificate;
use crate::key::{KeyKind, PublicKey};
use crate::oid;

/// Evidence that tokens signed with this chain will verify: made by [`TimestampingChain::check`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampingChain(Vec<Certificate>);

impl TimestampingChain {
    /// Checks a chain, from the signing certificate to the self-signed root, against what the strictest client demands, at the time
    /// `now`, and that its first certificate is for `signer`.
    ///
    /// # Errors
    /// The first demand that is not met.
    pub fn check(chain: Vec<Certificate>, signer: &PublicKey, now: Timestamp) -> Result<Self, ChainError> {
        if chain.len() == 1 {
            return Err(ChainError::TooShort);
        }
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

    /// From the signing certificate to the root.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The certificate that signs tokens.
    #[must_use]
    pub fn signing(&self) -> &Certificate {
        &self.0[0]
    }
}

const EXPECTED: &str = "timeStamping";

fn check_one(certificate: &Certificate, index: usize, length: usize, now: Timestamp) -> Result<(), Problem> {
    check_time(certificate, now)?;
    // Whether Ed25519 tokens verify anywhere is not known (ct-tsa-tuf.md §2.3).
    if certificate.public_key().kind() == KeyKind::Ed25519 {
        return Err(Problem::Ed25519);
    }
    if index == 0 {
        return check_leaf(certificate);
    }
    if index + 1 == length {
        return check_root(certificate);
    }
    match certificate.extensions().ext_key_usage() {
        Some(usages) if usages.contains(&oid::TIME_STAMPING) => Ok(()),
        _ => Err(Problem::Purpose { expected: EXPECTED }),
    }
}

fn check_leaf(certificate: &Certificate) -> Result<(), Problem> {
    let extensions = certificate.extensions();
    if extensions.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(Problem::Authority);
    }
    let usages = extensions.ext_key_usage().unwrap_or_default();
    if !usages.contains(&oid::TIME_STAMPING) {
        return Err(Problem::Purpose { expected: EXPECTED });
    }
    if usages.len() > 1 {
        return Err(Problem::MorePurposes { expected: EXPECTED });
    }
    if !extensions.get(const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE).is_some_and(|extension| extension.critical) {
        return Err(Problem::NotCritical("ExtendedKeyUsage"));
    }
    match extensions.key_usage() {
        Some(usage) if !usage.digital_signature || usage.certificate_signing || usage.crl_signing || usage.other => {
            Err(Problem::KeyUsage)
        }
        _ => Ok(()),
    }
}
