//! What an image must carry before it may be promoted, and what may be written where that is asked for.
//!
//! - [`Policies`] is the configuration, read and checked: which repositories are under which policy.
//! - [`decide`] says whether an image meets one: a pure function of the policy and of what [`evidence::examine`] made of the bytes
//!   that will be copied and of the trusted root. It gives every reason, never the first alone.
//! - [`TrustRoot`] remembers what it made of a bundle, because that never changes.
//! - [`guard`] is what a client may write into a repository under policy: nothing that a tag or a runtime could take for an image.

mod decide;
pub(crate) mod guard;
mod report;
mod rules;
mod trust;

pub(crate) use decide::{Attached, Decision, Examined, Subject, decide};
pub(crate) use guard::{Guard, Guarded};
pub use report::{Clause, Place, PolicyReport, PolicyResult, Reason, Requirement};
pub use rules::PolicyError;
pub(crate) use rules::{Policies, Policy};
pub use trust::TrustError;
pub(crate) use trust::{TrustRoot, Verdict};
