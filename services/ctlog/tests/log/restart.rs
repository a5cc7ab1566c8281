//! CT 8, as far as one process can: what was answered is there after a restart, and every head leads to every later one.

use std::sync::Arc;

use crate::common::{Fixture, hashes};

#[tokio::test]
async fn nothing_that_was_promised_is_lost_or_logged_twice() {
    let mut fixture = Fixture::new().await;
    let mut promised = Vec::new();
    for _ in 0..5 {
        promised.push(fixture.logged().await);
    }
    let before = fixture.head().await;
    fixture.reopen().await;
    assert_eq!(fixture.head().await, before);
    for (precertificate, first) in &promised {
        let again = fixture.add_pre_chain(&fixture.authority.whole(precertificate)).await.sct();
        assert_eq!((again.timestamp, &again.extensions), (first.timestamp, &first.extensions));
    }
    assert_eq!(fixture.head().await.tree_size, 5);
}

#[tokio::test]
async fn every_head_leads_to_every_later_one() {
    const HEADS: u64 = 300;
    let mut fixture = Fixture::new().await;
    let mut heads = vec![fixture.head().await];
    while heads.len() as u64 <= HEADS {
        fixture.clock.advance(jiff::SignedDuration::from_millis(1));
        fixture.logged().await;
        heads.push(fixture.head().await);
        if heads.len() == 150 {
            fixture.reopen().await;
        }
    }
    assert!(heads.windows(2).all(|pair| pair[0].tree_size + 1 == pair[1].tree_size && pair[0].timestamp < pair[1].timestamp));

    let fixture = Arc::new(fixture);
    for second in 1..=HEADS {
        for first in 1..=second {
            let proof = fixture.get(&format!("/ct/v1/get-sth-consistency?first={first}&second={second}")).await.json();
            let (old, new) = (&heads[usize::try_from(first).unwrap()], &heads[usize::try_from(second).unwrap()]);
            merkle::verify_consistency(first, second, &hashes(&proof["consistency"]), &old.root, &new.root).unwrap();
        }
    }
}
