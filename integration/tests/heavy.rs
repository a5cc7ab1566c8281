//! Registry clients that take long to install: `cargo xtask ci --all` runs these.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::gateway::Gateway;
use integration::image::Image;
use integration::registry::Registry;
use tempfile::TempDir;
use testkit::{Client, TestCa, on_path, pinned};

/// A gateway over HTTPS, a way to look into it, and clients that know its authority.
struct World {
    _gateway: Gateway,
    folder: TempDir,
    host: String,
    registry: Registry,
    ca: TestCa,
}

impl World {
    async fn new() -> Self {
        let (ca, folder) = (TestCa::new("registry authority"), tempfile::tempdir().unwrap());
        let mut gateway = Gateway::https(&ca);
        gateway.start().await;
        let host = gateway.host();
        let registry = Registry::behind(&format!("https://{host}"), &ca.pem());
        Self { _gateway: gateway, folder, host, registry, ca }
    }

    fn client(&self, program: std::path::PathBuf) -> Client {
        Client::new(program).with("SSL_CERT_FILE", self.ca.write(self.folder.path(), "authority"))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "regctl is installed by: cargo xtask tools --all"]
async fn regctl_copies_with_everything_attached() {
    let world = World::new().await;
    let (regctl, image) = (world.client(pinned("regctl")), Image::two_platforms("regctl"));
    world.registry.push("team/app", "1", &image).await;
    let name = format!("{}/team/app:1", world.host);
    regctl.file("note.txt", "seen\n");
    let note = ["artifact", "put", "--subject", &name, "--artifact-type", "application/vnd.example.note", "--file", "note.txt"];
    regctl.run(note).ok();
    regctl
        .run([
            "artifact",
            "put",
            "--subject",
            &name,
            "--platform",
            "linux/arm64",
            "--artifact-type",
            "application/vnd.example.scan",
            "--file",
            "note.txt",
        ])
        .ok();
    assert_eq!(world.registry.tags("team/app").await, ["1"], "it has seen the API: no list under a tag");
    let listed = regctl.run(["artifact", "list", &name]).ok();
    assert!(listed.stdout.contains("application/vnd.example.note"), "{listed}");
    let copy = format!("{}/copy/app:1", world.host);
    regctl.run(["image", "copy", "--referrers", "--digest-tags", &name, &copy]).ok();
    let closure = world.registry.assert_whole("team/app", "1").await;
    // Two more manifests, of the same file with the same empty configuration.
    assert_eq!(closure.len(), 3 + image.blobs.len() + 2 + 2);
    assert_eq!(world.registry.assert_whole("copy/app", "1").await, closure);
    assert_eq!(regctl.run(["tag", "ls", &copy.replace(":1", "")]).ok().stdout.trim(), "1");
    regctl.run(["tag", "delete", &copy]).ok();
    regctl.run(["manifest", "head", &copy]).refused("not found");
    regctl.run(["image", "digest", &name]).ok();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "helm is installed by: cargo xtask tools --all"]
async fn helm_pushes_and_pulls_a_chart() {
    let world = World::new().await;
    let helm = world.client(pinned("helm"));
    std::fs::create_dir_all(helm.home().join("chart/templates")).unwrap();
    helm.file("chart/Chart.yaml", "apiVersion: v2\nname: hello\nversion: 1.2.3+build.4\n");
    helm.file("chart/templates/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello}\n");
    helm.run(["package", "chart"]).ok();
    let charts = format!("oci://{}/charts", world.host);
    let pushed = helm.run(["push", "hello-1.2.3+build.4.tgz", &charts]).ok();
    let digest = world.registry.manifest("charts/hello", "1.2.3_build.4").await.expect(200);
    let digest = digest.header("docker-content-digest").to_owned();
    assert!(pushed.to_string().contains(&digest), "{pushed}");
    std::fs::create_dir(helm.home().join("pulled")).unwrap();
    let chart = format!("{charts}/hello");
    let pulled = helm.run(["pull", &chart, "--version", "1.2.3+build.4", "--destination", "pulled"]).ok();
    assert!(pulled.to_string().contains(&digest), "{pulled}");
    let read = |name: &str| std::fs::read(helm.home().join(name)).unwrap();
    assert_eq!(read("pulled/hello-1.2.3+build.4.tgz"), read("hello-1.2.3+build.4.tgz"));
    let shown = helm.run(["template", "release", &chart, "--version", "1.2.3+build.4"]).ok();
    assert!(shown.stdout.contains("kind: ConfigMap"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "skopeo is installed by: apt-get install skopeo"]
async fn skopeo_copies_inspects_and_deletes() {
    let world = World::new().await;
    let (skopeo, image) = (world.client(on_path("skopeo")), Image::two_platforms("skopeo"));
    world.registry.push("team/app", "1", &image).await;
    let name = format!("docker://{}/team/app:1", world.host);
    let copy = format!("docker://{}/copy/app:2", world.host);
    skopeo.run(["copy", "--all", "--preserve-digests", &name, &copy]).ok();
    let closure = world.registry.assert_whole("team/app", "1").await;
    assert_eq!(world.registry.assert_whole("copy/app", "2").await, closure);
    let inspected = skopeo.run(["inspect", &copy]).ok();
    assert!(inspected.stdout.contains(&image.root.digest), "{inspected}");
    skopeo.run(["copy", "--all", "--preserve-digests", &name, "oci:layout:1"]).ok();
    skopeo.run(["copy", "--all", "--preserve-digests", "oci:layout:1", &format!("docker://{}/back/app:1", world.host)]).ok();
    assert_eq!(world.registry.assert_whole("back/app", "1").await, closure);
    skopeo.run(["delete", &copy]).ok();
    assert_eq!(world.registry.tags("copy/app").await, Vec::<String>::new());
}
