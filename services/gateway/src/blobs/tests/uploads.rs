//! Uploads: whole, in the end or not at all.

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use jiff::SignedDuration;
use oci::Digest;

use super::support::{World, broken, collect, content, name, sha512, whole};
use crate::blobs::{BlobError, Blobs, Part, UploadLimits};

#[tokio::test]
async fn what_comes_in_goes_out() {
    let world = World::new().await;
    for length in [0, 1, 2, 4_095, 60_000, 1 << 20, (3 << 20) + 17] {
        let content = content(length);
        let digest = world.upload(&content).await.unwrap();
        assert!(world.content(&digest).await.as_deref() == Some(&content[..]), "{length} bytes");
    }
    assert_eq!(world.leftovers(), 0);
    let elsewhere = "other".parse().unwrap();
    assert_eq!(world.store.blob_size(&elsewhere, &Digest::of(b"")).await.unwrap(), None, "shown where it was pushed");
}

#[tokio::test]
async fn a_sha512_digest_is_known_only_at_the_end() {
    let world = World::new().await;
    let content = content(3_000_000);
    let id = world.begin().await;
    world.append(&id, &content).await.unwrap();
    let digest = sha512(&content);
    assert_eq!(world.commit(&id, &digest).await.unwrap(), 3_000_000);
    assert!(world.content(&digest).await.as_deref() == Some(&content[..]));
    assert_eq!(world.content(&Digest::of(&content)).await, None, "the client named the other one");
    let id = world.begin().await;
    world.append(&id, &content).await.unwrap();
    assert!(matches!(world.commit(&id, &sha512(b"other")).await, Err(BlobError::Digest { .. })));
}

#[tokio::test]
async fn other_bytes_are_refused_and_gone() {
    let world = World::new().await;
    let id = world.begin().await;
    world.append(&id, b"what came").await.unwrap();
    let error = world.commit(&id, &Digest::of(b"what was named")).await.unwrap_err();
    let BlobError::Digest { expected, found } = error else { panic!("{error:?}") };
    assert_eq!((expected, found), (Digest::of(b"what was named"), Digest::of(b"what came")));
    assert!(matches!(world.status(&id), Err(BlobError::UnknownUpload)));
    assert_eq!((world.leftovers(), world.store.uploads().await.unwrap().len()), (0, 0));
    assert_eq!(world.content(&Digest::of(b"what came")).await, None);
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_ends_once() {
    let world = World::new().await;
    let id = world.begin().await;
    let other = "other".parse().unwrap();
    assert!(matches!(world.blobs.status(&other, &id), Err(BlobError::UnknownUpload)));
    assert!(matches!(world.blobs.commit(&other, &id, &Digest::of(b"")).await, Err(BlobError::UnknownUpload)));
    assert!(matches!(world.blobs.append(&other, &id, Part::default(), whole(b"x")).await, Err(BlobError::UnknownUpload)));
    assert!(matches!(world.blobs.abort(&other, &id).await, Err(BlobError::UnknownUpload)));
    world.append(&id, b"x").await.unwrap();
    world.blobs.abort(&name(), &id).await.unwrap();
    assert!(matches!(world.append(&id, b"x").await, Err(BlobError::UnknownUpload)));
    assert!(matches!(world.blobs.abort(&name(), &id).await, Err(BlobError::UnknownUpload)));
    assert_eq!((world.leftovers(), world.store.uploads().await.unwrap().len()), (0, 0));
}

#[tokio::test]
async fn what_arrived_of_a_broken_body_is_gone_on_with() {
    let world = World::new().await;
    let content = content(2_500_000);
    let id = world.begin().await;
    let error = world.blobs.append(&name(), &id, Part::default(), broken(&content[..1_700_000])).await.unwrap_err();
    assert!(matches!(error, BlobError::Interrupted { offset: 1_700_000, .. }), "{error:?}");
    assert_eq!(world.status(&id).unwrap(), 1_700_000);
    assert_eq!(world.append(&id, &content[1_700_000..]).await.unwrap(), 2_500_000);
    assert_eq!(world.commit(&id, &Digest::of(&content)).await.unwrap(), 2_500_000);
}

#[tokio::test]
async fn an_upload_survives_a_restart() {
    let world = World::new().await;
    let content = content(2_000_000);
    let (id, untouched) = (world.begin().await, world.begin().await);
    world.append(&id, &content[..1_234_567]).await.unwrap();
    let world = world.reopened().await;
    assert_eq!((world.status(&id).unwrap(), world.status(&untouched).unwrap()), (1_234_567, 0));
    let part = Part { range: Some((1_234_567, 765_433)), length: None };
    assert_eq!(world.blobs.append(&name(), &id, part, whole(&content[1_234_567..])).await.unwrap(), 2_000_000);
    let world = world.reopened().await;
    let digest = Digest::of(&content);
    assert_eq!(world.commit(&id, &digest).await.unwrap(), 2_000_000, "hashed again from the file");
    assert!(world.content(&digest).await.as_deref() == Some(&content[..]));
    let world = world.reopened().await;
    assert!(matches!(world.status(&id), Err(BlobError::UnknownUpload)));
    assert!(world.content(&digest).await.is_some());
}

#[tokio::test]
async fn a_start_clears_away_what_nobody_asks_for() {
    let world = World::new().await;
    let id = world.begin().await;
    world.append(&id, b"x").await.unwrap();
    let lost = world.begin().await;
    world.append(&lost, b"y").await.unwrap();
    world.store.end_upload(&lost).await.unwrap();
    std::fs::write(world.path("incoming/anything"), b"z").unwrap();
    assert_eq!(world.leftovers(), 3);
    let world = world.reopened().await;
    assert_eq!(world.leftovers(), 1);
    assert_eq!(world.status(&id).unwrap(), 1);
    assert!(matches!(world.status(&lost), Err(BlobError::UnknownUpload)));
}

#[tokio::test]
async fn a_day_without_use_ends_an_upload() {
    let world = World::new().await;
    let (used, unused) = (world.begin().await, world.begin().await);
    world.append(&used, b"x").await.unwrap();
    world.append(&unused, b"x").await.unwrap();
    world.clock.advance(SignedDuration::from_hours(23));
    world.append(&used, b"y").await.unwrap();
    assert_eq!(world.blobs.expire().await, 0);
    world.clock.advance(SignedDuration::from_hours(1));
    assert!(matches!(world.status(&unused), Err(BlobError::UnknownUpload)), "even before it is cleared away");
    assert_eq!((world.blobs.expire().await, world.leftovers()), (1, 1));
    assert_eq!(world.store.uploads().await.unwrap().len(), 1);
    // A restart remembers when it was used.
    let world = world.reopened().await;
    world.clock.advance(SignedDuration::from_mins(22 * 60 + 59));
    assert_eq!(world.status(&used).unwrap(), 2);
    world.clock.advance(SignedDuration::from_mins(1));
    assert_eq!((world.blobs.expire().await, world.leftovers()), (1, 0));
    world.clock.advance(SignedDuration::from_hours(-100));
    world.begin().await;
    assert_eq!(world.blobs.expire().await, 0, "a clock that steps back makes nothing old");
}

#[tokio::test]
async fn no_more_uploads_at_once_than_allowed() {
    let world = World::with(UploadLimits { per_repository: 2, total: 3, blob: 100 }).await;
    let (first, _second) = (world.begin().await, world.begin().await);
    assert!(matches!(world.blobs.begin(&name()).await, Err(BlobError::TooManyUploads { limit: 2 })));
    world.blobs.begin(&"b".parse().unwrap()).await.unwrap();
    assert!(matches!(world.blobs.begin(&"c".parse().unwrap()).await, Err(BlobError::TooManyUploads { limit: 3 })));
    let world = world.reopened().await;
    assert!(matches!(world.blobs.begin(&name()).await, Err(BlobError::TooManyUploads { limit: 2 })), "a restart forgets none");
    world.blobs.abort(&name(), &first).await.unwrap();
    world.begin().await;
}

#[tokio::test]
async fn no_larger_than_allowed() {
    let world = World::with(UploadLimits { blob: 100, ..UploadLimits::default() }).await;
    assert!(world.upload(&content(100)).await.is_ok());
    let id = world.begin().await;
    world.append(&id, &content(60)).await.unwrap();
    let error = world.append(&id, &content(41)).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { limit: 100 }), "{error:?}");
    assert!(matches!(world.status(&id), Err(BlobError::UnknownUpload)), "it can never be committed");
    let declared = Part { range: None, length: Some(101) };
    let id = world.begin().await;
    let error = world.blobs.append(&name(), &id, declared, stream::pending::<Result<_, std::io::Error>>()).await.unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { .. }), "before a byte is read: {error:?}");
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn a_later_request_takes_over() {
    let world = World::new().await;
    let content = content(300_000);
    let id = world.begin().await;
    // A connection that is dead without having said so: what it sent has arrived, nothing more ever comes.
    let dead = whole(&content[..120_000]).chain(stream::pending());
    let (blobs, of) = (world.blobs.clone(), id.clone());
    let hanging = tokio::spawn(async move { blobs.append(&name(), &of, Part::default(), dead).await });
    while world.status(&id).unwrap() < 120_000 {
        tokio::task::yield_now().await;
    }
    let part = Part { range: Some((120_000, 180_000)), length: Some(180_000) };
    assert_eq!(world.blobs.append(&name(), &id, part, whole(&content[120_000..])).await.unwrap(), 300_000);
    let superseded = hanging.await.unwrap().unwrap_err();
    assert!(matches!(superseded, BlobError::Superseded { offset: 120_000 }), "{superseded:?}");
    assert_eq!(world.commit(&id, &Digest::of(&content)).await.unwrap(), 300_000);
}

#[tokio::test]
async fn a_request_that_is_dropped_keeps_what_arrived() {
    let world = World::new().await;
    let id = world.begin().await;
    let repository = name();
    {
        let hanging = world.blobs.append(&repository, &id, Part::default(), whole(b"arrived").chain(stream::pending()));
        let mut hanging = std::pin::pin!(hanging);
        while world.status(&id).unwrap() < 7 {
            assert!(futures_util::poll!(&mut hanging).is_pending());
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(world.append(&id, b", all of it").await.unwrap(), 18);
    assert_eq!(world.commit(&id, &Digest::of(b"arrived, all of it")).await.unwrap(), 18);
}

#[tokio::test]
async fn closing_keeps_what_arrived() {
    let world = World::new().await;
    let id = world.begin().await;
    let (blobs, of) = (world.blobs.clone(), id.clone());
    let hanging =
        tokio::spawn(
            async move { blobs.append(&name(), &of, Part::default(), whole(b"arrived").chain(stream::pending())).await },
        );
    while world.status(&id).unwrap() < 7 {
        tokio::task::yield_now().await;
    }
    let world = world.reopened().await;
    assert!(matches!(hanging.await.unwrap(), Err(BlobError::Superseded { offset: 7 })));
    assert_eq!(world.status(&id).unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_at_once_succeed_for_all() {
    let world = World::new().await;
    let content = content(1_500_000);
    let digest = Digest::of(&content);
    let results = join_all((0..8).map(|_| world.upload(&content))).await;
    assert!(results.iter().all(|result| result.as_ref().is_ok_and(|found| *found == digest)), "{results:?}");
    assert!(world.content(&digest).await.as_deref() == Some(&content[..]));
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn pushing_again_heals_a_blob_that_the_disk_has_changed() {
    let world = World::new().await;
    let content = content(1_000);
    let digest = world.upload(&content).await.unwrap();
    let open = world.blobs.blob(&digest).await.unwrap();
    std::fs::rename(world.blob_path(&digest), world.path("elsewhere")).unwrap();
    assert!(matches!(world.blobs.blob(&digest).await, Err(BlobError::Missing { .. })));
    world.upload(&content).await.unwrap();
    assert_eq!(world.content(&digest).await.as_deref(), Some(&content[..]));
    assert_eq!(collect(open.read(0..1_000)).await.unwrap(), content, "who had it open keeps it");
}

#[tokio::test]
async fn in_one_request() {
    let world = World::new().await;
    let (content, repository) = (content(1_000), name());
    let digest = Digest::of(&content);
    let put = async |digest: &Digest, size, body: Vec<u8>| world.blobs.put(&repository, digest, size, whole(&body)).await;
    assert_eq!(put(&digest, Some(1_000), content.clone()).await.unwrap(), 1_000);
    assert_eq!(world.content(&digest).await.as_deref(), Some(&content[..]));
    assert!(matches!(put(&Digest::of(b"x"), None, content.clone()).await, Err(BlobError::Digest { .. })));
    assert!(matches!(put(&digest, Some(999), content.clone()).await, Err(BlobError::TooLarge { limit: 999 })));
    let error = world.blobs.put(&repository, &sha512(&content), None, broken(&content)).await.unwrap_err();
    assert!(matches!(error, BlobError::Interrupted { offset: 1_000, .. }), "{error:?}");
    assert_eq!(world.leftovers(), 0);
}

#[tokio::test]
async fn the_folder_is_made_once_and_never_by_opening() {
    let world = World::new().await;
    let nowhere = world.folder.path().join("nowhere");
    let open = async |path| Blobs::open(path, world.store.clone(), world.clock.clone(), UploadLimits::default()).await;
    let error = open(&nowhere).await.unwrap_err();
    assert!(error.to_string().ends_with("nowhere is missing") && !nowhere.exists(), "{error}");
    let error = Blobs::create(&world.path("")).await.unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
    assert!(Blobs::create(&nowhere.join("deeper")).await.is_err());
    // A backup may leave out empty folders.
    let digest = world.upload(b"x").await.unwrap();
    std::fs::remove_dir_all(world.path("sha512")).unwrap();
    std::fs::remove_dir_all(world.path("incoming")).unwrap();
    let world = world.reopened().await;
    world.blobs.put(&name(), &sha512(b"x"), None, whole(b"x")).await.unwrap();
    assert!(world.content(&digest).await.is_some());
}
