//! A log that is published as tiles: every kind of damage is found, named, and blamed on what is wrong.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use keys::{FileKey, Signer as _};
use merkle::{Tile, TileKind, TilePath};
use pki::KeyKind;
use tlog::{Depth, Log, NoteSigner, NoteVerifier, TileFault, TileSource, check_tiles};

use crate::common::{ORIGIN, World, grow};
use crate::driver::sqlite;

/// The files of a log, as a static server would have them.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, Bytes>);

#[async_trait]
impl TileSource for Files {
    async fn read(&self, path: &str) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.get(path).cloned())
    }
}

impl Files {
    /// Everything that the head covers, and at the right edge every width.
    async fn of(log: &Log) -> Self {
        let (head, mut files) = (log.checkpoint(), Self::default());
        files.0.insert("checkpoint".into(), head.note.clone().into());
        for level in 0..3 {
            for index in 0.. {
                let Some(Tile { width, .. }) = Tile::at(level, index, head.size) else { break };
                for width in if width == 256 { 256..=256 } else { 1..=width } {
                    let hashes = log.tile(level, index, width).await.unwrap().unwrap();
                    files.0.insert(TilePath::hashes(Tile { level, index, width }).to_string(), hashes);
                    if level == 0 {
                        let entries = log.entries(index * 256..index * 256 + u64::from(width)).await.unwrap();
                        let encode = |data: &[u8]| [&(data.len() as u16).to_be_bytes()[..], data].concat();
                        let bundle: Vec<u8> = entries.iter().flat_map(|entry| encode(&entry.data)).collect();
                        files.0.insert(TilePath { kind: TileKind::Entries, index, width }.to_string(), bundle.into());
                    }
                }
            }
        }
        files
    }

    fn flip(mut self, path: &str, at: usize) -> Self {
        let mut bytes = self.0[path].to_vec();
        bytes[at] ^= 1;
        self.0.insert(path.into(), bytes.into());
        self
    }

    fn without(mut self, path: &str) -> Self {
        assert!(self.0.remove(path).is_some(), "{path}");
        self
    }
}

struct Published {
    files: Files,
    verifier: NoteVerifier,
    _folder: tempfile::TempDir,
}

async fn published(size: u64) -> Published {
    let (mut world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let key = Arc::new(FileKey::generate(KeyKind::P256).unwrap());
    world.signer = Arc::new(NoteSigner::new(ORIGIN, key.clone()).unwrap());
    let (log, _store) = sqlite(&world, folder.path()).await;
    for from in (0..size).step_by(6_000) {
        grow(&log, from..size.min(from + 6_000)).await;
    }
    let verifier = NoteVerifier::new(ORIGIN, key.public_key().clone()).unwrap();
    Published { files: Files::of(&log).await, verifier, _folder: folder }
}

impl Published {
    async fn fault(&self, files: Files, depth: Depth) -> (&'static str, String) {
        let fault: TileFault = check_tiles(&files, &self.verifier, depth, &|_, _| ()).await.unwrap_err();
        (fault.code(), fault.to_string())
    }
}

#[tokio::test]
async fn logs_of_any_size_are_in_order() {
    for size in [0, 1, 2, 255, 256, 257, 511, 513, 1_300] {
        let log = published(size).await;
        for depth in [Depth::Whole, Depth::Deep] {
            let (head, report) = check_tiles(&log.files, &log.verifier, depth, &|done, all| assert!(done <= all)).await.unwrap();
            assert_eq!((head.size, report.entries, report.root), (size, size, head.root));
        }
    }
}

#[tokio::test]
async fn every_kind_of_damage_is_named() {
    let log = published(1_300).await;
    let expect = async |files: Files, code: &str, text: &str| {
        let (found, message) = log.fault(files, Depth::Whole).await;
        assert!(found == code && message == text, "expected [{code}] {text}\nfound    [{found}] {message}");
    };
    let files = || log.files.clone();
    // Two bytes of length, then the data: of entry 512 here.
    expect(
        files().flip("tile/entries/002", 5),
        "log_entry_damaged",
        "entry 512 is damaged: it does not hash to what tile/0/002 has for it, which leads to the signed root",
    )
    .await;
    expect(
        files().flip("tile/entries/005.p/20", 5),
        "log_entry_damaged",
        "entry 1280 is damaged: it does not hash to what tile/0/005.p/20 has for it, which leads to the signed root",
    )
    .await;
    expect(
        files().flip("tile/0/003", 33),
        "log_tile_damaged",
        "tile/0/003 is damaged: its hash 1 is not that of entry 769, which leads to the signed root",
    )
    .await;
    expect(
        files().flip("tile/0/005.p/20", 640 - 1),
        "log_tile_damaged",
        "tile/0/005.p/20 is damaged: its hash 19 is not that of entry 1299, which leads to the signed root",
    )
    .await;
    expect(
        files().flip("tile/1/000.p/5", 70),
        "log_tile_damaged",
        "tile/1/000.p/5 is damaged: its hash 2 is not the root of tile/0/002",
    )
    .await;
    expect(files().without("tile/0/004"), "log_file_missing", "tile/0/004 is missing").await;
    expect(files().without("tile/entries/000"), "log_file_missing", "tile/entries/000 is missing").await;
    expect(files().without("tile/1/000.p/5"), "log_file_missing", "tile/1/000.p/5 is missing").await;
    expect(files().without("checkpoint"), "log_not_published", "checkpoint is missing: no log is published as tiles there").await;
    expect(files().flip("checkpoint", ORIGIN.len() + 1), "log_head_invalid", "the checkpoint is not the log's").await;
}

#[tokio::test]
async fn what_is_cut_off_or_too_long_is_no_tile() {
    let log = published(300).await;
    for (path, change, text) in [
        ("tile/0/000", -1_i32, "it has 8191 bytes, expected 8192"),
        ("tile/0/000", 32, "it has 8224 bytes, expected 8192"),
        ("tile/entries/000", -1, "an entry is cut off"),
        ("tile/entries/001.p/44", 2, "it has 45 entries"),
    ] {
        let mut files = log.files.clone();
        let mut bytes = files.0[path].to_vec();
        bytes.resize((bytes.len() as i32 + change) as usize, 0);
        files.0.insert(path.into(), bytes.into());
        if text == "it has 45 entries" {
            // One more than the checkpoint covers: a log that has grown, and not yet signed.
            check_tiles(&files, &log.verifier, Depth::Whole, &|_, _| ()).await.unwrap();
        } else {
            let (code, message) = log.fault(files, Depth::Whole).await;
            assert_eq!((code, message), ("log_file_malformed", format!("{path} is not of its form: {text}")));
        }
    }
}

#[tokio::test]
async fn a_log_that_was_written_anew_does_not_lead_to_the_signed_root() {
    let (log, other) = (published(700).await, published(699).await);
    let head = log.files.0["checkpoint"].clone();
    // Another log's entries and tiles under this one's head: they agree with each other.
    let mut files = published(700).await.files;
    files.0.insert("checkpoint".into(), head.clone());
    let all_same = files.0 == log.files.0;
    assert!(all_same, "entries here are numbers and times that stand still: the same log");
    let mut shorter = other.files.clone();
    shorter.0.insert("checkpoint".into(), head);
    assert_eq!(log.fault(shorter, Depth::Whole).await.0, "log_file_missing");
}

#[tokio::test]
async fn a_full_tile_stands_for_a_partial_one_and_deep_looks_at_every_width() {
    let log = published(300).await;
    let narrow = log.files.clone().flip("tile/0/001.p/3", 0);
    check_tiles(&narrow, &log.verifier, Depth::Whole, &|_, _| ()).await.unwrap();
    let (code, message) = log.fault(narrow, Depth::Deep).await;
    assert_eq!(
        (code, message.as_str()),
        ("log_tile_damaged", "tile/0/001.p/3 is damaged: it is not the beginning of the wider one")
    );
}

#[tokio::test]
async fn another_key_or_origin_is_not_believed() {
    let log = published(3).await;
    let other = FileKey::generate(KeyKind::P256).unwrap().public_key().clone();
    let verifier = NoteVerifier::new(ORIGIN, other).unwrap();
    let fault = check_tiles(&log.files, &verifier, Depth::Whole, &|_, _| ()).await.unwrap_err();
    assert_eq!(fault.code(), "log_head_invalid");
}
