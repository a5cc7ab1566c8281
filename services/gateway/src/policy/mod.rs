//! What an image must carry before it may be promoted, and what may be written where that is asked for.
//!
//! - [`Policies`] is the configuration, read and checked: which repositories are under which policy.
//! - [`decide`] says whether an image meets one: a pure function of the policy and of what [`evidence::examine_claim`] made of the
//!   bytes that will be copied and of the trusted root. It gives every reason, never the first alone.
//! - [`TrustRoot`] remembers what it made of a signature, because that never changes; [`Trusted`] reads its file again
//!   before each promotion.
//! - [`guard`] is what a client may write into a repository under policy: nothing that a tag or a runtime could take for an image.

mod decide;
pub(crate) mod guard;
mod report;
mod rules;
mod trust;
mod trusted;

pub(crate) use decide::{Attached, Decision, Examined, Subject, decide};
pub(crate) use guard::{Guard, Guarded};
pub use report::{Clause, Place, PolicyReport, PolicyResult, Reason, Requirement};
pub use rules::PolicyError;
pub(crate) use rules::{Policies, Policy};
pub use trust::TrustError;
pub(crate) use trust::{TrustRoot, Verdict};
pub(crate) use trusted::{Current, Trusted};

#[cfg(test)]
mod tests {
    //! Claims as the tests of this module make them.

    use std::collections::BTreeMap;

    use evidence::{Claim, Form};
    use oci::{Descriptor, Digest};
    use testkit::sigstore::LegacyLayer;

    fn claim(form: Form, claimed: &str, content: &[u8], annotations: BTreeMap<String, String>) -> Claim {
        let layer = Descriptor {
            media_type: "text/plain".into(),
            digest: Digest::of(content),
            size: content.len() as u64,
            artifact_type: None,
            annotations,
            platform: None,
            urls: Vec::new(),
        };
        Claim { form, layer, predicate_type: Some(claimed.to_owned()) }
    }

    pub(super) fn bundle(claimed: &str, content: &[u8]) -> Claim {
        claim(Form::Bundle, claimed, content, BTreeMap::new())
    }

    pub(super) fn legacy(form: Form, layer: &LegacyLayer) -> Claim {
        claim(form, evidence::predicate::SIGNATURE, &layer.content, layer.annotations.clone())
    }
}
