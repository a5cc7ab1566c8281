//! What an answer of the service means for an operator.

use std::error::Error;

use chassis::reason::chain;
use object_store::client::{HttpError, HttpErrorKind};

use crate::{ObjectError, Said};

/// Sorts what the library reports by what is to be done about it.
pub(super) fn of(bucket: &str, object: &str, error: &object_store::Error) -> ObjectError {
    let location = || bucket.to_owned();
    let text = chain(error);
    if let Some(code) = element(&text, "Code") {
        let said = Said::new(&format!("{code}: {}", element(&text, "Message").unwrap_or("without a reason")));
        return match code {
            "NoSuchBucket" => ObjectError::Bucket { location: location() },
            "RequestTimeTooSkewed" => ObjectError::Clock { location: location(), source: said },
            "AccessDenied"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "AuthorizationHeaderMalformed"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "XAdminUserNotFound" => ObjectError::Refused { location: location(), source: said },
            _ if is_refusal(error) => ObjectError::Refused { location: location(), source: said },
            _ => ObjectError::Failed { object: object.to_owned(), source: Box::new(said) },
        };
    }
    if is_refusal(error) {
        return ObjectError::Refused { location: location(), source: Said::new("it gives no reason") };
    }
    match http_error(error) {
        // The library of TLS is a layer deeper than what its error can be told by.
        Some(http) if chain(http).contains("invalid peer certificate") => {
            ObjectError::Untrusted { location: location(), source: Said::new(&innermost(http)) }
        }
        Some(http) if http.kind() == HttpErrorKind::Connect => {
            ObjectError::Unreachable { location: location(), source: Said::new(&innermost(http)) }
        }
        Some(http) => ObjectError::Failed { object: object.to_owned(), source: Box::new(Said::new(&chain(http))) },
        None => ObjectError::Failed { object: object.to_owned(), source: Box::new(Said::new(&text)) },
    }
}

/// 401 or 403.
fn is_refusal(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
}

/// Whether the bucket is there and the object is not.
pub(super) fn is_missing_object(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && element(&chain(error), "Code").is_none_or(|code| code == "NoSuchKey")
}

/// The text of an element of the service's XML, which has no attributes and is not nested.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    after.split_once("</").map(|(text, _)| text)
}

fn http_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a HttpError> {
    std::iter::successors(Some(error), |error| Error::source(*error)).find_map(|error| error.downcast_ref())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| Error::source(*error)).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chassis::Explain as _;

    use super::*;

    fn answered(body: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: format!("answered 400: <Error>{body}</Error>").into() }
    }

    #[test]
    fn what_the_service_says_becomes_something_to_do() {
        for (code, expected) in [
            ("NoSuchBucket", "objects_bucket"),
            ("RequestTimeTooSkewed", "objects_clock"),
            ("InvalidAccessKeyId", "objects_refused"),
            ("SignatureDoesNotMatch", "objects_refused"),
            ("AccessDenied", "objects_refused"),
            ("EntityTooLarge", "objects_failed"),
        ] {
            let body = format!("<Code>{code}</Code><Message>why it\nis so</Message><StringToSign>noise</StringToSign>");
            let error = of("s3://logs", "s3://logs/a", &answered(&body));
            assert_eq!(error.code(), expected, "{code}");
            assert!(!chain(&error).contains("noise"), "{error}");
            if code != "NoSuchBucket" {
                assert!(chain(&error).ends_with(&format!("{code}: why it is so")), "{}", chain(&error));
            }
        }
    }

    #[test]
    fn a_missing_bucket_is_no_missing_object() {
        let missing = |body: &str| object_store::Error::NotFound { path: "a".into(), source: body.to_owned().into() };
        assert!(is_missing_object(&missing("<Code>NoSuchKey</Code>")));
        assert!(is_missing_object(&missing("")), "a service that says 404 and no more");
        assert!(!is_missing_object(&missing("<Code>NoSuchBucket</Code>")));
        assert!(!is_missing_object(&answered("<Code>NoSuchKey</Code>")));
    }
}
