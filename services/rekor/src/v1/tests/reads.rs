use merkle::{EMPTY_ROOT, verify_consistency};

use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn an_empty_log_tells_of_itself() {
    let (_fixture, rekor) = Fixture::empty().await;
    let answer = get(&rekor.router(), "/api/v1/log").await;
    let info = answer.json();
    assert_eq!((&info["treeSize"], &info["rootHash"], &info["inactiveShards"]), (&json!(0), &json!(EMPTY), &json!([])));
    assert_eq!(info["treeID"], rekor.identity().tree.to_string());
    let checkpoint = read_checkpoint(rekor.identity(), info["signedTreeHead"].as_str().unwrap());
    assert_eq!((checkpoint.size, checkpoint.root), (0, EMPTY_ROOT));
    let expected = format!(
        "{{\"inactiveShards\":[],\"rootHash\":\"{EMPTY}\",\"signedTreeHead\":{},\"treeID\":\"{}\",\"treeSize\":0}}\n",
        info["signedTreeHead"],
        rekor.identity().tree
    );
    assert_eq!(answer.text(), expected);
    for name in ["cache-control", "expires", "pragma", "x-accel-expires"] {
        assert!(answer.header(name).is_some(), "{name}");
    }
    assert_eq!(get(&rekor.router(), "/api/v1/log?stable=true").await.json(), info, "unknown parameters count for nothing");
    get(&rekor.router(), "/api/v1/log/entries?logIndex=0").await.nothing();
}

#[tokio::test]
async fn the_log_tells_of_its_newest_head() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 7).await;
    let info = get(&router, "/api/v1/log").await.json();
    let checkpoint = read_checkpoint(rekor.identity(), info["signedTreeHead"].as_str().unwrap());
    assert_eq!((&info["treeSize"], &info["rootHash"]), (&json!(7), &json!(checkpoint.root.to_string())));
    assert_eq!(info["signedTreeHead"], rekor.checkpoint());
}

#[tokio::test]
async fn the_key_is_given_for_this_tree_alone() {
    let (_fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let tree = rekor.identity().tree;
    for query in ["", "?treeID=", &format!("?treeID={tree}"), &format!("?treeID=000{tree}"), "?other=1"] {
        let answer = get(&router, &format!("/api/v1/log/publicKey{query}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/x-pem-file")), "{query}");
        assert_eq!(answer.text(), rekor.identity().public_key.to_pem());
    }
    for tree in ["1", "0", "9223372036854775808", "99999999999999999999999"] {
        let answer = get(&router, &format!("/api/v1/log/publicKey?treeID={tree}")).await;
        answer.refused(400, 400, "Bad Request: no log range found for tree ID ", "tree_unknown");
    }
    for tree in ["x", "-1", "1%20", "0x1"] {
        let answer = get(&router, &format!("/api/v1/log/publicKey?treeID={tree}")).await;
        answer.refused(422, 605, "treeID in query should match '^[0-9]+$'", "request_schema");
    }
    let accepting = |accept: &str| Request::get("/api/v1/log/publicKey").header("accept", accept).body(Body::empty()).unwrap();
    assert_eq!(send(&router, accepting("application/x-pem-file")).await.status, StatusCode::OK);
    let answer = send(&router, accepting("application/json")).await;
    answer.refused(406, 406, "only [application/x-pem-file] are available", "not_acceptable");
}

#[tokio::test]
async fn consistency_is_proved_between_all_sizes() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let mut roots = vec![EMPTY_ROOT];
    for number in 0..9 {
        let (_, entry) = submit(&router, &fixture.proposal(number).await).await.entry();
        roots.push(hashes(&json!([entry["verification"]["inclusionProof"]["rootHash"]]))[0]);
    }
    for first in 1..=9_usize {
        for last in first..=9 {
            let answer = get(&router, &format!("/api/v1/log/proof?firstSize={first}&lastSize={last}&treeID=")).await;
            let proof = answer.json();
            assert_eq!(proof["rootHash"], roots[9].to_string(), "of the tree as it is now");
            let path = hashes(&proof["hashes"]);
            verify_consistency(first as u64, last as u64, &path, &roots[first], &roots[last]).unwrap();
            assert!(first != last || answer.text().starts_with("{\"hashes\":[],"));
        }
    }
    let default = get(&router, "/api/v1/log/proof?lastSize=9").await;
    assert_eq!(default.json(), get(&router, "/api/v1/log/proof?firstSize=1&lastSize=9").await.json());
}

#[tokio::test]
async fn proofs_of_what_is_not_there_are_refused() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 3).await;
    for (query, status, number, text, code) in [
        ("firstSize=3&lastSize=1", 400, 400, "firstSize(3) must be less than lastSize(1)", "query_range"),
        ("lastSize=4", 400, 400, "the tree size requested(4) was greater than what is currently observable(3)", "query_range"),
        ("lastSize=9223372036854775807", 400, 400, "currently observable(3)", "query_range"),
        ("firstSize=0&lastSize=3", 422, 609, "firstSize in query should be greater than or equal to 1", "request_schema"),
        ("firstSize=-1&lastSize=3", 422, 609, "firstSize in query", "request_schema"),
        ("lastSize=0", 422, 609, "lastSize in query", "request_schema"),
        ("firstSize=1", 422, 602, "lastSize in query is required", "request_schema"),
        ("firstSize=x&lastSize=3", 422, 601, "firstSize in query must be of type int64", "request_schema"),
        ("lastSize=9223372036854775808", 422, 601, "lastSize in query must be of type int64", "request_schema"),
        ("lastSize=3&treeID=17", 400, 400, "no log range found for tree ID 17; this log has the tree ", "tree_unknown"),
        ("lastSize=3&treeID=99999999999999999999", 400, 400, "no log range found", "tree_unknown"),
        ("lastSize=3&treeID=a", 422, 605, "treeID in query", "request_schema"),
    ] {
        get(&router, &format!("/api/v1/log/proof?{query}")).await.refused(status, number, text, code);
    }
}

#[tokio::test]
async fn entries_are_read_by_every_name_they_have() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 5).await;
    let (id, entry) = get(&router, "/api/v1/log/entries?logIndex=3").await.entry();
    assert_eq!(verify(rekor.identity(), &(id.clone(), entry.clone())), (3, 5));
    for name in [id.clone(), id.to_uppercase(), id[16..].to_owned(), id[16..].to_uppercase()] {
        let found = get(&router, &format!("/api/v1/log/entries/{name}")).await.entry();
        assert_eq!((&found.0, &found.1["logIndex"], &found.1["body"]), (&id, &json!(3), &entry["body"]));
        assert_eq!(verify(rekor.identity(), &found), (3, 5));
    }
    let wrong_tree = format!("/api/v1/log/entries/{:016x}{}", 17, &id[16..]);
    get(&router, &wrong_tree).await.nothing();
    get(&router, &format!("/api/v1/log/entries/{}", "ab".repeat(32))).await.nothing();
    get(&router, &format!("/api/v1/log/entries/{}{}", &id[..16], "ab".repeat(32))).await.nothing();
    for name in [&id[..63], &id[..79], &format!("{id}0"), "x", &"g".repeat(64)] {
        let answer = get(&router, &format!("/api/v1/log/entries/{name}")).await;
        answer.refused(422, 605, "entryUUID in path should match '^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$'", "request_schema");
    }
    for tree in ["ffffffffffffffff", "0000000000000000"] {
        let answer = get(&router, &format!("/api/v1/log/entries/{tree}{}", &id[16..])).await;
        answer.refused(400, 400, &format!("validation error: {tree} is not a valid TreeID"), "tree_unknown");
    }
}

#[tokio::test]
async fn indexes_are_numbers_of_entries() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 2).await;
    for index in ["2", "9223372036854775807"] {
        get(&router, &format!("/api/v1/log/entries?logIndex={index}")).await.nothing();
    }
    for (query, number, text) in [
        ("", 602, "logIndex in query is required"),
        ("?logIndex=", 602, "logIndex in query is required"),
        ("?logindex=1", 602, "logIndex in query is required"),
        ("?logIndex=-1", 609, "logIndex in query should be greater than or equal to 0"),
        ("?logIndex=1.0", 601, "logIndex in query must be of type int64"),
        ("?logIndex=9223372036854775808", 601, "logIndex in query must be of type int64"),
    ] {
        get(&router, &format!("/api/v1/log/entries{query}")).await.refused(422, number, text, "request_schema");
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let (fixture, rekor) = Fixture::empty().await;
    fixture.fill(&rekor.router(), 5).await;
    let (identity, before) = (rekor.identity().clone(), read_checkpoint(rekor.identity(), &rekor.checkpoint()));
    let found = get(&rekor.router(), "/api/v1/log/entries?logIndex=4").await.entry();
    rekor.close().await;

    let rekor = fixture.open().await;
    let router = rekor.router();
    assert_eq!((&rekor.identity().origin, rekor.identity().tree), (&identity.origin, identity.tree));
    let again = get(&router, "/api/v1/log/entries?logIndex=4").await.entry();
    assert_eq!(verify(&identity, &again), (4, 5));
    assert_eq!((&again.0, &again.1["integratedTime"]), (&found.0, &found.1["integratedTime"]));
    submit(&router, &fixture.proposal(5).await).await.entry();
    let after = read_checkpoint(&identity, &rekor.checkpoint());
    let proof = get(&router, "/api/v1/log/proof?firstSize=5&lastSize=6").await.json();
    verify_consistency(5, 6, &hashes(&proof["hashes"]), &before.root, &after.root).unwrap();
}

#[tokio::test]
async fn other_methods_and_paths_are_answered_as_upstream_does() {
    let (_fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    for (method, path, text, allow) in [
        (Method::PUT, "/api/v1/log/entries", "method PUT is not allowed, but [GET,POST] are", &["GET", "POST"][..]),
        (Method::DELETE, "/api/v1/log/entries/", "method DELETE is not allowed, but [GET,POST] are", &["GET", "POST"]),
        (Method::POST, "/api/v1/log", "method POST is not allowed, but [GET] are", &["GET"]),
        (Method::GET, "/api/v1/index/retrieve", "method GET is not allowed, but [POST] are", &["POST"]),
        (Method::GET, "/api/v1/log/entries/retrieve/", "method GET is not allowed, but [POST] are", &["POST"]),
    ] {
        let answer = ask(&router, method, path).await;
        answer.refused(405, 405, text, "method_not_allowed");
        let allowed = answer.header("allow").unwrap();
        assert!(allow.iter().all(|method| allowed.split(',').any(|one| one == *method)), "{allowed}");
    }
    for path in
        ["/api/v1", "/api/v1/nope", "/api/v1/version", "/api/v1/log/timestamp", "/api/v2/log/entries", "/checkpoint", "/log"]
    {
        get(&router, path).await.refused(404, 404, &format!("path {path} was not found"), "path_not_found");
    }
    assert_eq!(get(&router, "/ping").await.text(), ".");
    let home = get(&router, "/").await;
    assert!(home.header("content-type").unwrap().starts_with("text/html") && home.text().contains("/api/v1"));
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let (id, _) = post(&router, "/api/v1/log/entries/", fixture.proposal(0).await.to_string()).await.entry();
    let tree = rekor.identity().tree;
    for path in ["/api/v1/log", "/api/v1/log/publicKey", &format!("/api/v1/log/entries/{id}")] {
        assert_eq!(get(&router, &format!("{path}/")).await.status, StatusCode::OK, "{path}");
    }
    for path in
        ["/api/v1/log/proof/?lastSize=1", "/api/v1/log/entries/?logIndex=0", &format!("/api/v1/log/publicKey/?treeID={tree}")]
    {
        assert_eq!(get(&router, path).await.status, StatusCode::OK, "{path}");
    }
    let query = json!({"logIndexes": [0]}).to_string();
    assert_eq!(post(&router, "/api/v1/log/entries/retrieve/", query).await.json().as_array().unwrap().len(), 1);
    assert_eq!(post(&router, "/api/v1/index/retrieve/", "{}").await.text(), "[]\n");
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 1).await;
    for path in ["/api/v1/log/entries?logIndex=0", "/api/v1/log/entries?logIndex=1", "/api/v1/nope", "/api/v1/log/entries"] {
        let request = Request::get(path).header("origin", "https://search.example").body(Body::empty()).unwrap();
        assert_eq!(send(&router, request).await.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let preflight = Request::options("/api/v1/index/retrieve")
        .header("origin", "https://search.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, preflight).await;
    assert!(answer.status.is_success());
    assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().to_lowercase().contains("content-type"));
    let head = ask(&router, Method::HEAD, "/api/v1/log").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[test]
fn requests_are_counted_under_upstreams_names() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (fixture, rekor) = Fixture::empty().await;
            let router = rekor.router();
            fixture.fill(&router, 2).await;
            get(&router, &format!("/api/v1/log/entries/{}", "ab".repeat(32))).await.nothing();
            get(&router, "/api/v1/log/").await;
            get(&router, "/nowhere").await;
        });
    });
    let text = handle.render();
    for line in [
        "rekor_new_entries 2",
        "rekor_inclusion_proof_failure_total 0",
        "rekor_qps_by_api{method=\"POST\",path=\"/api/v1/log/entries\",code=\"201\"} 2",
        "rekor_qps_by_api{method=\"GET\",path=\"/api/v1/log/entries/{entryUUID}\",code=\"404\"} 1",
        "rekor_qps_by_api{method=\"GET\",path=\"/api/v1/log\",code=\"200\"} 1",
        "rekor_latency_by_api_count{method=\"GET\",path=\"/api/v1/log\"} 1",
        "refused_requests_total{service=\"rekor_v1\",reason=\"entry_not_found\"} 1",
    ] {
        assert!(text.contains(line), "{line} missing in:\n{text}");
    }
    assert!(!text.contains("nowhere"));
}
