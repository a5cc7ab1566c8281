//! The log as files, read as a tile client reads them from a plain file server.

use std::path::Path;
use std::time::Duration;

use chassis::Explain as _;
use merkle::{CompactRange, TileKind, TilePath};
use testkit::wait_until;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

impl Fixture {
    /// A log without entries that is exported, open.
    async fn exporting() -> (Self, RekorV2) {
        let mut fixture = Self::new();
        fixture.create_empty().await;
        std::fs::create_dir(fixture.folder()).unwrap();
        fixture.config.export = Some(fixture.folder().into());
        let rekor = fixture.open().await;
        (fixture, rekor)
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("export")
    }
}

/// Reads everything that the checkpoint in the folder covers, and verifies it against its root.
fn audit(folder: &Path, identity: &Identity) -> u64 {
    let checkpoint = read_checkpoint(identity, &std::fs::read_to_string(folder.join("checkpoint")).unwrap());
    let mut range = CompactRange::new();
    while range.size() < checkpoint.size {
        let width = u16::try_from((checkpoint.size - range.size()).min(256)).unwrap();
        let read = |kind| std::fs::read(folder.join(TilePath { kind, index: range.size() / 256, width }.to_string())).unwrap();
        let (bundle, tile) = (read(TileKind::Entries), read(TileKind::Hashes(0)));
        let mut rest = &bundle[..];
        for hash in tile.chunks(32) {
            let (length, after) = rest.split_first_chunk().unwrap();
            let (leaf, after) = after.split_at(u16::from_be_bytes(*length).into());
            assert_eq!(leaf_hash(leaf).as_bytes(), hash);
            range.append(leaf_hash(leaf));
            rest = after;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(range.root(), checkpoint.root);
    checkpoint.size
}

async fn exported(folder: &Path, size: u64) {
    let there = || std::fs::read_to_string(folder.join("checkpoint")).is_ok_and(|text| text.contains(&format!("\n{size}\n")));
    wait_until(&format!("{size} entries are exported"), LIMIT, async || there()).await;
}

#[tokio::test]
async fn a_plain_file_server_serves_the_log() {
    let (fixture, rekor) = Fixture::exporting().await;
    let (folder, router) = (fixture.folder(), rekor.router());
    exported(&folder, 0).await;
    for (total, more) in [(255, 255), (256, 1), (300, 44), (600, 300)] {
        fixture.fill_from(&router, total - more, more).await;
        exported(&folder, total).await;
        assert_eq!(audit(&folder, rekor.identity()), total);
    }
    for name in [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ] {
        let served = get(&router, &format!("/{name}")).await.body;
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), served, "{name}");
    }
    wait_until("partial tiles of full ones go", LIMIT, async || !folder.join("tile/0/001.p").exists()).await;
    let unfinished: Vec<_> = std::fs::read_dir(folder.join(".unfinished")).unwrap().collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    rekor.close().await;

    // It goes on where it was; what a crash left is cleared away.
    std::fs::write(folder.join(".unfinished/file"), "half").unwrap();
    let rekor = fixture.open().await;
    fixture.fill_from(&rekor.router(), 600, 1).await;
    exported(&folder, 601).await;
    assert_eq!(audit(&folder, rekor.identity()), 601);
}

#[tokio::test]
async fn what_a_crash_left_undone_is_done_by_the_next_start() {
    let (fixture, rekor) = Fixture::exporting().await;
    fixture.fill_from(&rekor.router(), 0, 300).await;
    let folder = fixture.folder();
    exported(&folder, 300).await;
    rekor.close().await;
    // Before the checkpoint: some tiles of the larger tree, one of them half written under its name by a disk that lied.
    std::fs::remove_file(folder.join("checkpoint")).unwrap();
    std::fs::write(folder.join("tile/0/000"), "torn").unwrap();
    std::fs::remove_dir_all(folder.join("tile/entries")).unwrap();
    let rekor = fixture.open().await;
    exported(&folder, 300).await;
    assert_eq!(audit(&folder, rekor.identity()), 300);
}

#[tokio::test]
async fn a_folder_that_is_ahead_of_the_log_or_another_logs_is_left_alone() {
    let (fixture, rekor) = Fixture::exporting().await;
    fixture.fill_from(&rekor.router(), 0, 3).await;
    let folder = fixture.folder();
    exported(&folder, 3).await;
    rekor.close().await;
    let before = std::fs::read_to_string(folder.join("checkpoint")).unwrap();

    // The database is lost, and a log of the same name and key begun again.
    for entry in std::fs::read_dir(fixture.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("rekor.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    fixture.create_empty().await;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    const FAILURES: &str = "chancery_log_export_failures_total{log=\"log1.rekor.example\"} ";
    let failures = || handle.render().lines().find_map(|line| line.strip_prefix(FAILURES)?.parse().ok()).unwrap_or(0_u32);
    let fails_again = async |what: &str| {
        let before = failures();
        wait_until(what, LIMIT, async || failures() > before).await;
    };
    let rekor = fixture.open().await;
    fails_again("it says so").await;
    fixture.fill_from(&rekor.router(), 10, 5).await;
    fails_again("another history is no continuation either").await;
    assert_eq!(std::fs::read_to_string(folder.join("checkpoint")).unwrap(), before);
    rekor.close().await;

    let foreign = before.replacen("\n3\n", "\n4\n", 1);
    std::fs::write(folder.join("checkpoint"), &foreign).unwrap();
    let rekor = fixture.open().await;
    fails_again("a checkpoint that is not ours stays").await;
    assert_eq!(std::fs::read_to_string(folder.join("checkpoint")).unwrap(), foreign);
    rekor.close().await;
}

#[tokio::test]
async fn a_log_does_not_open_with_a_folder_that_it_cannot_have() {
    let (fixture, rekor) = Fixture::exporting().await;
    let other = Fixture::new();
    other.create_empty().await;
    let code = async |folder: std::path::PathBuf| {
        let config = Config { export: Some(folder.into()), ..other.config.clone() };
        open(&config, other.clock.clone(), None).await.map(drop).unwrap_err().code()
    };
    assert_eq!(code(fixture.folder()).await, "log_export_folder", "another process writes it");
    assert_eq!(code(other.folder()).await, "log_export_folder", "it is not there");
    drop(rekor);
}
