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

/// The file that a log is in.
fn database(log: ShardedLog) -> &'static str {
    if log == ShardedLog::Ctlog { names::CTLOG_DB } else { names::REKOR_DB }
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
    let all = [ShardedLog::Ctlog, ShardedLog::RekorV2, ShardedLog::RekorV1].map(|log| shards::of(&anchors, log));
    let key = all.iter().flatten().find(|shard| shard.anchors.origin == origin).unwrap().anchors.key.clone();
    let root = installation.trusted_root();
    root.tlogs.into_iter().chain(root.ctlogs).find(|log| hex::encode(&*log.log_id.key_id) == key).unwrap()
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
    let anchors = installation.anchors();
    assert_eq!(shards::oldest_open(&anchors, ShardedLog::RekorV1, SystemClock.now()).unwrap().number, 2);
    let newest = installation.layout.join(&format!("tuf/{}.targets.json", installation.targets().0));
    let document: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let status = |name: &str| document["signed"]["targets"][name]["custom"]["sigstore"]["status"].clone();
    assert_eq!((status("rekor.pub"), status("rekor_2.pub")), (json!("Expired"), json!("Active")));
}

#[tokio::test]
async fn a_certificate_log_follows_and_the_authority_submits_to_it_when_the_first_is_frozen() {
    let installation = Installation::whole().await;
    let yaml = |installation: &Installation| String::from_utf8(read(installation, "chancery.yaml")).unwrap();
    let before = (installation.trusted_root(), read(&installation, names::SIGNING_CONFIG), yaml(&installation));
    let made = succeed(&installation, ShardedLog::Ctlog).await.unwrap();
    assert_eq!((made.number, made.public_url.as_str()), (2, "https://ctlog2.corp.example"));
    assert_eq!((made.key.as_str(), made.public_key.as_str()), ("keys/ctlog-2.pem", "trust/ctfe_2.pub"));
    installation.starts().await;
    assert_eq!(read(&installation, names::SIGNING_CONFIG), before.1, "nobody who signs is told where it is");
    let root = installation.trusted_root();
    assert_eq!((&root.ctlogs[..1], root.ctlogs.len(), &root.tlogs), (&before.0.ctlogs[..], 2, &before.0.tlogs));
    assert_eq!(root.ctlogs[1].base_url, "https://ctlog2.corp.example");
    let list = "\nctlog_shards:\n  - { public_url: \"https://ctlog2.corp.example\", http: { listen: [\"127.0.0.1:7062\", \"[::1]:7062\"] }, key: \"keys/ctlog-2.pem\" }\n";
    assert_eq!(yaml(&installation), before.2.clone() + list);
    let anchors = installation.anchors();
    assert_eq!(
        (anchors.ctlog_shards[0].origin.as_str(), anchors.ctlog_shards[0].checkpoint.as_str()),
        ("ctlog2.corp.example", "")
    );
    assert_eq!(shards::oldest_open(&anchors, ShardedLog::Ctlog, SystemClock.now()).unwrap().number, 1);

    let closed = close(&installation, ShardedLog::Ctlog).await.unwrap();
    assert_eq!((closed.number, closed.submits_to.as_deref()), (1, Some("http://127.0.0.1:7062")));
    // Of the file, the two lines have changed.
    let after = before.2.replace("    public_key: trust/ctfe.pub\n", "    public_key: \"trust/ctfe_2.pub\"\n");
    let url = after.lines().find(|line| line.starts_with("    url: \"http://127.0.0.1:")).unwrap();
    assert_eq!(yaml(&installation), after.replace(url, "    url: \"http://127.0.0.1:7062\"") + list);
    installation.starts().await;
    let root = installation.trusted_root();
    let end = root.ctlogs[0].public_key.valid_for.end.unwrap().timestamp();
    assert!(end > closed.anchors.frozen.unwrap() && root.ctlogs[1].public_key.valid_for.end.is_none());
    assert_eq!(log_of(&installation, "ctlog.corp.example"), root.ctlogs[0]);
    // The last head of a certificate log is like any other: none of its readers takes another line in it.
    assert!(closed.anchors.checkpoint.starts_with("ctlog.corp.example\n0\n") && !closed.anchors.checkpoint.contains("frozen"));
    let newest = installation.layout.join(&format!("tuf/{}.targets.json", installation.targets().0));
    let document: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let of = |name: &str| document["signed"]["targets"][name]["custom"]["sigstore"].clone();
    assert_eq!((&of("ctfe.pub")["status"], &of("ctfe_2.pub")["status"]), (&json!("Expired"), &json!("Active")));
    assert_eq!(of("ctfe_2.pub"), json!({ "usage": "CTFE", "status": "Active", "uri": "https://ctlog2.corp.example" }));

    // An authority that still submits to the frozen one does not start; nor does a log from before it was frozen.
    std::fs::write(installation.layout.config(), before.2 + list).unwrap();
    assert_eq!(code(installation.opens().await), "log_frozen");
}

/// An authority that was told by hand, or in a spelling that is not changed here.
#[tokio::test]
async fn an_authority_that_submits_to_the_successor_is_left_as_it_is() {
    let installation = Installation::whole().await;
    succeed(&installation, ShardedLog::Ctlog).await.unwrap();
    let yaml = String::from_utf8(read(&installation, "chancery.yaml")).unwrap();
    let anchored = yaml
        .replace("    public_key: trust/ctfe.pub\n", "    public_key: &key trust/ctfe.pub\n")
        .replace("  ct_log:\n", "  ? ct_log\n  :\n");
    std::fs::write(installation.layout.config(), &anchored).unwrap();
    let files = installation.files();
    assert_eq!(code(close(&installation, ShardedLog::Ctlog).await), CODE);
    assert_eq!(installation.files(), files);
    let by_hand = yaml.replace("trust/ctfe.pub", "trust/ctfe_2.pub");
    std::fs::write(installation.layout.config(), &by_hand).unwrap();
    assert_eq!(close(&installation, ShardedLog::Ctlog).await.unwrap().submits_to, None);
    assert_eq!(read(&installation, "chancery.yaml"), by_hand.into_bytes());
    installation.starts().await;
}

/// As installations were made before there was a Rekor v1 log.
#[tokio::test]
async fn a_v2_shard_follows_where_there_is_no_v1_log() {
    let installation = Installation::older().await;
    succeed(&installation, ShardedLog::RekorV2).await.unwrap();
    installation.starts().await;
    close(&installation, ShardedLog::RekorV2).await.unwrap();
    installation.starts().await;
    let urls: Vec<_> =
        installation.signing_config(names::SIGNING_CONFIG).rekor_tlog_urls.into_iter().map(|service| service.url).collect();
    assert_eq!(urls, ["https://log2.rekor.corp.example", "https://log1.rekor.corp.example"]);
    assert!(!installation.layout.join(names::SIGNING_CONFIG_V1).exists());
    assert_eq!(code(succeed(&installation, ShardedLog::RekorV1).await), "config_no_service");
}

#[tokio::test]
async fn what_would_break_clients_is_refused_before_anything_is_made() {
    let installation = Installation::whole().await;
    let files = installation.files();
    let refused = async |log, url| code(new_shard::complete(&installation.layout, succession(&installation, log, url)).await);
    for used in ["https://log1.rekor.corp.example", "https://log1.rekor.corp.example:8443", "https://ctlog.corp.example"] {
        assert_eq!(refused(ShardedLog::RekorV2, Some(used)).await, "origin_shared", "{used}");
    }
    for used in ["https://ctlog.corp.example", "http://log1.rekor.corp.example"] {
        assert_eq!(refused(ShardedLog::Ctlog, Some(used)).await, "origin_shared", "{used}");
    }
    assert_eq!(refused(ShardedLog::Ctlog, Some("https://ctlog2.corp.example/")).await, "name_invalid");
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
    for log in [ShardedLog::RekorV2, ShardedLog::RekorV1, ShardedLog::Ctlog] {
        let before = Installation::whole().await;
        let finished = before.copy();
        succeed(&finished, log).await.unwrap();
        let list = finished.anchors();
        let command = match log {
            ShardedLog::RekorV2 => "new-shard rekor-v2 --public-url rekor-v2=https://log2.rekor.corp.example",
            ShardedLog::RekorV1 => "new-shard rekor-v1",
            ShardedLog::Ctlog => "new-shard ctlog --public-url ctlog=https://ctlog2.corp.example",
        };
        let between =
            Anchors { trusted_root_before: Some(before.anchors().trusted_root), unfinished: Some(command.to_owned()), ..list };
        let key = log.key(2);
        let steps: [&[&str]; 7] = [
            &[&key],
            &[database(log)],
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
    for log in [ShardedLog::RekorV2, ShardedLog::RekorV1, ShardedLog::Ctlog] {
        let before = Installation::whole().await;
        succeed(&before, log).await.unwrap();
        let finished = before.copy();
        close(&finished, log).await.unwrap();
        let between = Anchors {
            trusted_root_before: Some(before.anchors().trusted_root),
            unfinished: Some(format!("freeze {} --shard 1", log.service())),
            ..finished.anchors()
        };
        let steps: [&[&str]; 6] = [
            &["chancery.yaml"],
            &[database(log)],
            &["anchors"],
            &[names::TUF_REPOSITORY, names::TUF_STATE],
            &[names::TRUSTED_ROOT],
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
                assert_eq!(code(succeed(&state, log).await), CODE, "{reached}");
            }
            assert_eq!(close(&state, log).await.unwrap().number, 1, "{log:?} {reached}");
            state.starts().await;
            // Frozen before the command was cut off, it was frozen then.
            assert!(
                reached == 1
                    || ["anchors.json", names::TRUSTED_ROOT, names::SIGNING_CONFIG]
                        .iter()
                        .all(|name| read(&state, name) == read(&finished, name))
            );
            assert_eq!(code(close(&state, log).await), "log_no_successor");
        }
    }
}
