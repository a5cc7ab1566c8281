//! The running service: what it signs anew, when, and what it refuses to.

use std::sync::Arc;
use std::time::Duration;

use chassis::Explain as _;
use clock::Clock as _;

use super::fixture::{Fixture, note};
use crate::*;

const SEVENTH: &str = "1d";

#[tokio::test]
async fn nothing_is_signed_before_a_seventh_of_the_life_is_over() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    assert_eq!(service.refresh().await.unwrap().signed, []);
    fixture.wait("23h");
    let refreshed = service.refresh().await.unwrap();
    assert_eq!(refreshed.signed, []);
    assert_eq!(refreshed.again, Duration::from_secs(60), "looks again in time");
    fixture.wait("1h");
    assert_eq!(service.refresh().await.unwrap().signed, [Role::Snapshot, Role::Timestamp]);
    assert_eq!(fixture.versions(), [1, 1, 1441, 1441]);
    assert_eq!(service.refresh().await.unwrap().signed, []);
}

#[tokio::test]
async fn it_stays_fresh_and_keeps_few_old_snapshots() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    let mut last = fixture.versions();
    for _ in 0..50 {
        fixture.wait(SEVENTH);
        service.refresh().await.unwrap();
        let now = fixture.versions();
        assert!(now[2] > last[2] && now[3] > last[3]);
        last = now;
        service.ready().check().await.unwrap();
    }
    assert!(std::fs::read_dir(&fixture.place.directory).unwrap().count() < 50, "old snapshots are removed");
}

#[tokio::test]
async fn a_timestamp_of_ten_seconds_is_signed_every_second_or_two_and_the_snapshot_is_left_alone() {
    let mut fixture = Fixture::empty();
    fixture.lifetimes.timestamp = Duration::from_secs(10);
    fixture.create(&super::fixture::targets()).await.unwrap();
    let service = fixture.service();
    let mut signed = 0;
    for _ in 0..300 {
        fixture.wait("100ms");
        let refreshed = service.refresh().await.unwrap();
        assert!(refreshed.again >= Duration::from_millis(100));
        signed += refreshed.signed.len();
        assert!(!refreshed.signed.contains(&Role::Snapshot));
        service.ready().check().await.unwrap();
    }
    assert!((20..=45).contains(&signed), "{signed} in 30 s");
}

#[tokio::test]
async fn metadata_that_expired_while_nobody_ran_is_signed_at_once() {
    let fixture = Fixture::created().await;
    fixture.wait("30d");
    let service = Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap();
    service.ready().check().await.unwrap();
    fixture.read().unwrap().check_fresh(&Role::ALL, fixture.now()).unwrap();
}

#[tokio::test]
async fn expired_root_metadata_is_served_but_not_ready() {
    let fixture = Fixture::created().await;
    fixture.wait("366d");
    let service = Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap();
    assert_eq!(service.ready().check().await.unwrap_err(), "the root metadata expired at 2027-11-21T09:14:03Z");
    // The online roles are in order, so that only the root is left to renew.
    fixture.read().unwrap().check_fresh(&[Role::Snapshot, Role::Timestamp], fixture.now()).unwrap();
    renew(&fixture.place, &fixture.keys(), &fixture.lifetimes, &*fixture.clock).await.unwrap();
    service.refresh().await.unwrap();
    service.ready().check().await.unwrap();
}

#[tokio::test]
async fn not_ready_when_a_timestamp_could_not_be_renewed() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    assert!(service.ready().check().await.is_err(), "nothing was read yet");
    service.refresh().await.unwrap();
    service.ready().check().await.unwrap();
    fixture.wait("7d");
    // Said by the clock alone: nobody has looked since.
    assert_eq!(service.ready().check().await.unwrap_err(), "the snapshot metadata expired at 2026-11-28T09:14:03Z");
}

#[tokio::test]
async fn a_shorter_life_takes_effect_at_once() {
    let mut fixture = Fixture::created().await;
    fixture.lifetimes.timestamp = Duration::from_secs(3600);
    assert_eq!(fixture.service().refresh().await.unwrap().signed, [Role::Timestamp]);
    let left = fixture.read().unwrap().expires(Role::Timestamp).left(fixture.now());
    assert!(left <= jiff::SignedDuration::from_hours(1));
}

#[tokio::test]
async fn a_clock_that_was_ahead_is_corrected() {
    let fixture = Fixture::created().await;
    let right = fixture.now();
    fixture.wait("3000d");
    let service = fixture.service();
    service.refresh().await.unwrap();
    let wrong = fixture.versions();
    fixture.clock.set(right + jiff::SignedDuration::from_hours(1));
    assert_eq!(service.refresh().await.unwrap().signed, [Role::Snapshot, Role::Timestamp]);
    let repository = fixture.read().unwrap();
    assert!(repository.expires(Role::Timestamp).left(fixture.clock.now()) <= jiff::SignedDuration::from_hours(7 * 24));
    assert!(repository.version(Role::Timestamp) > wrong[3], "clients have the versions of the wrong time");
}

#[tokio::test]
async fn what_a_command_publishes_meanwhile_is_picked_up() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    service.refresh().await.unwrap();
    fixture.publish(&[note("by a command")]).await.unwrap();
    fixture.wait(SEVENTH);
    service.refresh().await.unwrap();
    let repository = fixture.read().unwrap();
    assert_eq!(repository.version(Role::Targets), 2);
    assert!(repository.targets.targets.keys().any(|name| name.as_str() == "note.txt"));
}

#[tokio::test]
async fn a_service_and_commands_that_publish_at_once_take_turns() {
    let mut fixture = Fixture::created().await;
    // Always due.
    fixture.lifetimes.timestamp = Duration::from_nanos(1);
    let fixture = Arc::new(fixture);
    let service = fixture.service();
    let lives = Lifetimes { timestamp: Duration::from_secs(100), ..Lifetimes::default() };
    let commands = async {
        for turn in 0..20 {
            let keys = fixture.keys();
            let keys = TargetsKeys { targets: keys.targets, snapshot: keys.snapshot, timestamp: keys.timestamp };
            publish_targets(&fixture.place, &keys, &[note(&turn.to_string())], &lives, &*fixture.clock).await.unwrap();
        }
    };
    let looks = async {
        for _ in 0..20 {
            let _ = service.refresh().await;
        }
    };
    tokio::join!(commands, looks);
    fixture.read().unwrap();
    assert_eq!(fixture.versions()[1], 21);
}

#[tokio::test]
async fn a_restored_snapshot_is_signed_anew_above_the_lost_ones() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    let yesterday = fixture.backup();
    for _ in 0..3 {
        fixture.wait(SEVENTH);
        service.refresh().await.unwrap();
    }
    let lost = fixture.versions();
    fixture.restore(&yesterday);
    fixture.wait("0s");
    let service = Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap();
    let now = fixture.versions();
    assert!(now[2] > lost[2] && now[3] > lost[3], "{lost:?} {now:?}");
    drop(service);
}

#[tokio::test]
async fn restored_targets_are_never_signed_over_by_the_online_keys() {
    let fixture = Fixture::created().await;
    let yesterday = fixture.backup();
    fixture.publish(&[note("lost")]).await.unwrap();
    fixture.restore(&yesterday);
    let refused = Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap_err();
    assert!(matches!(refused, TufError::RolledBack { role: Role::Targets, found: 1, published: 2 }), "{refused:?}");
    assert_eq!(refused.code(), "tuf_rolled_back");
    assert_eq!(fixture.bytes("timestamp.json"), yesterday.file(&fixture, "timestamp.json"));
}

#[tokio::test]
async fn a_start_with_the_wrong_key_or_a_damaged_file_is_refused() {
    let fixture = Fixture::created().await;
    let mut config = fixture.config();
    std::mem::swap(&mut config.snapshot_key, &mut config.timestamp_key);
    assert_eq!(Tuf::open(&config, fixture.clock.clone()).await.unwrap_err().code(), "tuf_key_mismatch");
    let mut config = fixture.config();
    config.timestamp_key = std::path::Path::new("/nonexistent/key.pem").into();
    assert_eq!(Tuf::open(&config, fixture.clock.clone()).await.unwrap_err().code(), "tuf_key_unreadable");
    fixture.overwrite("1.targets.json", "{}");
    assert_eq!(Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap_err().code(), "tuf_damaged");
}

#[tokio::test]
async fn the_background_task_looks_at_once_and_stops_when_told() {
    let fixture = Fixture::created().await;
    let service = Tuf::open(&fixture.config(), fixture.clock.clone()).await.unwrap();
    fixture.wait(SEVENTH);
    let freshness = service.keep_fresh();
    while fixture.versions()[3] == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Stopping waits for the task, so that nobody signs after it.
    freshness.stop().await;
}
