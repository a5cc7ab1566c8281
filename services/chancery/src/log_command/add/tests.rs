//! Completing an installation, from every state that a crash can leave.

use std::collections::BTreeMap;

use bundle::{ClientTrustConfig, SigningConfig, TrustedRoot};
use chassis::report::Explain as _;
use keys::FileKey;
use pki::KeyKind;
use tempfile::TempDir;

use super::*;
use crate::cli::LogKey;
use crate::config::ADMIN_PORT;
use crate::init::{self, Plan};
use crate::names::PublicUrls;
use crate::serve::Sockets;

const URL: &str = "https://rekor-v1.corp.example";

/// An installation in a folder that goes away.
pub(in crate::log_command) struct Installation {
    dir: TempDir,
    pub(in crate::log_command) layout: Layout,
}

impl Installation {
    /// As it was made before there was a Rekor v1 log: what is made today, undone.
    pub(in crate::log_command) async fn older() -> Self {
        let (older, anchors, plan) = Self::made().await;
        older.undo(anchors, &plan).await;
        older
    }

    /// As it is made today.
    pub(in crate::log_command) async fn whole() -> Self {
        Self::made().await.0
    }

    async fn made() -> (Self, Anchors, Plan) {
        chassis::crypto::install();
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("chancery"));
        let plan = Plan {
            urls: PublicUrls::new(Some("corp.example"), &[]).unwrap(),
            listen: ServiceName::ALL.iter().map(|_| ListenConfig::loopback(0)).collect(),
            admin: ListenConfig::loopback(ADMIN_PORT),
            organization: "Corp".to_owned(),
            oidc_issuer: Some("https://login.corp.example".to_owned()),
            ghes: None,
            rekor_v2_key: LogKey::EcdsaP256,
            databases: init::Databases::default(),
            lab: None,
        };
        let anchors = init::create(layout.dir(), &plan).await.unwrap();
        (Self { dir, layout }, anchors, plan)
    }

    async fn undo(&self, anchors: Anchors, plan: &Plan) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let path = |name: &str| self.layout.join(name);
        let write = |name: &str, bytes: &[u8]| std::fs::write(path(name), bytes).unwrap();

        let yaml = std::fs::read_to_string(self.layout.config()).unwrap();
        let section = text::rekor_v1(URL, plan.listen(ServiceName::RekorV1), names::REKOR_DB);
        let before = yaml.replace(&format!("{section}\n"), "");
        assert_ne!(before, yaml);
        std::fs::write(self.layout.config(), before).unwrap();

        for name in [names::REKOR_V1_KEY, names::REKOR_V1_PUB, names::SIGNING_CONFIG_V1, names::SIGNING_CONFIG_V2] {
            std::fs::remove_file(path(name)).unwrap();
        }
        for entry in std::fs::read_dir(path("db")).unwrap() {
            let file = entry.unwrap();
            if file.file_name().to_string_lossy().starts_with("rekor") {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
        let config = Config::load(&self.layout.config()).unwrap();
        let log = rekor::v2::create(config.rekor_v2.as_ref().unwrap(), clock.clone()).await.unwrap();

        let mut trusted_root = self.trusted_root();
        let v1 = hex::decode(&anchors.rekor_v1.as_ref().unwrap().key).unwrap();
        trusted_root.tlogs.retain(|log| *log.log_id.key_id != v1);
        let mut signing_config = self.signing_config(names::SIGNING_CONFIG);
        signing_config.rekor_tlog_urls.retain(|service| service.major_api_version == 2);
        let (trusted_root, signing_config) = (trusted_root.publishable().unwrap(), signing_config.publishable().unwrap());
        write(names::TRUSTED_ROOT, &trusted_root.to_json());
        write(names::SIGNING_CONFIG, &signing_config.to_json());
        write(names::CLIENT_TRUST_CONFIG, &ClientTrustConfig::new(&trusted_root, &signing_config).to_json());

        std::fs::remove_dir_all(path(names::TUF_REPOSITORY)).unwrap();
        std::fs::remove_file(path(names::TUF_STATE)).unwrap();
        let key = |name: &str| FileKey::load(&path(name)).unwrap();
        let (root, targets) = (key(names::TUF_ROOT_KEY), key(names::TUF_TARGETS_KEY));
        let (snapshot, timestamp) = (key(names::TUF_SNAPSHOT_KEY), key(names::TUF_TIMESTAMP_KEY));
        let keys = tuf::CreationKeys { root: &root, targets: &targets, snapshot: &snapshot, timestamp: &timestamp };
        let documents = [
            tuf::Target::trusted_root(&trusted_root),
            tuf::Target::signing_config(&signing_config),
            tuf::Target::legacy(
                tuf::Legacy::Ctfe,
                std::fs::read_to_string(path(names::CTLOG_PUB)).unwrap(),
                "https://ctlog.corp.example",
            ),
        ];
        let place = config.tuf.as_ref().unwrap().place();
        let tuf = tuf::create_repository(&place, &keys, &documents, &tuf::Lifetimes::default(), clock.as_ref()).await.unwrap();
        write(names::ROOT_JSON, &tuf.root_json);

        let mut urls = serde_json::to_value(&anchors.public_urls).unwrap();
        urls.as_object_mut().unwrap().remove(ServiceName::RekorV1.as_str()).unwrap();
        let anchors = Anchors {
            public_urls: serde_json::from_value(urls).unwrap(),
            rekor_v1: None,
            rekor_v2: LogAnchors { checkpoint: log.checkpoint, ..anchors.rekor_v2 },
            tuf: crate::anchors::TufAnchors { root_json: sha256_hex(&tuf.root_json), ..anchors.tuf },
            trusted_root: sha256_hex(&trusted_root.to_json()),
            ..anchors
        };
        std::fs::write(self.layout.anchors(), anchors.to_json()).unwrap();
    }

    /// Another with the same files.
    pub(in crate::log_command) fn copy(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("chancery"));
        let copy = Self { dir, layout };
        copy_all(self.layout.dir(), copy.layout.dir());
        copy
    }

    /// Takes a file or folder as it is in `other`.
    pub(in crate::log_command) fn take(&self, other: &Self, name: &str) {
        let (from, to) = (other.layout.join(name), self.layout.join(name));
        if to.is_dir() {
            std::fs::remove_dir_all(&to).unwrap();
        }
        copy_all(&from, &to);
    }

    fn addition(&self) -> Addition {
        let http = ListenConfig::loopback(0);
        Addition { public_url: URL.to_owned(), http, offline_keys: self.layout.join(names::OFFLINE) }
    }

    async fn complete(&self) -> Outcome<Added> {
        complete(&self.layout, self.addition()).await
    }

    /// Opens every service, on free ports.
    pub(in crate::log_command) async fn opens(&self) -> Outcome<Vec<chassis::Service>> {
        let mut config = Config::load(&self.layout.config()).unwrap();
        config.admin.http = ListenConfig::loopback(0);
        config.rekor_v2_shards.iter_mut().for_each(|shard| shard.http = ListenConfig::loopback(0));
        config.ctlog_shards.iter_mut().for_each(|shard| shard.http = ListenConfig::loopback(0));
        let services: Vec<ServiceName> =
            serve::DRAIN_ORDER.into_iter().filter(|service| serve::listen_config(&config, *service).is_some()).collect();
        let sockets = Sockets::bind(&config, &services).await?;
        let opened = serve::open(&config, &self.layout, sockets.services, sockets.shards).await?;
        assert_eq!(opened.len(), services.len() + config.rekor_v2_shards.len() + config.ctlog_shards.len());
        Ok(opened)
    }

    /// The state is one that every service starts from.
    pub(in crate::log_command) async fn starts(&self) {
        let opened = self.opens().await.unwrap();
        let shutdown = chassis::Shutdown::new();
        shutdown.ask();
        chassis::Process::new(opened).start().until(shutdown).await;
    }

    pub(in crate::log_command) fn trusted_root(&self) -> TrustedRoot {
        TrustedRoot::from_json(&std::fs::read(self.layout.join(names::TRUSTED_ROOT)).unwrap()).unwrap()
    }

    pub(in crate::log_command) fn signing_config(&self, name: &str) -> SigningConfig {
        SigningConfig::from_json(&std::fs::read(self.layout.join(name)).unwrap()).unwrap()
    }

    pub(in crate::log_command) fn anchors(&self) -> Anchors {
        Anchors::load(&self.layout.anchors()).unwrap()
    }

    /// The names in the newest targets metadata, and its version.
    pub(in crate::log_command) fn targets(&self) -> (u64, Vec<String>) {
        let newest = (1..).map(|version| (version, self.layout.join(&format!("tuf/{version}.targets.json"))));
        let (version, file) = newest.take_while(|(_, file)| file.exists()).last().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        (version, document["signed"]["targets"].as_object().unwrap().keys().cloned().collect())
    }

    /// Every file with its content.
    pub(in crate::log_command) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(self.dir.path()).unwrap().to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
        found
    }
}

fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy_all(&from.join(&name), &to.join(&name));
    }
}

fn made(added: &Added) -> Vec<Step> {
    added.steps.iter().filter(|done| done.made).map(|done| done.step).collect()
}

fn versions(config: &SigningConfig) -> Vec<u32> {
    config.rekor_tlog_urls.iter().map(|service| service.major_api_version).collect()
}

const ALL: [Step; 6] = [Step::Key, Step::Log, Step::TrustRoot, Step::Documents, Step::Anchors, Step::Configuration];

#[tokio::test]
async fn it_gets_the_log_and_loses_nothing() {
    let older = Installation::older().await;
    older.starts().await;
    let after = older.copy();
    assert_eq!(made(&after.complete().await.unwrap()), ALL);
    after.starts().await;

    // Everything that was believed is believed, and the log too.
    let (was, is) = (older.trusted_root(), after.trusted_root());
    assert_eq!((was.tlogs.len(), is.tlogs.len(), &is.tlogs[..1]), (1, 2, &was.tlogs[..]));
    assert_eq!((&is.certificate_authorities, &is.ctlogs), (&was.certificate_authorities, &was.ctlogs));
    assert_eq!(is.timestamp_authorities, was.timestamp_authorities);
    assert_eq!(is.tlogs[1].base_url, URL);
    let (was, is) = (older.signing_config(names::SIGNING_CONFIG), after.signing_config(names::SIGNING_CONFIG));
    assert_eq!((versions(&is), &is.rekor_tlog_urls[..1]), (vec![2, 1], &was.rekor_tlog_urls[..]));
    assert_eq!((&is.ca_urls, &is.oidc_urls, &is.tsa_urls), (&was.ca_urls, &was.oidc_urls, &was.tsa_urls));
    assert_eq!(is.rekor_tlog_urls[1].operator, was.rekor_tlog_urls[0].operator);
    assert_eq!(versions(&after.signing_config(names::SIGNING_CONFIG_V1)), [1]);
    assert_eq!(versions(&after.signing_config(names::SIGNING_CONFIG_V2)), [2]);

    // TUF goes on where it is.
    let same = |name: &str| std::fs::read(older.layout.join(name)).unwrap() == std::fs::read(after.layout.join(name)).unwrap();
    assert!(same(names::ROOT_JSON) && same("tuf/1.root.json") && same("tuf/1.targets.json"));
    assert!(!after.layout.join("tuf/2.root.json").exists());
    let (version, targets) = after.targets();
    let new = ["rekor.pub", "signing_config_rekor_v1.v0.2.json", "signing_config_rekor_v2.v0.2.json"].map(str::to_owned);
    assert!(version == 2 && older.targets().1.iter().chain(&new).all(|name| targets.contains(name)), "{targets:?}");

    // The anchors know the log, and all else as before.
    let (was, is) = (older.anchors(), after.anchors());
    let log = is.rekor_v1.clone().unwrap();
    assert!(log.origin.starts_with("rekor-v1.corp.example - ") && log.checkpoint.starts_with(&format!("{}\n2\n", log.origin)));
    assert_eq!(is.public_urls.get(ServiceName::RekorV1), Some(URL));
    assert_eq!(is.public_urls.domain(), Some("corp.example"));
    let expected =
        Anchors { rekor_v1: Some(log), public_urls: is.public_urls.clone(), trusted_root: is.trusted_root.clone(), ..was };
    assert_eq!(is, expected);
    let before = std::fs::read_to_string(older.layout.config()).unwrap();
    let yaml = std::fs::read_to_string(after.layout.config()).unwrap();
    assert_eq!(
        yaml.strip_prefix(&before).unwrap(),
        format!("\n{}", text::rekor_v1(URL, &ListenConfig::loopback(0), names::REKOR_DB))
    );

    let files = after.files();
    assert!(after.complete().await.unwrap().was_complete());
    assert_eq!(after.files(), files, "a second run changes nothing and leaves nothing behind");
}

/// The state after each step: it runs as it did, and the next run makes the rest.
#[tokio::test]
async fn after_a_crash_what_is_there_is_kept_and_the_rest_is_made() {
    let older = Installation::older().await;
    let finished = older.copy();
    finished.complete().await.unwrap();
    let between = Anchors { trusted_root_before: Some(older.anchors().trusted_root), ..finished.anchors() };
    let take = |names: &'static [&'static str]| {
        move |state: &Installation, finished: &Installation| names.iter().for_each(|name| state.take(finished, name))
    };
    let key = take(&[names::REKOR_V1_KEY]);
    let log = take(&[names::REKOR_DB]);
    let tuf = take(&[names::TUF_REPOSITORY, names::TUF_STATE]);
    let anchors = |state: &Installation, _: &Installation| std::fs::write(state.layout.anchors(), between.to_json()).unwrap();
    let half = take(&[names::REKOR_V1_PUB, names::TRUSTED_ROOT]);
    let files = take(&["trust"]);
    let whole = take(&["anchors.json"]);
    type Begun<'a> = &'a dyn Fn(&Installation, &Installation);
    let states: [(Vec<Begun<'_>>, &[Step]); 7] = [
        (vec![&key], &ALL[1..]),
        (vec![&key, &log], &ALL[2..]),
        (vec![&key, &log, &tuf], &ALL[2..]),
        (vec![&key, &log, &tuf, &anchors], &[Step::Documents, Step::Anchors, Step::Configuration]),
        (vec![&key, &log, &tuf, &anchors, &half], &[Step::Documents, Step::Anchors, Step::Configuration]),
        (vec![&key, &log, &tuf, &anchors, &files], &[Step::Anchors, Step::Configuration]),
        (vec![&key, &log, &tuf, &anchors, &files, &whole], &[Step::Configuration]),
    ];
    for (position, (begun, expected)) in states.into_iter().enumerate() {
        let state = older.copy();
        begun.iter().for_each(|step| step(&state, &finished));
        state.starts().await;
        assert_eq!(made(&state.complete().await.unwrap()), expected, "state {position}");
        state.starts().await;
        let same =
            |name: &str| std::fs::read(state.layout.join(name)).unwrap() == std::fs::read(finished.layout.join(name)).unwrap();
        assert!(same(names::REKOR_V1_KEY), "state {position}");
        if position > 0 {
            assert!(same(names::TRUSTED_ROOT) && same(names::CLIENT_TRUST_CONFIG) && same("anchors.json"), "state {position}");
        }
        assert_eq!(state.targets().1, finished.targets().1, "state {position}");
        assert_eq!(state.anchors().trusted_root_before, None, "state {position}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let older = Installation::older().await;

    let offline = older.copy();
    let elsewhere = tempfile::tempdir().unwrap();
    let key = elsewhere.path().join("tuf-targets.pem");
    std::fs::rename(offline.layout.join(names::TUF_TARGETS_KEY), &key).unwrap();
    let before = offline.files();
    let failure = offline.complete().await.unwrap_err();
    assert_eq!(failure.code(), "log_add_failed");
    assert!(failure.advice().unwrap().contains("--offline-keys"));
    assert_eq!(offline.files(), before);
    let addition = Addition { offline_keys: elsewhere.path().to_owned(), ..offline.addition() };
    assert!(addition.has_targets_key() && !offline.addition().has_targets_key());
    assert_eq!(made(&complete(&offline.layout, addition).await.unwrap()), ALL);

    let flow = older.copy();
    std::fs::write(flow.layout.config(), "{ admin: { http: { listen: [\"127.0.0.1:0\"] } } }\n").unwrap();
    let before = flow.files();
    let failure = flow.complete().await.unwrap_err();
    assert!(failure.code() == "log_add_failed" && failure.details()[0].starts_with("rekor_v1:"), "{failure}");
    assert_eq!(flow.files(), before);

    let changed = older.copy();
    let path = changed.layout.join(names::TRUSTED_ROOT);
    std::fs::write(&path, [std::fs::read(&path).unwrap(), b"\n".to_vec()].concat()).unwrap();
    let before = changed.files();
    assert_eq!(changed.complete().await.unwrap_err().code(), "anchor_mismatch");
    assert_eq!(changed.files(), before);
}

#[tokio::test]
async fn a_key_that_the_root_does_not_name_publishes_nothing() {
    let older = Installation::older().await;
    let key = older.layout.join(names::TUF_TARGETS_KEY);
    let (root, targets) = (older.trusted_root(), older.targets());
    std::fs::remove_file(&key).unwrap();
    FileKey::generate(KeyKind::P256).unwrap().create_file(&key).unwrap();
    assert_eq!(older.complete().await.unwrap_err().code(), "tuf_key_mismatch");
    assert_eq!((older.trusted_root(), older.targets(), older.anchors().rekor_v1), (root, targets, None));
    older.starts().await;
}

#[tokio::test]
async fn a_running_log_is_left_alone() {
    let older = Installation::older().await;
    let config = Config::load(&older.layout.config()).unwrap();
    let running = rekor::v2::open(config.rekor_v2.as_ref().unwrap(), Arc::new(SystemClock), None).await.unwrap();
    assert_eq!(older.complete().await.unwrap_err().code(), "database_in_use");
    running.close().await;

    let other = std::fs::File::open(older.layout.dir()).unwrap();
    other.lock().unwrap();
    assert_eq!(older.complete().await.unwrap_err().code(), "log_add_failed");
    other.unlock().unwrap();
    // The key is from the first attempt.
    assert_eq!(made(&older.complete().await.unwrap()), ALL[1..]);
}

/// Between publishing and the end, the log that was published is the only one.
#[tokio::test]
async fn what_was_published_is_finished_as_it_was_begun() {
    let older = Installation::older().await;
    let yaml = std::fs::read(older.layout.config()).unwrap();
    older.complete().await.unwrap();
    std::fs::write(older.layout.config(), yaml).unwrap();

    let elsewhere = Addition { public_url: "https://other.corp.example".to_owned(), ..older.addition() };
    assert_eq!(complete(&older.layout, elsewhere).await.unwrap_err().code(), "anchor_mismatch");
    let keyless = older.copy();
    std::fs::remove_file(keyless.layout.join(names::REKOR_V1_KEY)).unwrap();
    assert_eq!(keyless.complete().await.unwrap_err().code(), "log_key_file");
    assert!(!keyless.layout.join(names::REKOR_V1_KEY).exists());
    // Nobody needs the offline key for what is left to do.
    std::fs::remove_dir_all(older.layout.join(names::OFFLINE)).unwrap();
    assert_eq!(made(&older.complete().await.unwrap()), [Step::Configuration]);
}
