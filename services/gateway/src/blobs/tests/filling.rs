//! Blobs that come from elsewhere, read while they arrive.

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use oci::Digest;
use tokio::sync::mpsc;

use super::support::{World, broken, collect, content, name, sha512, whole};
use crate::blobs::{BlobError, UploadLimits};

/// A body whose pieces come when the test sends them.
fn by_hand() -> (mpsc::UnboundedSender<Bytes>, impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Box::pin(stream::unfold(receiver, async |mut pieces| pieces.recv().await.map(|piece| (Ok(piece), pieces)))))
}

#[tokio::test]
async fn verified_durable_and_shown_nowhere_yet() {
    let world = World::new().await;
    let content = content(700_000);
    for digest in [Digest::of(&content), sha512(&content)] {
        let durable = world.blobs.write_verified(&digest, Some(700_000), whole(&content)).await.unwrap();
        assert_eq!((durable.size(), durable.digest()), (700_000, &digest));
        assert_eq!(world.content(&digest).await, None);
        world.store.link_blob(&name(), &durable, None).await.unwrap();
        assert!(world.content(&digest).await.as_deref() == Some(&content[..]));
    }
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn wrong_bytes_leave_nothing() {
    let world = World::new().await;
    let digest = Digest::of(b"right");
    let error = world.blobs.write_verified(&digest, None, whole(b"wrong")).await.unwrap_err();
    assert!(matches!(error, BlobError::Digest { .. }), "{error:?}");
    let error = world.blobs.write_verified(&digest, Some(4), whole(b"right")).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { limit: 4 }), "more than was announced: {error:?}");
    let error = world.blobs.write_verified(&digest, Some(5), broken(b"righ")).await.unwrap_err();
    assert!(matches!(error, BlobError::Interrupted { offset: 4, .. }), "{error:?}");
    assert!(!world.blob_path(&digest).exists() && world.leftovers() == 0);
    let world = World::with(UploadLimits { blob: 10, ..UploadLimits::default() }).await;
    assert!(matches!(world.blobs.fill(&digest, Some(11)).await, Err(BlobError::TooLarge { limit: 10 })));
}

#[tokio::test]
async fn readers_follow() {
    let world = World::new().await;
    let content = content(900_000);
    let mut fill = world.blobs.fill(&Digest::of(&content), Some(900_000)).await.unwrap();
    let growing = fill.growing();
    let (sender, body) = by_hand();
    let filling = tokio::spawn(async move {
        fill.extend(body).await.unwrap();
        fill.finish().await
    });
    let mut early = growing.read(None);
    assert!(early.next().now_or_never().is_none(), "nothing has arrived");
    sender.send(Bytes::copy_from_slice(&content[..100_000])).unwrap();
    let piece = early.next().await.unwrap().unwrap();
    assert!(piece == content[..100_000], "at once, though more is to come");
    let mut late = growing.read(Some(50_000..80_000));
    assert!(late.next().await.unwrap().unwrap() == content[50_000..80_000]);
    assert!(late.next().await.is_none(), "a part that is there ends before the rest arrives");
    sender.send(Bytes::copy_from_slice(&content[100_000..])).unwrap();
    drop(sender);
    let (rest, all) = (collect(early).await.unwrap(), collect(growing.read(None)).await.unwrap());
    assert!(rest == content[100_000..] && all == content);
    filling.await.unwrap().unwrap();
    assert!(
        collect(growing.read(Some(899_999..900_000))).await.unwrap() == content[899_999..],
        "the file has its name, and they read on"
    );
}

#[tokio::test]
async fn the_last_byte_waits_for_the_proof() {
    let world = World::new().await;
    let mut fill = world.blobs.fill(&Digest::of(b"right"), Some(5)).await.unwrap();
    let growing = fill.growing();
    fill.extend(whole(b"wrong")).await.unwrap();
    let mut reading = growing.read(None);
    assert_eq!(reading.next().await.unwrap().unwrap(), "wron"[..]);
    assert!(reading.next().now_or_never().is_none());
    let mut tail = growing.read(Some(4..5));
    assert!(tail.next().now_or_never().is_none());
    assert!(matches!(fill.finish().await, Err(BlobError::Digest { .. })));
    assert!(reading.next().await.unwrap().is_err(), "a broken answer, never a complete one");
    assert!(tail.next().await.unwrap().is_err());
    assert!(growing.read(None).next().await.unwrap().is_err(), "nor for who comes later");
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn another_connection_goes_on_where_one_broke() {
    let world = World::new().await;
    let content = content(500_000);
    let mut fill = world.blobs.fill(&Digest::of(&content), Some(500_000)).await.unwrap();
    let reading = tokio::spawn(collect(fill.growing().read(None)));
    let error = fill.extend(broken(&content[..200_000])).await.unwrap_err();
    assert!(matches!(error, BlobError::Interrupted { offset: 200_000, .. }), "{error:?}");
    assert_eq!(fill.length(), 200_000);
    assert_eq!(fill.extend(whole(&content[200_000..])).await.unwrap(), 500_000);
    fill.finish().await.unwrap();
    assert!(reading.await.unwrap().unwrap() == content);
}

#[tokio::test]
async fn giving_up_is_told_to_the_readers() {
    let world = World::new().await;
    let fill = world.blobs.fill(&Digest::of(b"x"), None).await.unwrap();
    let reading = tokio::spawn(collect(fill.growing().read(None)));
    drop(fill);
    assert!(reading.await.unwrap().is_err());
    // In the middle of a piece too.
    let mut fill = world.blobs.fill(&Digest::of(b"x"), None).await.unwrap();
    let growing = fill.growing();
    {
        let mut extending = std::pin::pin!(fill.extend(whole(b"abc").chain(stream::pending())));
        assert!(futures_util::poll!(&mut extending).is_pending());
    }
    assert!(fill.extend(whole(b"abc")).await.is_err());
    drop(fill);
    assert!(collect(growing.read(None)).await.is_err());
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn without_a_size_the_end_waits_for_the_proof() {
    let world = World::new().await;
    let mut fill = world.blobs.fill(&Digest::of(b"content"), None).await.unwrap();
    let mut reading = fill.growing().read(None);
    fill.extend(whole(b"content")).await.unwrap();
    assert_eq!(reading.next().await.unwrap().unwrap(), "content"[..]);
    assert!(reading.next().now_or_never().is_none());
    fill.finish().await.unwrap();
    assert!(reading.next().await.is_none());
    let empty = world.blobs.fill(&Digest::of(b""), Some(0)).await.unwrap();
    let reading = empty.growing().read(None);
    empty.finish().await.unwrap();
    assert_eq!(collect(reading).await.unwrap(), b"");
}
