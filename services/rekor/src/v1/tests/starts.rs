use chassis::Explain as _;
use clock::Clock as _;

use super::*;
use crate::v2;

async fn start_error(config: &Config, fixture: &Fixture, published: Option<Checkpoint>) -> StartError {
    match open(config, fixture.clock.clone(), published).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_new_log_begins_with_two_entries_of_its_own() {
    let fixture = Fixture::new();
    let created = create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let checkpoint = read_checkpoint(&created.identity, &created.checkpoint);
    assert_eq!(checkpoint.size, v2::SEEDS);
    assert_eq!(created.identity.log_id.as_ref(), created.identity.public_key.fingerprint());

    let rekor = open(&fixture.config, fixture.clock.clone(), Some(checkpoint)).await.unwrap();
    assert_eq!((rekor.identity().tree, rekor.checkpoint()), (created.identity.tree, created.checkpoint.clone()));
    let router = rekor.router();
    for number in 0..v2::SEEDS {
        let (id, entry) = get(&router, &format!("/api/v1/log/entries?logIndex={number}")).await.entry();
        assert_eq!(verify(rekor.identity(), &(id.clone(), entry)), (number, v2::SEEDS));
        let message = format!("chancery log {} seed {number}", created.identity.origin);
        let found = search(&router, &json!({"hash": sha256(message.as_bytes()).to_string()})).await;
        assert_eq!(found.json(), json!([id]));
    }
    let entry = submit(&router, &fixture.proposal(0).await).await.entry();
    assert_eq!(verify(rekor.identity(), &entry), (2, 3));
}

#[tokio::test]
async fn nothing_is_made_twice_and_nothing_is_made_by_opening() {
    let fixture = Fixture::new();
    assert_eq!(start_error(&fixture.config, &fixture, None).await.code(), "database_missing");
    let created = create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let again = create(&fixture.config, fixture.clock.clone()).await.unwrap_err();
    assert_eq!(again.code(), "log_exists");
    assert!(again.advice().is_some() && !again.details().is_empty());
    assert_eq!(fixture.open().await.checkpoint(), created.checkpoint);
}

/// The states that a crash can leave, and the one that it cannot.
#[tokio::test]
async fn making_a_log_goes_on_where_it_was_cut_off() {
    for there in [None, Some(0), Some(1), Some(2), Some(3)] {
        let fixture = Fixture::new();
        let before = fixture.clock.now();
        if let Some(entries) = there {
            fixture.create_empty().await;
            let rekor = fixture.open().await;
            for number in 0..entries {
                submit(&rekor.router(), &fixture.proposal(number).await).await.entry();
            }
            rekor.close().await;
        }
        fixture.clock.advance(jiff::SignedDuration::from_hours(1));
        let created = complete(&fixture.config, fixture.clock.clone()).await.unwrap();
        let checkpoint = read_checkpoint(&created.identity, &created.checkpoint);
        assert_eq!(checkpoint.size, there.unwrap_or(0).max(v2::SEEDS), "{there:?}");
        let began = if there.is_some_and(|entries| entries > 0) { before } else { fixture.clock.now() };
        let expected = (there.is_none(), Timestamp::from_second(began.as_second()).unwrap());
        assert_eq!((created.made, created.since), expected, "{there:?}");

        let again = complete(&fixture.config, fixture.clock.clone()).await.unwrap();
        assert_eq!((again.checkpoint, again.since, again.made), (created.checkpoint, created.since, false));
        assert_eq!(create(&fixture.config, fixture.clock.clone()).await.unwrap_err().code(), "log_exists");
        open(&fixture.config, fixture.clock.clone(), Some(checkpoint)).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_log_of_another_name_or_key_is_not_completed() {
    let fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let renamed = Config { public_url: "https://other.corp.example".into(), ..fixture.config.clone() };
    assert_eq!(complete(&renamed, fixture.clock.clone()).await.unwrap_err().code(), "log_origin_mismatch");
    let key = fixture.dir.path().join("other.pem");
    FileKey::generate(KeyKind::P256).unwrap().create_file(&key).unwrap();
    let other = Config { key: key.into(), ..fixture.config.clone() };
    assert_eq!(complete(&other, fixture.clock.clone()).await.unwrap_err().code(), "log_key_mismatch");
}

#[tokio::test]
async fn both_faces_live_in_one_file_each_with_a_tree_of_its_own() {
    let fixture = Fixture::new();
    let other = v2::Config {
        public_url: "https://log1.rekor.example".into(),
        http: ListenConfig::loopback(0),
        database: fixture.config.database.clone(),
        head_record: None,
        objects: None,
        keep_entries: 65_536,
        database_password_file: None,
        key: fixture.dir.path().join("rekor-v2.pem").into(),
        bundle_cache_mib: 1,
        witnesses: None,
        export: None,
    };
    FileKey::generate(KeyKind::P256).unwrap().create_file(&other.key).unwrap();
    v2::create(&other, fixture.clock.clone()).await.unwrap();
    assert_eq!(start_error(&fixture.config, &fixture, None).await.code(), "log_missing");
    let created = create(&fixture.config, fixture.clock.clone()).await.unwrap();

    let database = face::SharedDatabase::open(&fixture.config.place(1)).await.unwrap();
    let first = open_shards(&fixture.config, &[], database.clone(), fixture.clock.clone(), &[]).await.unwrap();
    let second = v2::open_shard(&other, 1, database, fixture.clock.clone(), None).await.unwrap();
    assert_ne!(first.identity().log_id, second.identity().log_id);
    submit(&first.router(), &fixture.proposal(0).await).await.entry();
    assert_eq!(read_checkpoint(first.identity(), &first.checkpoint()).size, 3);
    assert!(second.checkpoint().starts_with("log1.rekor.example\n2\n"));

    // Whoever closes first leaves the other running; the last one lets the next process in.
    second.close().await;
    submit(&first.router(), &fixture.proposal(1).await).await.entry();
    assert_eq!(start_error(&fixture.config, &fixture, None).await.code(), "database_in_use");
    first.close().await;
    let published = read_checkpoint(&created.identity, &created.checkpoint);
    open(&fixture.config, fixture.clock.clone(), Some(published)).await.unwrap().close().await;
    v2::open(&other, fixture.clock.clone(), None).await.unwrap().close().await;
}

#[tokio::test]
async fn a_log_opens_only_under_its_own_name_and_key() {
    let fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();

    let renamed = Config { public_url: "https://other.corp.example".into(), ..fixture.config.clone() };
    let error = start_error(&renamed, &fixture, None).await;
    assert_eq!(error.code(), "log_origin_mismatch");
    assert!(error.details().concat().contains("other.corp.example - "), "{:?}", error.details());
    let with_path = Config { public_url: "https://rekor.corp.example/rekor".into(), ..fixture.config.clone() };
    assert_eq!(start_error(&with_path, &fixture, None).await.code(), "log_public_url");
    // A port is no part of the name.
    let moved = Config { public_url: format!("https://{HOST}:8443"), ..fixture.config.clone() };
    open(&moved, fixture.clock.clone(), None).await.unwrap().close().await;

    for (kind, code) in
        [(KeyKind::P256, "log_key_mismatch"), (KeyKind::P384, "log_key_unsuitable"), (KeyKind::Ed25519, "log_key_unsuitable")]
    {
        let key = fixture.dir.path().join(format!("{code}-{kind}.pem"));
        FileKey::generate(kind).unwrap().create_file(&key).unwrap();
        let other = Config { key: key.into(), ..fixture.config.clone() };
        assert_eq!(start_error(&other, &fixture, None).await.code(), code);
    }
    let keyless = Config { key: fixture.dir.path().join("none.pem").into(), ..fixture.config.clone() };
    assert_eq!(start_error(&keyless, &fixture, None).await.code(), "log_key_file");
}

#[tokio::test]
async fn a_log_that_does_not_reach_what_was_published_stays_closed() {
    let fixture = Fixture::new();
    let created = create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let published = read_checkpoint(&created.identity, &created.checkpoint);
    let longer = Checkpoint { size: 3, ..published.clone() };
    assert_eq!(start_error(&fixture.config, &fixture, Some(longer)).await.code(), "log_rolled_back");
    let other = Checkpoint { root: leaf_hash(b"other"), ..published.clone() };
    assert_eq!(start_error(&fixture.config, &fixture, Some(other)).await.code(), "log_diverged");
    // Another tree under the same name and key is another log.
    let another = Checkpoint { origin: format!("{HOST} - 17"), ..published };
    assert_eq!(start_error(&fixture.config, &fixture, Some(another)).await.code(), "log_origin_mismatch");
}

#[tokio::test]
async fn a_log_that_is_no_rekor_v1_log_is_not_opened_as_one() {
    let fixture = Fixture::new();
    let key = Arc::new(FileKey::load(&fixture.config.key).unwrap());
    let signer = tlog::NoteSigner::new(HOST, key).unwrap();
    let database = Database::create(&fixture.database()).await.unwrap();
    Log::create(database.log(LOG_NAME), Arc::new(signer), fixture.clock.clone()).await.unwrap().close().await;
    database.close().await;
    drop(database);
    assert_eq!(start_error(&fixture.config, &fixture, None).await.code(), "log_origin_mismatch");
}

#[tokio::test]
async fn readiness_asks_the_database() {
    let (_fixture, rekor) = Fixture::empty().await;
    let ready = rekor.ready();
    ready.check().await.unwrap();
    rekor.close().await;
    ready.check().await.unwrap_err();
}

#[test]
fn configuration_refuses_unknown_keys() {
    let value = json!({
        "public_url": "https://rekor.corp.example", "http": {"listen": ["127.0.0.1:3000"]}, "database": "db/rekor.db", "key": "keys/rekor-v1.pem",
    });
    serde_json::from_value::<Config>(value.clone()).unwrap();
    let mut unknown = value;
    unknown["tree_id"] = 1.into();
    assert!(serde_json::from_value::<Config>(unknown).unwrap_err().to_string().contains("unknown field `tree_id`"));
}
