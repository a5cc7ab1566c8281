//! The log as files: checkpoint, tiles and entry bundles as C2SP `tlog-tiles` lays them out, for any plain file server.
//!
//! What is in the folder, or in the bucket, is a copy: the log answers from its database, and a copy that is lost is written again. One
//! pass, told by what a crash leaves behind:
//!
//! 1. Full tiles and bundles that the new checkpoint covers and the last one did not. A crash leaves files that nobody has been told of;
//!    they are found by the next pass, or written again with the same bytes.
//! 2. Partial ones at the right edge. The same.
//! 3. Each file appears whole or not at all, is durable, and was read back, before the next step. A crash leaves a file on its way beside
//!    its place in a folder (`NAME#1`), which goes when the place is next written; a server of the folder need not know of it.
//! 4. The checkpoint, last: whoever reads it finds everything below it. A crash after it leaves a complete export.
//! 5. Partial ones whose full version is there now go. A crash leaves some; they are right, and of no more use.
//!
//! Equal processes may export one log to one bucket. They write the same files, and a checkpoint only in place of the one that they have
//! compared with: no older one ever follows a newer one.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use chassis::Explain;
use chassis::reason::chain;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use merkle::{Hash, TILE_WIDTH, Tile, TileKind, TilePath, leaf_hash, verify_consistency};
use metrics::{counter, gauge};
use note::Checkpoint;
use objects::{ObjectError, Objects, ObjectsConfig};
use tlog::{HeadError, ReadError, SignedTreeHead, StoreError, TreeHeadSigner};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::App;
use super::config::ExportConfig;
use crate::start::StartError;

/// Between two passes: entries that come meanwhile are written together.
const PAUSE: Duration = Duration::from_secs(1);
/// Files on their way at once: what each of them waits for is mostly the disk or the network.
const AT_ONCE: usize = 8;
/// For so many passes another process may be ahead: this one follows within a fraction of a second.
const PATIENCE: u32 = 5;
const LOCK: &str = ".lock";
const CHECKPOINT: &str = "checkpoint";
/// Far more than any checkpoint with the cosignatures of all its witnesses.
const MOST_CHECKPOINT: usize = 1 << 20;

/// Where a log is exported to: a folder that one process writes, or a bucket that equal ones may write.
#[derive(Debug)]
pub(super) struct Place {
    objects: Objects,
    /// Of a folder: whoever is second should know.
    lock: Option<File>,
}

impl Place {
    /// Takes a place that is there; it is the operator's to make, as it is to be served. A service that does not answer keeps no log from
    /// starting.
    ///
    /// # Errors
    /// [`FolderError`]: it is not there, cannot be written, or another process writes it. [`ObjectError`] for each other mistake.
    pub(super) async fn open(config: &ExportConfig) -> Result<Self, StartError> {
        let lock = match &config.0 {
            ObjectsConfig::Folder(path) => Some(lock(path)?),
            ObjectsConfig::S3(_) => None,
        };
        let (objects, unanswered) = Objects::open_even_if_down(&config.0).await?;
        if let Some(error) = unanswered {
            let place = objects.location();
            tracing::warn!(
                place,
                error = chain(&error),
                "the place that a log is exported to does not answer; it is asked again"
            );
        }
        Ok(Self { objects, lock })
    }
}

fn lock(path: &Path) -> Result<File, FolderError> {
    let failed = |source| FolderError { path: path.to_owned(), source };
    let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => failed(io::Error::other("another process exports to it")),
        TryLockError::Error(error) => failed(error),
    })?;
    Ok(lock)
}

/// Writes the log of `app` to a place for as long as this lives.
#[derive(Debug)]
pub(super) struct Export {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Export {
    pub(super) fn start(place: Place, app: Arc<App>, signer: Arc<dyn TreeHeadSigner>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let exporter = Exporter { place, app, signer, exported: None, behind: 0, stopped };
        Self { stop, task: tokio::spawn(exporter.run()) }
    }

    /// Ends with the files that are being written, and lets go of the place.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // It panics on nothing, and if it did there would be nothing left to wait for.
        let _ = self.task.await;
    }
}

struct Exporter {
    place: Place,
    app: Arc<App>,
    signer: Arc<dyn TreeHeadSigner>,
    /// The checkpoint there, as far as this process has looked.
    exported: Option<String>,
    /// For how many passes another process has been ahead.
    behind: u32,
    /// True when it is to end; gone when nobody is left to say so.
    stopped: watch::Receiver<bool>,
}

impl Exporter {
    async fn run(mut self) {
        let origin = self.app.log.origin().to_owned();
        let failures = counter!("chancery_log_export_failures_total", "log" => origin.clone());
        failures.increment(0);
        let mut failing = false;
        loop {
            match self.pass().await {
                Ok(size) => {
                    gauge!("chancery_log_exported_size", "log" => origin.clone()).set(size as f64);
                    failing = false;
                }
                Err(ExportError::Stopped) => return,
                Err(error) => {
                    failures.increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        let place = self.place.objects.location();
                        tracing::error!(log = origin, place, error = chain(&error), "the log cannot be exported");
                    }
                }
            }
            let pause = tokio::time::timeout(PAUSE, self.stopped.wait_for(|stopped| *stopped)).await;
            if pause.is_ok() {
                return;
            }
        }
    }

    /// Brings the place up to the published checkpoint; its size then.
    async fn pass(&mut self) -> Result<u64, ExportError> {
        // Without witnesses' word nothing is shown, here neither.
        let Ok(head) = self.app.checkpoint() else { return Ok(self.there().await?.map_or(0, |(_, there)| there.size)) };
        if self.exported.as_ref() == Some(&head.note) {
            return Ok(head.size);
        }
        let there = self.there().await?;
        let from = there.as_ref().map_or(0, |(_, there)| there.size);
        if from > head.size && self.place.lock.is_none() && self.behind < PATIENCE {
            self.behind += 1;
            return Ok(from);
        }
        self.behind = 0;
        if let Some((_, there)) = &there {
            self.check_beginning(there, &head).await?;
        }
        let full = stream::iter(full_files(from, head.size)).map(|path| self.export_full(path));
        full.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let partial = stream::iter(edge_files(head.size)).map(|path| self.export_partial(path));
        partial.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let (old, new) = (there.map(|(note, _)| note), Bytes::from(head.note.clone()));
        if !self.place.objects.put_next(CHECKPOINT, old, new).await? {
            // Another process was first; the next pass compares with what it wrote.
            return Ok(from);
        }
        let gone = stream::iter(full_files(from, head.size)).map(|path| self.drop_partials(path));
        gone.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.exported = Some(head.note.clone());
        Ok(head.size)
    }

    /// The checkpoint there, which this log must have signed, and its bytes.
    async fn there(&self) -> Result<Option<(Bytes, Checkpoint)>, ExportError> {
        let Some(note) = self.place.objects.get(CHECKPOINT, MOST_CHECKPOINT).await? else { return Ok(None) };
        let checkpoint = self.signer.verify(&String::from_utf8_lossy(&note))?;
        Ok(Some((note, checkpoint)))
    }

    async fn export_full(&self, path: TilePath) -> Result<(), ExportError> {
        let (name, content) = (path.to_string(), self.content(path).await?);
        match self.place.objects.put_new(&name, content.clone()).await {
            // These bytes lead to the signed root, so those do not: a disk that lied, or somebody's hand.
            Err(ObjectError::Differs { object }) => {
                tracing::warn!(object, "what was exported had changed, and is written again");
                Ok(self.place.objects.put_latest(&name, content).await?)
            }
            put => Ok(put?),
        }
    }

    async fn export_partial(&self, path: TilePath) -> Result<(), ExportError> {
        let content = self.content(path).await?;
        Ok(self.place.objects.put_latest(&path.to_string(), content).await?)
    }

    /// Removes the partial versions of a full file.
    async fn drop_partials(&self, full: TilePath) -> Result<(), ExportError> {
        self.must_go_on()?;
        Ok(self.place.objects.remove_under(&format!("{full}.p")).await?)
    }

    fn must_go_on(&self) -> Result<(), ExportError> {
        let stopped = *self.stopped.borrow() || self.stopped.has_changed().is_err();
        if stopped { Err(ExportError::Stopped) } else { Ok(()) }
    }

    /// The place must hold the beginning of this log: one that is ahead of it says that the database went back, and is the last
    /// trace of what was lost.
    async fn check_beginning(&self, there: &Checkpoint, head: &SignedTreeHead) -> Result<(), ExportError> {
        if there.origin != self.app.log.origin() || there.size > head.size {
            return Err(ExportError::Ahead { origin: there.origin.clone(), size: there.size, ours: head.size });
        }
        let proof = match there.size {
            0 => Vec::new(),
            old => self.app.log.consistency_proof(old, head.size).await?,
        };
        let fork = |_| ExportError::Fork { size: there.size };
        verify_consistency(there.size, head.size, &proof, &there.root, &head.root).map_err(fork)
    }

    /// A tile, which the engine has checked against the signed root; or a bundle, each entry checked against its tile.
    async fn content(&self, path: TilePath) -> Result<Bytes, ExportError> {
        self.must_go_on()?;
        let TilePath { kind, index, width } = path;
        let level = match kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries | TileKind::Data => 0,
        };
        let missing = || ExportError::Content { path: path.to_string() };
        let tile = self.app.log.tile(level, index, width).await?.ok_or_else(missing)?;
        if matches!(kind, TileKind::Hashes(_)) {
            return Ok(tile);
        }
        let bundle = self.app.bundles.read(&self.app.log, index, width).await?;
        let leads_to_tile =
            leaf_hashes(&bundle).is_some_and(|leaves| leaves.iter().flat_map(|leaf| leaf.as_bytes()).eq(tile.iter()));
        if leads_to_tile { Ok(bundle) } else { Err(missing()) }
    }
}

/// Full tiles of every level, and full bundles, of a tree of `to` leaves that one of `from` leaves has not.
fn full_files(from: u64, to: u64) -> impl Iterator<Item = TilePath> {
    let hashes = levels(to).flat_map(move |level| {
        let full = move |size| Tile::hashes_in_level(level, size) / TILE_WIDTH;
        (full(from)..full(to)).map(move |index| TilePath::hashes(Tile::full(level, index)))
    });
    let bundles = from / TILE_WIDTH..to / TILE_WIDTH;
    hashes.chain(bundles.map(|index| TilePath { kind: TileKind::Entries, index, width: TILE_WIDTH as u16 }))
}

/// Partial tiles at the right edge, and the partial bundle.
fn edge_files(size: u64) -> impl Iterator<Item = TilePath> {
    let edge = |level| {
        let hashes = Tile::hashes_in_level(level, size);
        let width = (hashes % TILE_WIDTH) as u16;
        (width > 0).then_some(Tile { level, index: hashes / TILE_WIDTH, width })
    };
    let bundle = edge(0).map(|tile| TilePath { kind: TileKind::Entries, index: tile.index, width: tile.width });
    levels(size).filter_map(edge).map(TilePath::hashes).chain(bundle).collect::<Vec<_>>().into_iter()
}

fn levels(size: u64) -> impl Iterator<Item = u8> {
    (0..8).take_while(move |level| Tile::hashes_in_level(*level, size) > 0)
}

/// The leaf hashes of a bundle; none when it is not one.
fn leaf_hashes(bundle: &[u8]) -> Option<Vec<Hash>> {
    let (mut rest, mut leaves) = (bundle, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (leaf, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        leaves.push(leaf_hash(leaf));
        rest = after;
    }
    rest.is_empty().then_some(leaves)
}

/// The folder of an export cannot be used: the operator's concern.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be exported to {}", path.display())]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

impl Explain for FolderError {
    fn code(&self) -> &'static str {
        "log_export_folder"
    }

    fn advice(&self) -> Option<String> {
        Some("Make the folder, let this process write to it, and export one log by one process to it.".into())
    }
}

/// A pass was not completed; the next one begins where the checkpoint there is.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// The place.
    #[error("the place of the export cannot be read or written")]
    Objects(#[from] ObjectError),
    /// It is to end.
    #[error("the export was stopped")]
    Stopped,
    /// Somebody else's checkpoint.
    #[error("the checkpoint there was not signed by this log")]
    Foreign(#[from] HeadError),
    /// More than this log has.
    #[error("the place holds {size} entries of {origin}, this log has {ours}: its database is older than what was exported")]
    Ahead { origin: String, size: u64, ours: u64 },
    /// Another history.
    #[error("the {size} entries there are not the beginning of this log")]
    Fork { size: u64 },
    /// What the log has does not fit.
    #[error("{path} does not lead to the signed root")]
    Content { path: String },
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Store(#[from] StoreError),
    /// The log cannot prove.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_size_consists_of() {
        let names = |paths: Vec<TilePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(edge_files(0).collect()), Vec::<String>::new());
        assert_eq!(names(edge_files(1).collect()), ["tile/0/000.p/1", "tile/entries/000.p/1"]);
        assert_eq!(names(edge_files(256).collect()), ["tile/1/000.p/1"]);
        assert_eq!(names(full_files(0, 256).collect()), ["tile/0/000", "tile/entries/000"]);
        assert_eq!(names(full_files(200, 600).collect()), ["tile/0/000", "tile/0/001", "tile/entries/000", "tile/entries/001"]);
        assert_eq!(names(full_files(256, 511).collect()), Vec::<String>::new());
        assert_eq!(
            names(edge_files(70_000).collect()),
            ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"]
        );
        assert_eq!(full_files(0, 70_000).count(), 273 + 1 + 273);
        assert_eq!(full_files(65_535, 65_536).count(), 3);
    }

    #[test]
    fn bundles_are_taken_apart() {
        assert_eq!(leaf_hashes(b"\0\x01a\0\0"), Some(vec![leaf_hash(b"a"), leaf_hash(b"")]));
        assert_eq!((leaf_hashes(b"\0\x02a"), leaf_hashes(b"\0")), (None, None));
    }
}
