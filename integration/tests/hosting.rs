//! Released clients push, pull, copy and look around in repositories that live here.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::gateway::Gateway;
use integration::image::{Image, sha256, tar};
use testkit::Client;

#[tokio::test(flavor = "multi_thread")]
async fn crane_pushes_pulls_copies_and_lists() {
    let mut gateway = Gateway::init();
    gateway.start().await;
    let name = format!("{}/team/app", gateway.host());
    let crane = Client::crane();
    crane.file("layer.tar", tar("hello.txt", b"hello\n"));
    for architecture in ["amd64", "arm64"] {
        let tag = format!("{name}:{architecture}");
        crane.run(["append", "--new_layer", "layer.tar", "--new_tag", &tag]).ok();
        crane.run(["mutate", "--set-platform", &format!("linux/{architecture}"), &tag, "--tag", &tag]).ok();
    }
    let (amd64, arm64) = (format!("{name}:amd64"), format!("{name}:arm64"));
    crane.run(["index", "append", "--manifest", &amd64, "--manifest", &arm64, "--tag", &format!("{name}:1")]).ok();
    let digest = crane.run(["digest", &format!("{name}:1")]).ok().stdout.trim().to_owned();
    let manifest = crane.run(["manifest", &format!("{name}:1")]).ok().stdout;
    assert_eq!(sha256(manifest.as_bytes()), digest, "the bytes that were pushed");
    assert_eq!(crane.run(["ls", &name]).ok().stdout.lines().collect::<Vec<_>>(), ["1", "amd64", "arm64"]);

    crane.run(["cp", &format!("{name}:1"), &format!("{}/other/app:2", gateway.host())]).ok();
    assert_eq!(crane.run(["catalog", &gateway.host()]).ok().stdout.lines().collect::<Vec<_>>(), ["other/app", "team/app"]);
    let here = gateway.registry();
    assert_eq!(here.assert_whole("other/app", "2").await, here.assert_whole("team/app", "1").await);
    crane.run(["pull", "--format", "oci", &format!("{}/other/app:2", gateway.host()), "layout"]).ok();
    assert_eq!(crane.run(["export", &format!("{name}:amd64"), "out.tar"]).ok().code, Some(0));
    assert!(std::fs::read(crane.home().join("out.tar")).unwrap().windows(6).any(|window| window == b"hello\n"));

    crane.run(["tag", &format!("{name}:1"), "latest"]).ok();
    crane.run(["delete", &format!("{name}:latest")]).ok();
    crane.run(["digest", &format!("{name}:latest")]).refused("MANIFEST_UNKNOWN");
    assert_eq!(crane.run(["digest", &format!("{name}:1")]).ok().stdout.trim(), digest);
    crane.run(["delete", &format!("{}/other/app@{digest}", gateway.host())]).ok();
    crane.run(["digest", &format!("{}/other/app:2", gateway.host())]).refused("MANIFEST_UNKNOWN");
    here.assert_whole("team/app", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oras_attaches_discovers_and_copies_with_everything_attached() {
    let mut gateway = Gateway::init();
    gateway.start().await;
    let here = gateway.registry();
    let name = format!("{}/team/thing", gateway.host());
    let oras = Client::oras();
    oras.file("thing.txt", "a thing\n");
    oras.file("note.txt", "a note\n");
    oras.run(["push", &format!("{name}:1"), "--artifact-type", "application/vnd.example.thing", "thing.txt:text/plain"]).ok();
    let attach = |to: &str, kind: &str| {
        oras.run(["attach", "--artifact-type", kind, "--format", "json", to, "note.txt:text/plain"]).ok();
    };
    attach(&format!("{name}:1"), "application/vnd.example.note");
    attach(&format!("{name}:1"), "application/vnd.example.review");
    // Attached to what is attached.
    let subject = here.manifest("team/thing", "1").await.expect(200).header("docker-content-digest").to_owned();
    let notes = here.referrers("team/thing", &subject).await;
    assert_eq!(notes.len(), 2);
    attach(&format!("{name}@{}", notes[0]["digest"].as_str().unwrap()), "application/vnd.example.seal");

    let tree = oras.run(["discover", &format!("{name}:1")]).ok();
    for kind in ["note", "review", "seal"] {
        assert!(tree.stdout.contains(&format!("application/vnd.example.{kind}")), "{tree}");
    }
    let one = oras.run(["discover", "--artifact-type", "application/vnd.example.review", &format!("{name}:1")]).ok();
    assert!(one.stdout.contains("example.review") && !one.stdout.contains("example.note"), "{one}");
    // It was told by the answer to its push that there is an API: it wrote no list under a tag.
    assert_eq!(here.tags("team/thing").await, ["1"]);

    oras.run(["cp", "--recursive", &format!("{name}:1"), &format!("{}/copy/thing:1", gateway.host())]).ok();
    let closure = here.assert_whole("team/thing", "1").await;
    assert_eq!(here.assert_whole("copy/thing", "1").await, closure);
    oras.run(["cp", "--recursive", &format!("{name}:1"), "--to-oci-layout", "layout:1"]).ok();
    oras.run(["cp", "--recursive", "--from-oci-layout", "layout:1", &format!("{}/back/thing:1", gateway.host())]).ok();
    assert_eq!(here.assert_whole("back/thing", "1").await, closure);

    oras.run(["pull", "--output", "pulled", &format!("{name}:1")]).ok();
    assert_eq!(std::fs::read_to_string(oras.home().join("pulled/thing.txt")).unwrap(), "a thing\n");
    oras.run(["repo", "tags", &name]).ok();
    oras.run(["resolve", &format!("{name}:2")]).refused("not found");
}

/// A registry that asks for a secret: who has none reads nothing, who has it works as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_for_pushing_is_asked_for_and_taken() {
    let mut gateway = Gateway::init();
    std::fs::write(gateway.dir().join("keys/push.token"), "push-secret-0123456789").unwrap();
    gateway.config("/gateway")["push_token_file"] = "keys/push.token".into();
    gateway.start().await;
    let host = gateway.host();
    let image = format!("{host}/team/app:1");
    let challenge = gateway.registry().get("/v2/").await.expect(401);
    assert!(!challenge.header("www-authenticate").is_empty(), "{challenge}");
    let (crane, oras) = (Client::crane(), Client::oras());
    crane.file("layer.tar", tar("hello.txt", b"hello\n"));
    let push = ["append", "--new_layer", "layer.tar", "--new_tag", &image];
    crane.run(push).refused("UNAUTHORIZED");
    crane.run(["auth", "login", &host, "--username", "ci", "--password", "wrong"]).ok();
    crane.run(push).refused("UNAUTHORIZED");
    crane.run(["auth", "login", &host, "--username", "ci", "--password", "push-secret-0123456789"]).ok();
    crane.run(push).ok();
    oras.run(["login", &host, "--username", "ci", "--password", "wrong"]).refused("unauthorized");
    oras.run(["login", &host, "--username", "ci", "--password", "push-secret-0123456789"]).ok();
    oras.run(["pull", &image]).ok();
    Client::oras().run(["pull", &image]).refused("unauthorized");

    // Reading may be open to all.
    gateway.stop();
    gateway.config("/gateway")["anonymous_pull"] = true.into();
    gateway.start().await;
    let _ = gateway.registry().get("/v2/").await.expect(401);
    let stranger = Client::crane();
    stranger.run(["digest", &image]).ok();
    stranger.file("layer.tar", tar("hello.txt", b"hello\n"));
    stranger.run(["append", "--new_layer", "layer.tar", "--new_tag", &format!("{host}/team/app:2")]).refused("UNAUTHORIZED");
    assert!(!gateway.process().log().contains("push-secret-0123456789"), "a secret is never logged");
}

/// Two who push the same thing at the same time are both answered, and what they pushed is whole.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_pushed_by_many_at_once_is_pushed_once() {
    let mut gateway = Gateway::init();
    gateway.start().await;
    let image = Image::two_platforms("the same");
    let mut pushes = tokio::task::JoinSet::new();
    for pusher in 0..16 {
        let (registry, image) = (gateway.registry(), image.clone());
        pushes.spawn(async move { registry.push(&format!("team/{}", pusher % 4), "1", &image).await });
    }
    pushes.join_all().await;
    for pusher in 0..4 {
        assert_eq!(gateway.registry().assert_whole(&format!("team/{pusher}"), "1").await.len(), 3 + image.blobs.len());
    }
}
