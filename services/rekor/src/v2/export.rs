//! The log as files: checkpoint, tiles and entry bundles as C2SP `tlog-tiles` lays them out, for any plain file server.
//!
//! What is in the folder is a copy: the log answers from its database, and a folder that is lost is written again. One pass, told by what
//! a crash leaves behind:
//!
//! 1. Full tiles and bundles that the new checkpoint covers and the last one did not. A crash leaves files that nobody has been told of;
//!    they are written again, with the same bytes.
//! 2. Partial ones at the right edge. The same.
//! 3. Each file is written beside its place, synced, renamed, and read back. A crash leaves leftovers in `.unfinished`, which the next
//!    start clears away; a server of the folder need not know of them.
//! 4. The checkpoint, last: whoever reads it finds everything below it. A crash after it leaves a complete export.
//! 5. Partial ones whose full version is there now go. A crash leaves some; they are right, and of no more use.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use chassis::Explain;
use chassis::reason::chain;
use merkle::{Hash, TILE_WIDTH, Tile, TileKind, TilePath, leaf_hash, verify_consistency};
use metrics::{counter, gauge};
use note::Checkpoint;
use tlog::{HeadError, ReadError, SignedTreeHead, StoreError, TreeHeadSigner};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::App;

/// Between two passes: entries that come meanwhile are written together.
const PAUSE: Duration = Duration::from_secs(1);
/// Where files are before they get their names.
const UNFINISHED: &str = ".unfinished";
const LOCK: &str = ".lock";
const CHECKPOINT: &str = "checkpoint";

/// A folder that one process writes.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Two that write one folder could put an older checkpoint over a newer one.
    _lock: File,
}

impl Folder {
    /// Takes a folder that is there; it is the operator's to make, as it is to be served.
    ///
    /// # Errors
    /// [`FolderError`]: it is not there, cannot be written, or another process writes it.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError { path: path.to_owned(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed(io::Error::other("another process exports to it")),
            TryLockError::Error(error) => failed(error),
        })?;
        let unfinished = path.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        fs::create_dir(&unfinished).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn checkpoint(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path.join(CHECKPOINT)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file, whole or not at all, and reads it back. On disk when this returns.
    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let target = self.path.join(name);
        let folder = target.parent().unwrap_or(&self.path);
        self.make_folders(folder)?;
        let beside = self.path.join(UNFINISHED).join("file");
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &target)?;
        File::open(folder)?.sync_all()?;
        if fs::read(&target)? == content {
            Ok(())
        } else {
            Err(io::Error::other(format!("{name} was not read back as it was written")))
        }
    }

    /// Makes a folder and those above it, each entry synced: a file is on disk only when its folders are.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.path);
        self.make_folders(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => File::open(above)?.sync_all(),
        }
    }

    /// Removes the partial versions of a full file.
    fn drop_partials(&self, full: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path.join(format!("{full}.p"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes the log of `app` to a folder for as long as this lives.
#[derive(Debug)]
pub(super) struct Export {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Export {
    pub(super) fn start(folder: Folder, app: Arc<App>, signer: Arc<dyn TreeHeadSigner>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let exporter = Exporter { folder: Arc::new(folder), app, signer, exported: None, stopped };
        Self { stop, task: tokio::spawn(exporter.run()) }
    }

    /// Ends with the file that is being written, and lets go of the folder.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // It panics on nothing, and if it did there would be nothing left to wait for.
        let _ = self.task.await;
    }
}

struct Exporter {
    folder: Arc<Folder>,
    app: Arc<App>,
    signer: Arc<dyn TreeHeadSigner>,
    /// The checkpoint in the folder, as far as this process has looked.
    exported: Option<String>,
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
                        let folder = self.folder.path.display().to_string();
                        tracing::error!(log = origin, folder, error = chain(&error), "the log cannot be exported");
                    }
                }
            }
            let pause = tokio::time::timeout(PAUSE, self.stopped.wait_for(|stopped| *stopped)).await;
            if pause.is_ok() {
                return;
            }
        }
    }

    /// Brings the folder up to the published checkpoint; its size then.
    async fn pass(&mut self) -> Result<u64, ExportError> {
        // Without witnesses' word nothing is shown, here neither.
        let Ok(head) = self.app.checkpoint() else { return Ok(self.there().await?.map_or(0, |there| there.size)) };
        if self.exported.as_ref() == Some(&head.note) {
            return Ok(head.size);
        }
        let there = self.there().await?;
        let from = there.as_ref().map_or(0, |there| there.size);
        if let Some(there) = there {
            self.check_beginning(&there, &head).await?;
        }
        for path in full_files(from, head.size).chain(edge_files(head.size)) {
            if *self.stopped.borrow() || self.stopped.has_changed().is_err() {
                return Err(ExportError::Stopped);
            }
            let content = self.content(path).await?;
            self.put(path.to_string(), content).await?;
        }
        self.put(CHECKPOINT.to_owned(), head.note.clone().into()).await?;
        for path in full_files(from, head.size) {
            let folder = Arc::clone(&self.folder);
            blocking(move || folder.drop_partials(&path.to_string())).await?;
        }
        self.exported = Some(head.note.clone());
        Ok(head.size)
    }

    /// The checkpoint in the folder, which this log must have signed.
    async fn there(&self) -> Result<Option<Checkpoint>, ExportError> {
        let folder = Arc::clone(&self.folder);
        let note = blocking(move || folder.checkpoint()).await?;
        Ok(note.map(|note| self.signer.verify(&note)).transpose()?)
    }

    /// The folder must hold the beginning of this log: one that is ahead of it says that the database went back, and is the last
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

    async fn put(&self, name: String, content: Bytes) -> Result<(), ExportError> {
        let folder = Arc::clone(&self.folder);
        Ok(blocking(move || folder.put(&name, &content)).await?)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
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

/// A pass was not completed; the next one begins where the checkpoint in the folder is.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// The folder.
    #[error("the folder cannot be read or written")]
    Io(#[from] io::Error),
    /// It is to end.
    #[error("the export was stopped")]
    Stopped,
    /// Somebody else's checkpoint.
    #[error("the checkpoint in the folder was not signed by this log")]
    Foreign(#[from] HeadError),
    /// More than this log has.
    #[error("the folder holds {size} entries of {origin}, this log has {ours}: its database is older than what was exported")]
    Ahead { origin: String, size: u64, ours: u64 },
    /// Another history.
    #[error("the {size} entries in the folder are not the beginning of this log")]
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
