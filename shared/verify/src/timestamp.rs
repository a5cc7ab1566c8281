//! Step 3: the times at which somebody trustworthy saw the signature.

use jiff::Timestamp;
use sigstore_verify::tsa::verify_timestamp_for_authority;
use sigstore_verify::types::{SignatureBytes, TimestampToken};

use crate::trust::TimestampAuthority;

/// A time that a trusted authority signed together with this signature.
pub(crate) struct Stamped<'a> {
    pub(crate) time: Timestamp,
    pub(crate) authority: &'a TimestampAuthority,
}

/// Checks one RFC 3161 token against each trusted authority: over these signature bytes, by its signing certificate, whose chain
/// was valid at that time, within its validity in the trusted root.
///
/// A token that none of them made counts as not there, as in released clients; the reason is kept for when nothing else is left.
pub(crate) fn verify<'a>(
    token: &TimestampToken,
    signature: &[u8],
    authorities: &'a [TimestampAuthority],
) -> Result<Stamped<'a>, String> {
    let signature = SignatureBytes::from_bytes(signature);
    let mut reason = "the trusted root lists no timestamp authority".to_owned();
    for authority in authorities {
        match verify_timestamp_for_authority(token, &signature, &authority.authority) {
            Ok(time) if authority.chain.iter().all(|certificate| certificate.is_valid_at(time)) => {
                return Ok(Stamped { time, authority });
            }
            Ok(time) => reason = format!("{time} is outside of the validity of a certificate of {}", authority.name),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(crate::refusal::shown(&reason))
}
