//! The log as files, read as a tile client reads them from a plain file server.

use std::path::Path;
use std::time::Duration;

use chassis::Explain as _;
use merkle::{CompactRange, TileKind, TilePath};
use objects::{ObjectsConfig, S3Config};
use testkit::{S3, wait_until};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// Where it is exported to.
#[derive(Debug, Clone, Copy)]
enum To {
    Folder,
    Bucket,
}

impl Fixture {
    /// A log without entries that is exported, open; and the folder where what is exported lies as files.
    async fn exporting(to: To) -> (Self, RekorV2, std::path::PathBuf) {
        let mut fixture = Self::new();
        fixture.create_empty().await;
        let files = match to {
            To::Folder => {
                std::fs::create_dir(fixture.folder()).unwrap();
                fixture.config.export = Some(fixture.folder().into());
                fixture.folder()
            }
            To::Bucket => {
                let bucket = S3::shared().bucket();
                fixture.config.export = Some(in_bucket(S3::shared(), &bucket));
                S3::shared().files(&bucket).join("logs/rekor")
            }
        };
        let rekor = fixture.open().await;
        (fixture, rekor, files)
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("export")
    }
}

fn in_bucket(server: &S3, bucket: &str) -> ExportConfig {
    ExportConfig(ObjectsConfig::S3(S3Config {
        endpoint: server.endpoint(),
        region: "us-east-1".into(),
        bucket: bucket.into(),
        prefix: "logs/rekor".into(),
        access_key_id: Some(server.access_key_id().into()),
        secret_access_key_file: Some(server.secret_access_key_file().into()),
        ca_file: Some(server.ca_file().into()),
    }))
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
    serves_the_log(To::Folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_serves_the_log() {
    serves_the_log(To::Bucket).await;
}

async fn serves_the_log(to: To) {
    let (fixture, rekor, folder) = Fixture::exporting(to).await;
    let router = rekor.router();
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
    let partial = folder.join("tile/0/001.p");
    let gone = || std::fs::read_dir(&partial).map_or(true, |mut files| files.next().is_none());
    wait_until("partial tiles of full ones go", LIMIT, async || gone()).await;
    rekor.close().await;

    // It goes on where it was; what a crash left on its way is cleared away.
    let unfinished = fixture.folder().join("checkpoint#1");
    if matches!(to, To::Folder) {
        std::fs::write(&unfinished, "half").unwrap();
    }
    let rekor = fixture.open().await;
    fixture.fill_from(&rekor.router(), 600, 1).await;
    exported(&folder, 601).await;
    assert_eq!(audit(&folder, rekor.identity()), 601);
    assert!(!unfinished.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_undone_is_done_by_the_next_start() {
    for to in [To::Folder, To::Bucket] {
        completes_what_is_undone(to).await;
    }
}

async fn completes_what_is_undone(to: To) {
    let (fixture, rekor, folder) = Fixture::exporting(to).await;
    fixture.fill_from(&rekor.router(), 0, 300).await;
    exported(&folder, 300).await;
    rekor.close().await;
    // Before the checkpoint: some tiles of the larger tree, one of them half written under its name by a disk that lied.
    std::fs::remove_file(folder.join("checkpoint")).unwrap();
    std::fs::write(folder.join("tile/0/000"), "torn").unwrap();
    std::fs::write(folder.join("tile/0/001.p/44"), "torn").unwrap();
    std::fs::remove_dir_all(folder.join("tile/entries")).unwrap();
    let rekor = fixture.open().await;
    exported(&folder, 300).await;
    assert_eq!(audit(&folder, rekor.identity()), 300);
}

#[tokio::test]
async fn a_folder_that_is_ahead_of_the_log_or_another_logs_is_left_alone() {
    is_left_alone(To::Folder).await;
}

#[tokio::test]
async fn a_bucket_that_is_ahead_of_the_log_or_another_logs_is_left_alone() {
    is_left_alone(To::Bucket).await;
}

async fn is_left_alone(to: To) {
    let (fixture, rekor, folder) = Fixture::exporting(to).await;
    fixture.fill_from(&rekor.router(), 0, 3).await;
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
    let (fixture, rekor, _) = Fixture::exporting(To::Folder).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_keeps_no_log_from_starting() {
    let server = S3::start(false);
    let (relay, bucket) = (server.relay(), server.bucket());
    let ExportConfig(ObjectsConfig::S3(config)) = in_bucket(&server, &bucket) else { panic!("it is a bucket") };
    let config = S3Config { endpoint: relay.url(), ..config };
    let mut fixture = Fixture::new();
    fixture.create_empty().await;
    fixture.config.export = Some(ExportConfig(ObjectsConfig::S3(config.clone())));
    relay.down();
    let rekor = fixture.open().await;
    fixture.fill_from(&rekor.router(), 0, 3).await;
    relay.up();
    let files = server.files(&bucket).join("logs/rekor");
    exported(&files, 3).await;
    assert_eq!(audit(&files, rekor.identity()), 3);
    rekor.close().await;

    // What only an operator can mend is told at once.
    let code = async |wrong: S3Config| {
        let config = Config { export: Some(ExportConfig(ObjectsConfig::S3(wrong))), ..fixture.config.clone() };
        open(&config, fixture.clock.clone(), None).await.map(drop).unwrap_err().code()
    };
    assert_eq!(code(S3Config { bucket: "never-made".into(), ..config.clone() }).await, "objects_bucket");
    assert_eq!(code(S3Config { access_key_id: Some("stranger".into()), ..config }).await, "objects_refused");
}
