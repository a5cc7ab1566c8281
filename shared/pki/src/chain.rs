//! Chains of certificates: what must hold before a chain issues or is logged.
//!
//! Chains are always written from the certificate in use to the root, whole and in order; nothing here searches for a path.
//! [`check_links`] knows no clock and no purpose, since a log records what it is given; [`IssuingChain`] is evidence that clients will
//! accept what is issued with it.

mod error;
mod issuing;

use crate::certificate::Certificate;

pub use error::{ChainError, Problem};
pub use issuing::IssuingChain;

/// Checks that each certificate was issued by the next one: the same name, byte for byte; a certificate authority that may sign
/// certificates and allows a path of this length; a signature that verifies. The last certificate's own signature is not looked
/// at, and neither are times and purposes.
///
/// # Errors
/// The first link that does not hold.
pub fn check_links(chain: &[Certificate]) -> Result<(), ChainError> {
    if chain.is_empty() {
        return Err(ChainError::Empty);
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let [certificate, issuer] = pair else { unreachable!("windows of two") };
        check_authority(issuer, index).map_err(|problem| ChainError::at(index + 1, issuer, problem))?;
        check_link(certificate, issuer).map_err(|problem| ChainError::at(index, certificate, problem))?;
    }
    Ok(())
}

fn check_link(certificate: &Certificate, issuer: &Certificate) -> Result<(), Problem> {
    if certificate.issuer_der() != issuer.subject_der() {
        return Err(Problem::Order);
    }
    certificate.verify_signature(issuer.public_key()).map_err(Problem::Signature)
}

/// Whether a certificate may issue, with `below` intermediates between it and the end of the chain.
fn check_authority(certificate: &Certificate, below: usize) -> Result<(), Problem> {
    let extensions = certificate.extensions();
    let constraints = extensions.basic_constraints().filter(|constraints| constraints.ca).ok_or(Problem::NotAuthority)?;
    if extensions.key_usage().is_some_and(|usage| !usage.certificate_signing) {
        return Err(Problem::MayNotSign);
    }
    match constraints.path_length {
        Some(allowed) if usize::from(allowed) < below => Err(Problem::PathLength { allowed, found: below }),
        _ => Ok(()),
    }
}

fn check_time(certificate: &Certificate, now: jiff::Timestamp) -> Result<(), Problem> {
    if certificate.is_valid_at(now) {
        return Ok(());
    }
    Err(Problem::NotValidNow { not_before: certificate.not_before(), not_after: certificate.not_after(), now })
}

fn check_root(certificate: &Certificate) -> Result<(), Problem> {
    if certificate.is_self_signed() { Ok(()) } else { Err(Problem::NotSelfSigned) }
}

#[cfg(test)]
mod tests;
