//! Opening the log. Nothing is created here: whatever is missing or does not fit is an error that says what to do.

use std::sync::Arc;

use axum::Router;
use chassis::ReadyCheck;
use clock::Clock;
use face::{DatabaseAnswers, SharedDatabase};
use keys::{FileKey, Signer};
use merkle::Hash;
use note::{Checkpoint, split_rekor_v1_origin};
use pki::PublicKey;
use tlog::{AppendError, Log, NoteSigner, OpenError, SignedTreeHead, Store, StoreError, TreeHeadSigner as _};

use super::view::Shard;
use super::{App, Config, ShardConfig, TreeId, metric, router};
use crate::host::host_of;
use crate::start::StartError;

/// Name of this log in the database that it shares with the other face.
pub(super) const LOG_NAME: &str = "rekor-v1";

/// A running Rekor v1 log.
#[derive(Debug)]
pub struct RekorV1 {
    app: Arc<App>,
    database: SharedDatabase,
    /// One for each tree.
    identities: Vec<Identity>,
}

/// What makes a tree of the log this tree. It goes into the trusted root and never changes.
#[derive(Debug, Clone)]
pub struct Identity {
    /// First line of every checkpoint: `host - tree id`.
    pub origin: String,
    /// Its number.
    pub tree: TreeId,
    /// `logId.keyId`: SHA-256 of the key's SubjectPublicKeyInfo.
    pub log_id: Hash,
    /// Its key.
    pub public_key: PublicKey,
}

/// Reads what a start reads before it opens anything: the name and the keys of all trees.
///
/// # Errors
/// As [`open`].
pub fn check_files(config: &Config, later: &[ShardConfig]) -> Result<(), StartError> {
    host_of(&config.public_url)?;
    for key in std::iter::once(&config.key).chain(later.iter().map(|shard| &shard.key)) {
        FileKey::load(key)?;
    }
    config.place(1).address().map(drop).map_err(|error| StartError::Log(error.into()))
}

/// Opens the log that [`create`](super::create) made, of one tree, after checking that name, key, state, tiles and entries agree.
///
/// `published` is a checkpoint that is known from elsewhere to have been published, if there is one: the log must reach it.
///
/// # Errors
/// [`StartError`], naming what does not agree with what.
pub async fn open(config: &Config, clock: Arc<dyn Clock>, published: Option<Checkpoint>) -> Result<RekorV1, StartError> {
    open_shards(config, &[], SharedDatabase::open(&config.place(1)).await?, clock, &[published]).await
}

/// As [`open`], in a database that another face of this process may have open too, with the trees that follow the first.
///
/// `published` has a place for each tree, the first one's first.
///
/// # Errors
/// As [`open`].
pub async fn open_shards(
    config: &Config,
    later: &[ShardConfig],
    database: SharedDatabase,
    clock: Arc<dyn Clock>,
    published: &[Option<Checkpoint>],
) -> Result<RekorV1, StartError> {
    let (mut shards, mut identities) = (Vec::new(), Vec::new());
    let keys = std::iter::once(&config.key).chain(later.iter().map(|shard| &shard.key));
    for (number, key) in (1..).zip(keys) {
        let host = host_of(&config.public_url)?;
        let key: Arc<dyn Signer> = Arc::new(FileKey::load(key)?);
        let place = config.place(number);
        let store = database.log(&place).await?;
        let tree = stored_tree(store.as_ref(), &host).await?;
        let (identity, signer) = identify(&host, tree, key.clone())?;
        let known = published.get(shards.len()).cloned().flatten();
        let log = Log::open(store, Arc::new(signer), clock.clone(), place.published(known)).await?;
        shards.push(Shard { log, tree, key });
        identities.push(identity);
    }
    metric::announce();
    Ok(RekorV1 { app: Arc::new(App { shards }), database, identities })
}

impl RekorV1 {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        router::router(Arc::clone(&self.app))
    }

    /// Who the tree is that takes entries.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identities[self.app.view().inactive().len()]
    }

    /// The newest signed checkpoint, as it is served.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.app.view().active().head.note.clone()
    }

    /// The tree that takes entries takes no more for ever; the next one does, if there is one. The answer is its last head.
    ///
    /// # Errors
    /// When the head cannot be signed or stored; asking again is always safe.
    pub async fn freeze(&self) -> Result<Arc<SignedTreeHead>, AppendError> {
        self.app.view().active().shard.log.freeze().await
    }

    /// Whether each tree is frozen, the oldest first.
    #[must_use]
    pub fn frozen(&self) -> Vec<bool> {
        self.app.shards.iter().map(|shard| shard.log.checkpoint().last).collect()
    }

    /// Ready while the database answers.
    #[must_use]
    pub fn ready(&self) -> Arc<dyn ReadyCheck> {
        Arc::new(DatabaseAnswers(self.app.shards[0].log.clone()))
    }

    /// Writes what waits, answers it, and lets go of the database.
    pub async fn close(self) {
        for shard in &self.app.shards {
            shard.log.clone().close().await;
        }
        self.database.close().await;
    }
}

#[cfg(test)]
impl RekorV1 {
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    pub(super) fn database_of_tests(&self) -> &SharedDatabase {
        &self.database
    }
}

/// Who the log is, and what signs for it.
pub(super) fn identify(host: &str, tree: TreeId, key: Arc<dyn Signer>) -> Result<(Identity, NoteSigner), StartError> {
    let public_key = key.public_key().clone();
    let signer = NoteSigner::rekor_v1(host, tree.get(), key)?;
    let identity = Identity { origin: signer.origin().to_owned(), tree, log_id: signer.key_id(), public_key };
    Ok((identity, signer))
}

/// The tree that was drawn when the log was created. It is kept in the origin, the one place where clients see it.
pub(super) async fn stored_tree(store: &dyn Store, host: &str) -> Result<TreeId, StartError> {
    let database = store.location();
    let state = match store.state().await {
        Ok(Some(state)) => state,
        Ok(None) => return Err(OpenError::Missing { database }.into()),
        Err(StoreError::Damaged { what }) => return Err(OpenError::StateDamaged { database, what }.into()),
        Err(source) => return Err(OpenError::Store { database, source }.into()),
    };
    let tree = split_rekor_v1_origin(&state.origin).and_then(|(_, tree)| tree.parse().ok());
    // Under another host the engine finds that the origins differ; here only that there is no tree.
    tree.ok_or_else(|| {
        let given = format!("{host} - TREE");
        OpenError::OriginMismatch { database, stored: state.origin, given }.into()
    })
}
