//! Parts with a `Content-Range`: in order, as long as they say, or refused with the place where the upload stands.

use oci::Digest;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::support::{World, broken, content, name, whole};
use crate::blobs::{BlobError, Part};

async fn append(
    world: &World,
    id: &crate::blobs::UploadId,
    range: (u64, u64),
    declared: Option<u64>,
    body: &[u8],
) -> Result<u64, u64> {
    let part = Part { range: Some(range), length: declared };
    match world.blobs.append(&name(), id, part, whole(body)).await {
        Ok(offset) => Ok(offset),
        Err(BlobError::OutOfOrder { offset }) => Err(offset),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_mistake_and_its_recovery() {
    let world = World::new().await;
    let content = content(2_067);
    let id = world.begin().await;
    assert_eq!(append(&world, &id, (0, 1_024), Some(1_024), &content[..1_024]).await, Ok(1_024));
    assert_eq!(append(&world, &id, (2_048, 1_024), Some(1_024), &[0; 1_024]).await, Err(1_024), "too far");
    assert_eq!(append(&world, &id, (0, 1_024), Some(1_024), &[0; 1_024]).await, Err(1_024), "again");
    assert_eq!(append(&world, &id, (1_024, 9), Some(1_043), &content[1_024..]).await, Err(1_024), "another length than declared");
    assert_eq!(append(&world, &id, (1_024, u64::MAX), None, &content[1_024..]).await, Err(1_024));
    assert_eq!(world.status(&id).unwrap(), 1_024, "what was there is kept");
    assert_eq!(append(&world, &id, (1_024, 1_043), Some(1_043), &content[1_024..]).await, Ok(2_067));
    assert_eq!(world.commit(&id, &Digest::of(&content)).await.unwrap(), 2_067);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_its_range() {
    let world = World::new().await;
    let id = world.begin().await;
    assert_eq!(append(&world, &id, (0, 3), None, b"longer").await, Err(3), "what belongs there is kept, the rest is not");
    assert_eq!(append(&world, &id, (3, 9), None, b"ger").await, Err(6), "shorter: what came is kept");
    assert_eq!(world.commit(&id, &Digest::of(b"longer")).await.unwrap(), 6);
}

#[tokio::test]
async fn a_part_that_breaks_off_is_gone_on_with() {
    let world = World::new().await;
    let id = world.begin().await;
    let part = Part { range: Some((0, 10)), length: Some(10) };
    let error = world.blobs.append(&name(), &id, part, broken(b"0123")).await.unwrap_err();
    assert!(matches!(error, BlobError::Interrupted { offset: 4, .. }), "{error:?}");
    assert_eq!(append(&world, &id, (4, 6), Some(6), b"456789").await, Ok(10));
    assert_eq!(world.commit(&id, &Digest::of(b"0123456789")).await.unwrap(), 10);
}

/// One request of a client.
#[derive(Debug, Clone)]
enum Act {
    Append { length: usize, breaks: bool },
    OutOfOrder { first: u64 },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..200_000_usize, any::<bool>()).prop_map(|(length, breaks)| Act::Append { length, breaks }),
        1 => any::<u64>().prop_map(|first| Act::OutOfOrder { first }),
        1 => Just(Act::Restart),
    ]
}

/// However a client gets there, the blob is what it sent.
#[tokio::test]
async fn any_way_there() {
    let (mut world, all) = (World::new().await, content(1_200_000));
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..24 {
        let acts = proptest::collection::vec(act(), 0..6).new_tree(&mut runner).unwrap().current();
        let (id, mut sent) = (world.begin().await, 0);
        for act in &acts {
            match *act {
                Act::Append { length, breaks } => {
                    let piece = &all[sent..sent + length];
                    let part = Part { range: Some((sent as u64, length as u64)), length: None };
                    let result = match breaks {
                        true => world.blobs.append(&name(), &id, part, broken(piece)).await,
                        false => world.blobs.append(&name(), &id, part, whole(piece)).await,
                    };
                    assert_eq!(result.is_ok(), !breaks, "{acts:?}: {result:?}");
                    sent += length;
                }
                Act::OutOfOrder { first } if first == sent as u64 => {}
                Act::OutOfOrder { first } => assert_eq!(append(&world, &id, (first, 5), None, b"wrong").await, Err(sent as u64)),
                Act::Restart => world = world.reopened().await,
            }
            assert_eq!(world.status(&id).unwrap(), sent as u64, "{acts:?}");
        }
        let digest = Digest::of(&all[..sent]);
        world.commit(&id, &digest).await.unwrap();
        assert!(world.content(&digest).await.as_deref() == Some(&all[..sent]), "{acts:?}");
    }
}
