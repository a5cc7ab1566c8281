//! Asking one witness to cosign one checkpoint.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use chassis::ClientError;
use note::{AddCheckpoint, Cosignature, NoteSignature, PolicyWitness, SignedNote, VerifierKey, parse_tree_size};
use pki::PublicKey;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tlog::{Log, ReadError, SignedTreeHead, StoreError};
use url::{Host, Url};

use super::WitnessesError;

/// The longest answer that is read: many cosignatures.
const MAX_ANSWER: usize = 16 << 10;
/// How often one checkpoint is brought to one witness, which may say each time that it has seen another size.
const ATTEMPTS: usize = 4;

/// A client for all witnesses. A redirect is not followed: whoever answers for a witness would choose which machines of the private
/// network get our requests.
pub(super) fn client(authorities: &[PathBuf]) -> Result<Client, ClientError> {
    chassis::http_client_builder(authorities)?.redirect(Policy::none()).build().map_err(ClientError::Build)
}

/// One witness of the policy.
#[derive(Debug)]
pub(super) struct Witness {
    /// What the policy calls it.
    pub(super) name: String,
    key: VerifierKey,
    public_key: PublicKey,
    url: Url,
    client: Client,
    /// The log's key, for who has to be told of it.
    log_vkey: String,
    /// The size it cosigned last, as far as we know; 0 before it has told. A wrong one costs one request.
    seen: AtomicU64,
}

impl Witness {
    pub(super) fn new(witness: &PolicyWitness, client: Client, log_vkey: &VerifierKey) -> Result<Self, WitnessesError> {
        let unusable = |reason: &str| WitnessesError::Witness { witness: witness.name.clone(), reason: reason.to_owned() };
        let url = witness.url.as_deref().ok_or_else(|| unusable("the policy gives no URL for it"))?;
        let url = Url::parse(&format!("{}/add-checkpoint", url.trim_end_matches('/')))
            .map_err(|error| unusable(&format!("its URL is none ({error})")))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err(unusable("its URL is neither https nor http on this machine")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable("its URL carries an account"));
        }
        let public_key = PublicKey::from_spki_der(&witness.key.spki_der()).map_err(|_| unusable("its key is no Ed25519 key"))?;
        Ok(Self {
            name: witness.name.clone(),
            key: witness.key.clone(),
            public_key,
            url,
            client,
            log_vkey: log_vkey.to_string(),
            seen: AtomicU64::new(0),
        })
    }

    /// Brings `head` to the witness, and returns its cosignature, verified.
    pub(super) async fn ask(&self, log: &Log, head: &SignedTreeHead) -> Result<NoteSignature, AskError> {
        let note: SignedNote = head.note.parse().map_err(|_| AskError::Answer("our own checkpoint is no note"))?;
        let mut old = self.seen.load(Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            if old > head.size {
                return Err(self.ahead(log, old).await?);
            }
            let proof = if old == 0 || old == head.size { Vec::new() } else { log.consistency_proof(old, head.size).await? };
            let request = AddCheckpoint { old, proof, note: note.clone() };
            match self.post(request.to_string()).await? {
                Answered::Cosigned(lines) => {
                    let line = self.find_cosignature(&lines, note.text())?;
                    self.seen.store(head.size, Ordering::Relaxed);
                    return Ok(line);
                }
                // It has the size that we said, and does not believe that the tree is the same or its beginning.
                Answered::Seen(size) if size == old => return Err(AskError::Fork { seen: size, size: head.size }),
                Answered::Seen(size) => old = size,
            }
            self.seen.store(old, Ordering::Relaxed);
        }
        Err(AskError::Answer("it has seen another size each time it was asked"))
    }

    /// The witness has seen more than this process has published. Another writer of this log may have appended and had it cosigned:
    /// then the store knows, since it knew before the witness did. If not, somebody signs another history with our key, or our
    /// store went back.
    async fn ahead(&self, log: &Log, seen: u64) -> Result<AskError, StoreError> {
        let size = log.committed_size().await?;
        if seen > size {
            return Ok(AskError::Fork { seen, size });
        }
        // Asked again with a newer head, it may agree: what it has seen is ours.
        Ok(AskError::Behind { seen })
    }

    async fn post(&self, body: String) -> Result<Answered, AskError> {
        let request = self.client.post(self.url.clone()).header("content-type", "text/plain; charset=utf-8").body(body);
        let response = request.send().await.map_err(AskError::Unreachable)?;
        let status = response.status();
        match status {
            StatusCode::OK => Ok(Answered::Cosigned(bounded(response).await?)),
            StatusCode::CONFLICT => {
                let size = parse_tree_size(&bounded(response).await?);
                size.map(Answered::Seen).ok_or(AskError::Answer("it has seen another size and does not say which"))
            }
            StatusCode::NOT_FOUND => Err(AskError::UnknownLog { vkey: self.log_vkey.clone() }),
            StatusCode::FORBIDDEN => Err(AskError::UnknownKey { vkey: self.log_vkey.clone() }),
            StatusCode::UNPROCESSABLE_ENTITY => Err(AskError::Proof),
            status => Err(AskError::Status(status)),
        }
    }

    /// The one line of this witness among those it answered. Lines of keys that the policy does not name say nothing.
    fn find_cosignature(&self, lines: &str, checkpoint: &str) -> Result<NoteSignature, AskError> {
        let hint = self.key.hint();
        let parsed = lines.lines().map(NoteSignature::parse).collect::<Result<Vec<_>, _>>();
        let parsed = parsed.map_err(|_| AskError::Answer("its answer is not lines of signatures"))?;
        let ours = parsed.into_iter().find(|line| line.name == self.key.name() && line.hint == hint);
        let line = ours.ok_or(AskError::Answer("its answer has no cosignature by the key in the policy"))?;
        let cosignature = Cosignature::from_bytes(&line.signature).ok_or(AskError::Signature)?;
        let message = Cosignature::message(cosignature.time, checkpoint);
        self.public_key.verify(message.as_bytes(), &cosignature.signature).map_err(|_| AskError::Signature)?;
        Ok(line)
    }
}

enum Answered {
    /// Signature lines, not verified.
    Cosigned(String),
    /// It has seen this size.
    Seen(u64),
}

async fn bounded(mut response: Response) -> Result<String, AskError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(AskError::Unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(AskError::Answer("its answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| AskError::Answer("its answer is not UTF-8"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A witness did not cosign a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Slow,
    /// No connection, or it broke.
    #[error("it cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// 404.
    #[error("it does not know this log; its operator has to add the log's key: {vkey}")]
    UnknownLog {
        /// The log's key.
        vkey: String,
    },
    /// 403.
    #[error("it knows this log under another key; its operator has to compare it with: {vkey}")]
    UnknownKey {
        /// The log's key.
        vkey: String,
    },
    /// 422.
    #[error("it refuses the proof that the log only grew: it has seen another history of this log")]
    Proof,
    /// It has seen a tree that this log has not, or another one of the same size.
    #[error("it has seen another history of this log: a tree of size {seen}, where this log has size {size}")]
    Fork {
        /// What it has seen.
        seen: u64,
        /// What the log has.
        size: u64,
    },
    /// Another writer of the log was there first.
    #[error("it has seen size {seen}, which another writer of this log appended")]
    Behind {
        /// What it has seen.
        seen: u64,
    },
    /// Another status.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// An answer that is none.
    #[error("{0}")]
    Answer(&'static str),
    /// A cosignature that is none.
    #[error("its cosignature does not verify with the key in the policy")]
    Signature,
    /// The proof could not be made.
    #[error("the consistency proof could not be made")]
    Read(#[from] ReadError),
    /// The size could not be read.
    #[error("the size of the log could not be read")]
    Store(#[from] StoreError),
}

impl AskError {
    /// The label of the metric.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Unreachable(_) => "unreachable",
            Self::UnknownLog { .. } => "unknown_log",
            Self::UnknownKey { .. } => "unknown_key",
            Self::Proof | Self::Fork { .. } => "fork",
            Self::Behind { .. } => "behind",
            Self::Status(_) => "status",
            Self::Answer(_) => "answer",
            Self::Signature => "signature",
            Self::Read(_) | Self::Store(_) => "store",
        }
    }

    /// Whether this says that there are two histories of the log: somebody must look at it now.
    pub(super) fn is_alarm(&self) -> bool {
        matches!(self, Self::Proof | Self::Fork { .. })
    }
}
