//! Witnesses (C2SP `tlog-witness`, `tlog-cosignature`): others who see every checkpoint and sign that the log only grew.
//!
//! Life of a cosigned checkpoint: the engine has committed and signed it (nothing here is on that path) → whoever wants to answer with it
//! asks for it to be covered ([`Witnesses::cover`]) → `gather.rs` takes the newest such checkpoint, however many were signed meanwhile,
//! and asks all witnesses at once → `ask.rs` proves to one of them that the log grew from what it saw last, and verifies what it answers
//! → with the quorum of the policy the checkpoint is published, its cosignatures below the log's own line.
//!
//! What each witness saw last is learnt from the witness and kept in memory only: it knows best. The last checkpoint with the quorum is
//! kept in a file (`kept.rs`), so that a start need not wait for witnesses before it shows one, and never shows less than before.

mod ask;
mod config;
mod gather;
mod kept;
mod metric;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chassis::{ClientError, Explain};
use note::{PolicyError, VerifierKey, WitnessPolicy};
use tlog::{Log, SignedTreeHead, TreeHeadSigner};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

pub use config::{WithoutQuorum, WitnessesConfig};

use ask::Witness;
use gather::Gatherer;
use kept::Kept;

/// How many answers may wait for cosignatures; beyond, nobody waits.
const MOST_WAITING: usize = 8_192;

/// The witnesses of one log, asked for as long as this lives.
pub(crate) struct Witnesses {
    shared: Arc<Shared>,
    gathering: AbortHandle,
}

/// What answers and the task that asks witnesses know of each other.
struct Shared {
    log: Log,
    without_quorum: WithoutQuorum,
    timeout: Duration,
    /// The newest head that somebody is to be answered with.
    wanted: watch::Sender<Arc<SignedTreeHead>>,
    gathered: watch::Sender<Gathered>,
    /// The largest tree that was shown without quorum: none smaller is shown after it.
    shown: AtomicU64,
    places: Semaphore,
}

/// What came of asking.
#[derive(Debug, Clone)]
struct Gathered {
    /// The head to publish, cosignatures in its note; with [`WithoutQuorum::Refuse`] only ever one that has the quorum.
    head: Option<Arc<SignedTreeHead>>,
    /// Whether the quorum was reached when it was last asked for.
    met: bool,
}

/// Witnesses that can be asked: what is checked before a log is opened.
#[derive(Debug)]
pub(crate) struct Plan {
    config: WitnessesConfig,
    policy: WitnessPolicy,
    witnesses: Vec<Arc<Witness>>,
}

impl Plan {
    /// Reads the policy. `vkey` is the log's own key, for the operators of witnesses.
    ///
    /// # Errors
    /// [`WitnessesError`]: a policy that cannot be read or is not valid, or a witness in it that cannot be asked.
    pub(crate) async fn read(config: &WitnessesConfig, vkey: &VerifierKey) -> Result<Self, WitnessesError> {
        let path = &config.policy;
        let unreadable = |source| WitnessesError::Unreadable { policy: path.display().to_string(), source };
        let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let invalid = |source| WitnessesError::Invalid { policy: path.display().to_string(), source };
        let policy: WitnessPolicy = text.parse().map_err(invalid)?;
        let authorities: Vec<_> = config.ca_cert.iter().map(|path| path.to_path_buf()).collect();
        let client = ask::client(&authorities)?;
        let witnesses = policy.witnesses().iter().map(|witness| Witness::new(witness, client.clone(), vkey).map(Arc::new));
        let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { config: config.clone(), policy, witnesses })
    }
}

impl Witnesses {
    /// Begins to ask. What was cosigned before is shown until something newer is.
    pub(crate) async fn start(plan: Plan, log: Log, signer: &dyn TreeHeadSigner) -> Self {
        let Plan { config, policy, witnesses } = plan;
        let kept = Kept::beside(&log);
        let before = match &kept {
            Some(kept) => kept.load(&log, signer, &policy).await,
            None => None,
        };
        let head = log.checkpoint();
        let shared = Arc::new(Shared {
            without_quorum: config.without_quorum,
            timeout: config.timeout.as_std(),
            wanted: watch::Sender::new(head),
            // Hopeful: the first answers wait for witnesses that may well be there.
            gathered: watch::Sender::new(Gathered { head: before, met: true }),
            shown: AtomicU64::new(0),
            places: Semaphore::new(MOST_WAITING),
            log,
        });
        let gatherer = Gatherer::new(Arc::clone(&shared), policy, witnesses, kept);
        let gathering = tokio::spawn(gatherer.run()).abort_handle();
        Self { shared, gathering }
    }

    /// The checkpoint that readers are given.
    ///
    /// It never shows less than it has shown before.
    ///
    /// # Errors
    /// [`NotCosigned`] while there is none with a quorum and none else may be shown.
    pub(crate) fn checkpoint(&self) -> Result<Arc<SignedTreeHead>, NotCosigned> {
        // Whatever was signed without an answer that waits: the last head of a frozen log.
        self.shared.want(&self.shared.log.checkpoint());
        let Gathered { head, met } = self.shared.gathered.borrow().clone();
        match self.shared.without_quorum {
            WithoutQuorum::Refuse => head.ok_or(NotCosigned { size: self.shared.log.checkpoint().size }),
            WithoutQuorum::Publish => {
                let shown = self.shared.shown.load(Ordering::Acquire);
                let newest = self.shared.log.checkpoint();
                let gathered = head.filter(|head| (met && head.size >= shown) || head.size >= newest.size);
                Ok(gathered.unwrap_or_else(|| self.shared.show(&newest)))
            }
        }
    }

    /// A head to answer with that covers the tree of `head`, as witnesses and configuration have it.
    ///
    /// Witnesses that failed last time keep nobody waiting where the answer may go without them.
    ///
    /// # Errors
    /// [`NotCosigned`] when the quorum did not cosign it in time and it may not be shown without.
    pub(crate) async fn cover(&self, head: &Arc<SignedTreeHead>) -> Result<Arc<SignedTreeHead>, NotCosigned> {
        let shared = &self.shared;
        shared.want(head);
        match (shared.without_quorum, shared.wait(head.size).await) {
            (_, Some(covering)) => Ok(covering),
            (WithoutQuorum::Publish, None) => Ok(shared.show(head)),
            (WithoutQuorum::Refuse, None) => Err(NotCosigned { size: head.size }),
        }
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.gathering.abort();
    }
}

impl fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witnesses").field("without_quorum", &self.shared.without_quorum).finish_non_exhaustive()
    }
}

impl Shared {
    /// Makes `head` the one that is cosigned next, unless a newer one is.
    fn want(&self, head: &Arc<SignedTreeHead>) {
        self.wanted.send_if_modified(|wanted| {
            // The last head of a log that was frozen is over the tree of the one before it.
            let newer = (head.size, head.time) > (wanted.size, wanted.time);
            if newer {
                *wanted = Arc::clone(head);
            }
            newer
        });
    }

    /// A gathered head of at least this size, if one comes in time.
    async fn wait(&self, size: u64) -> Option<Arc<SignedTreeHead>> {
        let hopeless = |gathered: &Gathered| self.without_quorum == WithoutQuorum::Publish && !gathered.met;
        let covering = |gathered: &Gathered| gathered.head.clone().filter(|head| head.size >= size);
        let mut gathered = self.gathered.subscribe();
        let place = self.places.try_acquire();
        {
            let now = gathered.borrow();
            if covering(&now).is_some() || hopeless(&now) || place.is_err() {
                return covering(&now);
            }
        }
        // The round that runs may be over an older head; the next one is over this or a newer one.
        let settled = gathered.wait_for(|gathered| covering(gathered).is_some() || hopeless(gathered));
        let settled = tokio::time::timeout(2 * self.timeout, settled).await;
        settled.ok()?.ok().and_then(|gathered| covering(&gathered))
    }

    /// A head without quorum that somebody is about to see.
    fn show(&self, head: &Arc<SignedTreeHead>) -> Arc<SignedTreeHead> {
        self.shown.fetch_max(head.size, Ordering::AcqRel);
        Arc::clone(head)
    }
}

/// No checkpoint with a quorum of cosignatures covers what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the witnesses have not cosigned a checkpoint of size {size} yet; what was logged stays logged: ask again")]
pub(crate) struct NotCosigned {
    /// The size that it would have to have.
    pub(crate) size: u64,
}

/// The witnesses of a log cannot be asked: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum WitnessesError {
    /// The policy cannot be read.
    #[error("the witness policy {policy} cannot be read")]
    Unreadable {
        /// Its file.
        policy: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The policy is not valid.
    #[error("the witness policy {policy} is not valid")]
    Invalid {
        /// Its file.
        policy: String,
        /// Line and problem.
        #[source]
        source: PolicyError,
    },
    /// A witness that cannot be asked.
    #[error("the witness {witness} cannot be asked: {reason}")]
    Witness {
        /// What the policy calls it.
        witness: String,
        /// What is wrong with its URL or key.
        reason: String,
    },
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Explain for WitnessesError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "witness_policy_unreadable",
            Self::Invalid { .. } => "witness_policy_invalid",
            Self::Witness { .. } => "witness_unusable",
            Self::Client(error) => error.code(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Unreadable { .. } => "Check the path and who may read it.",
            Self::Invalid { .. } => {
                "The file has one `witness NAME VKEY URL` for each witness, groups of them, and one `quorum NAME`."
            }
            Self::Witness { .. } => {
                "Expected a URL with https (or http on this machine) to which /add-checkpoint is added, and the key the witness published."
            }
            Self::Client(error) => return error.advice(),
        };
        Some(advice.to_owned())
    }
}
