//! Shards that follow each other, from every state that a crash can leave.

use std::path::Path;

use bundle::{Service, TransparencyLog};
use chassis::report::Explain as _;

use super::add::tests::Installation;
use super::*;
use crate::anchors::Anchors;
use crate::config::Config;

fn succession(installation: &Installation, log: ShardedLog, public_url: Option<&str>) -> Succession {
    let wait = Some(SignedDuration::ZERO);
    Succession { log, public_url: public_url.map(str::to_owned), wait, offline_keys: installation.layout.join(names::OFFLINE) }
}

async fn succeed(installation: &Installation, log: ShardedLog) -> Outcome<Succeeded> {
    new_shard::complete(&installation.layout, succession(installation, log, None)).await
}

async fn close(installation: &Installation, log: ShardedLog) -> Outcome<Closed> {
    let offline_keys = installation.layout.join(names::OFFLINE);
    freeze::complete(&installation.layout, Closure { log, shard: None, now: false, offline_keys }).await
}

fn code<T>(outcome: Outcome<T>) -> &'static str {
    outcome.err().expect("it is refused").code()
}

fn read(installation: &Installation, name: &str) -> Vec<u8> {
    std::fs::read(installation.layout.join(name)).unwrap()
}

/// The Rekor v2 services of a signing config: URL, start, end.
fn writes(installation: &Installation) -> Vec<Service> {
    let config = installation.signing_config(names::SIGNING_CONFIG);
    assert_eq!(config.rekor_tlog_urls.last().unwrap().major_api_version, 1);
    config.rekor_tlog_urls.into_iter().filter(|service| service.major_api_version == 2).collect()
}

fn log_of(installation: &Installation, origin: &str) -> TransparencyLog {
    let anchors = installation.anchors();
    let all = [ShardedLog::RekorV2, ShardedLog::RekorV1].map(|log| shards::of(&anchors, log));
    let key = all.iter().flatten().find(|shard| shard.anchors.origin == origin).unwrap().anchors.key.clone();
    let root = installation.trusted_root();
    root.tlogs.into_iter().find(|log| hex::encode(&*log.log_id.key_id) == key).unwrap()
}

#[tokio::test]
async fn a_v2_shard_follows_at_another_host_and_the_first_is_frozen() {
    let installation = Installation::whole().await;
    let before = (installation.trusted_root(), writes(&installation), read(&installation, "chancery.yaml"));
    assert_eq!(code(close(&installation, ShardedLog::RekorV2).await), "log_no_successor");

    let made = succeed(&installation, ShardedLog::RekorV2).await.unwrap();
    assert_eq!((made.number, made.public_url.as_str()), (2, "https://log2.rekor.corp.example"));
    installation.starts().await;
    let anchors = installation.anchors();
    assert_eq!((&anchors.rekor_v2_shards[0].origin, &anchors.unfinished), (&"log2.rekor.corp.example".to_owned(), &None));
    let yaml = read(&installation, "chancery.yaml");
    let item = "- { public_url: \"https://log2.rekor.corp.example\", http: { listen: [\"127.0.0.1:3103\", \"[::1]:3103\"] }, key: \"keys/rekor-v2-2.pem\" }";
    assert_eq!(
        String::from_utf8(yaml).unwrap().strip_prefix(std::str::from_utf8(&before.2).unwrap()).unwrap(),
        format!("\nrekor_v2_shards:\n  {item}\n")
    );

    // Everything that was believed is; whoever signs is told to change at one moment.
    let root = installation.trusted_root();
    assert!(before.0.tlogs.iter().all(|log| root.tlogs.contains(log)) && root.tlogs.len() == before.0.tlogs.len() + 1);
    let [new, old] = &writes(&installation)[..] else { panic!("two") };
    assert_eq!((new.url.as_str(), &old.url, &new.operator), ("https://log2.rekor.corp.example", &before.1[0].url, &old.operator));
    assert_eq!(
        (old.valid_for.start, old.valid_for.end, new.valid_for.end),
        (before.1[0].valid_for.start, Some(new.valid_for.start), None)
    );
    assert_eq!(new.valid_for.start.timestamp(), made.anchors.from.unwrap());

    // One at a time.
    assert_eq!(code(succeed(&installation, ShardedLog::RekorV2).await), "log_shard_waits");
    let closed = close(&installation, ShardedLog::RekorV2).await.unwrap();
    assert!(closed.number == 1 && closed.made && closed.anchors.checkpoint.contains("\nLog frozen \u{2014} "), "{closed:?}");
    installation.starts().await;
    let end = log_of(&installation, "log1.rekor.corp.example").public_key.valid_for.end.unwrap().timestamp();
    let frozen = closed.anchors.frozen.unwrap();
    assert!(end > frozen && end.duration_since(frozen) <= SignedDuration::from_secs(1));
    assert_eq!(log_of(&installation, "log2.rekor.corp.example").public_key.valid_for.end, None);
    assert_eq!(code(close(&installation, ShardedLog::RekorV2).await), "log_no_successor");
    let offline_keys = installation.layout.join(names::OFFLINE);
    let again = Closure { log: ShardedLog::RekorV2, shard: Some(1), now: false, offline_keys };
    assert!(!freeze::complete(&installation.layout, again).await.unwrap().made);

    // A third one; its item follows the second's.
    assert_eq!(succeed(&installation, ShardedLog::RekorV2).await.unwrap().number, 3);
    installation.starts().await;
    let config = Config::load(&installation.layout.config()).unwrap();
    assert_eq!(
        config.rekor_v2_shards.iter().map(|shard| shard.public_url.as_str()).collect::<Vec<_>>(),
        ["https://log2.rekor.corp.example", "https://log3.rekor.corp.example"]
    );
    assert_eq!(shards::newest_v2(&installation.anchors(), SystemClock.now()), "https://log3.rekor.corp.example");
}

#[tokio::test]
async fn a_v1_tree_follows_at_the_same_url_when_the_first_is_frozen() {
    let installation = Installation::whole().await;
    let (config, targets) = (read(&installation, names::SIGNING_CONFIG), installation.targets().1);
    let made = succeed(&installation, ShardedLog::RekorV1).await.unwrap();
    assert_eq!((made.number, made.public_url.as_str()), (2, "https://rekor-v1.corp.example"));
    installation.starts().await;
    assert_eq!(read(&installation, names::SIGNING_CONFIG), config, "nobody writes elsewhere");
    let (first, second) = {
        let anchors = installation.anchors();
        (anchors.rekor_v1.unwrap(), anchors.rekor_v1_shards[0].clone())
    };
    assert!(first.origin.starts_with("rekor-v1.corp.example - ") && second.origin.starts_with("rekor-v1.corp.example - "));
    assert!(first.origin != second.origin && first.key != second.key);
    let (one, two) = (log_of(&installation, &first.origin), log_of(&installation, &second.origin));
    assert_eq!((one.base_url, one.public_key.valid_for.end), (two.base_url, None));
    assert!(installation.targets().1.contains(&"rekor_2.pub".to_owned()) && !targets.contains(&"rekor_2.pub".to_owned()));

    assert_eq!(close(&installation, ShardedLog::RekorV1).await.unwrap().number, 1);
    installation.starts().await;
    assert!(log_of(&installation, &first.origin).public_key.valid_for.end.is_some());
    assert_eq!(shards::v1_public_key(&installation.anchors(), SystemClock.now()), "trust/rekor_2.pub");
    let newest = installation.layout.join(&format!("tuf/{}.targets.json", installation.targets().0));
    let document: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let status = |name: &str| document["signed"]["targets"][name]["custom"]["sigstore"]["status"].clone();
    assert_eq!((status("rekor.pub"), status("rekor_2.pub")), (json!("Expired"), json!("Active")));
}

#[tokio::test]
async fn what_would_break_clients_is_refused_before_anything_is_made() {
    let installation = Installation::whole().await;
    let files = installation.files();
    let refused = async |log, url| code(new_shard::complete(&installation.layout, succession(&installation, log, url)).await);
    for used in ["https://log1.rekor.corp.example", "https://log1.rekor.corp.example:8443", "https://ctlog.corp.example"] {
        assert_eq!(refused(ShardedLog::RekorV2, Some(used)).await, "origin_shared", "{used}");
    }
    assert_eq!(refused(ShardedLog::RekorV1, Some("https://other.corp.example")).await, "usage");
    let elsewhere =
        Succession { offline_keys: Path::new("/nowhere").to_owned(), ..succession(&installation, ShardedLog::RekorV2, None) };
    assert_eq!(code(new_shard::complete(&installation.layout, elsewhere).await), CODE);
    assert_eq!(installation.files(), files);

    // Clients get their time.
    let later = Succession { wait: None, ..succession(&installation, ShardedLog::RekorV1, None) };
    let made = new_shard::complete(&installation.layout, later).await.unwrap();
    let left = made.anchors.from.unwrap().duration_since(SystemClock.now());
    assert!(left > SignedDuration::from_hours(24 * 7 - 1) && left <= SignedDuration::from_hours(24 * 7));
    assert_eq!(code(close(&installation, ShardedLog::RekorV1).await), "log_freeze_early");
    let offline_keys = installation.layout.join(names::OFFLINE);
    let now = Closure { log: ShardedLog::RekorV1, shard: None, now: true, offline_keys };
    assert!(freeze::complete(&installation.layout, now).await.unwrap().made);

    // A database from before that does not start.
    let thawed = installation.copy();
    let mut anchors = thawed.anchors();
    anchors.rekor_v2.frozen = Some(anchors.created);
    std::fs::write(thawed.layout.anchors(), anchors.to_json()).unwrap();
    assert_eq!(code(thawed.opens().await), "anchor_mismatch");
}

/// The state after each step: it starts, and the same command makes the rest, while no other begins.
#[tokio::test]
async fn a_shard_that_was_cut_off_is_made_by_the_next_run() {
    for log in [ShardedLog::RekorV2, ShardedLog::RekorV1] {
        let before = Installation::whole().await;
        let finished = before.copy();
        succeed(&finished, log).await.unwrap();
        let list = finished.anchors();
        let command = match log {
            ShardedLog::RekorV2 => "new-shard rekor-v2 --public-url rekor-v2=https://log2.rekor.corp.example",
            ShardedLog::RekorV1 => "new-shard rekor-v1",
        };
        let between =
            Anchors { trusted_root_before: Some(before.anchors().trusted_root), unfinished: Some(command.to_owned()), ..list };
        let key = log.key(2);
        let steps: [&[&str]; 7] = [
            &[&key],
            &[names::REKOR_DB],
            &["anchors"],
            &["chancery.yaml"],
            &[names::TUF_REPOSITORY, names::TUF_STATE],
            &[names::TRUSTED_ROOT, &log.public_key(2)],
            &["trust"],
        ];
        for reached in 1..=steps.len() {
            let state = before.copy();
            for name in steps[..reached].concat() {
                match name {
                    "anchors" => std::fs::write(state.layout.anchors(), between.to_json()).unwrap(),
                    name => state.take(&finished, name),
                }
            }
            state.starts().await;
            if reached > 2 {
                assert_eq!(code(close(&state, log).await), CODE, "{reached}");
            }
            let made = succeed(&state, log).await.unwrap();
            assert_eq!(made.number, 2, "{log:?} {reached}");
            state.starts().await;
            assert!(read(&state, &key) == read(&finished, &key));
            let config = Config::load(&state.layout.config()).unwrap();
            assert_eq!(
                (log.configured(&config), state.anchors().unfinished, state.anchors().trusted_root_before),
                (1, None, None)
            );
            assert_eq!(state.targets().1, finished.targets().1);
            if reached > 2 {
                assert!(
                    ["anchors.json", names::TRUSTED_ROOT, names::SIGNING_CONFIG]
                        .iter()
                        .all(|name| read(&state, name) == read(&finished, name))
                );
            }
            assert_eq!(code(succeed(&state, log).await), "log_shard_waits");
        }
    }
}

#[tokio::test]
async fn a_freezing_that_was_cut_off_is_finished_by_the_next_run() {
    for log in [ShardedLog::RekorV2, ShardedLog::RekorV1] {
        let before = Installation::whole().await;
        succeed(&before, log).await.unwrap();
        let finished = before.copy();
        close(&finished, log).await.unwrap();
        let between = Anchors {
            trusted_root_before: Some(before.anchors().trusted_root),
            unfinished: Some(format!("freeze {} --shard 1", log.service())),
            ..finished.anchors()
        };
        let steps: [&[&str]; 5] =
            [&[names::REKOR_DB], &["anchors"], &[names::TUF_REPOSITORY, names::TUF_STATE], &[names::TRUSTED_ROOT], &["trust"]];
        for reached in 1..=steps.len() {
            let state = before.copy();
            for name in steps[..reached].concat() {
                match name {
                    "anchors" => std::fs::write(state.layout.anchors(), between.to_json()).unwrap(),
                    name => state.take(&finished, name),
                }
            }
            state.starts().await;
            if reached > 1 {
                assert_eq!(code(succeed(&state, log).await), CODE, "{reached}");
            }
            assert_eq!(close(&state, log).await.unwrap().number, 1, "{log:?} {reached}");
            state.starts().await;
            assert!(
                ["anchors.json", names::TRUSTED_ROOT, names::SIGNING_CONFIG]
                    .iter()
                    .all(|name| read(&state, name) == read(&finished, name))
            );
            assert_eq!(code(close(&state, log).await), "log_no_successor");
        }
    }
}
