//! Step 1: what is asked for, resolved once.

use std::sync::Arc;

use oci::{Digest, Target};

use super::closure::Admit;
use super::error::{GatherError, RequestError};
use super::{Order, Promoter, PromotionError};
use crate::access::Actor;
use crate::policy::Policy;
use crate::store::{TagExpectation, Tagged};

/// What is to be promoted, by digest, and where the target tag points.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) order: Order,
    pub(super) actor: Actor,
    pub(super) digest: Digest,
    /// The target's policy.
    pub(super) policy: Option<Arc<Policy>>,
    /// Where the target tag points now.
    pub(super) before: Option<Tagged>,
    /// Whether the source is hosted here.
    pub(super) hosted: bool,
}

impl Promoter {
    pub(super) async fn resolve(&self, order: Order, actor: &Actor) -> Result<Resolved, PromotionError> {
        if self.is_proxied(&order.target) {
            return Err(RequestError::TargetProxied { repository: order.target }.into());
        }
        // Such a tag comes along with its image, and says nothing about itself.
        if oci::SignatureTag::split(&order.tag).is_some() {
            return Err(RequestError::TargetTag { tag: order.tag }.into());
        }
        let digest = match &order.what {
            Target::Digest(digest) => digest.clone(),
            Target::Tag(tag) => {
                let found = self.contents.resolve(&order.source, tag).await.map_err(GatherError::Read)?;
                found.ok_or_else(|| unknown(&order))?.value
            }
        };
        if self.contents.manifest(&order.source, &digest).await.map_err(GatherError::Read)?.is_none() {
            return Err(unknown(&order).into());
        }
        let before = self.store.tag(&order.target, &order.tag).await?;
        let policy = self.policies.governing(&order.target).cloned();
        let resolved = Resolved { hosted: !self.is_proxied(&order.source), actor: actor.clone(), digest, policy, before, order };
        resolved.check_expected()?;
        Ok(resolved)
    }
}

impl Resolved {
    /// Said before anything is copied, and decided again when the tag is set.
    fn check_expected(&self) -> Result<(), PromotionError> {
        let found = self.before.as_ref().map(|tagged| &tagged.digest);
        match &self.order.expected {
            Some(expected) if expected.as_ref() != found && found != Some(&self.digest) => Err(self.moved(found.cloned())),
            _ => Ok(()),
        }
    }

    /// The target tag is not where it was expected.
    pub(super) fn moved(&self, found: Option<Digest>) -> PromotionError {
        let before = self.before.as_ref().map(|tagged| tagged.digest.clone());
        PromotionError::TagMoved {
            repository: self.order.target.clone(),
            tag: self.order.tag.clone(),
            found,
            expected: self.order.expected.clone().unwrap_or(before),
        }
    }

    /// Where the target tag must point when it is set: where the caller says, or where it did at the beginning.
    pub(super) fn expectation(&self) -> TagExpectation {
        match (&self.order.expected, &self.before) {
            (Some(Some(expected)), _) => TagExpectation::Digest(expected.clone()),
            (Some(None), _) | (None, None) => TagExpectation::Absent,
            (None, Some(before)) => TagExpectation::Version(before.version),
        }
    }

    /// What may come along.
    pub(super) fn admit(&self) -> Admit {
        if self.policy.is_some() { Admit::WhatCannotStart } else { Admit::Everything }
    }
}

fn unknown(order: &Order) -> GatherError {
    let separator = if matches!(order.what, Target::Digest(_)) { '@' } else { ':' };
    GatherError::Unknown { reference: format!("{}{separator}{}", order.source, order.what) }
}
