//! Every service over HTTPS behind a private authority, as in real use.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::time::Duration;

use integration::gateway::{Gateway, host};
use integration::image::tar;
use integration::installation::Installation;
use integration::people::{EMAIL, arguments, by};
use serde_json::json;
use testkit::{Client, FakeIssuer, TestCa, TokenKey, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn cosign_signs_over_https_and_certificates_are_replaced_while_running() {
    let (old, new) = (TestCa::new("old authority"), TestCa::new("new authority"));
    let people = FakeIssuer::http("", TokenKey::rs256("k")).await;
    let installation = Installation::init(&old, &["--oidc-issuer", people.url()]);
    let authorities = installation.trust(&[&old, &new]);
    let mut chancery = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let token = || people.mint(json!({"sub": EMAIL, "email": EMAIL, "email_verified": true}));
    let sign_and_verify = |name: &str| {
        let client = installation.cosign().with("SIGSTORE_ID_TOKEN", token());
        client.file("blob", name);
        client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
        client.run(arguments(&["verify-blob", "--bundle", "b.json"], &by(EMAIL, people.url()), &["blob"])).ok();
        // An image too: the registry's certificate is by the same authority.
        let crane = Client::crane().with("SSL_CERT_FILE", &authorities);
        crane.file("layer.tar", tar("hello.txt", name.as_bytes()));
        let image = format!("{}/team/app:{name}", host(&installation.url("registry")));
        crane.run(["append", "--new_layer", "layer.tar", "--new_tag", &image]).ok();
        let digest = crane.run(["digest", "--full-ref", &image]).ok().stdout.trim().to_owned();
        client.run(["sign", "--yes", &digest]).ok();
        client.run(arguments(&["verify"], &by(EMAIL, people.url()), &[&image])).ok();
    };
    sign_and_verify("before");

    installation.replace_certificate(&new);
    let (knows_old, knows_new) = (testkit::http(&[&old.pem()]), testkit::http(&[&new.pem()]));
    for service in ["fulcio", "ctlog", "rekor-v2", "rekor-v1", "tsa", "tuf", "registry"] {
        let url = installation.url(service);
        wait_until(&format!("{service} serves the new certificate"), Duration::from_secs(30), async || {
            knows_new.get(&url).send().await.is_ok()
        })
        .await;
    }
    // Connections that were open may stay; a new one gets the new certificate only.
    assert!(knows_old.get(installation.url("tuf")).send().await.is_err(), "the old certificate is still served");
    std::fs::write(authorities, new.pem()).unwrap();
    let client = installation.cosign().with("SIGSTORE_ID_TOKEN", token());
    client.file("blob", "after");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let ended = chancery.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_beyond_loopback_is_a_start_up_error() {
    let ca = TestCa::new("authority");
    let mut installation = Installation::init(&ca, &[]);
    *installation.config("/rekor_v2/http") = json!({"listen": ["0.0.0.0:0"]});
    let ended = installation.serve().await.expect_err("it must not start");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("[listen_plain_http]") && ended.stderr.contains("0.0.0.0"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_the_certificates_is_a_start_up_error() {
    let ca = TestCa::new("authority");
    let mut installation = Installation::init(&ca, &[]);
    let other = ca.server(&["localhost"]).write(&installation.dir(), "other").1;
    *installation.config("/tuf/http/tls/key") = other.display().to_string().into();
    let ended = installation.serve().await.expect_err("it must not start");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("other.key"), "{ended}");
}

/// Everybody could write: the registry alone among the services wants a secret before it listens beyond this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_for_others_without_a_secret_is_a_start_up_error() {
    let mut gateway = Gateway::https(&TestCa::new("authority"));
    gateway.config("/gateway/http/listen/0").clone_from(&json!("0.0.0.0:0"));
    let folder = tempfile::tempdir().unwrap();
    let ended = gateway.launch().start_in(folder.path()).await.expect_err("it must not start");
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("[registry_push_token]") && ended.stderr.contains("gateway.push_token_file"), "{ended}");
}
