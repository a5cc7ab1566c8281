//! The rules of ct-tsa-tuf §3.4 and clients §4.1, each because a released client refuses or misreads its violation.

use pki::PublicKey;

use super::chain::{self, Use};
use super::{CertificateAuthority, TransparencyLog, TrustedRoot, ValidFor};
use crate::algorithm::{HashAlgorithm, KeyDetails};
use crate::error::{Document, DocumentError, Rule};

/// Checks every entry of every list.
pub(super) fn trusted_root(root: &TrustedRoot) -> Result<(), DocumentError> {
    // sigstore-python refuses to verify without tlogs, authorities and CT logs; no client needs a TSA to load the file.
    for (list, empty) in [
        ("tlogs", root.tlogs.is_empty()),
        ("certificateAuthorities", root.certificate_authorities.is_empty()),
        ("ctlogs", root.ctlogs.is_empty()),
    ] {
        ensure(!empty, || list.to_owned(), Rule::Empty)?;
    }
    check_logs("tlogs", &root.tlogs, LogFace::Entries)?;
    check_logs("ctlogs", &root.ctlogs, LogFace::Certificates)?;
    check_distinct_ids(root)?;
    check_authorities("certificateAuthorities", &root.certificate_authorities, Use::Issuing)?;
    check_authorities("timestampAuthorities", &root.timestamp_authorities, Use::Timestamping)
}

#[derive(Clone, Copy, PartialEq)]
enum LogFace {
    Entries,
    Certificates,
}

fn check_logs(list: &str, logs: &[TransparencyLog], face: LogFace) -> Result<(), DocumentError> {
    for (position, log) in logs.iter().enumerate() {
        let at = |member: &str| format!("{list}[{position}].{member}");
        let url = Rule::Url { found: log.base_url.clone(), expected: "an http(s) URL without a trailing slash" };
        ensure(crate::url::host(&log.base_url).is_some() && !log.base_url.ends_with('/'), || at("baseUrl"), url)?;
        let hash = Rule::HashAlgorithm(log.hash_algorithm);
        ensure(log.hash_algorithm == HashAlgorithm::Sha2_256, || at("hashAlgorithm"), hash)?;
        let hint = Rule::Unwanted("sigstore-js takes it for the log id of a CT log, and public trusted roots leave it out");
        ensure(log.checkpoint_key_id.is_none(), || at("checkpointKeyId"), hint)?;
        ensure(log.operator.is_empty(), || at("operator"), OPERATOR)?;
        check_valid_for(log.public_key.valid_for, || at("publicKey.validFor"))?;
        let Ok(key) = PublicKey::from_spki_der(&log.public_key.raw_bytes) else {
            return Err(refused(at("publicKey.rawBytes"), Rule::KeyUnreadable));
        };
        let (found, expected) = (log.public_key.key_details, KeyDetails::of(key.kind()));
        ensure(found == expected, || at("publicKey.keyDetails"), Rule::KeyDetails { found, expected })?;
        check_log_id(log, face, || at("logId.keyId"))?;
    }
    let starts = logs.iter().map(|log| log.public_key.valid_for.start);
    ensure(starts.is_sorted(), || list.to_owned(), Rule::Unsorted)
}

/// v1 and CT logs are looked up by SHA-256(SPKI), v2 logs by their note key hash, which for ECDSA is the same.
fn check_log_id(log: &TransparencyLog, face: LogFace, at: impl FnOnce() -> String) -> Result<(), DocumentError> {
    let spki = &log.public_key.raw_bytes;
    let by_key = note::ecdsa_key_id(spki);
    let by_note = match log.public_key.key_details {
        KeyDetails::PkixEd25519 if face == LogFace::Entries => {
            let origin = crate::url::host(&log.base_url).unwrap_or_default();
            spki.last_chunk().map(|key| note::ed25519_key_id(origin, key))
        }
        _ => None,
    };
    let found: &[u8] = &log.log_id.key_id;
    let accepted = found == by_key.as_bytes() || by_note.is_some_and(|id| found == id.as_bytes());
    ensure(accepted, at, Rule::LogId { found: hex::encode(found), expected: hex::encode(by_key.as_bytes()) })
}

fn check_distinct_ids(root: &TrustedRoot) -> Result<(), DocumentError> {
    let mut seen = std::collections::HashSet::new();
    for (list, logs) in [("tlogs", &root.tlogs), ("ctlogs", &root.ctlogs)] {
        for (position, log) in logs.iter().enumerate() {
            ensure(seen.insert(&log.log_id), || format!("{list}[{position}].logId.keyId"), Rule::LogIdShared)?;
        }
    }
    Ok(())
}

fn check_authorities(list: &str, authorities: &[CertificateAuthority], use_: Use) -> Result<(), DocumentError> {
    for (position, authority) in authorities.iter().enumerate() {
        let at = |member: &str| format!("{list}[{position}].{member}");
        let subject = &authority.subject;
        ensure(!subject.organization.is_empty() && !subject.common_name.is_empty(), || at("subject"), Rule::Subject)?;
        let url = Rule::Url { found: authority.uri.clone(), expected: "an http(s) URL" };
        ensure(crate::url::host(&authority.uri).is_some(), || at("uri"), url)?;
        ensure(authority.operator.is_empty(), || at("operator"), OPERATOR)?;
        check_valid_for(authority.valid_for, || at("validFor"))?;
        chain::check(&authority.cert_chain, use_)
            .map_err(|(member, rule)| refused(format!("{}{member}", at("certChain")), rule))?;
    }
    let starts = authorities.iter().map(|authority| authority.valid_for.start);
    ensure(starts.is_sorted(), || list.to_owned(), Rule::Unsorted)
}

const OPERATOR: Rule = Rule::Unwanted("older strict readers do not know it");

fn check_valid_for(valid_for: ValidFor, at: impl FnOnce() -> String) -> Result<(), DocumentError> {
    ensure(valid_for.end.is_none_or(|end| end >= valid_for.start), at, Rule::ValidFor)
}

fn ensure(holds: bool, at: impl FnOnce() -> String, rule: Rule) -> Result<(), DocumentError> {
    if holds { Ok(()) } else { Err(refused(at(), rule)) }
}

fn refused(at: String, rule: Rule) -> DocumentError {
    DocumentError::Unpublishable { document: Document::TrustedRoot, at, rule }
}
