//! Completing an installation, from every state that a crash can leave.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use chassis::report::Explain as _;
use tempfile::TempDir;

use super::*;

const BEFORE: &str = "# An operator's own remark.\nadmin:\n  http: { listen: [\"127.0.0.1:2112\"] }\n";

/// As much of an installation as completing one looks at.
struct Older {
    dir: TempDir,
    layout: Layout,
}

impl Older {
    fn with(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        for folder in ["keys", "db"] {
            std::fs::create_dir(layout.join(folder)).unwrap();
        }
        std::fs::write(layout.anchors(), "what was created").unwrap();
        std::fs::write(layout.config(), config).unwrap();
        Self { dir, layout }
    }

    async fn complete(&self) -> Outcome<Added> {
        let http = ListenConfig::loopback(5000);
        complete(&self.layout, Addition { public_url: "https://registry.corp.example".into(), http, issuer: None }).await
    }

    /// What was made is what the gateway opens.
    async fn open(&self) {
        let section = Config::load(&self.layout.config()).unwrap().gateway.unwrap();
        // There is no Sigstore around it here.
        let section = gateway::Config { trusted_root: None, ..section };
        gateway::open(&section, std::sync::Arc::new(clock::SystemClock)).await.unwrap().close().await;
    }

    /// Every file and folder with its content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
            }
        }
        found
    }
}

fn made(added: &Added) -> Vec<Step> {
    added.steps.iter().filter(|done| done.made).map(|done| done.step).collect()
}

#[tokio::test]
async fn it_appends_one_section_and_changes_nothing_else() {
    for before in [BEFORE, BEFORE.trim_end()] {
        let older = Older::with(before);
        let added = older.complete().await.unwrap();
        assert_eq!(made(&added), [Step::Token, Step::Blobs, Step::Database, Step::Configuration]);
        let after = std::fs::read_to_string(older.layout.config()).unwrap();
        let section = after.strip_prefix(before).unwrap().trim_start();
        assert_eq!(section, section::text("https://registry.corp.example", &ListenConfig::loopback(5000), None));
        assert_eq!(std::fs::read_to_string(older.layout.anchors()).unwrap(), "what was created");
        let mode = |path: &str| older.layout.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(names::PROMOTION_TOKEN), 0o600);
        assert!(older.layout.join(names::BLOBS).is_dir());
        older.open().await;

        let files = older.files();
        assert!(older.complete().await.unwrap().was_complete());
        assert_eq!(older.files(), files, "a second run changes nothing and leaves nothing behind");
    }
}

/// The state after each step, with what the step after it had begun.
#[tokio::test]
async fn after_a_crash_what_is_there_is_kept_and_the_rest_is_made() {
    let reference = Older::with(BEFORE);
    reference.complete().await.unwrap();
    let finished = reference.layout.join(names::GATEWAY_DB);
    let token = |older: &Older| std::fs::write(older.layout.join(names::PROMOTION_TOKEN), "a token that is kept\n").unwrap();
    let begun = |older: &Older| {
        std::fs::create_dir_all(older.layout.join(UNFINISHED).join("blobs")).unwrap();
        std::fs::write(older.layout.join(UNFINISHED).join("gateway.db"), "half of a database").unwrap();
    };
    let blobs = |older: &Older| std::fs::create_dir(older.layout.join(names::BLOBS)).unwrap();
    let database = |older: &Older| {
        std::fs::copy(&finished, older.layout.join(names::GATEWAY_DB)).unwrap();
    };
    type Begun<'a> = &'a [&'a dyn Fn(&Older)];
    let states: [(Begun<'_>, &[Step]); 5] = [
        (&[&token], &[Step::Blobs, Step::Database, Step::Configuration]),
        (&[&token, &begun], &[Step::Blobs, Step::Database, Step::Configuration]),
        (&[&token, &blobs, &begun], &[Step::Database, Step::Configuration]),
        (&[&token, &blobs, &database, &begun], &[Step::Configuration]),
        (&[&token, &blobs, &database], &[Step::Configuration]),
    ];
    for (position, (state, expected)) in states.into_iter().enumerate() {
        let older = Older::with(BEFORE);
        state.iter().for_each(|step| step(&older));
        let before = older.files();
        let added = older.complete().await.unwrap();
        assert_eq!(made(&added), expected, "state {position}");
        let after = older.files();
        for (path, content) in before.iter().filter(|(path, _)| !path.starts_with(older.layout.join(UNFINISHED))) {
            assert!(*path == older.layout.config() || after[path] == *content, "{} was changed", path.display());
        }
        assert!(!older.layout.join(UNFINISHED).exists());
        older.open().await;
    }
}

#[tokio::test]
async fn a_file_that_takes_no_section_is_left_alone_and_nothing_is_made() {
    let older = Older::with("{ admin: { http: { listen: [\"127.0.0.1:2112\"] } } }\n");
    let before = older.files();
    let failure = older.complete().await.unwrap_err();
    assert_eq!((failure.code(), failure.details().len()), ("gateway_add_failed", 1));
    assert!(failure.details()[0].starts_with("gateway:"), "the section to write by hand");
    assert_eq!(older.files(), before);
}

#[tokio::test]
async fn only_one_run_at_a_time() {
    let older = Older::with(BEFORE);
    let other = File::open(older.layout.dir()).unwrap();
    other.lock().unwrap();
    assert_eq!(older.complete().await.unwrap_err().code(), "gateway_add_failed");
    other.unlock().unwrap();
    older.complete().await.unwrap();
}

#[tokio::test]
async fn a_lab_gets_its_policy_and_its_environment() {
    let lab = "lab:\n  public_url: \"http://127.0.0.1:8888\"\n  http: { listen: [\"127.0.0.1:8888\"] }\n";
    let older = Older::with(&format!("{BEFORE}{lab}"));
    std::fs::write(older.layout.env(), "export CHANCERY_TUF_URL='http://127.0.0.1:8080'\n").unwrap();
    let config = Config::load(&older.layout.config()).unwrap();
    let listener = serve::bind("gateway", &ListenConfig::loopback(0)).await.unwrap();
    let port = listener.port();
    let added = complete(&older.layout, Addition::for_lab(&config, &listener).unwrap()).await.unwrap();
    assert!(made(&added).contains(&Step::Environment));
    let env = std::fs::read_to_string(older.layout.env()).unwrap();
    assert!(env.starts_with("export CHANCERY_TUF_URL=") && env.contains(&format!("CHANCERY_REGISTRY='localhost:{port}'")));
    let gateway = Config::load(&older.layout.config()).unwrap().gateway.unwrap();
    assert_eq!((gateway.http.listen, gateway.policies.len()), (listener.addresses(), 1));
}
