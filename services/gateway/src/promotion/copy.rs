//! Steps 5 to 7: the record, the copy, and the tag last.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci::{Digest, RepositoryName, Target};

use super::closure::Closure;
use super::error::GatherError;
use super::judge::{Allowed, Denied, Gathered};
use super::{Promoter, Promotion, PromotionError, PromotionState};
use crate::store::{Finish, Finished, Listed, PromotionRow, PutError, Transfer};

/// How many blobs are fetched at once from a registry behind this one.
const FETCHES: usize = 4;

/// A promotion whose beginning is on disk.
#[derive(Debug)]
pub(super) struct Recorded {
    allowed: Allowed,
    id: String,
    /// What was attached when it began.
    first: BTreeSet<Digest>,
    /// What is attached and was not at the target.
    brought: BTreeSet<Digest>,
}

/// A promotion of which everything but the tag is at the target.
#[derive(Debug)]
pub(super) struct Copied {
    recorded: Recorded,
    transfer: Arc<Transfer>,
}

/// What became of the last step.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The tag is set.
    Done(Box<Promotion>),
    /// Something was attached meanwhile: it is judged, and has to be copied first.
    Later(Box<Recorded>),
}

impl Recorded {
    /// The record's name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Promoter {
    /// Records a denial, unless it is of a dry run, and answers it.
    pub(super) async fn deny(&self, denied: Denied) -> Result<Promotion, PromotionError> {
        let Denied { promotion, dry_run } = denied;
        let mut promotion = *promotion;
        if dry_run {
            return Ok(promotion);
        }
        promotion.id = Some(new_id());
        self.store.record_promotion(row(&promotion, "denied")).await?;
        Ok(promotion)
    }

    /// Records that it begins.
    pub(super) async fn record(&self, mut allowed: Allowed) -> Result<Recorded, PromotionError> {
        let id = new_id();
        allowed.name(&id);
        self.store.record_promotion(row(&allowed.promotion, "copying")).await?;
        Ok(Recorded { first: attached(&allowed.gathered.closure), allowed, id, brought: BTreeSet::new() })
    }

    /// Brings everything but the tag to the target.
    ///
    /// 1. Blobs that are not here are fetched from the registry behind this one, verified and durable; what is here is only linked.
    /// 2. Links, manifests, edges and the tags beside the image are one transaction.
    pub(super) async fn copy(&self, mut recorded: Recorded) -> Result<Copied, PromotionError> {
        let Allowed { resolved, gathered: Gathered { closure, .. }, .. } = &recorded.allowed;
        if !resolved.hosted {
            self.fetch(&resolved.order.source, closure).await?;
        }
        let transfer = Arc::new(Transfer {
            repository: resolved.order.target.clone(),
            manifests: closure.nodes.iter().map(|node| node.manifest.clone()).collect(),
            blobs: closure.blobs.keys().cloned().collect(),
            tags: closure.tags.iter().map(|(tag, digest)| (tag.clone(), digest.clone())).collect(),
            actor: resolved.actor.as_str().to_owned(),
        });
        let transferred = self.store.transfer(Arc::clone(&transfer)).await?;
        recorded.brought.extend(attached(closure).intersection(&transferred.created).cloned());
        Ok(Copied { recorded, transfer })
    }

    /// Sets the tag, if nothing was attached at the source since it was looked at. In the last round it is set all the same: who
    /// attaches without end must not keep an image from being promoted.
    pub(super) async fn finish(&self, copied: Copied, last: bool) -> Result<Outcome, PromotionError> {
        let Copied { recorded, transfer } = copied;
        // 1. Another look at the source.
        let again = self.gather(&recorded.allowed.resolved).await?;
        if !last && !again.closure.same_as(&recorded.allowed.gathered.closure) {
            return self.again(recorded, again).await;
        }
        // 2. The tag, and in the same transaction a last look, if the source is in the same database.
        let Allowed { resolved, gathered: Gathered { closure, .. }, .. } = &recorded.allowed;
        let listed = (resolved.hosted && !last).then(|| Listed {
            repository: resolved.order.source.clone(),
            subjects: closure.nodes.iter().map(|node| node.digest().clone()).collect(),
            attached: closure.listed.clone(),
        });
        let finish = Finish {
            transfer,
            tag: resolved.order.tag.clone(),
            digest: resolved.digest.clone(),
            expect: resolved.expectation(),
            listed,
            id: recorded.id.clone(),
        };
        let answer = self.answer(&recorded).await?;
        match self.store.finish_promotion(finish, |finished| answer.completed(finished)).await {
            Ok(Some(promotion)) => Ok(Outcome::Done(Box::new(promotion))),
            Ok(None) => {
                let again = self.gather(&recorded.allowed.resolved).await?;
                self.again(recorded, again).await
            }
            Err(PutError::Moved(moved)) => Err(resolved.moved(moved.found)),
            Err(error) => Err(error.into()),
        }
    }

    /// Judges what was found by another look, like everything before it: the answer says what is at the target.
    async fn again(&self, recorded: Recorded, gathered: Gathered) -> Result<Outcome, PromotionError> {
        let Recorded { allowed, id, first, brought } = recorded;
        let judged = self.judge(allowed.resolved, gathered).await?;
        let mut allowed = judged.allow().map_err(|_| PromotionError::Overtaken)?;
        allowed.name(&id);
        Ok(Outcome::Later(Box::new(Recorded { allowed, id, first, brought })))
    }

    /// Reads every blob to its end: then it was verified, is on the disk and has a row.
    async fn fetch(&self, source: &RepositoryName, closure: &Closure) -> Result<(), GatherError> {
        let fetches = stream::iter(closure.blobs.keys().cloned().collect::<Vec<_>>()).map(|digest| async move {
            let found = self.contents.blob(source, &digest).await?;
            let blob = found.ok_or_else(|| GatherError::Missing { digest: digest.clone() })?.value;
            let whole = 0..blob.size();
            let mut bytes = blob.read(whole).await?;
            while bytes.try_next().await.map_err(|source| GatherError::Bytes { source })?.is_some() {}
            Ok(())
        });
        fetches.buffer_unordered(FETCHES).try_collect().await
    }

    /// The answer, as far as it is known before the tag is set.
    async fn answer(&self, recorded: &Recorded) -> Result<Answer, PromotionError> {
        let Allowed { resolved, gathered, promotion } = &recorded.allowed;
        let mut promotion = promotion.clone();
        promotion.state = PromotionState::Done;
        // The tag that was resolved may have moved since. What was asked for stands; a person should know.
        if let Target::Tag(tag) = &resolved.order.what {
            let now =
                self.contents.resolve(&resolved.order.source, tag).await.map_err(GatherError::Read)?.map(|found| found.value);
            if now.as_ref() != Some(&resolved.digest) {
                let to = now.map_or_else(|| "was deleted".to_owned(), |now| format!("points to {now}"));
                promotion.warnings.push(format!("source tag {tag} {to} now; {} was promoted", resolved.digest));
            }
        }
        let late = attached(&gathered.closure).difference(&recorded.first).cloned().collect();
        Ok(Answer { promotion, late, brought: recorded.brought.clone(), attached: attached(&gathered.closure) })
    }
}

/// An answer that lacks what only the last transaction knows.
struct Answer {
    promotion: Promotion,
    /// What was attached while the promotion was under way.
    late: BTreeSet<Digest>,
    /// What was not at the target before.
    brought: BTreeSet<Digest>,
    attached: BTreeSet<Digest>,
}

impl Answer {
    /// As text for the record, and as it is told.
    fn completed(self, finished: &Finished) -> (String, Promotion) {
        let Self { mut promotion, late, mut brought, attached } = self;
        promotion.previous.clone_from(&finished.tag.previous);
        promotion.unchanged = finished.tag.unchanged;
        brought.extend(attached.intersection(&finished.transferred.created).cloned());
        // Of an image that was promoted before, everything that had to be brought came late.
        promotion.late_referrers = if promotion.unchanged { brought.union(&late).count() } else { late.len() } as u64;
        let kept = finished.transferred.kept.iter();
        promotion.warnings.extend(kept.map(|tag| format!("tag {tag} at the target was kept: it holds more than at the source")));
        (document(&promotion), promotion)
    }
}

/// Everything attached, by digest.
fn attached(closure: &Closure) -> BTreeSet<Digest> {
    closure.attachments().map(|node| node.digest().clone()).collect()
}

fn row(promotion: &Promotion, state: &'static str) -> PromotionRow {
    PromotionRow {
        id: promotion.id.clone().unwrap_or_default(),
        state,
        actor: promotion.actor.clone(),
        source: promotion.source.repository.clone(),
        target: promotion.target.repository.clone(),
        tag: promotion.target.tag.clone(),
        digest: promotion.digest.clone(),
        plan: promotion.plan.clone(),
        report: document(promotion),
    }
}

fn document(promotion: &Promotion) -> String {
    serde_json::to_string(promotion).expect("texts, numbers and lists of these always serialise")
}

/// A name that nobody guesses.
fn new_id() -> String {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets).expect("the system has random numbers");
    format!("prm_{}", hex::encode(octets))
}
