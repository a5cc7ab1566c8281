use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::media_type::*;

const D: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": D, "size": 2})
}

fn image() -> Value {
    json!({"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": descriptor(IMAGE_CONFIG), "layers": [descriptor("layer")]})
}

fn index() -> Value {
    json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [descriptor(IMAGE_MANIFEST)]})
}

/// `document` with `members` in it; `null` takes a member away.
fn with(mut document: Value, members: Value) -> Value {
    let Value::Object(members) = members else { unreachable!("members are an object") };
    let object = document.as_object_mut().unwrap();
    for (key, value) in members {
        if value.is_null() {
            object.remove(&key)
        } else {
            object.insert(key, value)
        };
    }
    document
}

fn parse(content_type: Option<&str>, document: &Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(content_type, Bytes::from(document.to_string()))
}

fn accepted(document: &Value) -> Manifest {
    parse(document["mediaType"].as_str(), document).unwrap_or_else(|error| panic!("{error}: {document}"))
}

fn refused(document: &Value) -> ManifestError {
    parse(document["mediaType"].as_str(), document).expect_err(&document.to_string())
}

#[test]
fn bytes_stay_as_they_are() {
    let bytes = Bytes::from(format!("{}\n", serde_json::to_string_pretty(&image()).unwrap()));
    let manifest = Manifest::parse(None, bytes.clone()).unwrap();
    assert_eq!(manifest.bytes(), &bytes);
    assert_eq!(manifest.digest(), &Digest::of(&bytes));
}

#[test]
fn the_parts_of_an_image_and_an_index() {
    let manifest = accepted(&with(image(), json!({"annotations": {"b": "2", "a": "1"}, "subject": descriptor(IMAGE_INDEX)})));
    assert_eq!((manifest.kind(), manifest.media_type()), (Kind::Image, IMAGE_MANIFEST));
    assert_eq!(manifest.config().unwrap().media_type, IMAGE_CONFIG);
    assert_eq!((manifest.layers().len(), manifest.contents().count()), (1, 2));
    assert_eq!(manifest.subject().unwrap().digest.as_str(), D);
    assert_eq!(manifest.annotations().keys().collect::<Vec<_>>(), ["a", "b"]);
    let platform = json!({"os": "linux", "architecture": "arm64", "os.version": "1", "features": ["x"]});
    let child = with(descriptor(IMAGE_MANIFEST), json!({"platform": platform}));
    let manifest = accepted(&with(index(), json!({"manifests": [child]})));
    assert_eq!(manifest.manifests()[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
}

/// Everything that a registry has to take.
#[test]
fn unusual_documents_are_accepted() {
    let data = with(descriptor("m"), json!({"data": "e30="}));
    let foreign = with(
        descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        json!({"urls": ["https://layers.example/1"]}),
    );
    let wide = json!({"mediaType": "m", "digest": format!("sha512:{}", "0".repeat(128)), "size": 0});
    let unknown = with(descriptor(IMAGE_MANIFEST), json!({"platform": {"os": "unknown", "architecture": "unknown"}}));
    for document in [
        with(image(), json!({"x-custom": {"a": [1, 2]}, "org.example": true})),
        with(image(), json!({"layers": []})),
        with(image(), json!({"layers": [data, foreign, wide]})),
        with(image(), json!({"artifactType": "application/x"})),
        with(image(), json!({"artifactType": "application/x", "config": descriptor(EMPTY)})),
        with(image(), json!({"subject": descriptor(IMAGE_MANIFEST)})),
        with(image(), json!({"mediaType": DOCKER_MANIFEST, "config": descriptor(DOCKER_CONFIG)})),
        with(index(), json!({"manifests": []})),
        with(index(), json!({"manifests": [descriptor(IMAGE_INDEX), unknown]})),
        with(index(), json!({"artifactType": "application/x", "subject": descriptor(IMAGE_INDEX)})),
        with(index(), json!({"mediaType": DOCKER_LIST})),
        with(index(), json!({"manifests": [descriptor("application/x-unknown")]})),
        json!({"mediaType": ARTIFACT_MANIFEST, "artifactType": "application/x", "blobs": [descriptor("m")], "subject": descriptor("m")}),
    ] {
        accepted(&document);
    }
    let external = accepted(&with(image(), json!({"layers": [with(descriptor("l"), json!({"urls": ["https://l.example"]}))]})));
    assert!(external.layers()[0].is_external());
}

#[test]
fn a_large_manifest_is_accepted_up_to_the_limit() {
    let annotations: serde_json::Map<_, _> = (0..390).map(|i| (i.to_string(), "x".repeat(10_000).into())).collect();
    accepted(&with(image(), json!({"annotations": annotations})));
    let mut bytes = image().to_string().into_bytes();
    bytes.resize(MAX_MANIFEST_BYTES, b' ');
    assert!(Manifest::parse(None, bytes.clone().into()).is_ok());
    bytes.push(b' ');
    let error = Manifest::parse(None, bytes.into()).unwrap_err();
    assert_eq!(error, ManifestError::TooLarge(MAX_MANIFEST_BYTES + 1));
    assert_eq!(error.error_code(), ErrorCode::SizeInvalid);
}

#[test]
fn the_type_is_the_headers_or_the_documents_and_both_agree() {
    let untyped = with(image(), json!({"mediaType": null}));
    let parameters = format!("{IMAGE_MANIFEST}; charset=utf-8");
    assert_eq!(parse(Some(&parameters), &image()).unwrap().media_type(), IMAGE_MANIFEST, "parameters are ignored");
    assert_eq!(parse(Some(DOCKER_MANIFEST), &untyped).unwrap().media_type(), DOCKER_MANIFEST);
    assert_eq!(parse(None, &with(image(), json!({"mediaType": DOCKER_MANIFEST}))).unwrap().media_type(), DOCKER_MANIFEST);
    assert_eq!(parse(Some(""), &image()).unwrap().media_type(), IMAGE_MANIFEST, "an empty header is none");
    let two = ManifestError::TwoTypes { header: IMAGE_INDEX.into(), body: IMAGE_MANIFEST.into() };
    assert_eq!(parse(Some(IMAGE_INDEX), &image()).unwrap_err(), two);
    assert!(matches!(parse(Some("application/json"), &untyped), Err(ManifestError::UnknownType(_))));
}

#[test]
fn without_a_type_the_members_tell() {
    let untyped = |document| with(document, json!({"mediaType": null}));
    assert_eq!(parse(None, &untyped(image())).unwrap().media_type(), IMAGE_MANIFEST);
    assert_eq!(parse(None, &untyped(index())).unwrap().media_type(), IMAGE_INDEX);
    assert_eq!(parse(None, &with(index(), json!({"mediaType": "", "manifests": []}))).unwrap().kind(), Kind::Index);
    assert_eq!(parse(None, &json!({"schemaVersion": 2})).unwrap_err(), ManifestError::NoType);
}

#[test]
fn a_document_that_is_two_things_is_refused() {
    let confused = |document: &Value| match refused(document) {
        ManifestError::Confused { member, .. } => member,
        other => panic!("{other}"),
    };
    assert_eq!(confused(&with(image(), json!({"manifests": []}))), "manifests");
    assert_eq!(confused(&with(index(), json!({"layers": []}))), "layers");
    assert_eq!(confused(&with(index(), json!({"config": descriptor(IMAGE_CONFIG)}))), "config");
    assert_eq!(confused(&with(image(), json!({"fsLayers": []}))), "fsLayers");
    assert_eq!(confused(&with(index(), json!({"fsLayers": []}))), "fsLayers");
    let document = format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE_INDEX}","manifests":[],"layers":null}}"#);
    assert!(matches!(Manifest::parse(None, document.into()), Err(ManifestError::Confused { .. })), "null is there too");
}

#[test]
fn refusals_are_the_registrys_word() {
    let bad_digest = json!({"mediaType": "m", "digest": "md5:d41d8cd98f00b204e9800998ecf8427e", "size": 0});
    let refusals = [
        (refused(&with(image(), json!({"schemaVersion": 1}))), "schemaVersion is 1, expected 2"),
        (refused(&with(image(), json!({"schemaVersion": null}))), "not an image manifest"),
        (refused(&with(image(), json!({"schemaVersion": "2"}))), "not an image manifest"),
        (refused(&with(image(), json!({"config": null}))), "config"),
        (refused(&with(image(), json!({"layers": null}))), "layers"),
        (refused(&with(image(), json!({"layers": {}}))), "not an image manifest"),
        (refused(&with(image(), json!({"annotations": {"a": 1}}))), "not an image manifest"),
        (refused(&with(image(), json!({"layers": [with(descriptor("m"), json!({"size": -1}))]}))), "not an image manifest"),
        (refused(&with(image(), json!({"layers": [with(descriptor("m"), json!({"size": 1.5}))]}))), "not an image manifest"),
        (refused(&with(image(), json!({"layers": [with(descriptor("m"), json!({"size": 1_u64 << 63}))]}))), "in `layers`"),
        (refused(&with(image(), json!({"layers": [bad_digest]}))), "in `layers`"),
        (refused(&with(image(), json!({"layers": [with(descriptor("m"), json!({"digest": "sha256:00"}))]}))), ""),
        (refused(&with(image(), json!({"subject": "x"}))), "not an image manifest"),
        (refused(&with(image(), json!({"Config": 1}))), "letter case"),
        (refused(&with(index(), json!({"manifests": null}))), "manifests"),
        (refused(&with(index(), json!({"mediaType": DOCKER_SCHEMA_ONE_SIGNED}))), "schema 1"),
        (refused(&with(index(), json!({"mediaType": "application/x"}))), "`application/x` is not that of a manifest"),
        (refused(&with(index(), json!({"mediaType": 1}))), "not a manifest"),
        (refused(&json!([])), "not an object"),
    ];
    for (error, text) in refusals {
        assert!(error.to_string().contains(text), "{error} should contain {text}");
        assert_eq!(error.error_code(), ErrorCode::ManifestInvalid, "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn the_artifact_type_of_a_referrer() {
    let of = |document: Value| accepted(&document).artifact_type().map(str::to_owned);
    assert_eq!(of(with(image(), json!({"artifactType": "application/a"}))).as_deref(), Some("application/a"));
    assert_eq!(of(image()).as_deref(), Some(IMAGE_CONFIG), "an image is what its configuration is");
    assert_eq!(of(with(image(), json!({"artifactType": ""}))).as_deref(), Some(IMAGE_CONFIG));
    let typed_config = with(descriptor(EMPTY), json!({"artifactType": "application/in-config"}));
    assert_eq!(
        of(with(image(), json!({"config": typed_config}))).as_deref(),
        Some(EMPTY),
        "the configuration's own does not count"
    );
    assert_eq!(of(with(index(), json!({"artifactType": "application/a"}))).as_deref(), Some("application/a"));
    assert_eq!(of(index()), None, "an index without one has none");
}

#[test]
fn the_listing_is_taken_from_the_manifest() {
    let annotated = with(image(), json!({"annotations": {"a": "1"}, "artifactType": "application/a"}));
    let manifest = accepted(&annotated);
    let entry = manifest.referrer_descriptor(manifest.digest().clone());
    let size = annotated.to_string().len();
    let expected = format!(
        r#"{{"mediaType":"{IMAGE_MANIFEST}","digest":"{}","size":{size},"artifactType":"application/a","annotations":{{"a":"1"}}}}"#,
        manifest.digest()
    );
    assert_eq!(entry.to_json(), expected);
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes: Vec<u8>, content_type in proptest::option::of("\\PC*")) {
        prop_assert!(Manifest::parse(content_type.as_deref(), bytes.into()).is_err());
    }

    #[test]
    fn no_member_breaks_it(key in "(schemaVersion|mediaType|artifactType|config|layers|manifests|subject|annotations|x)", value in value(), of_index: bool) {
        let document = with(if of_index { index() } else { image() }, json!({(key): value}));
        if let Ok(manifest) = parse(None, &document) {
            prop_assert!(MANIFESTS.contains(&manifest.media_type()));
            let written = document.to_string();
            prop_assert_eq!(&manifest.bytes()[..], written.as_bytes());
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(descriptor("m")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}|digest|size", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
