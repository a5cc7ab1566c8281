//! What is not in order is answered with the status and the error code that clients of registries know, and what is, as they expect
//! (OCI distribution specification 1.1).

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use integration::gateway::Gateway;
use integration::image::{Content, INDEX, Image, MANIFEST, sha256};
use integration::registry::{Answer, Registry};
use reqwest::Method;
use serde_json::{Value, json};

const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");
/// The digest of nothing that is pushed here.
const ABSENT: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

async fn started() -> (Gateway, Registry, Image) {
    let mut gateway = Gateway::init();
    gateway.start().await;
    let (registry, image) = (gateway.registry(), Image::two_platforms("contract"));
    registry.push("team/app", "1", &image).await;
    (gateway, registry, image)
}

#[track_caller]
fn refused(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {answer}");
    assert!(answer.header("content-type").starts_with("application/json"), "{what}: {answer}");
    let body = answer.json();
    let message = body["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && !message.contains('\n'), "{what}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_manifests() {
    let (_gateway, registry, image) = started().await;
    let good: Value = serde_json::from_slice(&image.platforms[0].bytes).unwrap();
    let with = |change: Value| {
        let mut manifest = good.clone();
        manifest.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        manifest.to_string().into_bytes()
    };
    let deep = format!("{{\"schemaVersion\":2,\"a\":{}{}}}", "[".repeat(100), "]".repeat(100)).into_bytes();
    let missing = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": ABSENT, "size": 3});
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let cases: Vec<(&str, &str, Vec<u8>, u16, &str)> = vec![
        ("not JSON", MANIFEST, b"nonsense".to_vec(), 400, "MANIFEST_INVALID"),
        ("nothing", MANIFEST, Vec::new(), 400, "MANIFEST_INVALID"),
        ("a list", MANIFEST, b"[]".to_vec(), 400, "MANIFEST_INVALID"),
        ("another media type than it says", INDEX, with(json!({"annotations": {"a": "b"}})), 400, "MANIFEST_INVALID"),
        ("image and index at once", MANIFEST, with(json!({"manifests": []})), 400, "MANIFEST_INVALID"),
        ("schema 1", schema1, with(json!({"mediaType": schema1})), 400, "MANIFEST_INVALID"),
        ("a layer without a digest", MANIFEST, with(json!({"layers": [{"size": 1}]})), 400, "MANIFEST_INVALID"),
        (
            "a layer with a bad digest",
            MANIFEST,
            with(json!({"layers": [{"mediaType": "a/b", "digest": "sha256:12", "size": 1}]})),
            400,
            "MANIFEST_INVALID",
        ),
        ("nested too deeply", MANIFEST, deep, 400, "MANIFEST_INVALID"),
        ("a layer that is not there", MANIFEST, with(json!({"layers": [missing]})), 400, "MANIFEST_BLOB_UNKNOWN"),
        (
            "a platform that is not there",
            INDEX,
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": ABSENT, "size": 3}]})
            .to_string()
            .into_bytes(),
            400,
            "MANIFEST_BLOB_UNKNOWN",
        ),
        ("more than 4 MiB", MANIFEST, with(json!({"annotations": {"a": "x".repeat(5 << 20)}})), 413, "SIZE_INVALID"),
    ];
    for (what, media_type, bytes, status, code) in cases {
        let manifest = Content::new(media_type, bytes);
        let answer = registry.put_manifest("team/app", "bad", &manifest).await.unwrap();
        refused(what, &answer, status, code);
        let _ = registry.manifest("team/app", &manifest.digest).await.expect(404);
    }
    // Each missing reference is named.
    let two = with(json!({"layers": [missing, {"mediaType": "a/b", "digest": sha256(b"absent"), "size": 6}]}));
    let answer = registry.put_manifest("team/app", "bad", &Content::new(MANIFEST, two)).await.unwrap();
    let details: Vec<Value> = answer.json()["errors"].as_array().unwrap().iter().map(|error| error["detail"].clone()).collect();
    let named = |digest: &str| details.iter().any(|detail| detail.to_string().contains(digest));
    assert!(details.len() == 2 && named(ABSENT) && named(&sha256(b"absent")), "{answer}");
    assert_eq!(registry.tags("team/app").await, ["1"]);
    registry.assert_whole("team/app", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_and_digests() {
    let (_gateway, registry, image) = started().await;
    let root = &image.root;
    let long = "a".repeat(300);
    for name in ["Team/app", "team//app", "team/app-", "_team/app", "team/app..b", "te%20am", "team%2Fapp", &long] {
        let answer = registry.get(&format!("/v2/{name}/manifests/1")).await;
        assert!(answer.status == 400 || answer.status == 404, "{name}: {answer}");
        let answer = registry.put_manifest(name, "1", root).await.unwrap();
        if name.contains("//") {
            assert!(answer.status == 400 || answer.status == 404, "{name}: {answer}");
        } else {
            refused(name, &answer, 400, "NAME_INVALID");
        }
    }
    for digest in ["sha256:12", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", &root.digest.to_ascii_uppercase(), "sha256:zz"]
    {
        refused(digest, &registry.put_manifest("team/app", digest, root).await.unwrap(), 400, "DIGEST_INVALID");
        let answer = registry.blob("team/app", digest).await;
        assert!([400, 404].contains(&answer.status) && !answer.code().is_empty(), "{digest}: {answer}");
        let answer = registry.get(&format!("/v2/team/app/referrers/{digest}")).await;
        refused(digest, &answer, 400, "DIGEST_INVALID");
    }
    for tag in ["-1", ".1", "a b", &"x".repeat(129)] {
        let answer = registry.put_manifest("team/app", tag, root).await.unwrap();
        assert!(answer.status == 400 && !answer.code().is_empty(), "{tag}: {answer}");
    }
    refused(
        "another digest than its own",
        &registry.put_manifest("team/app", ABSENT, root).await.unwrap(),
        400,
        "DIGEST_INVALID",
    );
    let sha512 = format!("sha512:{}", "0".repeat(128));
    refused("another SHA-512", &registry.put_manifest("team/app", &sha512, root).await.unwrap(), 400, "DIGEST_INVALID");

    refused("no such tag", &registry.manifest("team/app", "2").await, 404, "MANIFEST_UNKNOWN");
    refused("no such manifest", &registry.manifest("team/app", ABSENT).await, 404, "MANIFEST_UNKNOWN");
    refused("no such blob", &registry.blob("team/app", ABSENT).await, 404, "BLOB_UNKNOWN");
    refused("no such repository", &registry.get("/v2/team/none/tags/list").await, 404, "NAME_UNKNOWN");
    refused("no such path", &registry.get("/v2/team/app/nothing").await, 404, &registry.get("/v2/team/app/nothing").await.code());
    // A blob of one repository is not one of another.
    refused(
        "elsewhere",
        &registry.blob("team/other", &image.blobs[0].digest).await,
        404,
        &registry.blob("team/other", &image.blobs[0].digest).await.code(),
    );
    // Nobody has to be told that there are no referrers.
    for repository in ["team/app", "team/none"] {
        let none = registry.get(&format!("/v2/{repository}/referrers/{ABSENT}")).await.expect(200);
        assert_eq!(none.header("content-type"), INDEX);
        assert_eq!(none.json(), json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));
    }
    for n in ["-1", "many"] {
        refused(n, &registry.get(&format!("/v2/team/app/tags/list?n={n}")).await, 400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_blobs_and_uploads() {
    let (_gateway, registry, _image) = started().await;
    let begin = async || {
        let begun = registry.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], []).await.expect(202);
        begun.header("location").to_owned()
    };
    let with_digest =
        |location: &str, digest: &str| format!("{location}{}digest={digest}", if location.contains('?') { '&' } else { '?' });
    for (what, digest) in [("other bytes", ABSENT), ("half a digest", "sha256:12"), ("no algorithm", "0000"), ("nothing", "")] {
        let location = begin().await;
        let answer = registry.send(Method::PUT, &with_digest(&location, digest), &[OCTETS], b"bytes".to_vec()).await;
        refused(what, &answer, 400, "DIGEST_INVALID");
    }
    let _ = registry.blob("team/app", ABSENT).await.expect(404);
    // A digest that does not fit ends the upload: nothing of it can be made visible later.
    let location = begin().await;
    let _ = registry.send(Method::PUT, &with_digest(&location, ABSENT), &[OCTETS], b"bytes".to_vec()).await.expect(400);
    let answer = registry.send(Method::GET, &location, &[], []).await;
    refused("over", &answer, 404, "BLOB_UPLOAD_UNKNOWN");
    let unknown = "/v2/team/app/blobs/uploads/6f1e3f0e-0000-4000-8000-000000000000";
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = registry.send(method.clone(), unknown, &[OCTETS], []).await;
        refused(method.as_str(), &answer, 404, "BLOB_UPLOAD_UNKNOWN");
    }

    // Chunks: the second is sent too late, and then where it belongs.
    let bytes: Vec<u8> = (0..3000_u32).map(|at| at as u8).collect();
    let patch = async |location: &str, range: &str, bytes: &[u8]| {
        registry.send(Method::PATCH, location, &[OCTETS, ("content-range", range)], bytes.to_vec()).await
    };
    let location = begin().await;
    let first = patch(&location, "0-999", &bytes[..1000]).await.expect(202);
    assert_eq!(first.header("range"), "0-999", "{first}");
    let location = first.header("location").to_owned();
    for (what, range, part) in [
        ("a gap", "2000-2999", &bytes[2000..]),
        ("again", "0-999", &bytes[..1000]),
        ("another length", "1000-1999", &bytes[1000..1500]),
        ("backwards", "1999-1000", &bytes[1000..2000]),
    ] {
        let answer = patch(&location, range, part).await;
        assert_eq!(answer.status, 416, "{what}: {answer}");
        assert_eq!(answer.header("range"), "0-999", "{what}: {answer}");
    }
    let status = registry.send(Method::GET, &location, &[], []).await.expect(204);
    assert_eq!(status.header("range"), "0-999", "{status}");
    let second = patch(&location, "1000-1999", &bytes[1000..2000]).await.expect(202);
    let digest = sha256(&bytes);
    let last = [OCTETS, ("content-range", "2000-2999")];
    let url = with_digest(second.header("location"), &digest);
    let put = registry.send(Method::PUT, &url, &last, bytes[2000..].to_vec()).await.expect(201);
    assert_eq!(put.header("docker-content-digest"), digest, "{put}");
    assert_eq!(registry.blob("team/app", &digest).await.expect(200).body, bytes);

    // Somebody else's repository does not continue an upload, and mounting what is not there opens one.
    let location = begin().await;
    let answer = registry.send(Method::GET, &location.replace("team/app", "team/other"), &[], []).await;
    assert!([400, 404].contains(&answer.status), "{answer}");
    for query in [format!("mount={digest}&from=team/none"), format!("mount={ABSENT}&from=team/app"), "mount=nonsense".to_owned()]
    {
        let answer = registry.send(Method::POST, &format!("/v2/team/other/blobs/uploads/?{query}"), &[], []).await;
        assert!(answer.status == 202 || (answer.status == 400 && query.ends_with("nonsense")), "{query}: {answer}");
    }
    let mounted =
        registry.send(Method::POST, &format!("/v2/team/other/blobs/uploads/?mount={digest}&from=team/app"), &[], []).await;
    assert_eq!(mounted.expect(201).header("docker-content-digest"), digest);
    assert_eq!(registry.blob("team/other", &digest).await.expect(200).body, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_blobs() {
    let (_gateway, registry, _image) = started().await;
    let blob = Content::new("application/octet-stream", (0..2048_u32).map(|at| at as u8).collect());
    registry.push_blob("team/app", &blob).await.unwrap();
    let path = format!("/v2/team/app/blobs/{}", blob.digest);
    let ask = async |range: &str| registry.send(Method::GET, &path, &[("range", range)], []).await;
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=0-0", 0, 0),
        ("bytes=2047-2047", 2047, 2047),
        ("bytes=-5000", 0, 2047),
    ] {
        let answer = ask(range).await.expect(206);
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/2048"), "{range}");
        assert_eq!(answer.body, blob.bytes[first..=last], "{range}");
    }
    for range in ["bytes=5000-10000", "bytes=2048-", "bytes=-0"] {
        let answer = ask(range).await.expect(416);
        assert_eq!(answer.header("content-range"), "bytes */2048", "{range}: {answer}");
    }
    // What is no single range of bytes is not asked for (RFC 9110 §14.2).
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=x-y"] {
        let answer = ask(range).await;
        let whole = answer.status == 200 && answer.body == blob.bytes;
        assert!(whole || answer.status == 416 || (answer.status == 206 && range.contains(',')), "{range}: {answer}");
    }
    let head = registry.send(Method::HEAD, &path, &[], []).await.expect(200);
    assert_eq!((head.header("content-length"), head.header("accept-ranges"), head.body.len()), ("2048", "bytes", 0));
    assert_eq!(head.header("docker-content-digest"), blob.digest);
    let etag = head.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", blob.digest));
    let _ = registry.send(Method::GET, &path, &[("if-none-match", &etag)], []).await.expect(304);
}

/// What clients send that others refuse, and what each kind of client reads in the answers.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_taken_is_taken_and_answered_as_clients_read_it() {
    let (_gateway, registry, image) = started().await;
    let manifest = |change: Value| {
        let mut manifest: Value = serde_json::from_slice(&image.platforms[0].bytes).unwrap();
        manifest.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Content::json(MANIFEST, &manifest)
    };
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let elsewhere =
        json!([{"mediaType": foreign, "digest": sha256(b"elsewhere"), "size": 9, "urls": ["https://layers.example/1"]}]);
    for (what, taken) in [
        ("members nobody knows", manifest(json!({"x-custom": {"a": [1, 2]}}))),
        ("no layers", manifest(json!({"layers": []}))),
        ("a subject that is not there", manifest(json!({"subject": {"mediaType": MANIFEST, "digest": ABSENT, "size": 7}}))),
        ("layers of somebody else", manifest(json!({"layers": elsewhere}))),
        ("an empty index", Content::json(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}))),
        (
            "an index in an index",
            Content::json(
                INDEX,
                &json!({
                    "schemaVersion": 2, "mediaType": INDEX, "artifactType": "application/vnd.example.list", "manifests": [image.root.descriptor()],
                    "subject": image.root.descriptor(),
                }),
            ),
        ),
    ] {
        let answer = registry.put_manifest("team/app", &taken.digest, &taken).await.unwrap();
        assert_eq!(answer.status, 201, "{what}: {answer}");
        assert_eq!(answer.header("docker-content-digest"), taken.digest, "{what}");
        let subject = serde_json::from_slice::<Value>(&taken.bytes).unwrap()["subject"]["digest"].as_str().map(str::to_owned);
        assert_eq!(answer.header("oci-subject"), subject.unwrap_or_default(), "{what}");
        let read = registry.manifest("team/app", &taken.digest).await.expect(200);
        assert_eq!((read.body, read.headers["content-type"].as_bytes()), (taken.bytes, taken.media_type.as_bytes()), "{what}");
    }
    // By digest with tags, without a tag of its own; without Accept; with none that fits.
    let path = format!("/v2/team/app/manifests/{}?tag=a&tag=b", image.root.digest);
    let put = registry.send(Method::PUT, &path, &[("content-type", INDEX)], image.root.bytes.clone()).await.expect(201);
    assert_eq!(put.headers.get_all("oci-tag").iter().count(), 2, "{put}");
    assert_eq!(registry.tags("team/app").await, ["1", "a", "b"]);
    for accept in ["*/*", "application/json", MANIFEST] {
        let answer = registry.send(Method::GET, "/v2/team/app/manifests/a", &[("accept", accept)], []).await.expect(200);
        assert_eq!((answer.header("content-type"), &answer.body), (INDEX, &image.root.bytes));
    }
    let page = registry.get("/v2/team/app/tags/list?n=2").await.expect(200);
    assert_eq!(page.json(), json!({"name": "team/app", "tags": ["1", "a"]}));
    assert!(page.header("link").contains("last=a") && page.header("link").contains("rel=\"next\""), "{page}");
    assert_eq!(registry.get("/v2/team/app/tags/list?last=a").await.json()["tags"], json!(["b"]));
    // A blob under a SHA-512, which only the last request of its upload names.
    let bytes = b"twice named".to_vec();
    let sha512 = format!("sha512:{}", hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes)));
    let blob = Content { media_type: "application/octet-stream".to_owned(), bytes, digest: sha512.clone() };
    registry.push_blob("team/app", &blob).await.unwrap();
    let read = registry.blob("team/app", &sha512).await.expect(200);
    assert_eq!((read.header("docker-content-digest"), read.body.as_slice()), (sha512.as_str(), blob.bytes.as_slice()));
    // What is never compressed on the way.
    let read = registry.send(Method::GET, "/v2/team/app/manifests/1", &[("accept-encoding", "zstd, gzip")], []).await.expect(200);
    assert_eq!((read.header("content-encoding"), &read.body), ("", &image.root.bytes));
}
