//! Timestamp responses (RFC 3161 §2.4.2) as a client reads them.

use std::fmt;

use der::Tag;

use crate::read::Fields;
use crate::{FailureInfo, RequestError, Token};

/// The longest response that is read, in bytes; what sigstore-go reads too.
pub const MAX_RESPONSE: usize = 1 << 20;

/// A DER `TimeStampResp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Status `granted` or `grantedWithMods`.
    Granted(Token),
    /// Any other status.
    Refused(Refused),
}

impl Response {
    /// Reads a response; nothing may follow it.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn from_der(der: &[u8]) -> Result<Self, ResponseError> {
        if der.len() > MAX_RESPONSE {
            return Err(ResponseError::TooLarge(der.len()));
        }
        let mut response = Fields::whole(der, Tag::Sequence)?;
        let refused = read_status(response.nested(Tag::Sequence)?)?;
        let token = (!response.is_empty()).then(|| response.nested(Tag::Sequence)).transpose()?;
        response.end()?;
        match (refused.status, token) {
            (0 | 1, Some(mut content_info)) => {
                let token = Token::read(&mut content_info)?;
                content_info.end()?;
                Ok(Self::Granted(token))
            }
            (0 | 1, None) => Err(ResponseError::NoToken),
            _ => Ok(Self::Refused(refused)),
        }
    }
}

/// What an authority that grants nothing says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `PKIStatus`: 2 is `rejection`.
    pub status: u8,
    /// Its reason in words, possibly empty.
    pub reason: String,
    /// Its reason for programs, when it is one this crate knows.
    pub failure: Option<FailureInfo>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the timestamp authority refused (status {}", self.status)?;
        if let Some(failure) = self.failure {
            write!(f, ", {failure:?}")?;
        }
        write!(f, "): {}", self.reason)
    }
}

/// `PKIStatusInfo`, from its members.
fn read_status(mut info: Fields<'_>) -> Result<Refused, ResponseError> {
    let status = match info.integer()? {
        [status] => *status,
        _ => return Err(ResponseError::Status),
    };
    let mut reasons = Vec::new();
    if let Some(contents) = info.optional(Tag::Sequence)? {
        let mut texts = Fields::of(contents)?;
        while !texts.is_empty() {
            reasons.push(String::from_utf8_lossy(texts.contents(Tag::Utf8String)?).into_owned());
        }
    }
    let failure = info.optional(Tag::BitString)?.and_then(FailureInfo::from_bit_string);
    info.end()?;
    Ok(Refused { status, reason: reasons.join("; "), failure })
}

/// Why some bytes are no usable timestamp response. Always the authority's error.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// Not a DER `TimeStampResp`, or something follows it.
    #[error("the timestamp response is not one DER TimeStampResp")]
    Malformed(#[from] der::Error),
    /// More than [`MAX_RESPONSE`] bytes.
    #[error("the timestamp response has {0} bytes, at most {max} are read", max = MAX_RESPONSE)]
    TooLarge(usize),
    /// A status that is no single small number.
    #[error("the timestamp response's status is not a PKIStatus")]
    Status,
    /// Granted, but nothing there.
    #[error("the timestamp response says granted but carries no token")]
    NoToken,
    /// `TSTInfo` of another version.
    #[error("the timestamp's version is not 1")]
    Version,
    /// Signed content that is no `TSTInfo`.
    #[error("the timestamp token's content is no TSTInfo")]
    ContentType,
    /// None or several signatures.
    #[error("the timestamp token has {0} signatures, expected exactly one")]
    Signers(usize),
    /// An imprint of an algorithm or length that is not taken.
    #[error("the timestamp's message imprint cannot be used")]
    Imprint(#[source] Box<RequestError>),
    /// `genTime` is not in UTC or not a time.
    #[error("the timestamp's genTime is not a time in UTC")]
    GenTime,
}
