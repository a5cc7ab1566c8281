//! Load for measurements: prepared requests over plain HTTP/1.1, and little else, because the generator shares the machine with
//! what it measures.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Requests to one address, in order.
#[derive(Debug)]
pub struct Requests {
    address: String,
    status: u16,
    requests: Vec<Vec<u8>>,
    /// Whether the first follows the last, until time is up.
    again: bool,
    /// Whether clients may be told to come again later.
    patient: bool,
    next: AtomicUsize,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Measured {
    /// Requests answered as expected.
    pub answered: usize,
    /// Answers that told a client to come again later.
    pub refused: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Latencies in ascending order.
    latencies: Vec<Duration>,
}

impl Measured {
    /// Of a run that took so long, the latencies of its requests in any order.
    #[must_use]
    pub fn new(took: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { answered: latencies.len(), refused: 0, took, latencies }
    }

    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// The latency that so many of a hundred requests did not exceed.
    ///
    /// # Panics
    /// Nothing was answered.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().checked_sub(1).expect("something was answered");
        self.latencies[last * percent / 100]
    }
}

impl Requests {
    /// One `POST url` per body, each of which is to be answered with `status`.
    ///
    /// # Panics
    /// The URL is not of plain HTTP.
    #[must_use]
    pub fn new(url: &str, content_type: &str, status: u16, bodies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let (address, path) = parts(url);
        let request = |body: Vec<u8>| request("POST", &address, &path, &[("Content-Type", content_type)], &body);
        let requests = bodies.into_iter().map(request).collect();
        Self { status, ..Self::to(address, requests) }
    }

    fn to(address: String, requests: Vec<Vec<u8>>) -> Self {
        Self { address, status: 200, requests, again: false, patient: false, next: AtomicUsize::new(0) }
    }

    /// The same, from clients that take a 503 for an answer: they wait at least as long as `Retry-After` says, and send the request again.
    /// What they wait is not in the latencies.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// One `PUT` per path and body below a base URL, each of which is to be answered with 201.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn put(base: &str, content_type: &str, bodies: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let (address, _) = parts(&format!("{base}/"));
        let request = |(path, body): (String, Vec<u8>)| request("PUT", &address, &path, &[("Content-Type", content_type)], &body);
        let requests = bodies.into_iter().map(request).collect();
        Self { status: 201, ..Self::to(address, requests) }
    }

    /// `GET url` again and again, to be answered with 200.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn get(url: &str, accept: &str) -> Self {
        let (address, path) = parts(url);
        let requests = vec![request("GET", &address, &path, &[("Accept", accept)], &[])];
        Self { again: true, ..Self::to(address, requests) }
    }

    /// Has so many clients send the requests, each the next one as soon as it has its answer, until all are sent or time is up.
    ///
    /// # Panics
    /// An answer is not the expected one.
    pub async fn send(self, clients: usize, limit: Duration) -> Measured {
        let requests = Arc::new(self);
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(Connection::open(&requests.address).await);
        }
        let begun = Instant::now();
        let mut sending = JoinSet::new();
        for mut connection in connections {
            let requests = Arc::clone(&requests);
            sending.spawn(async move {
                let (mut latencies, mut refused, mut took) = (Vec::new(), 0, Duration::ZERO);
                'next: while begun.elapsed() < limit
                    && let Some(request) = requests.next()
                {
                    loop {
                        let sent = Instant::now();
                        let answer = connection.exchange(&[request]).await;
                        let Some(wait) = requests.wait(&answer) else {
                            latencies.push(sent.elapsed());
                            took = begun.elapsed();
                            continue 'next;
                        };
                        refused += 1;
                        tokio::time::sleep(wait).await;
                        if begun.elapsed() >= limit {
                            break 'next;
                        }
                    }
                }
                (latencies, refused, took)
            });
        }
        let (mut latencies, mut refused, mut took) = (Vec::new(), 0, Duration::ZERO);
        for (its_latencies, its_refused, its_took) in sending.join_all().await {
            latencies.extend(its_latencies);
            refused += its_refused;
            // The last answer ends the run: who was refused may wait for longer.
            took = took.max(its_took);
        }
        Measured { refused, ..Measured::new(took, latencies) }
    }

    /// How long a client is to wait before it sends its request again: not at all when it was answered.
    fn wait(&self, answer: &Answer) -> Option<Duration> {
        if self.patient && answer.status == 503 {
            let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
            let seconds = Duration::from_secs(seconds.expect("a 503 says in how many seconds to come again"));
            // Clients that were refused together do not come again together.
            return Some(seconds.mul_f64(1.0 + rand::random::<f64>() / 2.0));
        }
        assert_eq!(answer.status, self.status, "{}{}", answer.head, String::from_utf8_lossy(&answer.body));
        None
    }

    fn next(&self) -> Option<&[u8]> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let at = if self.again { next % self.requests.len() } else { next };
        self.requests.get(at).map(Vec::as_slice)
    }
}

/// A request as it goes over the wire.
#[must_use]
pub fn request(method: &str, address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// Address and path of a plain URL.
fn parts(url: &str) -> (String, String) {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain URL with a path");
    (address.to_owned(), format!("/{path}"))
}

/// One kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    scratch: Vec<u8>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// The beginning of the body; of a large one the rest was read and thrown away.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.into_iter().find_map(|(header, value)| header.eq_ignore_ascii_case(name).then_some(value.trim()))
    }
}

impl Connection {
    /// Connects to `HOST:PORT`.
    ///
    /// # Panics
    /// Nobody is there.
    pub async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a TCP socket has this option");
        Self { stream, received: Vec::with_capacity(8 << 10), scratch: Vec::new() }
    }

    /// As [`Self::open`], from an address of one's own.
    ///
    /// # Panics
    /// As there, or the address is not of this machine.
    pub async fn open_from(from: Ipv4Addr, address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind((from, 0).into()).unwrap_or_else(|error| panic!("{from}: {error}"));
        let to = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
        let stream = socket.connect(to).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        Self { stream, received: Vec::with_capacity(8 << 10), scratch: vec![0; 256 << 10] }
    }

    /// Sends a part of a request.
    ///
    /// # Panics
    /// The server is gone.
    pub async fn send(&mut self, part: &[u8]) {
        self.stream.write_all(part).await.expect("the server is there");
    }

    /// Sends a request in parts, and reads its answer to the end.
    ///
    /// # Panics
    /// The server is gone.
    pub async fn exchange(&mut self, request: &[&[u8]]) -> Answer {
        for part in request {
            self.stream.write_all(part).await.expect("the server is there");
        }
        self.received.clear();
        let (mut answer, length) = loop {
            match begun_answer(&self.received) {
                // Servers that do not know beforehand how long it will be.
                Some((mut answer, Length::Chunked)) => {
                    if let Some(body) = unchunked(&answer.body) {
                        answer.body = body;
                        return answer;
                    }
                }
                Some((answer, Length::Known(length))) => break (answer, length),
                None => {}
            }
            let read = self.stream.read_buf(&mut self.received).await.expect("the server is there");
            assert!(read > 0, "the server closed the connection after {} bytes", self.received.len());
        };
        let mut missing = length - answer.body.len();
        if missing > 0 {
            self.scratch.resize(256 << 10, 0);
        }
        while missing > 0 {
            let part = missing.min(self.scratch.len());
            let read = self.stream.read(&mut self.scratch[..part]).await.expect("the server is there");
            assert!(read > 0, "the server closed the connection {missing} bytes before the end");
            missing -= read;
            if answer.body.len() < KEPT {
                answer.body.extend_from_slice(&self.scratch[..read]);
            }
        }
        answer
    }
}

/// How much of a body is kept, about.
const KEPT: usize = 64 << 10;

/// How long a body is.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    /// It comes in chunks (RFC 9112 §7.1).
    Chunked,
}

/// An answer whose head is complete, with what has come of its body, and how long that will be.
fn begun_answer(received: &[u8]) -> Option<(Answer, Length)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(received[..end].to_vec()).expect("headers are ASCII");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let answer = Answer { status, head, body: received[end + 4..].to_vec() };
    if answer.header("transfer-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked")) {
        return Some((answer, Length::Chunked));
    }
    let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length is a number"));
    Some((answer, Length::Known(length)))
}

/// The body that chunks carry, once the last of them is there.
fn unchunked(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..end]).expect("a chunk's size is text");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size is a hexadecimal number");
        // Each chunk ends with a line break of its own; after the empty one there are no trailers.
        let after = end + 2 + size + 2;
        if chunks.len() < after {
            return None;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[after..];
        if size == 0 {
            return Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_begins_when_its_head_is_complete() {
        let bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nLocation: /X\r\n\r\nhello";
        for end in 0..bytes.len() - 5 {
            assert_eq!(begun_answer(&bytes[..end]), None, "{end}");
        }
        let (answer, length) = begun_answer(&bytes[..bytes.len() - 2]).unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), length), (201, b"hel".as_slice(), Length::Known(5)));
        assert_eq!((answer.header("content-length"), answer.header("content")), (Some("5"), None));
    }

    #[test]
    fn chunks_are_a_body_when_the_last_one_is_there() {
        let head = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(begun_answer(head).unwrap().1, Length::Chunked);
        let chunks = b"5\r\nhello\r\nA\r\n, world\r\n!\r\n0\r\n\r\n";
        for end in 0..chunks.len() {
            assert_eq!(unchunked(&chunks[..end]), None, "{end}");
        }
        assert_eq!(unchunked(chunks), Some(b"hello, world\r\n!".to_vec()));
    }

    #[tokio::test]
    async fn a_long_answer_is_read_to_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let body = vec![7; 1 << 20];
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        let measured = Requests::get(&url, "*/*").send(1, Duration::from_millis(50)).await;
        assert!(measured.answered > 1 && measured.rate() > 0.0, "{measured:?}");
    }

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let measured = Measured::new(Duration::from_secs(2), (1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!((measured.percentile(50), measured.percentile(99)), (Duration::from_millis(51), Duration::from_millis(100)));
        assert!((measured.rate() - 50.5).abs() < 1e-9);
    }
}
