//! RFC 3161 requests, responses and tokens. Pure: no clock, no randomness, no keys, no I/O.
//!
//! A timestamp authority reads a [`Request`] (DER, or the JSON that sigstore-js posts), drafts a token from its
//! [`TokenTemplate`], has [`TokenDraft::to_be_signed`] signed wherever its key lives, and answers
//! [`TokenDraft::finish`]; or it answers [`refusal`]. A client writes [`Request::to_der`] and reads [`Response::from_der`].
//!
//! The bytes are written by hand, not from derived structures: what one authority signs differs from token to token in six
//! places only, the certificates inside must be the bytes that were hashed, and what other authorities send (fractions of a
//! second, foreign versions) has to be told apart exactly. The tests read every token back with `x509-tsp` and `cms`.

mod digest;
mod encode;
mod failure;
mod gen_time;
mod integer;
mod json;
mod policy;
mod read;
mod request;
mod response;
mod template;
mod token;

pub use digest::{DigestLengthError, HashAlgorithm, MessageImprint};
pub use failure::{FailureInfo, refusal};
pub use gen_time::{GenTime, TimeOutOfRange};
pub use integer::{Integer, Serial};
pub use json::MAX_JSON;
pub use policy::{PolicyId, PolicyIdError};
pub use request::{MAX_NONCE, Request, RequestError};
pub use response::{MAX_RESPONSE, Refused, Response, ResponseError};
pub use template::{SignatureAlgorithm, TemplateError, TokenDraft, TokenTemplate};
pub use token::{AnswerMismatch, Token};
