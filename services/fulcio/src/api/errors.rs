//! From errors to answers: the one place that knows statuses, upstream's sentences and our codes.
//!
//! A message is upstream's fixed sentence, which people search for, then our reason:
//! `There was an error processing the identity token: [token_audience] audience is x, expected sigstore (issuer …)`.
//! What the caller can mend is 400; what is wrong on our side, or behind us, is 503, so that clients try again.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use chassis::layers::{Failure, Refusal};
use chassis::reason;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};

use super::json::JsonError;
use crate::ctl::CtLogError;
use crate::identity::{FetchError, IdentityError, PrincipalError, TokenError};
use crate::issuance::{Fault, IssueError, KeyRefusal, RecordError};
use crate::metric;
use crate::template::RenderError;

const TOKEN: &str = "There was an error processing the identity token";
const KEY_UNPARSABLE: &str = "The public key supplied in the request could not be parsed";
const KEY_INSECURE: &str = "The public key supplied in the request is insecure";
const KEY_NOT_PERMITTED: &str = "signing algorithm not permitted";
const CSR_UNPARSABLE: &str = "The certificate signing request could not be parsed";
const CSR_ALGORITHM: &str = "unrecognized signature algorithm";
const SIGNATURE: &str = "The signature supplied in the request could not be verified";
const CT_LOG: &str = "Error entering certificate in CTL";
const CA: &str = "error communicating with CA backend";

/// An error as both APIs answer it.
#[derive(Debug)]
pub(crate) struct Answer {
    status: Code,
    code: &'static str,
    message: String,
    failure: Failure,
}

/// Status, upstream's sentence, our code.
type Class = (Code, &'static str, &'static str);

impl Answer {
    /// For a certificate that was not issued.
    pub(crate) fn to_issue(error: &IssueError) -> Self {
        let (status, sentence, code) = classify(error);
        Self {
            status,
            code,
            message: format!("{sentence}: {}", reason::coded(code, &reason::chain(error))),
            failure: Failure::new(code, error),
        }
    }

    /// For a body that is no request.
    pub(crate) fn to_json(error: &JsonError) -> Self {
        let code = match error {
            JsonError::Syntax { .. } => "request_not_json",
            JsonError::Shape { .. } => "request_malformed",
            JsonError::BothKeys => "request_two_keys",
        };
        Self {
            status: Code::InvalidArgument,
            code,
            message: reason::coded(code, &error.to_string()),
            failure: Failure::new(code, error),
        }
    }

    /// For a caller whose own time limit is over.
    pub(crate) fn deadline(limit: Duration) -> Self {
        let refusal = Refusal::TimedOut { after: limit };
        let message = reason::coded(refusal.code(), &refusal.to_string());
        Self { status: Code::DeadlineExceeded, code: refusal.code(), message, failure: Failure::new(refusal.code(), &refusal) }
    }

    /// As JSON of grpc-gateway.
    pub(crate) fn into_response(self) -> Response {
        self.failure.attach(gateway(self.status, &self.message))
    }
}

impl Answer {
    /// As gRPC. The layers see an answer like any other there, so it is counted and logged here.
    pub(crate) fn into_status(self) -> Status {
        metric::refused(self.code);
        if self.status == Code::InvalidArgument {
            tracing::debug!(code = self.code, reason = self.message, "refused a call");
        } else {
            tracing::warn!(code = self.code, reason = self.message, "could not answer a call");
        }
        Status::new(self.status, self.message)
    }
}

/// The error body of grpc-gateway.
pub(crate) fn gateway(status: Code, message: &str) -> Response {
    let body = json!({ "code": i32::from(status), "message": message, "details": [] });
    (http_status(status), Json(body)).into_response()
}

/// What the layers around the handlers answer. Too large a body is 400 here, and the connection closes, since the rest of the
/// body is still on its way.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let (status, message) = match refusal {
        Refusal::TooLarge { .. } => (Code::InvalidArgument, "http: request body too large"),
        Refusal::CutShort => (Code::InvalidArgument, "unexpected EOF"),
        Refusal::TimedOut { .. } => (Code::DeadlineExceeded, "context deadline exceeded"),
        Refusal::Panicked => (Code::Unknown, "internal error"),
    };
    let message = format!("{message}: {}", reason::coded(refusal.code(), &refusal.to_string()));
    let mut response = Failure::new(refusal.code(), refusal).attach(gateway(status, &message));
    if matches!(refusal, Refusal::TooLarge { .. } | Refusal::CutShort) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// grpc-gateway's table, as far as these codes occur.
fn http_status(status: Code) -> StatusCode {
    match status {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn classify(error: &IssueError) -> Class {
    match error {
        IssueError::Identity(IdentityError::Token(error)) => (Code::InvalidArgument, TOKEN, token_code(error)),
        IssueError::Identity(IdentityError::Principal(error)) => (Code::InvalidArgument, TOKEN, principal_code(error)),
        IssueError::Identity(IdentityError::Provider(error)) => (Code::Unavailable, TOKEN, provider_code(&error.reason)),
        IssueError::Key(refusal) => key_class(refusal),
        IssueError::Fault(fault) => fault_class(fault),
    }
}

fn token_code(error: &TokenError) -> &'static str {
    match error {
        TokenError::Missing => "token_missing",
        TokenError::TooLarge { .. } => "token_too_large",
        TokenError::Dots { .. } | TokenError::Part { .. } => "token_malformed",
        TokenError::Algorithm { .. } => "token_algorithm",
        TokenError::Header { .. } => "token_header",
        TokenError::UnknownIssuer { .. } => "token_issuer",
        TokenError::Claim { .. } | TokenError::Claims { .. } => "token_claim",
        TokenError::UnknownKey { .. } => "token_key",
        TokenError::Signature { .. } => "token_signature",
        TokenError::Audience { .. } => "token_audience",
        TokenError::Expired { .. } => "token_expired",
        TokenError::NotYetValid { .. } => "token_not_yet_valid",
    }
}

fn principal_code(error: &PrincipalError) -> &'static str {
    match error {
        PrincipalError::Claim { .. } => "token_claim",
        PrincipalError::Unverified { .. } => "email_unverified",
        PrincipalError::Domain { .. } => "subject_domain",
        PrincipalError::Fixed { .. } => "claim_fixed",
        PrincipalError::Name { .. } => "name_not_a_url",
        PrincipalError::TooLong { .. } => "claim_too_long",
        PrincipalError::Template { reason, .. } => match reason {
            RenderError::Missing { .. } => "claim_missing",
            RenderError::NotText { .. } => "token_claim",
            RenderError::TooLong => "claim_too_long",
        },
    }
}

fn provider_code(error: &FetchError) -> &'static str {
    match error {
        FetchError::Unreachable { .. } | FetchError::Timeout | FetchError::Status { .. } => "issuer_unreachable",
        FetchError::Busy => "issuer_busy",
        FetchError::TooLarge { .. } | FetchError::Malformed { .. } => "issuer_malformed",
        FetchError::OtherIssuer { .. } => "issuer_mismatch",
        FetchError::JwksElsewhere { .. } => "issuer_jwks_uri",
    }
}

fn key_class(refusal: &KeyRefusal) -> Class {
    let (sentence, code) = match refusal {
        KeyRefusal::Missing => (KEY_UNPARSABLE, "key_missing"),
        KeyRefusal::Key(error) => fault_of_key(error),
        KeyRefusal::Csr(pki::CsrError::Key(error)) => match error.fault() {
            pki::KeyFault::Unparsable => (CSR_UNPARSABLE, "csr_unparsable"),
            pki::KeyFault::Insecure => fault_of_key(error),
        },
        KeyRefusal::Csr(_) => (CSR_UNPARSABLE, "csr_unparsable"),
        KeyRefusal::CsrAlgorithm(_) => (CSR_ALGORITHM, "csr_algorithm"),
        KeyRefusal::CsrSignature => (SIGNATURE, "csr_signature"),
        KeyRefusal::Proof { .. } => (SIGNATURE, "proof_invalid"),
        KeyRefusal::NotPermitted { .. } => (KEY_NOT_PERMITTED, "key_not_permitted"),
    };
    (Code::InvalidArgument, sentence, code)
}

fn fault_of_key(error: &pki::KeyError) -> (&'static str, &'static str) {
    match error.fault() {
        pki::KeyFault::Unparsable => (KEY_UNPARSABLE, "key_unparsable"),
        pki::KeyFault::Insecure => (KEY_INSECURE, "key_insecure"),
    }
}

fn fault_class(fault: &Fault) -> Class {
    let (sentence, code) = match fault {
        Fault::NotValidNow(_) => (CA, "ca_not_valid"),
        Fault::Random | Fault::Certificate(_) => (CA, "certificate_not_made"),
        Fault::Record(RecordError::Commit(_)) => (CA, "record_failed"),
        Fault::Record(RecordError::Closed) => (CA, "shutting_down"),
        Fault::Signer(_) => (CA, "ca_key_failed"),
        Fault::CtLog(error) => (CT_LOG, ct_code(error)),
    };
    (Code::Unavailable, sentence, code)
}

fn ct_code(error: &CtLogError) -> &'static str {
    match error {
        CtLogError::Unreachable { .. } | CtLogError::Timeout { .. } => "ct_unreachable",
        CtLogError::Refused { .. } => "ct_refused",
        CtLogError::TooLarge | CtLogError::Malformed { .. } => "ct_malformed",
        CtLogError::Sct { .. } => "ct_sct_invalid",
    }
}
