//! Who may have a certificate. Today: whoever an accepted issuer vouches for.

use crate::identity::VerifiedIdentity;

/// Evidence that policy allows a certificate for this identity. Made by [`Policy::authorize`] only.
#[derive(Debug)]
pub(crate) struct Authorized(VerifiedIdentity);

impl Authorized {
    /// The identity.
    pub(crate) fn identity(&self) -> &VerifiedIdentity {
        &self.0
    }
}

/// The issuance policy. It accepts everyone; rules over claims will be its data, and refusals its answers, without a change to
/// the steps around it.
#[derive(Debug, Default)]
pub(crate) struct Policy;

impl Policy {
    /// Decides about `identity`.
    pub(crate) fn authorize(&self, identity: VerifiedIdentity) -> Authorized {
        Authorized(identity)
    }
}
