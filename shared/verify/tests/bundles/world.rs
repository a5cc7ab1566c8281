//! The Sigstore of these tests, as this crate sees it.

pub(crate) use testkit::sigstore::*;
use verify::{IdentityPolicy, Matcher, Policy, Verifier};

pub(crate) fn policy() -> Policy {
    Policy::identity(IdentityPolicy { identity: Matcher::Exact(IDENTITY.into()), issuer: Matcher::Exact(ISSUER.into()) })
}

pub(crate) fn verifier(world: &World) -> Verifier {
    Verifier::from_trusted_root(&world.trusted_root.to_string()).unwrap()
}
