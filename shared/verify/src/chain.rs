//! Step 4: who stood behind the certificate when the signature was made.

use jiff::Timestamp;
use pki::{Certificate, ObjectIdentifier, oid};

use crate::refusal::Refusal;
use crate::trust::{Authority, covers};

const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// At every verified time the leaf was valid, and one trusted authority had issued it through certificates that were all valid
/// then, its root included: an anchor that expired before the signature was made vouches for nothing (CVE-2026-24122).
pub(crate) fn check(leaf: &Certificate, authorities: &[Authority], times: &[Timestamp]) -> Result<(), Refusal> {
    if !leaf.extensions().ext_key_usage().is_some_and(|purposes| purposes.contains(&oid::CODE_SIGNING)) {
        return Err(Refusal::CertificatePurpose);
    }
    for &time in times {
        if !leaf.is_valid_at(time) {
            let (not_before, not_after) = (leaf.not_before(), leaf.not_after());
            return Err(Refusal::CertificateTime { time, not_before, not_after });
        }
        let at_that_time = authorities.iter().filter(|authority| covers(authority.valid_for, time));
        if !at_that_time.into_iter().any(|authority| authority.issued(leaf, time, 0)) {
            return Err(Refusal::CertificateChain { time });
        }
    }
    Ok(())
}

impl Authority {
    /// Whether a path leads from `certificate`, which has `below` intermediates beneath it, to this authority's root.
    fn issued(&self, certificate: &Certificate, time: Timestamp, below: usize) -> bool {
        if below >= self.chain.len() {
            return false;
        }
        self.chain.iter().enumerate().any(|(at, issuer)| {
            certificate.issuer_der() == issuer.subject_der()
                && issuer.is_valid_at(time)
                && may_issue(issuer, below)
                && certificate.verify_signature(issuer.public_key()).is_ok()
                && (at + 1 == self.chain.len() || self.issued(issuer, time, below + 1))
        })
    }
}

fn may_issue(issuer: &Certificate, below: usize) -> bool {
    let extensions = issuer.extensions();
    let is_ca = extensions
        .basic_constraints()
        .is_some_and(|constraints| constraints.ca && constraints.path_length.is_none_or(|longest| usize::from(longest) >= below));
    is_ca
        && extensions.key_usage().is_none_or(|usage| usage.certificate_signing)
        && extensions
            .ext_key_usage()
            .is_none_or(|purposes| purposes.iter().any(|purpose| [oid::CODE_SIGNING, ANY_PURPOSE].contains(purpose)))
}
