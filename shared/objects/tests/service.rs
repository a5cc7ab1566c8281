//! What an operator is told of a bucket that cannot be used, and how a bad line is borne.

use std::time::Duration;

use bytes::Bytes;
use chassis::Explain as _;
use chassis::reason::chain;
use objects::{ObjectError, Objects, ObjectsConfig, S3Config};
use testkit::{Reply, S3, Scripted, ScriptedRequest, TestCa, free_port};

fn config(server: &S3, bucket: &str) -> S3Config {
    S3Config {
        endpoint: server.endpoint(),
        region: "us-east-1".into(),
        bucket: bucket.to_owned(),
        prefix: String::new(),
        access_key_id: Some(server.access_key_id().into()),
        secret_access_key_file: Some(server.secret_access_key_file().into()),
        ca_file: Some(server.ca_file().into()),
    }
}

async fn open(config: S3Config) -> Result<Objects, ObjectError> {
    Objects::open(&ObjectsConfig::S3(config)).await
}

/// The code of the refusal, whose whole text says `says` and no secret.
async fn refused(config: S3Config, says: &str) -> &'static str {
    let error = open(config.clone()).await.expect_err("it is refused");
    let text = format!("{} {}", chain(&error), error.advice().unwrap_or_default());
    assert!(text.contains(says) && !text.contains("correct-horse") && !text.contains('\n'), "{text}");
    let to_read = Objects::open_to_read(&ObjectsConfig::S3(config)).await.map_err(|error| error.code());
    assert!(error.code() == "objects_unconditional" || to_read.err() == Some(error.code()));
    error.code()
}

#[tokio::test]
async fn each_mistake_has_a_name() {
    let server = S3::shared();
    let right = config(server, &server.bucket());
    open(right.clone()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "another").unwrap();
    let other_ca = TestCa::new("other").write(folder.path(), "other");
    let missing = S3Config { bucket: "never-made".into(), ..right.clone() };
    assert_eq!(refused(missing, "s3://never-made: there is no such bucket").await, "objects_bucket");
    let stranger = S3Config { access_key_id: Some("stranger".into()), ..right.clone() };
    assert_eq!(refused(stranger, "refuses the account").await, "objects_refused");
    let wrong_secret = S3Config { secret_access_key_file: Some(secret.as_path().into()), ..right.clone() };
    assert_eq!(refused(wrong_secret, "SignatureDoesNotMatch").await, "objects_refused");
    let nowhere = S3Config { secret_access_key_file: Some(folder.path().join("nowhere").as_path().into()), ..right.clone() };
    assert_eq!(refused(nowhere, "nowhere cannot be read").await, "objects_secret");
    for ca_file in [None, Some(other_ca.as_path().into())] {
        let untrusted = S3Config { ca_file, ..right.clone() };
        assert_eq!(refused(untrusted, "invalid peer certificate").await, "objects_untrusted");
    }
    let no_authority = S3Config { ca_file: Some(secret.as_path().into()), ..right.clone() };
    assert_eq!(refused(no_authority, "no usable PEM certificate").await, "ca_file_empty");
    let unreachable = S3Config { endpoint: format!("https://127.0.0.1:{}", free_port()), ..right.clone() };
    assert_eq!(refused(unreachable, "cannot be reached").await, "objects_unreachable");
    let in_clear = S3Config { endpoint: "http://s3.corp.example".into(), ..right.clone() };
    assert_eq!(refused(in_clear, "plain HTTP beyond this machine").await, "objects_setting");
    let leads_away = S3Config { prefix: "../other".into(), ..right };
    assert_eq!(refused(leads_away, "`../other` is no prefix").await, "objects_setting");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_trusted() {
    let server = S3::shared();
    let elsewhere = server.endpoint().replace("127.0.0.1", "127.0.0.2");
    // The service listens at one address; what stands at the other shows the same certificate.
    let port = elsewhere.rsplit_once(':').unwrap().1.parse().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let there = server.endpoint().trim_start_matches("https://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&there).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let config = S3Config { endpoint: elsewhere, ..config(server, &server.bucket()) };
    assert_eq!(refused(config, "not valid for name").await, "objects_untrusted");
}

/// A service that answers as a test wants.
async fn scripted(answer: impl Fn(&ScriptedRequest, usize) -> Option<Reply> + Send + Sync + 'static) -> (Scripted, S3Config) {
    let service = Scripted::start(answer).await;
    let config = S3Config { endpoint: service.url(), ca_file: None, ..config(S3::shared(), "bucket") };
    (service, config)
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::new(status, &[], format!("<Error><Code>{code}</Code><Message>because</Message></Error>"))
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let (_service, config) = scripted(|_, _| Some(refusal(403, "RequestTimeTooSkewed"))).await;
    assert_eq!(refused(config, "Set the clocks").await, "objects_clock");
}

#[tokio::test]
async fn a_service_that_overwrites_what_it_should_create_is_refused() {
    let (service, config) = scripted(|request, _| match request.line.starts_with("PUT ") {
        true => Some(Reply::new(200, &[("etag", "\"1\"")], "")),
        false => Some(refusal(404, "NoSuchKey")),
    })
    .await;
    assert_eq!(refused(config, "If-None-Match").await, "objects_unconditional");
    assert!(
        service
            .requests()
            .iter()
            .filter(|request| request.line.starts_with("PUT "))
            .all(|request| { request.header("if-none-match") == Some("*") && request.header("authorization").is_some() })
    );
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Scripted::start(|_, _| Some(Reply::new(200, &[], ""))).await;
    let target = elsewhere.url();
    let (_service, config) = scripted(move |_, _| Some(Reply::new(307, &[("location", &target)], ""))).await;
    assert_eq!(refused(config, "307").await, "objects_failed");
    assert_eq!(elsewhere.requests().len(), 0, "whoever is redirected to sees nothing");
}

#[tokio::test]
async fn an_endless_complaint_is_cut_short() {
    let (_service, config) = scripted(|_, _| Some(Reply::new(400, &[], vec![b'x'; 1 << 20]))).await;
    let error = open(config).await.unwrap_err();
    assert!(matches!(error, ObjectError::Failed { .. }) && chain(&error).len() < 2_000, "{}", chain(&error).len());
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again() {
    let (service, config) = scripted(|request, before| match before {
        0 | 1 => Some(refusal(503, "SlowDown")),
        _ if request.line.starts_with("PUT ") => Some(refusal(412, "PreconditionFailed")),
        _ => Some(refusal(404, "NoSuchKey")),
    })
    .await;
    open(config).await.unwrap();
    let methods: Vec<_> = service.lines().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(methods, ["PUT", "PUT", "PUT", "GET", "GET"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_costs_an_error_and_no_object() {
    let server = S3::start(false);
    let relay = server.relay();
    let bucket = server.bucket();
    let objects = open(S3Config { endpoint: relay.url(), ..config(&server, &bucket) }).await.unwrap();
    let content = Bytes::from(vec![7; 300_000]);
    objects.put_new("before", content.clone()).await.unwrap();
    // In the middle of an answer: of the object itself, and of the service's word that it is kept.
    relay.cut_after(100_000);
    assert!(objects.get("before", 300_000).await.is_err() || relay.carried() > 300_000, "half an object is none");
    assert_eq!(objects.get("before", 300_000).await.unwrap(), Some(content.clone()));
    relay.cut_after(1);
    let _ = objects.put_new("between", content.clone()).await;
    objects.put_new("between", content.clone()).await.unwrap();
    assert_eq!(objects.get("between", 300_000).await.unwrap(), Some(content.clone()));
    relay.down();
    let error = objects.clone().within(Duration::from_secs(3)).put_new("after", content.clone()).await.unwrap_err();
    assert!(
        matches!(error, ObjectError::Unreachable { .. } | ObjectError::Failed { .. } | ObjectError::TimedOut { .. }),
        "{error}"
    );
    relay.up();
    objects.put_new("after", content).await.unwrap();
}
