use merkle::{EMPTY_ROOT, Tile, TilePath, node_hash};

use super::*;

/// RFC 6962 §2.1 to the letter.
fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// What a monitor does: all bundles and tiles that the checkpoint implies, checked against each other and its root.
async fn audit(router: &Router, identity: &Identity) -> Vec<Hash> {
    let checkpoint = read_checkpoint(identity, get(router, "/checkpoint").await.text());
    let mut leaves = Vec::new();
    for tile in (0..).map_while(|index| Tile::at(0, index, checkpoint.size)) {
        let name = TilePath::hashes(tile).to_string();
        let hashes = get(router, &format!("/{name}")).await;
        let bundle = get(router, &format!("/{}", name.replacen("tile/0/", "tile/entries/", 1))).await;
        assert_eq!((hashes.status, bundle.status), (StatusCode::OK, StatusCode::OK), "{name}");
        let bodies = bodies(&bundle.body);
        let expected: Vec<u8> = bodies.iter().flat_map(|body| *leaf_hash(body).as_bytes()).collect();
        assert_eq!((hashes.body.to_vec(), bodies.len()), (expected, usize::from(tile.width)), "{name}");
        leaves.extend(bodies.iter().map(|body| leaf_hash(body)));
    }
    assert_eq!((leaves.len() as u64, root_of(&leaves)), (checkpoint.size, checkpoint.root));
    for (index, full) in leaves.chunks_exact(256).enumerate() {
        let tile = Tile::at(1, 0, checkpoint.size).unwrap();
        let above = get(router, &format!("/{}", TilePath::hashes(tile))).await;
        assert_eq!(above.body[32 * index..32 * (index + 1)], root_of(full).as_bytes()[..]);
        assert_eq!(above.body.len(), 32 * usize::from(tile.width));
    }
    leaves
}

fn bodies(mut bundle: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk() {
        let (body, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        bodies.push(body);
        bundle = rest;
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_bundles_and_proofs_from_every_index_hold_around_tile_boundaries() {
    let (fixture, rekor) = Fixture::empty().await;
    let (router, identity) = (rekor.router(), rekor.identity().clone());
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for size in [1, 255, 256, 257, 511, 512] {
        let more = size - requests.len() as u64;
        requests.extend(fixture.fill(&router, more).await);
        let leaves = audit(&router, &identity).await;

        let mut seen = vec![false; requests.len()];
        for answer in join_all(requests.iter().map(|request| submit(&router, request.clone()))).await {
            let (index, proved) = verify(&identity, &answer.entry());
            assert_eq!((proved, answer.header("x-log-index")), (size, Some(index.to_string().as_str())));
            assert_eq!(leaf_hash(&answer.entry().canonicalized_body), leaves[index as usize]);
            seen[index as usize] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "size {size}");
    }
    drop(router);
    rekor.close().await;

    let rekor = fixture.open().await;
    assert_eq!(audit(&rekor.router(), rekor.identity()).await.len(), 512);
}

#[tokio::test]
async fn partial_tiles_are_served_for_ever_and_nothing_beyond_the_checkpoint_is() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    for path in ["/tile/0/000", "/tile/0/000.p/1", "/tile/entries/000", "/tile/entries/000.p/1", "/tile/1/000.p/1"] {
        assert!(get(&router, path).await.refusal(404, 5).starts_with("[tile_not_found] "), "{path}");
    }
    fixture.fill(&router, 300).await;

    for kind in ["0", "entries"] {
        let full = get(&router, &format!("/tile/{kind}/000")).await;
        let partial = get(&router, &format!("/tile/{kind}/000.p/7")).await;
        assert_eq!((full.status, partial.status), (StatusCode::OK, StatusCode::OK));
        assert!(full.body.starts_with(&partial.body) && !partial.body.is_empty());
        for width in [1, 43, 44] {
            assert_eq!(get(&router, &format!("/tile/{kind}/001.p/{width}")).await.status, StatusCode::OK);
        }
        for path in ["001.p/45", "001.p/255", "001", "002.p/1", "x001/000.p/1", "x018/x446/x744/x073/x709/x551/615"] {
            let answer = get(&router, &format!("/tile/{kind}/{path}")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
    assert_eq!(bodies(&get(&router, "/tile/entries/000.p/7").await.body).len(), 7);
    assert_eq!(get(&router, "/tile/1/000.p/1").await.body.len(), 32);
    for path in [
        "/tile/1/000.p/2",
        "/tile/1/000",
        "/tile/2/000.p/1",
        "/tile/63/000",
        "/tile/64/000",
        "/tile/data/000.p/1",
        "/tile/0/0",
        "/tile/00/000",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/0/000.p/07",
        "/tile/0/000/",
        "/tile/0/%30%30%30",
        "/tile/0/%ff",
        "/tile//0/000",
        "/tile/0/x000/000",
        "/tile/-1/000",
        "/tile/entries/000.p/1/2",
    ] {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn both_layouts_serve_the_same_with_the_headers_of_the_contract() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 257).await;
    for (path, content_type, cache) in [
        ("/checkpoint", "text/plain; charset=utf-8", "no-cache"),
        ("/tile/0/000", "application/octet-stream", "max-age=604800,immutable"),
        ("/tile/0/001.p/1", "application/octet-stream", "max-age=604800,immutable"),
        ("/tile/entries/000", "application/octet-stream", "max-age=604800,immutable"),
        ("/tile/entries/001.p/1", "application/octet-stream", "max-age=604800,immutable"),
    ] {
        let a = get(&router, path).await;
        let b = get(&router, &format!("/api/v2{path}")).await;
        let head = ask(&router, Method::HEAD, path).await;
        assert_eq!((a.status, &a.body), (StatusCode::OK, &b.body), "{path}");
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        for answer in [&a, &b, &head] {
            assert_eq!(answer.header("content-type"), Some(content_type));
            assert_eq!(answer.header("cache-control"), Some(cache));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            assert_eq!(answer.header("content-length").map(str::to_owned), Some(a.body.len().to_string()));
        }
    }
    assert_eq!(ask(&router, Method::HEAD, "/tile/0/000.p/9").await.status, StatusCode::OK);
    assert_eq!(ask(&router, Method::HEAD, "/tile/0/009").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_unchanged_checkpoint_is_not_sent_again() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let first = get(&router, "/checkpoint").await;
    assert_eq!(read_checkpoint(rekor.identity(), first.text()).size, 0);
    let tag = first.header("etag").unwrap().to_owned();
    let conditional =
        |tags: String| Request::get("/api/v2/checkpoint").header("if-none-match", tags).body(Body::empty()).unwrap();
    for tags in [tag.clone(), format!("\"other\", W/{tag}"), "*".into()] {
        let answer = send(&router, conditional(tags)).await;
        assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (StatusCode::NOT_MODIFIED, 0, Some(tag.as_str())));
    }
    assert_eq!(send(&router, conditional("\"other\"".into())).await.status, StatusCode::OK);
    fixture.fill(&router, 1).await;
    let grown = send(&router, conditional(tag.clone())).await;
    assert_eq!((grown.status, read_checkpoint(rekor.identity(), grown.text()).size), (StatusCode::OK, 1));
    assert_ne!(grown.header("etag"), Some(tag.as_str()));
}

#[tokio::test]
async fn a_tile_is_sent_once_and_its_tag_is_its_own() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 257).await;
    let mut tags = std::collections::BTreeSet::new();
    for path in
        ["/tile/0/000", "/tile/0/000.p/7", "/tile/0/001.p/1", "/tile/1/000.p/1", "/tile/entries/000", "/tile/entries/001.p/1"]
    {
        let tag = get(&router, path).await.header("etag").unwrap().to_owned();
        let again = Request::get(format!("/api/v2{path}")).header("if-none-match", &tag).body(Body::empty()).unwrap();
        let again = send(&router, again).await;
        assert_eq!(
            (again.status, again.body.len(), again.header("etag")),
            (StatusCode::NOT_MODIFIED, 0, Some(tag.as_str())),
            "{path}"
        );
        assert_eq!(again.header("cache-control"), Some("max-age=604800,immutable"));
        assert!(tags.insert(tag), "{path}");
    }
    // A tag of something that is not there yet says nothing about it.
    let tag = tags.first().unwrap().replace("0/000", "0/009");
    let missing = Request::get("/tile/0/009").header("if-none-match", tag).body(Body::empty()).unwrap();
    assert_eq!(send(&router, missing).await.status, StatusCode::NOT_FOUND);
}
