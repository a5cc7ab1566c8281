//! The `get-` endpoints.

use crate::common::{Fixture, bytes};

#[tokio::test]
async fn an_empty_log_has_a_head_and_nothing_else() {
    let fixture = Fixture::new().await;
    let head = fixture.head().await;
    assert_eq!((head.tree_size, head.root), (0, merkle::sha256(b"")));
    assert_eq!(fixture.get("/ct/v1/get-sth-consistency?first=0&second=0").await.body, r#"{"consistency":[]}"#);
    fixture.get("/ct/v1/get-entries?start=0&end=0").await.refused(400, "query_range", "the tree has 0 entries");
}

#[tokio::test]
async fn parameters_are_checked_by_name() {
    let fixture = Fixture::new().await;
    fixture.logged().await;
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let cases = [
        ("get-sth-consistency?first=0", 400, "query_parameter", "second is missing"),
        ("get-sth-consistency?first=0&second=x", 400, "query_parameter", "second is not a whole number"),
        ("get-sth-consistency?first=-1&second=1", 400, "query_parameter", "first is not a whole number"),
        ("get-sth-consistency?first=0&second=2", 400, "query_range", "second is 2, and the tree has 1"),
        ("get-sth-consistency?first=1&second=0", 400, "query_range", "expected first <= second"),
        ("get-entries?start=1&end=0", 400, "query_range", "expected start <= end"),
        ("get-entries?start=0&end=-1", 400, "query_parameter", "end is not a whole number"),
        ("get-entries?start=%2B0&end=1", 400, "query_parameter", "start is not a whole number"),
        ("get-entries?start=1&end=1", 400, "query_range", "the tree has 1"),
        ("get-entries?start=0&end=18446744073709551616", 400, "query_parameter", "end is not"),
        ("get-proof-by-hash?tree_size=1", 400, "query_parameter", "hash is missing"),
        ("get-proof-by-hash?hash=AA&tree_size=1", 400, "query_parameter", "hash is not 32 bytes"),
        ("get-entry-and-proof?leaf_index=1&tree_size=1", 400, "query_range", "leaf_index is 1"),
        ("get-entry-and-proof?leaf_index=0&tree_size=2", 400, "query_range", "tree_size is 2"),
    ];
    for (path, status, code, text) in cases {
        fixture.get(&format!("/ct/v1/{path}")).await.refused(status, code, text);
    }
    let proof = |size: u64| format!("/ct/v1/get-proof-by-hash?hash={hash}&tree_size={size}");
    fixture.get(&proof(0)).await.refused(400, "query_range", "expected at least 1");
    fixture.get(&proof(1)).await.refused(404, "query_hash_unknown", "no entry among the first 1");
    fixture.get(&proof(2)).await.refused(404, "query_tree_size", "has not reached 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entries_come_in_order_across_pages_and_end_with_the_tree() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..600 {
        let fixture = fixture.clone();
        tasks.spawn(async move { ct::leaf_index(&fixture.logged().await.1.extensions).unwrap().unwrap() });
    }
    let mut indexes = tasks.join_all().await;
    indexes.sort_unstable();
    assert_eq!(indexes, (0..600).collect::<Vec<_>>());

    let log = fixture.as_ref();
    let read = async |start: u64, end: u64| {
        let answer = log.get(&format!("/ct/v1/get-entries?start={start}&end={end}")).await.json();
        let indexes = answer["entries"].as_array().unwrap().iter().map(|entry| {
            let leaf = ct::TimestampedEntry::parse_leaf(&bytes(&entry["leaf_input"])).unwrap();
            ct::leaf_index(&leaf.extensions).unwrap().unwrap()
        });
        indexes.collect::<Vec<_>>()
    };
    for (start, end, expected) in [
        (0, 0, 0..1),
        (0, 255, 0..256),
        (0, 256, 0..257),
        (255, 599, 255..600),
        (3, 514, 3..515),
        (0, 600, 0..600),
        (598, u64::MAX, 598..600),
    ] {
        assert_eq!(read(start, end).await, expected.collect::<Vec<u64>>(), "{start} to {end}");
    }
}

#[tokio::test]
async fn a_public_url_with_a_path_is_answered_with_and_without_it() {
    let fixture = Fixture::with(|config| config["public_url"] = "https://ct.corp.example/2026".into()).await;
    assert_eq!(fixture.log().identity().origin, "ct.corp.example/2026");
    assert!(fixture.log().checkpoint().starts_with("ct.corp.example/2026\n0\n"));
    let (plain, below) = (fixture.get("/ct/v1/get-sth").await, fixture.get("/2026/ct/v1/get-sth").await);
    assert_eq!(plain.json(), below.json());
    fixture.get("/2025/ct/v1/get-sth").await.refused(404, "path_not_found", "/2025");
    fixture.get("/2026/ct/v1/add-chain").await.refused(405, "method_not_allowed", "GET is not a method");
}
