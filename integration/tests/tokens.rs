//! What a CI token says is what the certificate says: name and every extension, exactly.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::bundle;
use integration::ca::claims;
use integration::installation::Installation;
use integration::leaf::Leaf;
use integration::people::{arguments, by, cosign};
use serde_json::{Value, json};
use testkit::{Chancery, Client, FakeIssuer, TestCa, TokenKey};

#[tokio::test(flavor = "multi_thread")]
async fn a_github_enterprise_server_token_becomes_exactly_its_certificate() {
    let lab = Chancery::lab().await;
    let client = cosign(&lab, &["--ghes", "platform/hello"]);
    let token = lab.token(&["--ghes", "platform/hello"]);
    check(&client, &claims(&token), "https://ghe.lab");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_github_com_token_becomes_exactly_its_certificate() {
    let lab = Chancery::lab().await;
    let subject = ["--github", "octo-org/octo.app", "--ref", "refs/tags/v1.2.3"];
    check(&cosign(&lab, &subject), &claims(&lab.token(&subject)), "https://github.com");
}

/// A GitHub Enterprise Server whose certificate is by an authority that only it is trusted for, and a token with an environment.
#[tokio::test(flavor = "multi_thread")]
async fn an_enterprise_server_behind_its_own_authority_is_reached() {
    let (ca, ghes_ca) = (TestCa::new("services"), TestCa::new("enterprise server"));
    let ghes = FakeIssuer::https(&ghes_ca, "/_services/token", TokenKey::es256("ghes")).await;
    let host = ghes.url().strip_suffix("/_services/token").unwrap().to_owned();
    let mut installation = Installation::init(&ca, &["--ghes", &host]);
    let authority = ghes_ca.write(&installation.dir(), "ghes-ca");
    let issuers = installation.config("/fulcio/issuers").as_array_mut().unwrap();
    let issuer = issuers.iter_mut().find(|issuer| issuer["issuer_url"] == ghes.url()).expect("init wrote the issuer");
    issuer["ca_cert"] = authority.display().to_string().into();
    let _chancery = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));

    let claims = ghes.claims(workflow("octo-org/octo-repo"));
    let client = installation.cosign().with("SIGSTORE_ID_TOKEN", ghes.key().mint(&claims));
    check(&client, &claims, &host);
}

/// Without that authority the issuer cannot be asked for its keys: nobody is certified, and the reason names the issuer.
#[tokio::test(flavor = "multi_thread")]
async fn an_enterprise_server_behind_an_unknown_authority_is_refused() {
    let (ca, ghes_ca) = (TestCa::new("services"), TestCa::new("enterprise server"));
    let ghes = FakeIssuer::https(&ghes_ca, "/_services/token", TokenKey::es256("ghes")).await;
    let host = ghes.url().strip_suffix("/_services/token").unwrap().to_owned();
    let installation = Installation::init(&ca, &["--ghes", &host]);
    let _chancery = installation.serve().await.unwrap_or_else(|ended| panic!("{ended}"));
    let fulcio = integration::ca::Ca::new(&installation.url("fulcio"), testkit::http(&[&ca.pem()]));
    let refusal = fulcio.certify(&ghes.mint(workflow("octo-org/octo-repo"))).await.expect_err("its keys cannot be had");
    assert_eq!(refusal.status, 503, "{refusal:?}");
    assert!(refusal.message.contains("[issuer_unreachable]") && refusal.message.contains(ghes.url()), "{refusal:?}");
}

/// Signs with the client's token, compares the certificate with the claims, and has cosign verify all that it can name.
fn check(client: &Client, claims: &Value, server: &str) {
    client.file("blob", "hello");
    client.run(["sign-blob", "--yes", "--bundle", "b.json", "blob"]).ok();
    let signed: Value = serde_json::from_slice(&std::fs::read(client.home().join("b.json")).unwrap()).unwrap();
    let leaf = Leaf::from_der(&bundle::bytes(&signed["verificationMaterial"]["certificate"]["rawBytes"]));

    let claim = |name: &str| claims[name].as_str().unwrap_or_else(|| panic!("{name} in {claims}")).to_owned();
    let name = format!("{server}/{}", claim("job_workflow_ref"));
    assert_eq!(leaf.name, format!("uri:{name}"));
    assert!(leaf.name_is_critical, "the subject is empty, so the name is critical");
    assert_eq!(leaf.lifetime, 600);
    assert_eq!(leaf.identity, expected(claims, server));
    let identity = leaf.identity.iter().map(|(last, _)| format!("1.3.6.1.4.1.57264.1.{last}"));
    let known = |oids: [&str; 5]| oids.map(str::to_owned);
    let mut order: Vec<String> = known(["2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.17"]).to_vec();
    order.extend(identity);
    order.push("1.3.6.1.4.1.11129.2.4.2".to_owned());
    assert_eq!(leaf.order, order);

    let mut flags = by(&name, &claim("iss"));
    for (flag, named) in
        [("trigger", "event_name"), ("sha", "sha"), ("name", "workflow"), ("repository", "repository"), ("ref", "ref")]
    {
        flags.extend([format!("--certificate-github-workflow-{flag}"), claim(named)]);
    }
    client.run(arguments(&["verify-blob", "--bundle", "b.json"], &flags, &["blob"])).ok();
    let elsewhere = by(&name.replace("https://", "https://not-"), &claim("iss"));
    client
        .run(arguments(&["verify-blob", "--bundle", "b.json"], &elsewhere, &["blob"]))
        .refused("no matching CertificateIdentity");
}

/// Which claim fills which extension.
fn expected(claims: &Value, server: &str) -> Vec<(u32, String)> {
    let claim = |name: &str| claims[name].as_str().unwrap_or_else(|| panic!("{name} in {claims}")).to_owned();
    let below = |path: String| format!("{server}/{path}");
    let run = format!("{}/actions/runs/{}/attempts/{}", claim("repository"), claim("run_id"), claim("run_attempt"));
    let mut all = vec![
        (1, claim("iss")),
        (2, claim("event_name")),
        (3, claim("sha")),
        (4, claim("workflow")),
        (5, claim("repository")),
        (6, claim("ref")),
        (8, claim("iss")),
        (9, below(claim("job_workflow_ref"))),
        (10, claim("job_workflow_sha")),
        (11, claim("runner_environment")),
        (12, below(claim("repository"))),
        (13, claim("sha")),
        (14, claim("ref")),
        (15, claim("repository_id")),
        (16, below(claim("repository_owner"))),
        (17, claim("repository_owner_id")),
        (18, below(claim("workflow_ref"))),
        (19, claim("workflow_sha")),
        (20, claim("event_name")),
        (21, below(run)),
        (22, claim("repository_visibility")),
    ];
    all.extend(claims["environment"].as_str().map(|environment| (23, environment.to_owned())));
    all.push((24, claim("sub")));
    all
}

/// The claims of a job on a GitHub Enterprise Server that deploys to an environment.
fn workflow(repository: &str) -> Value {
    let (owner, _) = repository.split_once('/').unwrap();
    let workflow = format!("{repository}/.github/workflows/release.yml@refs/heads/main");
    json!({
        "sub": format!("repo:{repository}:environment:production"),
        "environment": "production",
        "repository": repository, "repository_id": "74", "repository_visibility": "private",
        "repository_owner": owner, "repository_owner_id": "65",
        "ref": "refs/heads/main", "sha": "2e5a1c4c64d1e6f8b6a1e9f1c0d7b8a9e0f1a2b3",
        "workflow": "release", "workflow_ref": workflow, "workflow_sha": "2e5a1c4c64d1e6f8b6a1e9f1c0d7b8a9e0f1a2b3",
        "job_workflow_ref": workflow, "job_workflow_sha": "2e5a1c4c64d1e6f8b6a1e9f1c0d7b8a9e0f1a2b3",
        "event_name": "workflow_dispatch", "run_id": "9001", "run_attempt": "2", "runner_environment": "self-hosted",
    })
}
