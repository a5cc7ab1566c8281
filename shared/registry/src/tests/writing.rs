use bytes::Bytes;

use super::*;

#[tokio::test]
async fn a_blob_is_uploaded_in_one_piece() {
    let fake = Scripted::start(|request, _| {
        Some(match request.line.split(' ').next() {
            Some("HEAD") => Reply::new(404, &[], ""),
            Some("POST") => Reply::new(202, &[("location", "/v2/team/app/blobs/uploads/1?_state=s")], ""),
            _ => Reply::new(201, &[], ""),
        })
    })
    .await;
    let digest = registry(&fake).push_blob(&repository(), Bytes::from_static(b"x"), None).await.unwrap();
    let requests = fake.requests();
    let encoded = digest.as_str().replace(':', "%3A");
    assert_eq!(requests[1].line, "POST /v2/team/app/blobs/uploads/");
    assert_eq!(requests[1].header("content-length"), Some("0"));
    assert_eq!(requests[2].line, format!("PUT /v2/team/app/blobs/uploads/1?_state=s&digest={encoded}"));
    assert_eq!((requests[2].body.as_slice(), requests[2].header("content-length")), (&b"x"[..], Some("1")));
}

#[tokio::test]
async fn what_is_there_is_not_uploaded_and_what_is_elsewhere_is_mounted() {
    let fake = Scripted::start(|_, _| Some(Reply::new(200, &[], ""))).await;
    registry(&fake).push_blob(&repository(), Bytes::from_static(b"x"), None).await.unwrap();
    assert_eq!(fake.lines().len(), 1);
    for (status, expected) in [(201, 2), (202, 3)] {
        let fake = Scripted::start(move |request, _| {
            Some(match request.line.split(' ').next() {
                Some("HEAD") => Reply::new(404, &[], ""),
                Some("POST") => Reply::new(status, &[("location", "/v2/team/app/blobs/uploads/1")], ""),
                _ => Reply::new(201, &[], ""),
            })
        })
        .await;
        let from = "team/base".parse().unwrap();
        registry(&fake).push_blob(&repository(), Bytes::from_static(b"x"), Some(&from)).await.unwrap();
        assert_eq!(fake.lines().len(), expected);
        assert!(fake.lines()[1].ends_with("&from=team%2Fbase"));
    }
}

#[tokio::test]
async fn an_upload_does_not_leave_the_registry() {
    let fake = Scripted::start(|request, _| {
        let head = request.line.starts_with("HEAD");
        Some(Reply::new(if head { 404 } else { 202 }, &[("location", "http://198.51.100.1/upload")], ""))
    })
    .await;
    let error = registry(&fake).push_blob(&repository(), Bytes::from_static(b"x"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Elsewhere { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_is_stored_as_it_is() {
    let subject = Digest::of(b"subject").to_string();
    let fake = Scripted::start(move |_, _| Some(Reply::new(201, &[("oci-subject", &subject)], ""))).await;
    let pushed =
        registry(&fake).push_manifest(&repository(), &tag("v1"), media_type::IMAGE_MANIFEST, image().into()).await.unwrap();
    assert_eq!((pushed.digest, pushed.subject), (Digest::of(image().as_bytes()), Some(Digest::of(b"subject"))));
    let request = &fake.requests()[0];
    assert_eq!((request.line.as_str(), request.body.as_slice()), ("PUT /v2/team/app/manifests/v1", image().as_bytes()));
    assert_eq!(request.header("content-type"), Some(media_type::IMAGE_MANIFEST));
}
