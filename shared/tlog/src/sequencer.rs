//! The one task that writes: a batch, a transaction, a signature, then answers.
//!
//! This file is the protocol of the log. Its order of writes is what makes every answer true: read [`Sequencer::write`] from top to
//! bottom, and after each step what a crash there leaves behind.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use clock::{Clock, ClockStepped, next_time};
use jiff::Timestamp;
use merkle::{Hash, leaf_hash};

use crate::metric::Metrics;
use crate::queue::{Answer, Batch, Followed, Pending, Queue, Recorded, Refreshed};
use crate::reader::Reader;
use crate::record::HeadRecord;
use crate::tree::Growth;
use crate::{AppendError, Content, NewEntry, Row, SignedTreeHead, State, Store, StoreError, Transaction, TreeHeadSigner};

/// How many leaf hashes are read at a time when another writer's entries are taken over.
const CATCH_UP_STEP: u64 = 65_536;

pub(crate) struct Sequencer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) signer: Arc<dyn TreeHeadSigner>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: Arc<Queue>,
    /// Memory: its tree is the one of `believed`, and only this task changes either.
    pub(crate) reader: Arc<Reader>,
    /// The state row as this process knows it.
    pub(crate) believed: State,
    /// The newest head that anybody can have seen, outside the store.
    pub(crate) record: Option<HeadRecord>,
    pub(crate) metrics: Metrics,
}

/// What became of a batch: an answer for each of its keys, and one for whoever asked for a new head.
struct Written {
    answers: Vec<(Hash, Answer)>,
    refreshed: Refreshed,
}

impl Sequencer {
    /// Writes batch after batch until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        // Should this task ever panic, nobody waits for it in vain.
        let _abandon = Abandon(Arc::clone(&self.queue));
        self.metrics.published(&self.reader.head());
        while let Some(mut batch) = self.queue.take().await {
            if !batch.follow.is_empty() {
                let followed = self.follow().await;
                // A waiter that went away is no concern.
                batch.follow.drain(..).for_each(|waiter| drop(waiter.send(followed.clone())));
            }
            if batch.entries.is_empty() && batch.refresh.is_empty() {
                continue;
            }
            let outcome = self.write(&batch).await;
            if let Err(error) = &outcome {
                self.metrics.failed(error);
                tracing::error!(
                    log = self.signer.origin(),
                    entries = batch.entries.len(),
                    error = chain(error),
                    "a batch was not written"
                );
            }
            self.settle(batch, outcome);
        }
        if let Some(Err(error)) = self.record.as_ref().map(HeadRecord::sync) {
            tracing::warn!(log = self.signer.origin(), %error, "the record of published heads could not be synced");
        }
    }

    /// Writes one batch. On an error nothing of it is in memory; whether it is in the store is found out by the next batch, in step 2.
    async fn write(&mut self, batch: &Batch) -> Result<Written, AppendError> {
        let began = Instant::now();

        // 1. Lock the state row. From here to the commit nobody else, in whatever process, can append.
        let mut transaction = self.store.begin().await?;
        // A crash leaves: nothing. The lock goes with the connection.

        // 2. The row must be what memory believes. It is not when another process appended, or when a commit of ours took effect after
        //    all; then memory takes those entries over, or stops if they do not continue what it knows. It never writes over them.
        if *transaction.state() != self.believed {
            let row = transaction.state().clone();
            self.catch_up(row).await?;
        }
        if self.believed.frozen {
            return Err(AppendError::Frozen);
        }

        // 3. Drop what the log has already. The lock makes this exact: nobody can add a twin before the commit.
        let known = find_known(transaction.as_mut(), &batch.entries).await?;
        let fresh: Vec<_> = batch.entries.iter().filter(|entry| !known.contains_key(&entry.key)).collect();
        self.metrics.duplicates(known.len());
        if fresh.is_empty() && batch.refresh.is_empty() {
            let head = self.reader.head();
            return Ok(Written { answers: answers(known, vec![], &head), refreshed: Ok(head) });
        }

        // 4. Index and time: the next numbers, and a time that is never below the last one. When the clock is behind that, only
        //    duplicates can be answered.
        let time = match self.next_time() {
            Ok(time) => time,
            Err(stepped) => {
                let refusal = AppendError::ClockStepped(stepped);
                self.report(&refusal, fresh.len());
                let head = self.reader.head();
                let mut answers = answers(known, vec![], &head);
                answers.extend(fresh.iter().map(|entry| (entry.key, Err(refusal.clone()))));
                return Ok(Written { answers, refreshed: Err(refusal) });
            }
        };

        // 5. Let the face build the leaves, and grow the tree by their hashes, beside the one in memory.
        let entries = build(&fresh, self.believed.size, time);
        let mut growth = self.reader.tree().grow();
        entries.iter().for_each(|entry| growth.push(entry.leaf_hash));
        let tiles = self.reader.tree().completed_tiles(&growth);
        // A crash leaves: nothing. What was built is in no store, and its indexes are given out again.

        // 6. Write entries and completed tiles.
        transaction.insert_entries(&entries).await?;
        transaction.insert_tiles(&tiles).await?;
        // A crash leaves: nothing. The transaction is rolled back when the database is opened again.

        // 7. Sign the new head, and make sure that start-up will accept it. It is seen by nobody before the commit: should that fail,
        //    a later batch signs another tree of this size, and no two such heads ever get out. Whoever freezes the log gets the last
        //    one, over whatever was in the batch.
        let next = self.sign(&growth, time, batch.freeze).await?;

        // 8. Replace the state row.
        transaction.update(&next).await?;
        // A crash leaves: nothing, as before.

        // 9. Commit: entries, tiles, tree state and head become durable together. An error does not say that it failed; the row does.
        if let Err(error) = transaction.commit().await {
            self.resolve(&next, &entries, error).await?;
        }
        // A crash leaves: a log with these entries, whose submitters have heard nothing. They send them again and get their answers as
        // duplicates.

        // 10. Keep the head outside the store too, before anybody sees it.
        self.keep(&next);
        // A crash leaves: a record that is as new as anything that was seen.

        // 11. Let readers see it, and answer.
        self.believed = next;
        let head = self.reader.publish(growth, self.believed.signed_head()).await;
        self.metrics.published(&head);
        self.metrics.committed(entries.len(), began.elapsed());
        Ok(Written { answers: answers(known, entries, &head), refreshed: Ok(head) })
    }

    /// Takes over what other processes have committed, without keeping them from more.
    async fn follow(&mut self) -> Followed {
        let row = self.store.state().await?.ok_or(StoreError::Missing)?;
        if row != self.believed {
            self.catch_up(row).await?;
        }
        Ok(self.reader.head())
    }

    /// Takes over what is in the store and not in memory.
    ///
    /// The row must continue what this process has published: more entries, or the same; a tree of which ours is the beginning, shown by
    /// appending the new leaves to it; a head that this log signed. Anything else is a store that went back or was exchanged, and this
    /// process writes no more until it is started anew, which checks everything.
    async fn catch_up(&mut self, row: State) -> Result<(), AppendError> {
        let known = &self.believed;
        if row.origin != known.origin || row.key_id != known.key_id {
            return Err(StoreError::damaged("the state row belongs to another log now").into());
        }
        if row.size < known.size || row.time < known.time {
            let what = format!("the state row went back from size {} to {} while the log was running", known.size, row.size);
            return Err(StoreError::damaged(what).into());
        }
        let growth = self.read_growth(row.size).await?;
        if growth.range().root() != row.root || growth.range().hashes() != row.frontier {
            return Err(
                StoreError::damaged(format!("the entries up to {} do not lead to the root in the state row", row.size)).into()
            );
        }
        self.check_head(&row)?;
        tracing::debug!(log = self.signer.origin(), from = known.size, to = row.size, "took over what another writer appended");
        self.keep(&row);
        let head = self.reader.publish(growth, row.signed_head()).await;
        self.metrics.published(&head);
        self.believed = row;
        Ok(())
    }

    /// Writes the record, if there is one. A log whose record cannot be written goes on: what it answers is as true as before, and the
    /// database as durable; only a later rollback would be found out by less. The metric says so.
    fn keep(&mut self, state: &State) {
        let Some(record) = &mut self.record else { return };
        if let Err(error) = record.write(&state.checkpoint, state.frozen) {
            self.metrics.record_failed();
            let path = record.path().display();
            tracing::error!(log = self.signer.origin(), record = %path, %error, "the record of published heads could not be written");
        }
    }

    async fn read_growth(&self, size: u64) -> Result<Growth, StoreError> {
        let mut growth = self.reader.tree().grow();
        while growth.range().size() < size {
            let from = growth.range().size();
            let range = from..size.min(from + CATCH_UP_STEP);
            let leaves = self.store.leaf_hashes(range.clone()).await?;
            if !leaves.iter().map(|(index, _)| *index).eq(range) {
                return Err(StoreError::damaged(format!("entries from {from} on are missing, the state row says {size}")));
            }
            leaves.into_iter().for_each(|(_, leaf)| growth.push(leaf));
        }
        Ok(growth)
    }

    /// The next time to sign, in whole milliseconds: that is what is stored, and what tree heads can say.
    fn next_time(&self) -> Result<Timestamp, ClockStepped> {
        let now = self.clock.now();
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        next_time(Some(self.believed.time), now)
    }

    async fn sign(&self, growth: &Growth, time: Timestamp, frozen: bool) -> Result<State, AppendError> {
        let range = growth.range();
        let (size, root, frontier) = (range.size(), range.root(), range.hashes().to_vec());
        let mut next = State { size, root, frontier, time, frozen, ..self.believed.clone() };
        let head = next.head();
        next.checkpoint = if frozen { self.signer.sign_last(&head).await? } else { self.signer.sign(&head).await? };
        self.check_head(&next)?;
        Ok(next)
    }

    fn check_head(&self, state: &State) -> Result<(), AppendError> {
        let signed = self.signer.verify(&state.checkpoint)?;
        if (&signed.origin, signed.size, signed.root) == (&state.origin, state.size, state.root) {
            Ok(())
        } else {
            Err(StoreError::damaged("the signed head is over another tree").into())
        }
    }

    /// Finds out whether a commit that reported an error took effect.
    ///
    /// Locking the row again waits for the end of the lost transaction, whatever that is; a row equal to the intended one, signature
    /// and all, was written by it. So was a row that others have built upon it by now: then the entries are where they were to be. If
    /// nobody can tell now, the waiters are told to try again, and the next batch finds out.
    async fn resolve(&self, intended: &State, entries: &[NewEntry], error: StoreError) -> Result<(), StoreError> {
        let Ok(transaction) = self.store.begin().await else { return Err(error) };
        let row = transaction.state();
        let built_upon = row != intended && row.size >= intended.size && self.holds(entries).await;
        if row != intended && !built_upon {
            return Err(error);
        }
        tracing::warn!(
            log = self.signer.origin(),
            error = chain(&error),
            built_upon,
            "a commit reported an error and took effect"
        );
        Ok(())
    }

    /// Whether these entries, and there are some, are in the store as they are here, times included.
    async fn holds(&self, entries: &[NewEntry]) -> bool {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
        let same = |(row, entry): (&Row, &NewEntry)| {
            // What was moved since is compared by its hash: the object store is none of a batch's business.
            let content = match &row.content {
                Content::Here(leaf) => *leaf == entry.leaf,
                Content::Moved { .. } => true,
            };
            content && (row.index, row.time, row.leaf_hash) == (entry.index, entry.time, entry.leaf_hash)
        };
        let rows = self.store.rows(first.index..last.index + 1).await.unwrap_or_default();
        rows.len() == entries.len() && rows.iter().zip(entries).all(same)
    }

    /// Says once, for all who waited, what went wrong.
    fn report(&self, error: &AppendError, entries: usize) {
        self.metrics.failed(error);
        tracing::error!(
            log = self.signer.origin(),
            entries,
            code = error.code(),
            error = chain(error),
            "entries were not logged"
        );
    }

    fn settle(&self, batch: Batch, outcome: Result<Written, AppendError>) {
        let refreshed = match outcome {
            Ok(Written { answers, refreshed }) => {
                answers.into_iter().for_each(|(key, answer)| self.queue.settle(&key, answer));
                refreshed
            }
            Err(error) => {
                batch.entries.iter().for_each(|entry| self.queue.settle(&entry.key, Err(error.clone())));
                Err(error)
            }
        };
        for waiter in batch.refresh {
            // A waiter that went away is no concern.
            let _ = waiter.send(refreshed.clone());
        }
    }
}

async fn find_known(transaction: &mut dyn Transaction, entries: &[Pending]) -> Result<HashMap<Hash, Row>, StoreError> {
    let keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
    Ok(transaction.find(&keys).await?.into_iter().collect())
}

fn build(fresh: &[&Pending], first: u64, time: Timestamp) -> Vec<NewEntry> {
    let entry = |(index, pending): (u64, &&Pending)| {
        let leaf = pending.submission.leaf(index, time);
        let search_keys = pending.submission.search_keys();
        NewEntry { index, time, dedup_key: pending.key, leaf_hash: leaf_hash(&leaf.data), leaf, search_keys }
    };
    (first..).zip(fresh).map(entry).collect()
}

/// Answers for entries that were there and entries that are there now, all covered by `head`.
fn answers(known: HashMap<Hash, Row>, entries: Vec<NewEntry>, head: &Arc<SignedTreeHead>) -> Vec<(Hash, Answer)> {
    let known = known.into_iter().map(|(key, Row { index, time, content, .. })| {
        let leaf = match content {
            Content::Here(leaf) => Some(Arc::new(leaf)),
            Content::Moved { .. } => None,
        };
        (key, Ok(Recorded { index, time, duplicate: true, leaf, head: Arc::clone(head) }))
    });
    let fresh = entries.into_iter().map(|NewEntry { index, time, dedup_key, leaf, .. }| {
        (dedup_key, Ok(Recorded { index, time, duplicate: false, leaf: Some(Arc::new(leaf)), head: Arc::clone(head) }))
    });
    known.chain(fresh).collect()
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
