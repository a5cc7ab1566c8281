use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::Explain as _;
use serde_json::json;

use super::*;

const PUSH: &str = "a secret for pushing";
const OPS: &str = "a secret for promotions";

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

/// With the files that it names, which `make` may change.
fn load(make: impl FnOnce(&std::path::Path, &mut serde_json::Value)) -> Result<Access, StartError> {
    let folder = tempfile::tempdir().unwrap();
    load_in(folder.path(), make)
}

/// In a folder that stays: promoters' secrets are read again.
fn load_in(folder: &std::path::Path, make: impl FnOnce(&std::path::Path, &mut serde_json::Value)) -> Result<Access, StartError> {
    let path = |name: &str| folder.join(name);
    std::fs::write(path("push"), format!("{PUSH}\n")).unwrap();
    std::fs::write(path("ops"), OPS).unwrap();
    let mut config = json!({"public_url": "https://registry.example:5000/", "http": {"listen": ["127.0.0.1:0"]}, "database": "d",
        "blobs": "b", "push_token_file": path("push"), "promoters": [{"name": "ops", "token_file": path("ops")}]});
    make(folder, &mut config);
    Access::load(&serde_json::from_value(config).unwrap())
}

fn locked(anonymous_pull: bool) -> Access {
    load(|_, config| config["anonymous_pull"] = anonymous_pull.into()).unwrap()
}

fn open() -> Access {
    load(|_, config| drop(config.as_object_mut().unwrap().remove("push_token_file"))).unwrap()
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

fn basic(password: &str) -> HeaderMap {
    headers(&format!("Basic {}", STANDARD.encode(format!("user:{password}"))))
}

fn bearer(token: &str) -> HeaderMap {
    headers(&format!("Bearer {token}"))
}

fn repository() -> RepositoryName {
    "team/app".parse().unwrap()
}

fn challenge(error: AccessError) -> String {
    match error {
        AccessError::Unauthorized { challenge, .. } => challenge,
        other => panic!("{other}"),
    }
}

#[test]
fn an_open_door_asks_nobody_and_knows_browsers() {
    let access = open();
    for headers in [HeaderMap::new(), basic("whatever"), headers("Negotiate x")] {
        let caller = access.caller(&headers, now()).unwrap();
        caller.may_enter().unwrap();
        caller.may_list().unwrap();
        caller.may_pull(&repository()).unwrap();
        assert_eq!(caller.may_push(&repository()).unwrap().as_str(), "anonymous");
    }
    let page = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://elsewhere.example"))]);
    let caller = access.caller(&page, now()).unwrap();
    caller.may_pull(&repository()).unwrap();
    assert_eq!(caller.may_push(&repository()), Err(AccessError::Browser));
    assert_eq!(caller.may_delete(&repository()), Err(AccessError::Browser));
}

#[test]
fn the_secret_opens_as_password_and_as_token() {
    let access = locked(false);
    for headers in [basic(PUSH), bearer(PUSH), headers(&format!("bearer  {PUSH} "))] {
        let caller = access.caller(&headers, now()).unwrap();
        caller.may_enter().unwrap();
        caller.may_list().unwrap();
        assert_eq!(caller.may_push(&repository()).unwrap().as_str(), "push token");
        assert_eq!(caller.may_delete(&repository()).unwrap().as_str(), "push token");
    }
    for headers in
        [basic("wrong"), basic(""), bearer("wrong"), bearer(OPS), headers("Basic !"), headers("Negotiate x"), headers("x")]
    {
        let challenge = challenge(access.caller(&headers, now()).unwrap_err());
        let expected =
            r#"Bearer realm="https://registry.example:5000/token",service="registry.example:5000",error="invalid_token""#;
        assert_eq!(challenge, expected);
    }
}

#[test]
fn without_credentials_the_challenge_names_what_is_needed() {
    let access = locked(false);
    let caller = access.caller(&HeaderMap::new(), now()).unwrap();
    let begin = r#"Bearer realm="https://registry.example:5000/token",service="registry.example:5000""#;
    assert_eq!(challenge(caller.may_enter().unwrap_err()), begin);
    assert_eq!(challenge(caller.may_pull(&repository()).unwrap_err()), format!(r#"{begin},scope="repository:team/app:pull""#));
    let push = format!(r#"{begin},scope="repository:team/app:pull,push""#);
    assert_eq!(challenge(caller.may_push(&repository()).unwrap_err()), push);
    assert_eq!(challenge(caller.may_list().unwrap_err()), format!(r#"{begin},scope="registry:catalog:*""#));
}

#[test]
fn anonymous_reading_still_has_to_enter() {
    let access = locked(true);
    let caller = access.caller(&HeaderMap::new(), now()).unwrap();
    assert!(caller.may_enter().is_err(), "clients would never log in");
    caller.may_pull(&repository()).unwrap();
    assert!(caller.may_push(&repository()).is_err() && caller.may_list().is_err());
}

#[test]
fn a_session_allows_what_was_asked_for_and_no_more_than_its_holder_may() {
    let access = locked(true);
    let level = |headers: &HeaderMap, wanted| {
        let token = access.session(headers, wanted, now()).unwrap();
        let session = bearer(&token);
        let caller = access.caller(&session, now()).unwrap();
        caller.may_enter().unwrap();
        caller.level.unwrap()
    };
    assert_eq!(level(&basic(PUSH), Level::Push), Level::Push);
    assert_eq!(level(&basic(PUSH), Level::Pull), Level::Pull);
    assert_eq!(level(&HeaderMap::new(), Level::Push), Level::Pull);
    assert!(access.session(&basic("wrong"), Level::Pull, now()).is_err());
    assert!(locked(false).session(&HeaderMap::new(), Level::Pull, now()).is_err());

    let token = access.session_by_password(PUSH, Level::Pull, now()).unwrap();
    assert!(access.session(&bearer(&token), Level::Push, now()).is_err(), "a session begins no other");
    let less = challenge(access.caller(&bearer(&token), now()).unwrap().may_push(&repository()).unwrap_err());
    assert!(less.ends_with(r#"scope="repository:team/app:pull,push",error="insufficient_scope""#), "{less}");
    let later = now() + jiff::SignedDuration::from_secs(SESSION_SECONDS);
    let AccessError::Unauthorized { why, .. } = access.caller(&bearer(&token), later).unwrap_err() else { panic!() };
    assert_eq!(why, Why::Expired);
}

#[test]
fn promotions_need_a_promoters_token() {
    let folder = tempfile::tempdir().unwrap();
    let access = load_in(folder.path(), |_, _| {}).unwrap();
    assert_eq!(access.promoter(&bearer(OPS)).unwrap().as_str(), "ops");
    for headers in [HeaderMap::new(), bearer("wrong"), bearer(PUSH), basic(OPS)] {
        assert_eq!(access.promoter(&headers), Err(AccessError::Promoter));
    }
}

#[test]
fn a_token_that_becomes_somebody_elses_is_nobodys() {
    const DEV: &str = "another one for promotions";
    let folder = tempfile::tempdir().unwrap();
    let access = load_in(folder.path(), |folder, config| {
        std::fs::write(folder.join("dev"), DEV).unwrap();
        config["promoters"].as_array_mut().unwrap().push(json!({"name": "dev", "token_file": folder.join("dev")}));
    });
    let access = access.unwrap();
    assert_eq!(access.promoter(&bearer(DEV)).unwrap().as_str(), "dev");
    std::fs::write(folder.path().join("dev"), OPS).unwrap();
    assert_eq!(access.promoter(&bearer(OPS)), Err(AccessError::Promoter));
    std::fs::write(folder.path().join("dev"), PUSH).unwrap();
    assert_eq!(access.promoter(&bearer(PUSH)), Err(AccessError::Promoter));
    assert_eq!(access.promoter(&bearer(OPS)).unwrap().as_str(), "ops");
}

#[test]
fn secrets_that_are_missing_short_or_shared_are_refused() {
    let code = |make: fn(&std::path::Path)| load(|folder, _| make(folder)).unwrap_err().code();
    assert_eq!(code(|folder| std::fs::remove_file(folder.join("ops")).unwrap()), "registry_secret");
    assert_eq!(code(|folder| std::fs::write(folder.join("push"), " \n").unwrap()), "registry_secret");
    assert_eq!(code(|folder| std::fs::write(folder.join("push"), "fifteen letters\n").unwrap()), "registry_secret");
    assert_eq!(code(|folder| std::fs::write(folder.join("ops"), PUSH).unwrap()), "registry_secret_shared");
}

#[test]
fn no_secret_shows() {
    assert!(!format!("{:?}", locked(true)).contains(PUSH));
}
