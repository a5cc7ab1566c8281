//! A crash before and after each thing that a promotion writes: no tag points to an incomplete image, and asking again completes it.

use super::racing::recorded;
use super::world::{World, order};
use crate::faults::{Step, When};
use crate::promotion::PromotionState;

/// Which of a promotion's writes is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Record,
    Copy,
    Tag,
}

#[tokio::test]
async fn cut_off_anywhere() {
    for cut in [Cut::Record, Cut::Copy, Cut::Tag] {
        for when in [When::Before, When::After] {
            cut_off(cut, when).await;
        }
    }
}

async fn cut_off(cut: Cut, when: When) {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let to_do = order("staging/app:1", "prod/app:1");
    let kill = || world.store.faults().kill_at(Step::Commit, when);
    // Up to the write that is cut off, as the story goes.
    match cut {
        Cut::Record => {
            kill();
            assert!(world.promoter.run(to_do, crate::access::Actor::named("ops")).await.is_err());
        }
        Cut::Copy => {
            let recorded = recorded(&world, to_do).await;
            kill();
            assert!(world.promoter.copy(recorded).await.is_err());
        }
        Cut::Tag => {
            let copied = world.promoter.copy(recorded(&world, to_do).await).await.unwrap();
            kill();
            assert!(world.promoter.finish(copied, false).await.is_err());
        }
    }
    let world = world.reopened().await;
    let tagged = world.tag("prod/app", "1").await;
    if let Some(digest) = &tagged {
        assert_eq!((cut, when), (Cut::Tag, When::After));
        assert_eq!(*digest, image.index);
        world.assert_whole("staging/app", "prod/app", digest).await;
    }
    if (cut, when) == (Cut::Copy, When::Before) {
        assert!(world.is_empty("prod/app").await, "all of it or nothing");
    }
    let again = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((again.state, again.unchanged), (PromotionState::Done, tagged.is_some()), "{cut:?} {when:?}");
    world.assert_whole("staging/app", "prod/app", &image.index).await;
    assert_eq!(world.states().await, expected_states(cut, when), "{cut:?} {when:?}");
}

/// The record of what was cut off, and the one of asking again.
fn expected_states(cut: Cut, when: When) -> Vec<String> {
    let first = match (cut, when) {
        (Cut::Record, When::Before) => None,
        (Cut::Tag, When::After) => Some("done"),
        _ => Some("failed"),
    };
    let mut states: Vec<String> = first.into_iter().chain(["done"]).map(str::to_owned).collect();
    states.sort();
    states
}

#[tokio::test]
async fn a_failure_ends_its_record() {
    let world = World::new().await;
    world.signed("staging/app", "v1", &["1"]).await;
    // The copy fails; the process goes on.
    world.store.faults().plan(&[(Step::Commit, When::Before)]);
    let skipped = world.promote("staging/app:1", "prod/app:1").await;
    assert!(skipped.is_err(), "the record itself failed");
    assert!(world.states().await.is_empty());
    let recorded = recorded(&world, order("staging/app:1", "prod/app:1")).await;
    let id = recorded.id().to_owned();
    world.store.fail_promotion(&id).await.unwrap();
    assert_eq!(world.states().await, ["failed"]);
    let report = world.store.promotion(&id).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["state"], "failed");
    // What has ended does not begin again.
    let copied = world.promoter.copy(recorded).await.unwrap();
    assert!(world.promoter.finish(copied, false).await.is_err());
    assert_eq!(world.tag("prod/app", "1").await, None);
}
