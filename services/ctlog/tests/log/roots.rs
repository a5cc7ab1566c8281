//! Accepted roots, also while running.

use std::time::{Duration, Instant};

use crate::common::{Authority, Fixture, bytes};

async fn listed(fixture: &Fixture) -> Vec<Vec<u8>> {
    let roots = fixture.get("/ct/v1/get-roots").await.json();
    roots["certificates"].as_array().unwrap().iter().map(bytes).collect()
}

#[tokio::test]
async fn roots_are_listed_as_configured_and_taken_while_running() {
    // A short interval makes the upkeep look at the file as often.
    let fixture = Fixture::with(|config| config["republish_every"] = "100ms".into()).await;
    let (first, second) = (&fixture.authority.root, Authority::new());
    assert_eq!(listed(&fixture).await, [first.der()]);
    let leaf = second.precertificate().await;
    fixture.add_pre_chain(&second.whole(&leaf)).await.refused(400, "chain_root_unknown", &first.short());

    // What cannot be used changes nothing.
    std::fs::write(fixture.path("roots.pem"), format!("{}-----BEGIN CERTIFICATE-----\n", first.to_pem())).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(listed(&fixture).await, [first.der()]);

    std::fs::write(fixture.path("roots.pem"), format!("{}{}", first.to_pem(), second.root.to_pem())).unwrap();
    let begun = Instant::now();
    while listed(&fixture).await.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the new root was not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(listed(&fixture).await, [first.der(), second.root.der()]);
    fixture.add_pre_chain(&second.whole(&leaf)).await.sct();
    fixture.logged().await;
}

#[tokio::test]
async fn a_head_is_signed_again_when_it_is_old() {
    let fixture = Fixture::with(|config| config["republish_every"] = "100ms".into()).await;
    fixture.logged().await;
    let old = fixture.head().await;
    fixture.clock.advance(jiff::SignedDuration::from_secs(1));
    let begun = Instant::now();
    let new = loop {
        let head = fixture.head().await;
        if head.timestamp > old.timestamp {
            break head;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the head was not signed again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((new.tree_size, new.root, new.timestamp), (old.tree_size, old.root, old.timestamp + 1_000));
}
