use chassis::Explain as _;
use entry::hash_name;

use super::*;

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
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("log1.rekor.example", SEEDS));
    assert_eq!(created.identity.log_id.as_ref(), created.identity.public_key.fingerprint());

    let rekor = open(&fixture.config, fixture.clock.clone(), Some(checkpoint)).await.unwrap();
    let bundle = get(&rekor.router(), "/tile/entries/000.p/2").await.body;
    let mut rest = &bundle[..];
    let mut keys = Vec::new();
    for number in 0..SEEDS {
        let (length, tail) = rest.split_first_chunk().unwrap();
        let (body, tail) = tail.split_at(u16::from_be_bytes(*length).into());
        rest = tail;
        let body: Value = serde_json::from_slice(body).unwrap();
        let spec = &body["spec"]["hashedRekordV002"];
        let message = format!("chancery log log1.rekor.example seed {number}");
        assert_eq!(spec["data"]["algorithm"], hash_name(pki::HashAlgorithm::Sha256));
        assert_eq!(spec["data"]["digest"], BASE64_STANDARD.encode(digest(&SHA256, message.as_bytes())));
        keys.push(spec["signature"]["verifier"]["publicKey"]["rawBytes"].clone());
    }
    assert!(rest.is_empty());
    assert_ne!(keys[0], keys[1], "each seed has a key of its own");
    let answer = submit(&rekor.router(), fixture.request(0).await).await;
    assert_eq!(verify(rekor.identity(), &answer.entry()), (2, 3));
}

#[tokio::test]
async fn nothing_is_made_twice_and_nothing_is_made_by_opening() {
    let fixture = Fixture::new();
    assert_eq!(start_error(&fixture.config, &fixture, None).await.code(), "database_missing");
    let created = create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let again = create(&fixture.config, fixture.clock.clone()).await.unwrap_err();
    assert_eq!(again.code(), "database_exists");
    assert!(again.advice().is_some() && !again.details().is_empty());
    assert_eq!(fixture.open().await.checkpoint(), created.checkpoint);
}

#[tokio::test]
async fn a_log_opens_only_under_its_own_name_and_key() {
    let fixture = Fixture::new();
    create(&fixture.config, fixture.clock.clone()).await.unwrap();

    let renamed = Config { public_url: "https://log2.rekor.example".into(), ..fixture.config.clone() };
    let error = start_error(&renamed, &fixture, None).await;
    assert_eq!(error.code(), "log_origin_mismatch");
    assert!(error.details().concat().contains("log2.rekor.example"), "{:?}", error.details());
    let with_path = Config { public_url: "https://log1.rekor.example/v2".into(), ..fixture.config.clone() };
    assert_eq!(start_error(&with_path, &fixture, None).await.code(), "log_public_url");
    // A port is no part of the name.
    let moved = Config { public_url: "https://log1.rekor.example:8443".into(), ..fixture.config.clone() };
    open(&moved, fixture.clock.clone(), None).await.unwrap().close().await;

    for (kind, code) in [(KeyKind::P256, "log_key_mismatch"), (KeyKind::P384, "log_key_unsuitable")] {
        let key = fixture.dir.path().join(format!("{code}.pem"));
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
    let other = Checkpoint { root: leaf_hash(b"other"), ..published };
    assert_eq!(start_error(&fixture.config, &fixture, Some(other)).await.code(), "log_diverged");
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
fn configuration_has_defaults_and_refuses_unknown_keys() {
    let value = serde_json::json!({
        "public_url": "https://log1.rekor.example", "http": {"listen": ["127.0.0.1:3003"]}, "database": "db/rekor.db", "key": "keys/rekor-v2.pem",
    });
    let config: Config = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(config.bundle_cache_mib, 16);
    let mut unknown = value;
    unknown["origin"] = "log1.rekor.example".into();
    assert!(serde_json::from_value::<Config>(unknown).unwrap_err().to_string().contains("unknown field `origin`"));
}

#[tokio::test]
async fn a_shard_is_a_log_of_its_own_beside_a_frozen_one() {
    let fixture = Fixture::new();
    let first = create(&fixture.config, fixture.clock.clone()).await.unwrap();
    let shard = ShardConfig {
        public_url: "https://log2.rekor.example".into(),
        http: ListenConfig::loopback(0),
        key: fixture.dir.path().join("rekor-2.pem").into(),
        witnesses: None,
        export: None,
    };
    FileKey::generate(KeyKind::P256).unwrap().create_file(&shard.key).unwrap();
    let second = shard.beside(&fixture.config);
    let clock = || fixture.clock.clone();
    let made = complete_shard(&second, 2, clock()).await.unwrap();
    let kept = complete_shard(&second, 2, clock()).await.unwrap();
    assert_eq!((made.made, kept.made, &made.checkpoint), (true, false, &kept.checkpoint));
    assert!(made.checkpoint.starts_with("log2.rekor.example\n2\n") && made.identity.log_id != first.identity.log_id);
    // Under its name nobody opens the other one.
    assert!(complete_shard(&fixture.config, 2, clock()).await.is_err());

    let frozen = freeze(&fixture.config, 1, clock(), None).await.unwrap();
    assert!(
        frozen.made && frozen.checkpoint.contains("\nLog frozen \u{2014} Sat Nov 21 09:00:00 UTC 2026\n"),
        "{}",
        frozen.checkpoint
    );
    let database = face::SharedDatabase::open(&fixture.config.place(1)).await.unwrap();
    let old = open_shard(&fixture.config, 1, database.clone(), clock(), None).await.unwrap();
    let new = open_shard(&second, 2, database, clock(), None).await.unwrap();
    assert_eq!(submit(&old.router(), fixture.request(0).await).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&old.router(), "/checkpoint").await.text(), frozen.checkpoint);
    assert_eq!(submit(&new.router(), fixture.request(0).await).await.status, StatusCode::CREATED);
    assert!(new.checkpoint().starts_with("log2.rekor.example\n3\n"));
}

#[test]
fn a_shard_has_witnesses_and_an_export_of_its_own_where_it_says_so() {
    let read = |own: &str| {
        let json =
            format!(r#"{{"public_url":"https://log2.rekor.example","http":{{"listen":["127.0.0.1:0"]}},"key":"k2"{own}}}"#);
        serde_json::from_str::<ShardConfig>(&json).unwrap()
    };
    let mut first = Fixture::new().config;
    first.witnesses = serde_json::from_str(r#"{"policy":"first.policy","without_quorum":"publish"}"#).unwrap();
    first.export = Some(std::path::PathBuf::from("first").into());
    let inherited = read("").beside(&first);
    assert_eq!((inherited.witnesses, inherited.export), (first.witnesses.clone(), None), "a folder holds one log");
    let own = read(r#","witnesses":{"policy":"second.policy"},"export":"second""#).beside(&first);
    let witnesses = own.witnesses.unwrap();
    assert_eq!(witnesses.policy.as_path(), std::path::Path::new("second.policy"));
    assert_eq!(witnesses.without_quorum, crate::WithoutQuorum::Refuse);
    assert_eq!(own.export, Some(std::path::PathBuf::from("second").into()));
}
