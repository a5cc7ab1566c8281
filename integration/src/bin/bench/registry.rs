//! The registry beside two others, on the same disk and with the same load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration::gateway::Promoter;
use integration::image::{BUNDLE, Content, INDEX, Image, MANIFEST};
use integration::load::{Connection, Measured, Requests, request};
use integration::registry::Registry;
use rand::RngCore as _;
use serde_json::json;
use testkit::{Chancery, Peer};
use tokio::task::JoinSet;

use crate::process::{cpu_time, shown};

/// What is attached to the one manifest whose referrers are asked for.
const ATTACHED: usize = 20;
/// Manifests in a repository of some size.
const SOME: usize = 1_500;
/// Of the large blob.
const LARGE: usize = 100 << 20;
/// How often the lab's image is promoted.
const PROMOTIONS: usize = 100;

/// A registry that is measured.
struct Server {
    name: &'static str,
    base: String,
    pid: u32,
    has_referrers: bool,
    /// Manifests in its largest repository. It takes others too long to get there.
    most: usize,
}

/// Fills and measures all of them, prints a table, and says how long a promotion takes.
pub(crate) async fn measure(lab: &Chancery, folder: &Path, limit: Duration, most: usize) {
    let (olareg, distribution) =
        (Peer::olareg(&folder.join("olareg")).await, Peer::distribution(&folder.join("distribution")).await);
    let ours = format!("http://{}", lab.env().get("CHANCERY_REGISTRY"));
    let servers = [
        Server { name: "Chancery", base: ours, pid: lab.pid(), has_referrers: true, most },
        Server { name: "olareg", base: olareg.url(), pid: olareg.pid(), has_referrers: true, most: SOME },
        Server { name: "distribution", base: distribution.url(), pid: distribution.pid(), has_referrers: false, most: SOME },
    ];
    let subject = Image::two_platforms("measured");
    let small = Content::new("application/octet-stream", noise(1 << 20));
    let large = Content::new("application/octet-stream", noise(LARGE));
    for server in &servers {
        let begun = Instant::now();
        let registry = Registry::at(&server.base);
        for manifests in [0, SOME, server.most] {
            fill(server, &registry, &subject, manifests).await;
        }
        for blob in [&small, &large] {
            registry.push_blob("bench/0", blob).await.expect("the server is there");
        }
        eprintln!("filled {} in {}", server.name, shown(begun.elapsed()));
    }

    println!("| per second, p99, server CPU per request | clients | aim | Chancery | olareg | distribution |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let run = Run { servers: &servers, limit };
    for manifests in [0, SOME, most] {
        for clients in [1, 16, 64] {
            let url = |server: &Server| Some(format!("{}/v2/bench/{manifests}/manifests/1", server.base));
            run.row(&among("manifest by tag", manifests), clients, "15,000", |server| {
                (server.most >= manifests).then(|| url(server))?
            })
            .await;
        }
    }
    for manifests in [0, SOME, most] {
        for clients in [1, 16, 64] {
            let url = |server: &Server| format!("{}/v2/bench/{manifests}/referrers/{}", server.base, subject.root.digest);
            let url = |server: &Server| (server.has_referrers && server.most >= manifests).then(|| url(server));
            run.row(&among("20 referrers", manifests), clients, "15,000", url).await;
        }
    }
    for (what, aim, blob, all) in
        [("blob of 1 MiB", "1,000", &small, &[1, 16, 64][..]), ("blob of 100 MiB", "", &large, &[1, 16])]
    {
        for clients in all {
            run.row(what, *clients, aim, |server| Some(format!("{}/v2/bench/0/blobs/{}", server.base, blob.digest))).await;
        }
    }
    for clients in [1, 4] {
        run.pushes(clients, &large.bytes).await;
    }
    promotions(lab).await;
}

fn among(what: &str, manifests: usize) -> String {
    match manifests {
        0 => format!("{what}, alone"),
        _ => format!("{what}, beside {manifests} manifests"),
    }
}

/// A repository with an image, 20 things attached to it, and many other things, each attached to one of them.
async fn fill(server: &Server, registry: &Registry, subject: &Image, manifests: usize) {
    let repository = format!("bench/{manifests}");
    registry.push(&repository, "1", subject).await;
    let blob = Content::new(BUNDLE, b"{}".to_vec());
    let mut parent = subject.root.clone();
    let mut batch = Vec::new();
    for number in 0..ATTACHED + manifests {
        let attached = attached(&parent, &blob, number);
        if number == 0 {
            for blob in &Image::referrer(&parent, BUNDLE, blob.clone()).blobs {
                registry.push_blob(&repository, blob).await.expect("the server is there");
            }
        }
        if number % ATTACHED == ATTACHED - 1 {
            parent = attached.clone();
        }
        batch.push((format!("/v2/{repository}/manifests/{}", attached.digest), attached.bytes));
    }
    let put = Requests::put(&server.base, MANIFEST, batch);
    let measured = put.send(64, Duration::from_secs(3600)).await;
    assert_eq!(measured.answered, ATTACHED + manifests, "all of them are there");
}

/// Of the size and shape of what cosign attaches.
fn attached(subject: &Content, blob: &Content, number: usize) -> Content {
    Content::json(
        MANIFEST,
        &json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
            "config": Content::new("application/vnd.oci.empty.v1+json", b"{}".to_vec()).descriptor(),
            "layers": [blob.descriptor()], "subject": subject.descriptor(),
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
                "org.opencontainers.image.created": format!("2026-01-01T00:00:00.{number:06}Z"),
            },
        }),
    )
}

struct Run<'a> {
    servers: &'a [Server],
    limit: Duration,
}

impl Run<'_> {
    /// One row of `GET`s; a server without a URL has no figure.
    async fn row(&self, what: &str, clients: usize, aim: &str, url: impl Fn(&Server) -> Option<String>) {
        let mut cells = Vec::new();
        for server in self.servers {
            cells.push(match url(server) {
                Some(url) => {
                    eprintln!("measuring {what} of {} with {clients} clients", server.name);
                    let before = cpu_time(server.pid);
                    let measured = Requests::get(&url, &format!("{INDEX}, {MANIFEST}")).send(clients, self.limit).await;
                    cell(&measured, cpu_time(server.pid) - before)
                }
                None => "–".to_owned(),
            });
        }
        println!("| {what} | {clients} | {aim} | {} |", cells.join(" | "));
    }

    /// Blobs of 100 MiB that differ in their first bytes.
    async fn pushes(&self, clients: usize, bytes: &[u8]) {
        let rest: Arc<[u8]> = bytes[16..].into();
        let mut cells = Vec::new();
        for server in self.servers {
            eprintln!("measuring pushes to {} with {clients} clients", server.name);
            // Known before, so that only the server computes digests while time is taken.
            let blobs: Vec<([u8; 16], String)> = (0..clients * 4).map(|_| beginning(&rest)).collect();
            let before = cpu_time(server.pid);
            let measured = push(server, clients, Arc::new(blobs), &rest).await;
            cells.push(cell(&measured, cpu_time(server.pid) - before));
        }
        println!("| push of 100 MiB | {clients} |  | {} |", cells.join(" | "));
    }
}

fn cell(measured: &Measured, cpu: Duration) -> String {
    let rate = measured.rate();
    let rate = if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    format!("{rate}, {}, {}", shown(measured.percentile(99)), shown(cpu / measured.answered as u32))
}

fn beginning(rest: &[u8]) -> ([u8; 16], String) {
    let first: [u8; 16] = rand::random();
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    context.update(&first);
    context.update(rest);
    (first, format!("sha256:{}", hex::encode(context.finish())))
}

/// `POST`, then one `PUT`, as most clients do.
async fn push(server: &Server, clients: usize, blobs: Arc<Vec<([u8; 16], String)>>, rest: &Arc<[u8]>) -> Measured {
    let address = server.base.strip_prefix("http://").expect("a plain URL").to_owned();
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut pushing = JoinSet::new();
    for _ in 0..clients {
        let (address, blobs, rest, next) = (address.clone(), Arc::clone(&blobs), Arc::clone(rest), Arc::clone(&next));
        pushing.spawn(async move {
            let mut connection = Connection::open(&address).await;
            let mut latencies = Vec::new();
            while let Some((first, digest)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                let begin = request("POST", &address, "/v2/bench/pushed/blobs/uploads/", &[], &[]);
                let begun = connection.exchange(&[&begin]).await;
                let location = begun.header("location").expect("an upload has a location");
                let path = location.strip_prefix("http://").map_or(location, |rest| &rest[rest.find('/').unwrap_or(0)..]);
                let path = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
                let head = format!(
                    "PUT {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/octet-stream\r\nContent-Length: {LARGE}\r\n\r\n"
                );
                let answer = connection.exchange(&[head.as_bytes(), first, &rest]).await;
                assert_eq!(answer.status, 201, "{}", answer.head);
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    let latencies = pushing.join_all().await.concat();
    Measured::new(begun.elapsed(), latencies)
}

/// The image that the lab signed for its proof, to a new name each time, one after the other.
async fn promotions(lab: &Chancery) {
    let promoter = Promoter::of(lab);
    let (mut latencies, before, begun) = (Vec::new(), cpu_time(lab.pid()), Instant::now());
    for number in 0..PROMOTIONS {
        let sent = Instant::now();
        let _ = promoter.promote("staging/hello:1", &format!("prod/bench-{number}:1")).await.expect(200);
        latencies.push(sent.elapsed());
    }
    let measured = Measured::new(begun.elapsed(), latencies);
    let median = shown(measured.percentile(50));
    println!(
        "| promotion of the lab's image, median {median} | 1 | 100 ms | {} | – | – |",
        cell(&measured, cpu_time(lab.pid()) - before)
    );
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
