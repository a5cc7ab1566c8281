//! The Docker engine as a client of the registry, and the image and the lab that it runs: `cargo xtask ci --all` runs these.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::time::Duration;

use integration::engine::{Engine, image_folder, repository};
use integration::gateway::Gateway;
use integration::image::{Image, tar};
use integration::people::{EMAIL, arguments, by};
use integration::registry::Registry;
use integration::supply::promote;
use tempfile::TempDir;
use testkit::{Chancery, Client, Environment, Ran, wait_until};

/// Pushed by tag and pulled by tag and by digest; and a push into a repository under policy is denied with the reason.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the Docker engine is installed by: apt-get install docker.io; it wants root"]
async fn docker_pushes_and_pulls_and_is_kept_out_of_what_is_under_policy() {
    let lab = Chancery::lab().await;
    let (registry, host) = (Registry::of(&lab), lab.env().get("CHANCERY_REGISTRY").to_owned());
    let engine = Engine::start().await;
    let docker = engine.docker();
    docker.file("layer.tar", tar("hello.txt", b"hello\n"));
    let name = format!("{host}/staging/app:1");
    docker.run(["import", "layer.tar", &name]).ok();
    let pushed = docker.run(["push", &name]).ok();
    let digest = registry.manifest("staging/app", "1").await.expect(200).header("docker-content-digest").to_owned();
    assert!(pushed.stdout.contains(&digest), "{pushed}");
    let pull = |reference: &str| -> Ran {
        docker.run(["rmi", "--force", &name]).ok();
        docker.run(["pull", reference]).ok()
    };
    assert!(pull(&name).stdout.contains(&digest));
    pull(&format!("{host}/staging/app@{digest}"));
    let image = Image::two_platforms("docker");
    registry.push("staging/two", "1", &image).await;
    assert!(docker.run(["pull", &format!("{host}/staging/two:1")]).ok().stdout.contains(&image.root.digest));
    registry.assert_whole("staging/app", "1").await;

    docker.run(["pull", &name]).ok();
    let target = format!("{host}/prod/app:1");
    docker.run(["tag", &name, &target]).ok();
    docker.run(["push", &target]).refused("denied");
    promote(&lab, "staging/app:1", "prod/app:1").exits(3);
    assert_eq!(registry.tags("prod/app").await, Vec::<String>::new());
}

/// A registry that wants a secret gets it from `docker login`, and forgets nobody who did not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the Docker engine is installed by: apt-get install docker.io; it wants root"]
async fn docker_logs_in_to_push_and_to_pull() {
    const SECRET: &str = "correct horse battery staple";
    let mut gateway = Gateway::init();
    let file = gateway.dir().join("keys/push.token");
    std::fs::write(&file, SECRET).unwrap();
    gateway.config("/gateway")["push_token_file"] = file.display().to_string().into();
    gateway.start().await;
    let (host, engine) = (gateway.host(), Engine::start().await);
    let (somebody, nobody) = (engine.docker(), engine.docker());
    let log_in = |docker: &Client, secret: &str| docker.run(["login", &host, "--username", "ci", "--password", secret]);
    log_in(&nobody, "wrong horse battery staple").refused("unauthorized");
    log_in(&somebody, SECRET).ok();

    let name = format!("{host}/team/app:1");
    somebody.file("layer.tar", tar("hello.txt", b"hello\n"));
    somebody.run(["import", "layer.tar", &name]).ok();
    nobody.run(["push", &name]).refused("registry_unauthorized");
    somebody.run(["push", &name]).ok();
    somebody.run(["rmi", "--force", &name]).ok();
    nobody.run(["pull", &name]).refused("registry_unauthorized");
    somebody.run(["pull", &name]).ok();
    somebody.run(["logout", &host]).ok();
    somebody.run(["push", &name]).refused("registry_unauthorized");
}

/// Who runs the containers: not root, and not the owner of anything on this machine.
const USER: u32 = 65_532;

/// A folder of theirs.
fn folder() -> TempDir {
    let folder = TempDir::with_prefix("containers-").unwrap();
    chown(folder.path(), Some(USER), Some(USER)).unwrap();
    folder
}

/// The image holds no shell and no root user, makes an installation and serves it, and says when it is ready.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the Docker engine is installed by: apt-get install docker.io; it wants root; the image is made by: cargo xtask image"]
async fn the_image_makes_an_installation_and_serves_it() {
    let (engine, folder) = (Engine::start().await, folder());
    let docker = engine.docker();
    docker.run(["build", "--tag", "chancery", &image_folder().display().to_string()]).ok();
    let version = docker.run(["run", "--rm", "--network", "none", "--read-only", "chancery", "--version"]).ok();
    assert!(version.stdout.starts_with("chancery "), "{version}");
    docker.run(["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", "chancery"]).refused("no such file");
    docker.run(["run", "--rm", "--network", "none", "chancery"]).refused("config_unreadable").exits(2);

    let here = folder.path().display();
    let init = ["run", "--rm", "--network", "none", "--read-only", "--volume", &format!("{here}:/srv"), "chancery"];
    docker.run(init.into_iter().chain(["init", "--dir", "/srv/D", "--domain", "corp.example"])).ok();
    let run = ["run", "--detach", "--name", "served", "--network", "none", "--read-only", "--cap-drop", "ALL", "--volume"];
    docker.run(run.into_iter().chain([format!("{here}/D:/var/lib/chancery").as_str(), "chancery"])).ok();
    let health = || docker.run(["inspect", "--format", "{{.State.Health.Status}}", "served"]).ok().stdout;
    wait_until("the container is healthy", Duration::from_secs(90), async || health().trim() == "healthy").await;
    let ready = docker.run(["exec", "served", "/chancery", "health", "--config", "chancery.yaml"]).ok();
    assert!(ready.stdout.starts_with("ready: "), "{ready}");
    assert_eq!(docker.run(["inspect", "--format", "{{.Config.User}}", "served"]).ok().stdout.trim(), "65532:65532");
    docker.run(["stop", "-t", "30", "served"]).ok();
    assert_eq!(docker.run(["inspect", "--format", "{{.State.ExitCode}}", "served"]).ok().stdout.trim(), "0");
}

/// `compose.yaml` as the README has it, with free ports.
struct Composed {
    docker: Client,
    folder: TempDir,
}

impl Composed {
    fn new(engine: &Engine) -> Self {
        let folder = folder();
        let docker = engine
            .docker_with_compose()
            .with("CHANCERY_IMAGE", image_folder())
            .with("CHANCERY_HOME", folder.path())
            .with("CHANCERY_USER", format!("{USER}:{USER}"))
            .with("CHANCERY_PORTS", "auto");
        Self { docker, folder }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let file = repository().join("compose.yaml").display().to_string();
        self.docker.run(["compose", "--file", &file].iter().chain(words))
    }

    /// Returns what clients are told.
    fn up(&self) -> Environment {
        let up = self.run(&["up", "--build", "--wait"]);
        assert_eq!(up.code, Some(0), "{up}\n{}", self.run(&["logs"]));
        Environment::read(&self.lab("env"))
    }

    fn lab(&self, name: &str) -> PathBuf {
        self.folder.path().join("lab").join(name)
    }

    /// A cosign on the host, as a person at the lab's issuer.
    fn cosign(&self, environment: &Environment) -> Client {
        let lab = self.folder.path().join("lab").display().to_string();
        let token = self.run(&["exec", "-T", "lab", "/chancery", "lab", "token", "--dir", &lab, "--email", EMAIL]).ok();
        Client::cosign().with_environment(environment).with("SIGSTORE_ID_TOKEN", token.stdout.trim())
    }

    /// What everybody trusts, byte for byte.
    fn trust(&self) -> Vec<Vec<u8>> {
        let names = ["anchors.json", "trust/root.json", "trust/trusted_root.json", "trust/fulcio_chain.pem", "tuf/1.root.json"];
        names.map(|name| std::fs::read(self.lab(name)).unwrap_or_else(|error| panic!("{name}: {error}"))).to_vec()
    }
}

/// One command up, clients on the host, down, up again: what was signed before verifies, and nothing anybody trusts has changed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the Docker engine is installed by: apt-get install docker.io; it wants root; the image is made by: cargo xtask image"]
async fn compose_keeps_all_trust_over_down_and_up() {
    let engine = Engine::start().await;
    let lab = Composed::new(&engine);
    let before = lab.up();
    let trust = lab.trust();
    let cosign = lab.cosign(&before);
    cosign.file("before.txt", "signed before\n");
    cosign.run(["sign-blob", "--yes", "--bundle", "before.json", "before.txt"]).ok();
    assert_eq!(std::fs::metadata(lab.lab("keys/rekor-v2.pem")).unwrap().uid(), USER);

    lab.run(&["down"]).ok();
    let gone = Chancery::run(Chancery::command().args(["health", "--dir"]).arg(lab.lab("")));
    gone.refused("admin_unreachable").exits(1);
    let after = lab.up();
    assert_eq!((after, lab.trust()), (before.clone(), trust));
    let ready = Chancery::run(Chancery::command().args(["health", "--dir"]).arg(lab.lab(""))).ok();
    assert!(ready.stdout.starts_with("ready: "), "{ready}");

    let again = lab.cosign(&before);
    again.file("after.txt", "signed after\n");
    again.run(["sign-blob", "--yes", "--bundle", "after.json", "after.txt"]).ok();
    let signer = by(EMAIL, before.get("CHANCERY_OIDC_ISSUER"));
    for (client, name) in [(&cosign, "before"), (&again, "after")] {
        let (bundle, file) = (format!("{name}.json"), format!("{name}.txt"));
        client.run(arguments(&["verify-blob", "--bundle", &bundle], &signer, &[&file])).ok();
    }
    lab.run(&["down"]).ok();
}
