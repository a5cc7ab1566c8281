//! Step 6, for envelopes: the statement is one, and about this artifact.

use pki::HashAlgorithm;
use sigstore_verify::types::Statement;

use crate::artifact::Digested;
use crate::refusal::{Refusal, shown};
use crate::shape::at_most;

/// The most subjects of a statement.
pub const MAX_SUBJECTS: usize = 1024;
/// The most digests of a subject.
pub const MAX_DIGESTS: usize = 32;

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// cosign writes v0.1, everything else v1.
const TYPES: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/// The statement of an envelope whose signature was verified, when it is about `artifact` and of the wanted type.
///
/// A digest counts under its own algorithm's name only: SHA-256 of one thing must not pass as another hash of another thing.
pub(crate) fn check(
    payload_type: &str,
    payload: &[u8],
    artifact: &Digested<'_>,
    predicate_type: Option<&str>,
) -> Result<Statement, Refusal> {
    if payload_type != PAYLOAD_TYPE {
        return Err(Refusal::PayloadType { found: shown(payload_type) });
    }
    let statement: Statement = serde_json::from_slice(payload).map_err(Refusal::StatementMalformed)?;
    if !TYPES.contains(&statement.type_.as_str()) {
        return Err(Refusal::StatementType { found: shown(&statement.type_) });
    }
    at_most("subjects", statement.subject.len(), MAX_SUBJECTS)?;
    for subject in &statement.subject {
        let known = usize::from(subject.digest.sha256.is_some()) + usize::from(subject.digest.sha512.is_some());
        at_most("digests of a subject", known + subject.digest.other.len(), MAX_DIGESTS)?;
    }
    if !statement.subject.iter().any(|subject| is_about(subject, artifact)) {
        return Err(Refusal::Subject { subjects: statement.subject.len(), digest: artifact.first().to_string() });
    }
    match predicate_type {
        Some(expected) if expected != statement.predicate_type => {
            Err(Refusal::PredicateType { found: shown(&statement.predicate_type), expected: shown(expected) })
        }
        _ => Ok(statement),
    }
}

fn is_about(subject: &sigstore_verify::types::Subject, artifact: &Digested<'_>) -> bool {
    let digest = &subject.digest;
    let same = |algorithm, found: Option<&[u8]>| found.is_some() && found == artifact.get(algorithm);
    let sha384 = digest.other.get("sha384").and_then(|digits| hex::decode(digits).ok());
    same(HashAlgorithm::Sha256, digest.sha256.as_ref().map(|hash| hash.as_slice()))
        || same(HashAlgorithm::Sha384, sha384.as_deref())
        || same(HashAlgorithm::Sha512, digest.sha512.as_ref().map(|hash| hash.as_slice()))
}
