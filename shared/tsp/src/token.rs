//! Tokens as a client reads them.

use der::Tag;
use jiff::Timestamp;

use crate::gen_time::parse_generalized_time;
use crate::read::{Fields, context};
use crate::request::read_imprint;
use crate::template::TST_INFO;
use crate::{Integer, MessageImprint, PolicyId, Request, ResponseError};

/// What a timestamp token states. Its signature is **not** verified here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    imprint: MessageImprint,
    policy: PolicyId,
    serial: Integer,
    time: Timestamp,
    nonce: Option<Integer>,
    certificates: Vec<Vec<u8>>,
}

impl Token {
    /// `ContentInfo` with a `SignedData` over a `TSTInfo`, from its members.
    pub(crate) fn read(content_info: &mut Fields<'_>) -> Result<Self, ResponseError> {
        let _signed_data_type = content_info.contents(Tag::ObjectIdentifier)?;
        let mut explicit = content_info.nested(context(0))?;
        let mut signed_data = explicit.nested(Tag::Sequence)?;
        explicit.end()?;
        signed_data.integer()?;
        signed_data.contents(Tag::Set)?;
        let info = encapsulated_info(signed_data.nested(Tag::Sequence)?)?;
        let certificates = match signed_data.optional(context(0))? {
            Some(contents) => raw_members(contents)?,
            None => Vec::new(),
        };
        signed_data.optional(context(1))?;
        let signers = raw_members(signed_data.contents(Tag::Set)?)?;
        signed_data.end()?;
        if signers.len() != 1 {
            return Err(ResponseError::Signers(signers.len()));
        }
        Self::from_info(info, certificates)
    }

    fn from_info(info: &[u8], certificates: Vec<Vec<u8>>) -> Result<Self, ResponseError> {
        let mut info = Fields::whole(info, Tag::Sequence)?;
        if info.integer()? != [1] {
            return Err(ResponseError::Version);
        }
        let policy = PolicyId::from_contents(info.contents(Tag::ObjectIdentifier)?)?;
        let imprint = read_imprint(info.nested(Tag::Sequence)?).map_err(|error| ResponseError::Imprint(Box::new(error)))?;
        let serial = owned(info.integer()?);
        let time = parse_generalized_time(info.contents(Tag::GeneralizedTime)?).ok_or(ResponseError::GenTime)?;
        let _accuracy = info.optional(Tag::Sequence)?;
        let _ordering = info.optional(Tag::Boolean)?;
        let nonce = info.optional_integer()?.map(owned);
        let _tsa = info.optional(context(0))?;
        let _extensions = info.optional(context(1))?;
        info.end()?;
        Ok(Self { imprint, policy, serial, time, nonce, certificates })
    }

    /// What was timestamped.
    #[must_use]
    pub fn imprint(&self) -> &MessageImprint {
        &self.imprint
    }

    /// The policy it was issued under.
    #[must_use]
    pub fn policy(&self) -> PolicyId {
        self.policy
    }

    /// The token's serial number.
    #[must_use]
    pub fn serial(&self) -> &Integer {
        &self.serial
    }

    /// `genTime`.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The nonce of the request, if it had one.
    #[must_use]
    pub fn nonce(&self) -> Option<&Integer> {
        self.nonce.as_ref()
    }

    /// The included certificates, DER, in the token's order. Empty unless the request asked for them.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Checks that this token answers `request` and no other (RFC 3161 §2.2).
    ///
    /// # Errors
    /// [`AnswerMismatch`] names what differs.
    pub fn check_answers(&self, request: &Request) -> Result<(), AnswerMismatch> {
        if self.imprint != request.imprint {
            return Err(AnswerMismatch::Imprint);
        }
        if self.nonce != request.nonce {
            return Err(AnswerMismatch::Nonce);
        }
        match request.policy {
            Some(policy) if policy != self.policy => Err(AnswerMismatch::Policy { expected: policy, found: self.policy }),
            _ => Ok(()),
        }
    }
}

/// A token was issued for another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerMismatch {
    /// Another digest.
    #[error("the timestamp is over another digest than the one that was sent")]
    Imprint,
    /// Another nonce, or none, or one that was not sent.
    #[error("the timestamp does not carry the nonce that was sent")]
    Nonce,
    /// Another policy.
    #[error("the timestamp was issued under policy {found}, {expected} was asked for")]
    Policy {
        /// What was asked for.
        expected: PolicyId,
        /// What the token says.
        found: PolicyId,
    },
}

/// `EncapsulatedContentInfo`, from its members: the DER `TSTInfo`.
fn encapsulated_info(mut encapsulated: Fields<'_>) -> Result<&[u8], ResponseError> {
    if encapsulated.contents(Tag::ObjectIdentifier)? != TST_INFO {
        return Err(ResponseError::ContentType);
    }
    let mut explicit = encapsulated.nested(context(0))?;
    let info = explicit.contents(Tag::OctetString)?;
    explicit.end()?;
    encapsulated.end()?;
    Ok(info)
}

fn raw_members(contents: &[u8]) -> Result<Vec<Vec<u8>>, der::Error> {
    let mut fields = Fields::of(contents)?;
    let mut members = Vec::new();
    while !fields.is_empty() {
        members.push(fields.raw()?.to_vec());
    }
    Ok(members)
}

fn owned(contents: &[u8]) -> Integer {
    Integer::from_contents(contents).expect("the reader takes minimal integers only")
}
