//! Certificate chains of a trusted root (clients §4.1): every order and purpose that a client relies on.

use pki::{Certificate, ObjectIdentifier, oid};

use super::CertificateChain;
use crate::error::Rule;

/// What the chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Fulcio: the issuing CA first, the trust anchor last; one self-signed root alone will do.
    Issuing,
    /// A TSA: the leaf first, since most tokens carry no certificate; then its issuers, the trust anchor last.
    Timestamping,
}

/// Checks a chain. An error names the member inside the chain, such as `.certificates[1]`.
pub(super) fn check(chain: &CertificateChain, purpose: Use) -> Result<(), (String, Rule)> {
    let found = chain.certificates.len();
    let (least, expected) = match purpose {
        Use::Issuing => (1, "the issuing CA first, its trust anchor last"),
        Use::Timestamping => (2, "the leaf first, its trust anchor last: two at least"),
    };
    if found < least {
        return Err((String::new(), Rule::ChainLength { found, expected }));
    }
    let at = |position: usize, rule| (format!(".certificates[{position}]"), rule);
    let mut certificates = Vec::with_capacity(found);
    for (position, certificate) in chain.certificates.iter().enumerate() {
        let parsed = Certificate::from_der(&certificate.raw_bytes);
        certificates.push(parsed.map_err(|_| at(position, Rule::CertificateUnreadable))?);
    }
    for (position, certificate) in certificates.iter().enumerate() {
        let rule = match (purpose, position) {
            (Use::Timestamping, 0) => leaf_fault(certificate),
            _ => issuer_fault(certificate, purpose),
        };
        let rule = rule.or_else(|| link_fault(certificate, certificates.get(position + 1)));
        if let Some(rule) = rule {
            return Err(at(position, Rule::Chain(rule)));
        }
    }
    Ok(())
}

const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// A TSA's leaf (ct-tsa-tuf §2.4).
fn leaf_fault(certificate: &Certificate) -> Option<&'static str> {
    let extensions = certificate.extensions();
    if extensions.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Some("is a CA; the chain of a timestamp authority starts with the leaf that signs tokens");
    }
    if extensions.ext_key_usage() != Some(&[oid::TIME_STAMPING]) {
        return Some("is not for timestamping alone; clients want that one extended key usage");
    }
    if !extensions.get(EXTENDED_KEY_USAGE).is_some_and(|extension| extension.critical) {
        return Some("has an extended key usage that is not critical; RFC 3161 demands it");
    }
    None
}

fn issuer_fault(certificate: &Certificate, purpose: Use) -> Option<&'static str> {
    let extensions = certificate.extensions();
    if !extensions.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Some("is not a CA; every certificate that issues another must be one");
    }
    let wanted = match purpose {
        Use::Issuing => oid::CODE_SIGNING,
        Use::Timestamping => oid::TIME_STAMPING,
    };
    match extensions.ext_key_usage() {
        Some(usages) if !usages.contains(&wanted) => Some("excludes by its extended key usage what the chain is for"),
        _ => None,
    }
}

fn link_fault(certificate: &Certificate, issuer: Option<&Certificate>) -> Option<&'static str> {
    match issuer {
        None if certificate.is_self_signed() => None,
        None => Some("is not self-signed; the last certificate is the trust anchor"),
        Some(issuer) if certificate.issuer_der() != issuer.subject_der() => {
            Some("is not issued by the next one; each certificate is followed by its issuer")
        }
        Some(issuer) if certificate.verify_signature(issuer.public_key()).is_err() => {
            Some("is not signed with the key of the next one, which has the name of its issuer")
        }
        Some(_) => None,
    }
}
