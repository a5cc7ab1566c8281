//! Steps 2 to 4: the whole of it, the policy's word about it, and the evidence that it may be copied.

use chassis::reason::one_line;
use oci::Target;

use super::closure::{Closure, Role};
use super::error::GatherError;
use super::plan::Plan;
use super::resolve::Resolved;
use super::{Destination, Promoter, Promotion, PromotionError, PromotionState, Source};
use crate::policy;

/// The most warnings about signatures that clients will not find.
const MAX_HIDDEN: usize = 100;

/// Everything that has to come along, and the plan.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) closure: Closure,
    pub(super) plan: Plan,
}

/// What the target's policy says about a closure.
#[derive(Debug)]
pub(super) struct Judged {
    resolved: Resolved,
    gathered: Gathered,
    allowed: bool,
    /// The answer so far.
    promotion: Promotion,
}

/// A closure that no policy denies: the only thing that is copied.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) resolved: Resolved,
    pub(super) gathered: Gathered,
    pub(super) promotion: Promotion,
}

/// A closure that the target's policy denies: the answer, and whether it is one to a dry run.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) promotion: Box<Promotion>,
    pub(super) dry_run: bool,
}

impl Promoter {
    pub(super) async fn gather(&self, resolved: &Resolved) -> Result<Gathered, GatherError> {
        let closure =
            Closure::gather(&self.contents, &resolved.order.source, resolved.hosted, &resolved.digest, resolved.admit()).await?;
        Ok(Gathered { plan: Plan::of(&closure), closure })
    }

    /// Verifies everything that claims to be signed, and asks the policy.
    pub(super) async fn judge(&self, resolved: Resolved, gathered: Gathered) -> Result<Judged, PromotionError> {
        let closure = &gathered.closure;
        let examined = self.examiner.examine(closure, &self.contents, &resolved.order.source).await?;
        let mut promotion = self.describe(&resolved, &gathered);
        (promotion.signatures, promotion.attestations) = examined.counts();
        promotion.unverified = examined.unverified();
        if examined.unread() > 0 {
            promotion.warnings.push(format!("{} signatures or attestations were copied and not verified", examined.unread()));
        }
        if let Some(reason) = &examined.stale {
            let kept = "the trusted root was changed and cannot be used; verified with the one from before";
            promotion.warnings.push(one_line(&format!("{kept}: {reason}")));
        }
        promotion.warnings.extend(examined.hidden().into_iter().take(MAX_HIDDEN).map(|subject| {
            format!(
                "{} is signed in the form of cosign 2 alone and carries bundles: clients that find those do not look for it; sign it again with cosign 3",
                subject.short()
            )
        }));
        let image = resolved.hosted.then(|| format!("{}/{}", self.host, resolved.order.source));
        let decision = resolved.policy.as_deref().map(|policy| {
            let subjects = examined.subjects(closure, policy.require);
            policy::decide(policy, &subjects, image.as_deref())
        });
        let allowed = decision.as_ref().is_none_or(policy::Decision::allowed);
        if !allowed && !resolved.hosted {
            promotion.warnings.push("the source is another registry's; what is missing has to be attached there".to_owned());
        }
        promotion.policy = decision.map(|decision| decision.report);
        Ok(Judged { resolved, gathered, allowed, promotion })
    }

    /// What can be said without having verified anything.
    fn describe(&self, resolved: &Resolved, Gathered { closure, plan }: &Gathered) -> Promotion {
        let order = &resolved.order;
        let tag = match &order.what {
            Target::Tag(tag) => Some(tag.clone()),
            Target::Digest(_) => None,
        };
        let previous = resolved.before.as_ref().map(|tagged| tagged.digest.clone());
        Promotion {
            id: None,
            plan: plan.id.clone(),
            state: PromotionState::Planned,
            actor: resolved.actor.as_str().to_owned(),
            source: Source { repository: order.source.clone(), tag, digest: resolved.digest.clone() },
            target: Destination { repository: order.target.clone(), tag: order.tag.clone() },
            digest: resolved.digest.clone(),
            unchanged: previous.as_ref() == Some(&resolved.digest),
            previous,
            manifests: closure.image().count() as u64,
            platforms: platforms(closure),
            attached: closure.attachments().count() as u64,
            signatures: 0,
            attestations: Vec::new(),
            unverified: Vec::new(),
            blobs: closure.blobs.len() as u64,
            bytes: plan.bytes,
            late_referrers: 0,
            policy: None,
            warnings: closure.remarks.iter().cloned().collect(),
        }
    }
}

impl Judged {
    /// Evidence that nothing denies it.
    pub(super) fn allow(self) -> Result<Allowed, Denied> {
        let Self { resolved, gathered, allowed, mut promotion } = self;
        if allowed {
            Ok(Allowed { resolved, gathered, promotion })
        } else {
            promotion.state = PromotionState::Denied;
            Err(Denied { promotion: Box::new(promotion), dry_run: resolved.order.dry_run })
        }
    }
}

impl Allowed {
    pub(super) fn is_dry_run(&self) -> bool {
        self.resolved.order.dry_run
    }

    /// The answer to a dry run.
    pub(super) fn planned(self) -> Promotion {
        self.promotion
    }

    /// Gives it the name of its record.
    pub(super) fn name(&mut self, id: &str) {
        self.promotion.id = Some(id.to_owned());
        self.promotion.state = PromotionState::Copying;
    }
}

/// What an index says that the image runs on, each once, in its order.
fn platforms(closure: &Closure) -> Vec<String> {
    let mut platforms: Vec<String> = Vec::new();
    for node in closure.image() {
        if let Role::Image { platform: Some(platform), .. } = &node.role
            && !platform.is_unknown()
            && !platforms.contains(&platform.to_string())
        {
            platforms.push(platform.to_string());
        }
    }
    platforms
}
