use super::*;

/// A registry with a token service on its own host, which issues the one and believes the other.
async fn with_tokens(issued: &'static str, believed: &'static str) -> Scripted {
    Scripted::start(move |request, _| {
        if request.line.starts_with("GET /token") {
            return Some(Reply::new(200, &[], format!(r#"{{"token":"{issued}","expires_in":300}}"#)));
        }
        let challenge = format!(
            r#"Bearer realm="http://{}/token",service="the registry",scope="repository:team/app:pull""#,
            request.header("host").unwrap_or_default()
        );
        match request.header("authorization") {
            Some(shown) if shown == format!("Bearer {believed}") => Some(manifest_reply(&image())),
            _ => Some(Reply::new(401, &[("www-authenticate", &challenge)], "")),
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_once_for_many() {
    let fake = with_tokens("t", "t").await;
    let registry = registry(&fake);
    registry.manifest(&repository(), &tag("v1")).await.unwrap();
    let (one, two) = (tag("v1"), tag("v2"));
    let name = repository();
    let both = futures_util::future::join(registry.manifest(&name, &one), registry.manifest(&name, &two)).await;
    assert!(both.0.is_ok() && both.1.is_ok());
    let tokens: Vec<String> = fake.lines().into_iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens, ["GET /token?service=the+registry&scope=repository%3Ateam%2Fapp%3Apull"]);
    assert_eq!(fake.lines().len(), 5, "the second time nothing is asked twice");
}

#[tokio::test]
async fn the_account_is_shown_to_the_token_service_only() {
    let fake = with_tokens("t", "t").await;
    with_account(&fake).manifest(&repository(), &tag("v1")).await.unwrap();
    let requests = fake.requests();
    let basic: Vec<&Request> =
        requests.iter().filter(|r| r.header("authorization").is_some_and(|shown| shown.starts_with("Basic"))).collect();
    assert_eq!(basic.len(), 1);
    assert!(basic[0].line.starts_with("GET /token?service=the+registry&") && basic[0].line.ends_with("&account=u"));
    assert_eq!(requests[0].line, "GET /v2/", "who has an account asks first how it is shown");
}

#[tokio::test]
async fn a_token_that_is_not_believed_ends_it() {
    let fake = with_tokens("other", "believed").await;
    let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorised { .. }), "{error}");
    assert_eq!(fake.lines().iter().filter(|line| line.contains("/token")).count(), 1);
}

#[tokio::test]
async fn a_token_that_is_no_longer_believed_is_replaced_once() {
    let fake = Scripted::start(|request, before| {
        if request.line.starts_with("GET /token") {
            return Some(Reply::new(200, &[], format!(r#"{{"access_token":"t{before}"}}"#)));
        }
        let challenge = format!(r#"Bearer realm="http://{}/token""#, request.header("host").unwrap_or_default());
        // The first token is good for one request.
        let good = match request.header("authorization") {
            Some("Bearer t1") => before == 2,
            Some(_) => true,
            None => false,
        };
        Some(if good { manifest_reply(&image()) } else { Reply::new(401, &[("www-authenticate", &challenge)], "") })
    })
    .await;
    let registry = registry(&fake);
    registry.manifest(&repository(), &tag("v1")).await.unwrap();
    registry.manifest(&repository(), &tag("v1")).await.unwrap();
    assert_eq!(fake.lines().iter().filter(|line| line.contains("/token")).count(), 2);
}

#[tokio::test]
async fn a_token_service_elsewhere_never_sees_the_account() {
    let thief = Scripted::start(|_, _| Some(Reply::new(200, &[], r#"{"token":"t"}"#))).await;
    let port = thief.address().rsplit(':').next().unwrap().to_owned();
    let fake = Scripted::start(move |_, _| {
        let challenge = format!(r#"Bearer realm="http://localhost:{port}/token",service="r""#);
        Some(Reply::new(401, &[("www-authenticate", &challenge)], ""))
    })
    .await;
    let error = with_account(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Elsewhere { reason, .. } if reason.contains("another domain")), "{error}");
    assert_eq!(thief.lines(), [""; 0]);
    assert!(!format!("{:?}", with_account(&fake)).contains("\"p\""), "nor does a log");
}

#[tokio::test]
async fn basic_is_shown_where_it_is_asked_for() {
    let fake = Scripted::start(|request, _| match request.header("authorization") {
        Some("Basic dTpw") => Some(manifest_reply(&image())),
        _ => Some(Reply::new(
            401,
            &[("www-authenticate", "Basic realm=\"r\"")],
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}"#,
        )),
    })
    .await;
    assert!(with_account(&fake).manifest(&repository(), &tag("v1")).await.is_ok());
    let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("registry {} wants another account: who?", fake.address()));
}

#[tokio::test]
async fn a_refusal_without_a_challenge_is_a_refusal() {
    let fake = Scripted::start(|_, _| Some(Reply::new(401, &[], ""))).await;
    let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(error.to_string().ends_with("it answered 401 to a request without an account"), "{error}");
    let error = with_account(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(error.to_string().ends_with("it answered 401 to account u"), "{error}");
}

#[tokio::test]
async fn a_token_service_that_fails_is_an_outage_and_one_that_refuses_is_not() {
    for (status, outage) in [(503, true), (403, false)] {
        let fake = Scripted::start(move |request, _| {
            let challenge = format!(r#"Bearer realm="http://{}/token""#, request.header("host").unwrap_or_default());
            Some(if request.line.starts_with("GET /token") {
                Reply::new(status, &[], "")
            } else {
                Reply::new(401, &[("www-authenticate", &challenge)], "")
            })
        })
        .await;
        let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
        assert_eq!(error.is_outage(), outage, "{error}");
    }
}
