//! What is asked for: the body of a request, read.

use oci::{Digest, Reference, RepositoryName, Tag, Target};
use serde_json::Value;

use super::PromotionRequest;
use super::error::RequestError;

/// A promotion as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// From which repository.
    pub(crate) source: RepositoryName,
    /// What of it.
    pub(crate) what: Target,
    /// To which repository.
    pub(crate) target: RepositoryName,
    /// Under which tag.
    pub(crate) tag: Tag,
    /// Write nothing.
    pub(crate) dry_run: bool,
    /// Where the target tag must point, if that was said: at a digest, or nowhere.
    pub(crate) expected: Option<Option<Digest>>,
}

impl Order {
    /// Reads the body. `hosts` are the names of this registry.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) fn parse(body: &[u8], hosts: &[&str]) -> Result<Self, RequestError> {
        let document: Value = serde_json::from_slice(body).map_err(RequestError::Malformed)?;
        // Said before anything else is wrong: whoever names a policy believes that they choose it.
        if document.get("policy").is_some() {
            return Err(RequestError::PolicyNamed);
        }
        let request: PromotionRequest = serde_json::from_value(document).map_err(RequestError::Malformed)?;
        let source = reference("source", &request.source, hosts)?;
        let target = reference("target", &request.target, hosts)?;
        let Target::Tag(tag) = target.target else { return Err(RequestError::TargetDigest { target: request.target }) };
        Ok(Self {
            source: source.repository,
            what: source.target,
            target: target.repository,
            tag,
            dry_run: request.dry_run,
            expected: request.expected_previous,
        })
    }
}

fn reference(which: &'static str, text: &str, hosts: &[&str]) -> Result<Reference, RequestError> {
    let reference: Reference = text.parse().map_err(|error| RequestError::Reference { which, source: error })?;
    match &reference.host {
        Some(host) if !hosts.contains(&host.as_str()) => Err(RequestError::OtherRegistry {
            which,
            found: host.clone(),
            expected: hosts.first().copied().unwrap_or_default().to_owned(),
        }),
        _ => Ok(reference),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<Order, RequestError> {
        Order::parse(body.to_string().as_bytes(), &["localhost:5000", "127.0.0.1:5000"])
    }

    fn code(body: &Value) -> &'static str {
        parse(body).unwrap_err().code()
    }

    #[test]
    fn references_with_and_without_host() {
        let digest = Digest::of(b"{}");
        let order = parse(&json!({"source": format!("localhost:5000/staging/app@{digest}"), "target": "prod/app:2.1"})).unwrap();
        assert_eq!((order.source.as_str(), &order.what), ("staging/app", &Target::Digest(digest.clone())));
        assert_eq!(
            (order.target.as_str(), order.tag.as_str(), order.dry_run, &order.expected),
            ("prod/app", "2.1", false, &None)
        );
        let more = json!({"source": "a:1", "target": "127.0.0.1:5000/b:1", "dry_run": true, "expected_previous": digest});
        let order = parse(&more).unwrap();
        assert_eq!((order.dry_run, order.expected), (true, Some(Some(digest))));
        assert_eq!(parse(&json!({"source": "a:1", "target": "b:1", "expected_previous": null})).unwrap().expected, Some(None));
    }

    #[test]
    fn what_cannot_be_asked_for() {
        let good = json!({"source": "a:1", "target": "b:1"});
        let with = |key: &str, value: Value| {
            let mut body = good.clone();
            body[key] = value;
            body
        };
        assert_eq!(code(&with("policy", json!("lax"))), "promotion_policy_named");
        assert_eq!(code(&with("policy", Value::Null)), "promotion_policy_named");
        assert_eq!(code(&with("polici", json!("lax"))), "promotion_request");
        assert_eq!(code(&with("dry_run", json!("yes"))), "promotion_request");
        assert_eq!(code(&with("expected_previous", json!("1.0"))), "promotion_request");
        assert_eq!(code(&json!({"source": "a:1"})), "promotion_request");
        assert_eq!(code(&json!([])), "promotion_request");
        assert_eq!(Order::parse(b"{", &[]).unwrap_err().code(), "promotion_request");
        for text in ["a", "", "a:", "A:1", "a@sha256:00", "https://localhost:5000/a:1", "a/../b:1", "a:1:2"] {
            assert_eq!(code(&with("source", json!(text))), "promotion_reference", "{text}");
            assert_eq!(code(&with("target", json!(text))), "promotion_reference", "{text}");
        }
        assert_eq!(code(&with("target", json!(format!("b@{}", Digest::of(b""))))), "promotion_reference");
        for text in ["other.example/a:1", "localhost:5001/a:1", "localhost/a:1"] {
            assert_eq!(code(&with("source", json!(text))), "promotion_reference", "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body: Vec<u8>, source in "[a-z/:@.0-9]{0,20}", target in "[a-z/:@.0-9]{0,20}", more in "(,\"[a-z_]{1,17}\":(null|1|\"x\"|true))?") {
            let _ = Order::parse(&body, &[]);
            let text = format!("{{\"source\":\"{source}\",\"target\":\"{target}\"{more}}}");
            match Order::parse(text.as_bytes(), &["localhost:5000"]) {
                Ok(order) => prop_assert!(order.source.as_str().len() <= source.len() && order.tag.as_str().len() <= target.len()),
                Err(error) => prop_assert!(error.code().starts_with("promotion_")),
            }
        }
    }
}
