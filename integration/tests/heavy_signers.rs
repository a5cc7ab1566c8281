//! Signing clients and an identity provider that take long to install: `cargo xtask ci --all` runs these.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::time::Duration;

use integration::dex::Dex;
use integration::installation::Installation;
use integration::people::{EMAIL, arguments, by};
use serde_json::json;
use testkit::{Chancery, Client, FakeIssuer, TestCa, TokenKey, wait_until};

/// A token by password becomes an e-mail certificate; and a cosign that was given none finds Dex by the `oidcUrls` of the signing
/// config that TUF hands out, where a person logs in.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "dex is installed by: cargo xtask tools --all"]
async fn people_log_in_at_dex() {
    let (ca, dex) = (TestCa::new("services authority"), Dex::start().await);
    let installation = Installation::init(&ca, &["--oidc-issuer", &dex.issuer()]);
    let _serving = installation.serve().await.unwrap();
    let signer = by(EMAIL, &dex.issuer());

    let with_token = installation.cosign().with("SIGSTORE_ID_TOKEN", dex.token().await);
    with_token.file("app.txt", "an application\n");
    with_token.run(["sign-blob", "--yes", "--bundle", "app.json", "app.txt"]).ok();
    with_token.run(arguments(&["verify-blob", "--bundle", "app.json"], &signer, &["app.txt"])).ok();

    let by_device = installation.cosign();
    by_device.file("app.txt", "an application\n");
    let signing = by_device.start(["sign-blob", "--yes", "--bundle", "app.json", "app.txt"]);
    let shown = || signing.said().split_whitespace().find(|word| word.contains("/device?user_code=")).map(str::to_owned);
    wait_until("cosign shows where to log in", Duration::from_secs(60), async || shown().is_some()).await;
    let address = shown().unwrap();
    assert!(address.starts_with(&dex.issuer()), "{address}");
    dex.log_in(&address).await;
    signing.end().ok();
    by_device.run(arguments(&["verify-blob", "--bundle", "app.json"], &signer, &["app.txt"])).ok();
    let stranger = by("stranger@corp.example", &dex.issuer());
    by_device.run(arguments(&["verify-blob", "--bundle", "app.json"], &stranger, &["app.txt"])).refused(EMAIL);
}

/// A statement over the content `hello`.
const STATEMENT: &str = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"hello.txt","digest":
    {"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}],
    "predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3"}}"#;

/// sigstore-js knows no signing config and asks Rekor v1 for an `intoto` entry; what it signs, it, cosign and we verify; and it
/// verifies what cosign logged in v2.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "sigstore-js is installed by: cargo xtask tools --all"]
async fn sigstore_js_attests_and_verifies() {
    let lab = Chancery::lab().await;
    let (env, token) = (lab.env(), lab.token(&["--email", EMAIL]));
    // It takes a token from the environment only where it believes to run in CI.
    let js = Client::new(testkit::pinned("sigstore-js")).with("CI", "true").with("SIGSTORE_ID_TOKEN", &token);
    js.file("statement.json", STATEMENT);
    js.file("hello.txt", "hello");
    std::fs::create_dir(js.home().join("tuf")).unwrap();
    let services = ["--fulcio-url", env.get("CHANCERY_FULCIO_URL"), "--rekor-url", env.get("CHANCERY_REKOR_V1_URL")];
    let timestamps = ["--tsa-server-url", env.get("CHANCERY_TSA_URL"), "--output-file", "bundle.json", "statement.json"];
    let attested = js.run(["attest"].iter().chain(&services).chain(&timestamps)).ok();
    assert!(attested.to_string().contains("/api/v1/log/entries?logIndex="), "{attested}");

    let cache = js.home().join("tuf").display().to_string();
    let root = ["--tuf-mirror-url", env.get("CHANCERY_TUF_URL"), "--tuf-root-path", env.get("CHANCERY_ROOT_JSON")];
    let verify = |email: &str, rest: &[&str]| {
        let who = ["--certificate-identity-email", email, "--certificate-issuer", env.get("CHANCERY_OIDC_ISSUER")];
        js.run(["verify", "--tuf-cache-path", &cache].iter().chain(&root).chain(&who).chain(rest))
    };
    verify(EMAIL, &["bundle.json"]).ok();
    verify("stranger@corp.example", &["bundle.json"]).refused(EMAIL);

    let cosign = Client::cosign().with_environment(env).with("SIGSTORE_ID_TOKEN", &token);
    let file = js.home().join("hello.txt").display().to_string();
    let bundle = js.home().join("bundle.json").display().to_string();
    let signer = by(EMAIL, env.get("CHANCERY_OIDC_ISSUER"));
    cosign.run(arguments(&["verify-blob-attestation", "--type", "spdxjson", "--bundle", &bundle], &signer, &[&file])).ok();
    let ours = ["verify", "--bundle", &bundle, "--trusted-root", env.get("CHANCERY_TRUSTED_ROOT")];
    Chancery::run(Chancery::command().args(arguments(&ours, &signer, &[&file]))).ok();

    cosign.run(["sign-blob", "--yes", "--bundle", "by-cosign.json", &file]).ok();
    let by_cosign = cosign.home().join("by-cosign.json").display().to_string();
    verify(EMAIL, &["--blob-file", "hello.txt", &by_cosign]).ok();
    js.file("hello.txt", "hullo");
    verify(EMAIL, &["--blob-file", "hello.txt", &by_cosign]).refused("");
}

/// gitsign commits and verifies, with Rekor v1 asked online and with the entry kept in the commit. It knows no trust root of ours:
/// three files say whom to trust.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "gitsign is installed by: cargo xtask tools --all"]
async fn gitsign_commits_and_verifies() {
    let lab = Chancery::lab().await;
    let env = lab.env();
    let trust = |name: &str| lab.dir().join("trust").join(name);
    let gitsign = testkit::pinned("gitsign");
    let verify = format!("!{} verify", gitsign.display());
    for mode in ["online", "offline"] {
        let git = Client::new(testkit::on_path("git"))
            .with("SIGSTORE_ID_TOKEN", lab.token(&["--email", EMAIL]))
            .with("SIGSTORE_ROOT_FILE", trust("fulcio_chain.pem"))
            .with("SIGSTORE_REKOR_PUBLIC_KEY", trust("rekor.pub"))
            .with("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", trust("ctfe.pub"))
            .with("GITSIGN_REKOR_MODE", mode)
            .with("GITSIGN_LOG", "gitsign.log");
        git.run(["init", "--quiet"]).ok();
        let settings = [
            ("user.name", "Dev"),
            ("user.email", EMAIL),
            ("commit.gpgsign", "true"),
            ("alias.verified", verify.as_str()),
            ("gpg.format", "x509"),
            ("gpg.x509.program", gitsign.to_str().unwrap()),
            ("gitsign.fulcio", env.get("CHANCERY_FULCIO_URL")),
            ("gitsign.rekor", env.get("CHANCERY_REKOR_V1_URL")),
            ("gitsign.issuer", env.get("CHANCERY_OIDC_ISSUER")),
        ];
        for (name, value) in settings {
            git.run(["config", name, value]).ok();
        }
        git.file("README", mode);
        git.run(["add", "README"]).ok();
        let committed = git.run(["commit", "--quiet", "--message", mode]);
        let log = std::fs::read_to_string(git.home().join("gitsign.log")).unwrap_or_default();
        assert_eq!(committed.code, Some(0), "{committed}\n{log}");
        assert!(log.contains("tlog entry created with index: "), "{log}");

        // It looks for the repository in the folder that it runs in.
        let verify = |email: &str| git.run(arguments(&["verified"], &by(email, env.get("CHANCERY_OIDC_ISSUER")), &["HEAD"]));
        let verified = verify(EMAIL).ok();
        for fact in ["Validated Git signature: true", "Validated Rekor entry: true", "Validated Certificate claims: true"] {
            assert!(verified.to_string().contains(fact), "{verified}");
        }
        verify("stranger@corp.example").refused("no matching CertificateIdentity found");
    }
}

/// sigstore-java asks the certificate authority by gRPC over TLS. Its own proof of possession is over `sub`, so the issuer names
/// people by URIs here.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "sigstore-java is installed by: cargo xtask tools --all"]
async fn sigstore_java_signs_over_tls_and_verifies() {
    let (ca, people) = (TestCa::new("services authority"), FakeIssuer::http("", TokenKey::rs256("k")).await);
    let mut installation = Installation::init(&ca, &["--oidc-issuer", people.url()]);
    let issuers = installation.config("/fulcio/issuers");
    *issuers = json!([{"issuer_url": people.url(), "type": "uri", "subject_domain": people.url()}]);
    let _serving = installation.serve().await.unwrap();
    let subject = format!("{}/people/dev", people.url());

    let keys = Client::new(testkit::on_path("keytool"));
    let import =
        ["-importcert", "-noprompt", "-storetype", "PKCS12", "-storepass", "changeit", "-keystore", "store.p12", "-file"];
    keys.run(import.into_iter().chain([ca.write(keys.home(), "ca").to_str().unwrap()])).ok();
    let store = keys.home().join("store.p12").display().to_string();
    let options = format!("-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit");
    let java = Client::new(testkit::pinned("sigstore-java")).with("JAVA_TOOL_OPTIONS", options);
    java.file("token", people.mint(json!({"sub": subject})));
    java.file("app.txt", "an application\n");
    let trust = |name: &str| installation.dir().join("trust").join(name).display().to_string();
    let root = trust("trusted_root.json");
    java.run(["sign", "app.txt", "app.json", &root, &trust("signing_config.v0.2.json"), "token"]).ok();
    let verify = |bundle: &str, subject: &str| java.run(["verify", "app.txt", bundle, &root, subject, people.url()]);
    verify("app.json", &subject).ok();
    verify("app.json", people.url()).refused("No provided certificate identities matched");

    let cosign = installation.cosign().with("SIGSTORE_ID_TOKEN", people.mint(json!({"sub": subject})));
    let path = |client: &Client, name: &str| client.home().join(name).display().to_string();
    let (file, by_java, by_cosign) = (path(&java, "app.txt"), path(&java, "app.json"), path(&cosign, "app.json"));
    cosign.run(arguments(&["verify-blob", "--bundle", &by_java], &by(&subject, people.url()), &[&file])).ok();
    cosign.run(["sign-blob", "--yes", "--bundle", "app.json", &file]).ok();
    verify(&by_cosign, &subject).ok();
    java.file("app.txt", "another application\n");
    verify("app.json", &subject).refused("");
}
