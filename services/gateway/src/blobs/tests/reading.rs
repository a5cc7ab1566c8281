//! Blobs as they are given out.

use std::fs::OpenOptions;

use futures_util::StreamExt as _;
use oci::Digest;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestRunner};

use super::support::{World, collect, content};
use crate::blobs::BlobError;
use crate::blobs::buffers;

const PIECE: u64 = buffers::PIECE as u64;

#[tokio::test]
async fn any_part() {
    let world = World::new().await;
    let size = 2 * PIECE + 100;
    let content = content(size as usize);
    let digest = world.upload(&content).await.unwrap();
    for range in [0..size, 0..0, size..size, 0..1, size - 1..size, PIECE - 1..PIECE + 1, PIECE..2 * PIECE, 100..size] {
        let file = world.blobs.blob(&digest).await.unwrap();
        let part = collect(file.read(range.clone())).await.unwrap();
        assert!(part == content[range.start as usize..range.end as usize], "{range:?}");
    }
}

#[tokio::test]
async fn a_file_that_has_become_shorter_does_not_end_well() {
    let world = World::new().await;
    let content = content(600_000);
    let digest = world.upload(&content).await.unwrap();
    let file = world.blobs.blob(&digest).await.unwrap();
    let size = file.size();
    OpenOptions::new().write(true).open(world.blob_path(&digest)).unwrap().set_len(500_000).unwrap();
    let error = collect(file.read(0..size)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn what_is_not_on_the_disk_is_named() {
    let world = World::new().await;
    let digest = Digest::of(b"nothing");
    let error = world.blobs.blob(&digest).await.unwrap_err();
    assert!(matches!(&error, BlobError::Missing { digest: missing } if *missing == digest), "{error:?}");
}

#[tokio::test]
async fn a_reader_that_goes_away_leaves_nothing_behind() {
    let world = World::new().await;
    let digest = world.upload(&content(1_000_000)).await.unwrap();
    let mut reading = world.blobs.blob(&digest).await.unwrap().read(0..1_000_000);
    assert_eq!(reading.next().await.unwrap().unwrap().len() as u64, PIECE);
    drop(reading);
    assert_eq!(world.content(&digest).await.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn every_range_is_its_bytes() {
    let world = World::new().await;
    let content = content(800_000);
    let digest = world.upload(&content).await.unwrap();
    let mut runner = TestRunner::new(Config::with_cases(64));
    for _ in 0..64 {
        let (a, b) = (0..=800_000_usize, 0..=800_000_usize).new_tree(&mut runner).unwrap().current();
        let (at, to) = (a.min(b), a.max(b));
        let file = world.blobs.blob(&digest).await.unwrap();
        assert!(collect(file.read(at as u64..to as u64)).await.unwrap() == content[at..to], "{at}..{to}");
    }
}
