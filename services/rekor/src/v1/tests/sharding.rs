//! Trees that follow each other: one list of entries, each proven in its own tree by its own key.

use super::*;

const ENTRIES: &str = "/api/v1/log/entries";

/// A log with a second tree that waits, open.
async fn two_trees() -> (Fixture, ShardConfig, Created, RekorV1) {
    let fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let shard = ShardConfig { key: fixture.dir.path().join("rekor-v1-2.pem").into() };
    FileKey::generate(KeyKind::P256).unwrap().create_file(&shard.key).unwrap();
    let second = complete_shard(&fixture.config, 2, &shard.key, fixture.clock.clone()).await.unwrap();
    let rekor = open_both(&fixture, &shard).await;
    (fixture, shard, second, rekor)
}

async fn open_both(fixture: &Fixture, shard: &ShardConfig) -> RekorV1 {
    let database = face::SharedDatabase::open(&fixture.config.place(1)).await.unwrap();
    open_shards(&fixture.config, std::slice::from_ref(shard), database, fixture.clock.clone(), &[]).await.unwrap()
}

/// Verifies an entry of the tree that `identity` names and whose first index is `first`; returns the index that was promised.
#[track_caller]
fn verify_in(identity: &Identity, first: u64, (id, entry): &(String, Value)) -> u64 {
    let index = entry["logIndex"].as_u64().unwrap();
    let proof = &entry["verification"]["inclusionProof"];
    assert_eq!(proof["logIndex"].as_u64().unwrap() + first, index);
    assert_eq!(entry["logID"], identity.log_id.to_string());
    let body = BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
    assert_eq!(*id, format!("{:016x}{}", identity.tree.get(), leaf_hash(&body)));
    let checkpoint = read_checkpoint(identity, proof["checkpoint"].as_str().unwrap());
    assert_eq!(proof["treeSize"], checkpoint.size);
    verify_inclusion(&leaf_hash(&body), index - first, checkpoint.size, &hashes(&proof["hashes"]), &checkpoint.root).unwrap();
    let promised =
        json!({"body": entry["body"], "integratedTime": entry["integratedTime"], "logID": entry["logID"], "logIndex": index});
    let promise = BASE64_STANDARD.decode(entry["verification"]["signedEntryTimestamp"].as_str().unwrap()).unwrap();
    identity.public_key.verify(promised.to_string().as_bytes(), &promise).unwrap();
    index
}

#[tokio::test]
async fn a_tree_that_waits_is_known_to_nobody() {
    let (fixture, _, second, rekor) = two_trees().await;
    let router = rekor.router();
    let info = get(&router, "/api/v1/log").await.json();
    assert_eq!((&info["inactiveShards"], &info["treeID"]), (&json!([]), &json!(rekor.identity().tree.to_string())));
    assert_ne!(second.identity.tree, rekor.identity().tree);
    let waiting = second.identity.tree;
    get(&router, &format!("/api/v1/log/publicKey?treeID={waiting}")).await.refused(400, 400, "no log range", "tree_unknown");
    get(&router, &format!("{ENTRIES}?logIndex=2")).await.nothing();
    let entry = submit(&router, &fixture.proposal(0).await).await.entry();
    assert_eq!(verify_in(rekor.identity(), 0, &entry), 2);
}

#[tokio::test]
async fn when_a_tree_is_frozen_the_next_takes_the_entries() {
    let (fixture, _, second, rekor) = two_trees().await;
    let (router, first) = (rekor.router(), rekor.identity().clone());
    let second = second.identity;
    let proposal = fixture.proposal(0).await;
    let before = submit(&router, &proposal).await.entry();
    assert_eq!(verify_in(&first, 0, &before), 2);
    let last = rekor.freeze().await.unwrap();
    assert_eq!(rekor.identity().tree, second.tree);

    // The log says of both what they are.
    let info = get(&router, "/api/v1/log").await.json();
    let old =
        json!({"rootHash": last.root.to_string(), "signedTreeHead": last.note, "treeID": first.tree.to_string(), "treeSize": 3});
    assert_eq!((&info["inactiveShards"], &info["treeSize"]), (&json!([old]), &json!(2)));
    assert_eq!(read_checkpoint(&second, info["signedTreeHead"].as_str().unwrap()).size, 2);
    for identity in [&first, &second] {
        let key = get(&router, &format!("/api/v1/log/publicKey?treeID={}", identity.tree)).await;
        assert_eq!(key.text(), identity.public_key.to_pem());
    }
    assert_eq!(get(&router, "/api/v1/log/publicKey").await.text(), second.public_key.to_pem());
    let proof = |tree: TreeId, last: u64| format!("/api/v1/log/proof?firstSize=1&lastSize={last}&treeID={tree}");
    assert_eq!(get(&router, &proof(first.tree, 3)).await.json()["rootHash"], last.root.to_string());
    get(&router, &proof(second.tree, 3)).await.refused(400, 400, "greater than what is currently observable(2)", "query_range");

    // The same entry is another one in the new tree, and counted on from the old one.
    let after = submit(&router, &proposal).await.entry();
    assert_eq!(verify_in(&second, 3, &after), 5);
    assert_eq!(submit(&router, &proposal).await.header("location").unwrap(), format!("{ENTRIES}/{}", after.0));
    for (index, (identity, base)) in [(2, (&first, 0)), (3, (&second, 3)), (5, (&second, 3))] {
        let entry = get(&router, &format!("{ENTRIES}?logIndex={index}")).await.entry();
        assert_eq!(verify_in(identity, base, &entry), index);
    }
    get(&router, &format!("{ENTRIES}?logIndex=6")).await.nothing();

    // By name: each in its tree, and by its hash alone the newest.
    let named = get(&router, &format!("{ENTRIES}/{}", before.0)).await.entry();
    assert_eq!((verify_in(&first, 0, &named), &named.1["body"]), (2, &before.1["body"]));
    assert_eq!(get(&router, &format!("{ENTRIES}/{}", &before.0[16..])).await.entry().0, after.0);
    let found = retrieve(&router, &json!({"entries": [proposal], "logIndexes": [2, 5], "entryUUIDs": [before.0]})).await.json();
    let ids: Vec<_> = found.as_array().unwrap().iter().map(|map| one(map).0).collect();
    assert_eq!(ids, [&before.0, &after.0, &before.0, &before.0, &after.0].map(Clone::clone));
    let hash = &proposal["spec"]["data"]["hash"]["value"];
    assert_eq!(search(&router, &json!({"hash": hash})).await.json(), json!([before.0, after.0]));
    assert_eq!(search(&router, &json!({"hash": hash, "operator": "and"})).await.json(), json!([before.0, after.0]));
    assert_eq!(search(&router, &json!({"hash": sha256(b"nothing").to_string()})).await.json(), json!([]));
}

#[tokio::test]
async fn what_was_frozen_stays_so_and_the_last_tree_is_read_when_all_are() {
    let (fixture, shard, second, rekor) = two_trees().await;
    submit(&rekor.router(), &fixture.proposal(0).await).await.entry();
    rekor.close().await;
    let (config, clock) = (&fixture.config, || fixture.clock.clone());
    let frozen = freeze(config, 1, &config.key, clock(), None).await.unwrap();
    let again = freeze(config, 1, &config.key, clock(), None).await.unwrap();
    assert_eq!((frozen.made, again.made, &again.checkpoint), (true, false, &frozen.checkpoint));

    let rekor = open_both(&fixture, &shard).await;
    assert_eq!(rekor.identity().tree, second.identity.tree);
    assert_eq!(verify_in(rekor.identity(), 3, &submit(&rekor.router(), &fixture.proposal(1).await).await.entry()), 5);
    rekor.close().await;
    freeze(config, 2, &shard.key, clock(), None).await.unwrap();

    let rekor = open_both(&fixture, &shard).await;
    let router = rekor.router();
    submit(&router, &fixture.proposal(2).await).await.refused(400, 400, "frozen", "log_frozen");
    let info = get(&router, "/api/v1/log").await.json();
    assert_eq!((info["inactiveShards"].as_array().unwrap().len(), &info["treeSize"]), (1, &json!(3)));
    for index in 0..6 {
        get(&router, &format!("{ENTRIES}?logIndex={index}")).await.entry();
    }
}

/// Another process froze the tree: the append that finds it out goes on to the next tree.
#[tokio::test]
async fn an_append_finds_out_that_its_tree_was_frozen() {
    let (fixture, _, second, rekor) = two_trees().await;
    let router = rekor.router();
    let identity = rekor.identity().clone();
    let (_, signer) = identify(HOST, identity.tree, rekor.app().shards[0].key.clone()).unwrap();
    let store = rekor.database_of_tests().log(&fixture.config.place(1)).await.unwrap();
    let other = Log::open(store, Arc::new(signer), fixture.clock.clone(), None).await.unwrap();
    other.freeze().await.unwrap();
    assert_eq!(get(&router, "/api/v1/log").await.json()["treeID"], identity.tree.to_string(), "nothing has told it yet");
    let entry = submit(&router, &fixture.proposal(0).await).await.entry();
    assert_eq!(verify_in(&second.identity, 2, &entry), 4);
}
