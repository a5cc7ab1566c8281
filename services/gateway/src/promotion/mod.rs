//! Promotion: an image and everything attached to it, from one repository to another, under the target's policy.
//!
//! `POST /api/v1/promotions` is one story, told in [`Promoter::promote`] from top to bottom. Each step is a type that the next one
//! takes, so that none can be left out:
//!
//! 1. [`Resolved`](resolve::Resolved): what is asked for, resolved once; from here on only digests count.
//! 2. [`Gathered`](judge::Gathered): the whole of it, and the plan over it.
//! 3. [`Judged`](judge::Judged): what the target's policy says about exactly these bytes.
//! 4. [`Allowed`](judge::Allowed): a judgement that denies nothing. Only this is copied.
//! 5. [`Recorded`](copy::Recorded): that it begins is on disk.
//! 6. [`Copied`](copy::Copied): everything but the tag is at the target.
//! 7. The tag, by compare-and-swap, in one transaction with the record, and only if nothing was attached at the source meanwhile.
//!
//! A crash at any point leaves no tag that points to an incomplete image: before 7 there is no tag, and 7 is all or nothing. Asking
//! again completes what was cut off; what is there already is not copied twice.

mod closure;
mod copy;
mod error;
mod examine;
mod http;
mod judge;
mod plan;
mod report;
mod request;
mod resolve;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use oci::RepositoryName;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub(crate) use self::error::PromotionError;
use self::examine::Examiner;
pub(crate) use self::http::router;
pub use self::report::{AttestationCount, Destination, Promotion, PromotionRequest, PromotionState, Source, Unverified};
pub(crate) use self::request::Order;
use crate::access::Actor;
use crate::contents::Contents;
use crate::policy::{Policies, Trusted};
use crate::store::{Store, StoreError};

/// How many promotions may be under way.
const AT_ONCE: usize = 4;
/// How long one may take: fetching an image from a registry behind this one may take a while.
const TIME_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How often what was attached meanwhile is fetched, before the tag is set all the same.
const MAX_ROUNDS: usize = 3;

/// Promotes.
#[derive(Debug)]
pub(crate) struct Promoter {
    store: Store,
    contents: Contents,
    policies: Arc<Policies>,
    examiner: Examiner,
    /// What lies below these is a view of another registry.
    proxied: Vec<RepositoryName>,
    /// How clients call this registry.
    host: String,
    places: Arc<Semaphore>,
    /// Promotions under way, which closing waits for.
    running: TaskTracker,
}

impl Promoter {
    /// Promotes between these repositories. Records of promotions that the end of a process cut off are ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(
        store: Store,
        contents: Contents,
        policies: Arc<Policies>,
        trust: Option<Trusted>,
        proxied: Vec<RepositoryName>,
        host: &str,
    ) -> Result<Self, StoreError> {
        store.fail_interrupted_promotions().await?;
        Ok(Self {
            store,
            contents,
            policies,
            examiner: Examiner::new(trust.map(Arc::new)),
            proxied,
            host: host.to_owned(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            running: TaskTracker::new(),
        })
    }

    /// Waits for the promotions that are under way.
    pub(crate) async fn close(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// Runs a promotion to its end, whatever becomes of who asked for it.
    ///
    /// # Errors
    /// [`PromotionError`].
    pub(crate) async fn run(self: &Arc<Self>, order: Order, actor: Actor) -> Result<Promotion, PromotionError> {
        let busy = |_| PromotionError::Busy { limit: AT_ONCE };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let promoter = Arc::clone(self);
        let task = self.running.spawn(async move {
            let promoted = promoter.promote(order, &actor).await;
            drop(place);
            let ended = match &promoted {
                Ok(promotion) => audit(promotion),
                Err(_) => "failed",
            };
            metrics::counter!("registry_promotions_total", "ended" => ended).increment(1);
            promoted
        });
        match task.await {
            Ok(promoted) => promoted,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The story.
    ///
    /// # Errors
    /// [`PromotionError`]: the tag was not set.
    async fn promote(&self, order: Order, actor: &Actor) -> Result<Promotion, PromotionError> {
        let deadline = tokio::time::Instant::now() + TIME_LIMIT;
        let slow = |_| PromotionError::Slow { minutes: TIME_LIMIT.as_secs() / 60 };
        let looking = async {
            // 1. What is asked for. A tag is read once: what it points to later is another promotion.
            let resolved = self.resolve(order, actor).await?;
            // 2. Everything that has to come along, and the plan.
            let gathered = self.gather(&resolved).await?;
            // 3. The policy's word, on exactly these bytes.
            self.judge(resolved, gathered).await
        };
        let judged = tokio::time::timeout_at(deadline, looking).await.map_err(slow)??;
        // 4. A denial is recorded and answered with every reason. A dry run ends here too, and leaves nothing behind.
        let allowed = match judged.allow() {
            Ok(allowed) if allowed.is_dry_run() => return Ok(allowed.planned()),
            Ok(allowed) => allowed,
            Err(denied) => return self.deny(denied).await,
        };
        // 5. That it begins. A crash from here on leaves a record that the next start ends as failed.
        let recorded = self.record(allowed).await?;
        let id = recorded.id().to_owned();
        let copying = async {
            // 6. Everything but the tag. A crash leaves an image by digest alone, or nothing.
            let mut copied = self.copy(recorded).await?;
            for round in 1.. {
                // 7. The tag and the record, at once; not if something was attached meanwhile, which is judged and copied first.
                match self.finish(copied, round >= MAX_ROUNDS).await? {
                    copy::Outcome::Done(promotion) => return Ok(*promotion),
                    copy::Outcome::Later(more) => copied = self.copy(*more).await?,
                }
            }
            unreachable!("the last round sets the tag or fails")
        };
        let promoted = tokio::time::timeout_at(deadline, copying).await.map_err(slow).and_then(std::convert::identity);
        if promoted.is_err()
            && let Err(error) = self.store.fail_promotion(&id).await
        {
            tracing::warn!(promotion.id = id, %error, "a promotion failed, and its record does not say so until the next start");
        }
        promoted
    }

    /// What was told of a promotion: its record.
    ///
    /// # Errors
    /// [`PromotionError`].
    pub(crate) async fn record_of(&self, id: &str) -> Result<Option<String>, PromotionError> {
        Ok(self.store.promotion(id).await?)
    }

    /// How clients call this registry.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    fn is_proxied(&self, repository: &RepositoryName) -> bool {
        self.proxied.iter().any(|prefix| repository == prefix || repository.below(prefix).is_some())
    }
}

/// Says who brought what where, or was kept from it. A dry run did neither.
fn audit(promotion: &Promotion) -> &'static str {
    let Promotion { id: Some(id), state, actor, source, target, digest, .. } = promotion else { return "planned" };
    let what = match state {
        PromotionState::Denied => "denied",
        PromotionState::Planned | PromotionState::Copying | PromotionState::Done | PromotionState::Failed => "promoted",
    };
    tracing::info!(
        target: "audit",
        actor,
        promotion.id = id,
        digest = digest.as_str(),
        plan = promotion.plan.as_str(),
        previous = promotion.previous.as_ref().map(|previous| previous.as_str()),
        policy = promotion.policy.as_ref().map(|policy| policy.name.as_str()),
        "{what} {} to {}:{}",
        source.repository,
        target.repository,
        target.tag
    );
    what
}
