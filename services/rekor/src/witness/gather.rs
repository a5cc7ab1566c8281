//! Round after round: the newest head that is wanted, all witnesses at once, until the quorum has cosigned it or time is up.
//!
//! 1. Take the newest head that is wanted; whatever was signed while the last round ran is covered by it.
//! 2. Ask every witness that is not still busy with an older one; as soon as one is free, ask it too.
//! 3. With the quorum, publish at once: slow witnesses keep nobody waiting. What they answer later is added as long as the head is the
//!    newest one.
//! 4. Without it when time is up, say so, and try again after a pause: with the same head only those that have not cosigned it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::reason::chain;
use note::{NoteSignature, WitnessPolicy};
use tlog::SignedTreeHead;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::{AskError, Witness};
use super::kept::Kept;
use super::metric::Metrics;
use super::{Shared, WithoutQuorum};

/// Between a round without quorum and the next.
const PAUSE: Duration = Duration::from_millis(500);
/// A tree that does not grow is cosigned anew this often: cosignatures tell readers how fresh it is.
const REFRESH: Duration = Duration::from_secs(600);

/// The task that asks.
pub(super) struct Gatherer {
    shared: Arc<Shared>,
    policy: WitnessPolicy,
    witnesses: Vec<Arc<Witness>>,
    metrics: Metrics,
    /// Where the last head with the quorum is kept, if anywhere.
    kept: Option<Kept>,
    /// Requests under way, at most one to each witness.
    asked: JoinSet<Asked>,
    busy: BTreeSet<usize>,
    /// Witnesses whose last answer was a failure, which has been told.
    failing: BTreeSet<usize>,
    round: Round,
}

/// One head, and who has cosigned it.
struct Round {
    head: Arc<SignedTreeHead>,
    lines: BTreeMap<usize, NoteSignature>,
    failed: BTreeSet<usize>,
    met: bool,
}

/// What came of one request.
struct Asked {
    witness: usize,
    head: Arc<SignedTreeHead>,
    outcome: Result<NoteSignature, AskError>,
    took: Duration,
}

impl Round {
    fn new(head: Arc<SignedTreeHead>) -> Self {
        Self { head, lines: BTreeMap::new(), failed: BTreeSet::new(), met: false }
    }

    /// The head with its cosignatures: the log's own line first, then the witnesses in the order of the policy.
    fn cosigned(&self) -> Arc<SignedTreeHead> {
        let mut note = self.head.note.clone();
        self.lines.values().for_each(|line| note.push_str(&format!("{line}\n")));
        Arc::new(SignedTreeHead { note, ..SignedTreeHead::clone(&self.head) })
    }
}

impl Gatherer {
    pub(super) fn new(shared: Arc<Shared>, policy: WitnessPolicy, witnesses: Vec<Arc<Witness>>, kept: Option<Kept>) -> Self {
        let metrics = Metrics::new(shared.log.origin(), witnesses.iter().map(|witness| witness.name.as_str()));
        let round = Round::new(shared.log.checkpoint());
        let (asked, busy, failing) = (JoinSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { shared, policy, witnesses, metrics, kept, asked, busy, failing, round }
    }

    /// Until it is aborted.
    pub(super) async fn run(mut self) {
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            let head = Arc::clone(&wanted.borrow_and_update());
            if head.note != self.round.head.note {
                self.round = Round::new(head);
            }
            self.gather().await;
            self.publish();
            if self.round.met {
                self.rest(&mut wanted).await;
            } else {
                sleep(PAUSE).await;
            }
        }
    }

    /// Asks until the quorum has cosigned the head of this round, everybody has answered, or time is up.
    async fn gather(&mut self) {
        self.round.failed.clear();
        let deadline = Instant::now() + self.shared.timeout;
        loop {
            self.ask_idle();
            if self.policy.is_met(|witness| self.round.lines.contains_key(&witness)) {
                self.round.met = true;
                return;
            }
            match timeout_at(deadline, self.asked.join_next()).await {
                Ok(Some(Ok(asked))) => self.take(asked),
                Ok(Some(Err(_))) => {}
                // Nobody is left, or time is up.
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn ask_idle(&mut self) {
        for (number, witness) in self.witnesses.iter().enumerate() {
            let round = &self.round;
            if self.busy.contains(&number) || round.lines.contains_key(&number) || round.failed.contains(&number) {
                continue;
            }
            self.busy.insert(number);
            let (witness, head, shared) = (Arc::clone(witness), Arc::clone(&round.head), Arc::clone(&self.shared));
            self.asked.spawn(async move {
                let began = Instant::now();
                let outcome = timeout(shared.timeout, witness.ask(&shared.log, &head)).await;
                Asked { witness: number, head, outcome: outcome.unwrap_or(Err(AskError::Slow)), took: began.elapsed() }
            });
        }
    }

    fn take(&mut self, asked: Asked) {
        let Asked { witness, head, outcome, took } = asked;
        self.busy.remove(&witness);
        self.tell(witness, &outcome, took);
        if head.note != self.round.head.note {
            return;
        }
        match outcome {
            Ok(line) => drop(self.round.lines.insert(witness, line)),
            Err(_) => drop(self.round.failed.insert(witness)),
        }
    }

    /// With the quorum, until a newer head is wanted or this one is old. Who answers late is heard.
    async fn rest(&mut self, wanted: &mut watch::Receiver<Arc<SignedTreeHead>>) {
        let until = Instant::now() + REFRESH;
        loop {
            tokio::select! {
                _ = wanted.changed() => return,
                () = tokio::time::sleep_until(until) => {
                    self.round = Round::new(Arc::clone(&self.round.head));
                    return;
                }
                Some(answer) = self.asked.join_next() => {
                    if let Ok(asked) = answer {
                        let before = self.round.lines.len();
                        self.take(asked);
                        if self.round.lines.len() > before {
                            self.publish();
                        }
                    }
                }
            }
        }
    }

    fn publish(&self) {
        let met = self.round.met;
        self.metrics.round(met, self.round.lines.len(), self.round.head.size);
        // Kept before anybody sees it: a start never shows less than was seen. It goes on without, as a start then would.
        if let Some(kept) = self.kept.as_ref().filter(|_| met) {
            kept.store(self.shared.log.origin(), &self.round.cosigned());
        }
        let may_be_shown = met || self.shared.without_quorum == WithoutQuorum::Publish;
        self.shared.gathered.send_modify(|gathered| {
            gathered.met = met;
            // Never back to a smaller tree.
            if may_be_shown && gathered.head.as_ref().is_none_or(|head| head.size <= self.round.head.size) {
                gathered.head = Some(self.round.cosigned());
            }
        });
    }

    /// Counts each answer; says in the log when a witness begins or ceases to fail, and every sign of a fork.
    fn tell(&mut self, number: usize, outcome: &Result<NoteSignature, AskError>, took: Duration) {
        let (log, witness) = (self.shared.log.origin(), self.witnesses[number].name.as_str());
        self.metrics.asked(witness, outcome.as_ref().map_or_else(AskError::outcome, |_| "cosigned"), took);
        match outcome {
            Ok(_) if self.failing.remove(&number) => tracing::info!(log, witness, "the witness cosigns again"),
            Ok(_) => {}
            Err(error) if error.is_alarm() => {
                self.metrics.alarm(witness);
                self.failing.insert(number);
                tracing::error!(
                    log,
                    witness,
                    error = chain(error),
                    "a witness has seen another history of this log: its database went back, or its key signs elsewhere; stop it and compare"
                );
            }
            Err(error) if self.failing.insert(number) => {
                tracing::warn!(log, witness, error = chain(error), "the witness does not cosign");
            }
            Err(_) => {}
        }
    }
}
