use super::*;

const SIZE: usize = 100_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at % 251) as u8).collect()
}

fn digest() -> Digest {
    Digest::of(&content())
}

/// The part of the content that the request's `Range` asks for.
fn ranged(request: &Request) -> Reply {
    match request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()) {
        Some(from) => {
            let range = format!("bytes {from}-{}/{SIZE}", SIZE - 1);
            Reply::new(206, &[("content-range", &range)], &content()[from..])
        }
        None => Reply::new(200, &[], content()),
    }
}

async fn pull(fake: &Scripted) -> Result<(Vec<u8>, u32), (Vec<u8>, RegistryError)> {
    let mut received = Vec::new();
    let mut stream = registry(fake).blob(&repository(), &digest()).await.map_err(|error| (Vec::new(), error))?;
    loop {
        match stream.next().await {
            Ok(Some(bytes)) => received.extend_from_slice(&bytes),
            Ok(None) => return Ok((received, stream.resumed())),
            Err(error) => {
                assert_eq!(stream.next().await, Ok(None), "nothing follows an error");
                return Err((received, error));
            }
        }
    }
}

#[tokio::test]
async fn a_blob_comes_whole() {
    let fake = Scripted::start(|request, _| Some(ranged(request))).await;
    assert_eq!(pull(&fake).await.unwrap(), (content(), 0));
    assert_eq!(registry(&fake).blob_size(&repository(), &digest()).await, Ok(Some(SIZE as u64)));
}

#[tokio::test]
async fn a_cut_connection_is_continued_by_range() {
    let fake =
        Scripted::start(|request, before| Some(if before == 0 { ranged(request).cut_after(SIZE / 2) } else { ranged(request) }))
            .await;
    assert_eq!(pull(&fake).await.unwrap(), (content(), 1));
    assert_eq!(fake.lines().len(), 2);
    assert!(fake.requests()[1].header("range").is_some_and(|range| range.starts_with("bytes=")));
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_sends_all_again_and_nothing_twice() {
    let fake = Scripted::start(|_, before| {
        let whole = Reply::new(200, &[], content());
        Some(if before == 0 { whole.cut_after(SIZE / 2) } else { whole })
    })
    .await;
    assert_eq!(pull(&fake).await.unwrap(), (content(), 1));
}

#[tokio::test]
async fn a_registry_that_vanishes_half_way_is_waited_for_and_given_up() {
    let fake = Scripted::start(|request, before| (before == 0).then(|| ranged(request).cut_after(SIZE / 2))).await;
    let (received, error) = pull(&fake).await.unwrap_err();
    assert!(error.is_outage() && !received.is_empty() && received.len() <= SIZE / 2, "{error}");
    let fake = Scripted::start(|request, before| match before {
        0 => Some(ranged(request).cut_after(SIZE / 2)),
        1 => None,
        2 => Some(Reply::new(503, &[], "")),
        _ => Some(ranged(request)),
    })
    .await;
    assert_eq!(pull(&fake).await.unwrap(), (content(), 3), "back in time");
}

#[tokio::test]
async fn every_connection_cut_still_makes_progress() {
    let fake = Scripted::start(|request, _| {
        let reply = ranged(request);
        Some(
            reply.cut_after(
                10_000.min(
                    SIZE - request
                        .header("range")
                        .and_then(|range| range["bytes=".len()..].trim_end_matches('-').parse().ok())
                        .unwrap_or(0),
                ),
            ),
        )
    })
    .await;
    let (received, resumed) = pull(&fake).await.unwrap();
    assert_eq!(received, content());
    assert!(resumed >= 9, "{resumed}");
}

#[tokio::test]
async fn wrong_bytes_are_an_error_at_the_end() {
    let mut wrong = content();
    wrong[SIZE - 1] ^= 1;
    let fake = Scripted::start(move |_, _| Some(Reply::new(200, &[], wrong.clone()))).await;
    let (_, error) = pull(&fake).await.unwrap_err();
    assert!(matches!(&error, RegistryError::DigestMismatch { expected, .. } if *expected == digest()), "{error}");
    assert_eq!(fake.lines().len(), 1, "a lie is not asked for again");
}

#[tokio::test]
async fn a_shorter_blob_that_claims_to_be_whole_is_an_error() {
    let fake = Scripted::start(|_, _| Some(Reply::new(200, &[], &content()[..SIZE / 2]))).await;
    assert!(matches!(pull(&fake).await.unwrap_err().1, RegistryError::DigestMismatch { .. }));
}

#[tokio::test]
async fn another_range_or_size_than_before_is_an_error() {
    for range in ["bytes 0-99999/100000", "bytes 50000-99999/100001", "bytes 50000-", "chunks 50000-99999/100000"] {
        let fake = Scripted::start(move |request, before| {
            Some(if before == 0 {
                ranged(request).cut_after(SIZE / 2)
            } else {
                Reply::new(206, &[("content-range", range)], "x")
            })
        })
        .await;
        let (_, error) = pull(&fake).await.unwrap_err();
        assert!(matches!(error, RegistryError::Malformed { .. }), "{range}: {error}");
    }
    let fake = Scripted::start(|request, before| {
        Some(if before == 0 { ranged(request).cut_after(SIZE / 2) } else { Reply::new(200, &[], "short") })
    })
    .await;
    assert!(matches!(pull(&fake).await.unwrap_err().1, RegistryError::Malformed { .. }));
}

#[tokio::test]
async fn a_missing_blob_is_not_found() {
    let fake = Scripted::start(|_, _| Some(Reply::new(404, &[], ""))).await;
    assert!(matches!(pull(&fake).await.unwrap_err().1, RegistryError::NotFound { .. }));
    let fake = Scripted::start(|request, before| {
        Some(if before == 0 { ranged(request).cut_after(SIZE / 2) } else { Reply::new(404, &[], "") })
    })
    .await;
    assert!(matches!(pull(&fake).await.unwrap_err().1, RegistryError::NotFound { .. }), "gone half-way");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let fake = Scripted::start(|_, _| Some(Reply::new(200, &[], ""))).await;
    let mut stream = registry(&fake).blob(&repository(), &Digest::of(b"")).await.unwrap();
    assert_eq!(stream.next().await, Ok(None));
}
