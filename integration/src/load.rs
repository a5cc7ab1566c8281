//! Load for measurements: prepared requests over plain HTTP/1.1, and little else, because the generator shares the machine with
//! what it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests to one address, each sent once, in order.
#[derive(Debug)]
pub struct Requests {
    address: String,
    status: u16,
    requests: Vec<Vec<u8>>,
    next: AtomicUsize,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Measured {
    /// Requests answered as expected.
    pub answered: usize,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Latencies in ascending order.
    latencies: Vec<Duration>,
}

impl Measured {
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
    /// Requests to `POST url`, every one of which is to be answered with `status`.
    ///
    /// # Panics
    /// The URL is not of plain HTTP.
    #[must_use]
    pub fn new(url: &str, content_type: &str, status: u16, bodies: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain URL with a path");
        let request = |body: Vec<u8>| {
            let head = format!(
                "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        };
        let requests = bodies.into_iter().map(request).collect();
        Self { address: address.to_owned(), status, requests, next: AtomicUsize::new(0) }
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
                let mut latencies = Vec::new();
                while begun.elapsed() < limit
                    && let Some(request) = requests.requests.get(requests.next.fetch_add(1, Ordering::Relaxed))
                {
                    let sent = Instant::now();
                    let (status, body) = connection.exchange(request).await;
                    assert_eq!(status, requests.status, "{}", String::from_utf8_lossy(&body));
                    latencies.push(sent.elapsed());
                }
                latencies
            });
        }
        let mut latencies = sending.join_all().await.concat();
        let took = begun.elapsed();
        latencies.sort_unstable();
        Measured { answered: latencies.len(), took, latencies }
    }
}

/// One kept-alive connection.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a TCP socket has this option");
        Self { stream, received: Vec::with_capacity(8 << 10) }
    }

    /// Sends a request, and reads status and body of its answer, which has a `Content-Length`.
    async fn exchange(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.stream.write_all(request).await.expect("the server is there");
        self.received.clear();
        loop {
            if let Some(answer) = whole_answer(&self.received) {
                return answer;
            }
            let read = self.stream.read_buf(&mut self.received).await.expect("the server is there");
            assert!(read > 0, "the server closed the connection after {} bytes", self.received.len());
        }
    }
}

fn whole_answer(received: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).expect("headers are ASCII").to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("the answer has a length");
    let length: usize = length.trim().parse().expect("a length is a number");
    let body = received.get(end + 4..end + 4 + length)?;
    Some((status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(whole_answer(answer), Some((201, b"hello".to_vec())));
        for end in 0..answer.len() {
            assert_eq!(whole_answer(&answer[..end]), None, "{end}");
        }
    }

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies = (1..=101).map(Duration::from_millis).collect();
        let measured = Measured { answered: 101, took: Duration::from_secs(2), latencies };
        assert_eq!((measured.percentile(50), measured.percentile(99)), (Duration::from_millis(51), Duration::from_millis(100)));
        assert!((measured.rate() - 50.5).abs() < 1e-9);
    }
}
