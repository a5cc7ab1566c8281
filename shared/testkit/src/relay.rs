//! A bad line to a good server: a relay that counts what passes, and can be slow, cut a connection, or be down.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A relay in front of a server that speaks plain HTTP/1.1. It changes no byte; what it is asked to do to the line counts from then on.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    line: Arc<Line>,
}

/// What all connections share.
#[derive(Debug)]
struct Line {
    server: String,
    /// Bytes per second that a connection carries to its client; 0 is as fast as it goes.
    rate: AtomicU64,
    /// How many more bytes, over all connections, until the one that carries the next is cut; 0 is never.
    until_cut: AtomicU64,
    down: AtomicBool,
    over: AtomicBool,
    carried: AtomicU64,
    requests: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// A relay to the server at `HOST:PORT`.
    ///
    /// # Panics
    /// Loopback has no free port.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let line = Arc::new(Line {
            server: server.to_owned(),
            rate: AtomicU64::new(0),
            until_cut: AtomicU64::new(0),
            down: AtomicBool::new(false),
            over: AtomicBool::new(false),
            carried: AtomicU64::new(0),
            requests: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.over.load(Ordering::SeqCst) {
                    break;
                }
                Line::connect(&accepting, &client);
            }
        });
        Self { address, line }
    }

    /// Where clients reach the server: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on a connection carries so many bytes per second to its client.
    pub fn slow(&self, bytes_per_second: u64) {
        self.line.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    /// From now on as fast as it goes.
    pub fn fast(&self) {
        self.slow(0);
    }

    /// Cuts one connection: the one that carries the last of the next `bytes` to clients.
    pub fn cut_after(&self, bytes: u64) {
        self.line.until_cut.store(bytes, Ordering::SeqCst);
    }

    /// Cuts every connection, and each new one at once, as if the server were gone.
    pub fn down(&self) {
        self.line.down.store(true, Ordering::SeqCst);
        for stream in lock(&self.line.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The server is back.
    pub fn up(&self) {
        self.line.down.store(false, Ordering::SeqCst);
    }

    /// Bytes carried to clients so far, heads included.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.line.carried.load(Ordering::SeqCst)
    }

    /// The head of every request so far whose first line contains `part`, for example `GET /v2/app/blobs/`.
    #[must_use]
    pub fn requests(&self, part: &str) -> Vec<String> {
        let first_line = |head: &str| head.lines().next().unwrap_or_default().to_owned();
        lock(&self.line.requests).iter().filter(|head| first_line(head).contains(part)).cloned().collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.line.over.store(true, Ordering::SeqCst);
        self.down();
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(self.address);
    }
}

impl Line {
    /// Gives a connection its two threads. A connection that cannot be made is closed, as the server's own refusal would look.
    fn connect(line: &Arc<Self>, client: &TcpStream) {
        if line.down.load(Ordering::SeqCst) {
            return;
        }
        let Ok(server) = TcpStream::connect(&line.server) else { return };
        let pair = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
        let (Some(up), Some(down), Some(kept)) = (pair(), pair(), pair()) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        lock(&line.open).extend([kept.0, kept.1]);
        let lines = (Arc::clone(line), Arc::clone(line));
        thread::spawn(move || lines.0.carry_requests(up.0, up.1));
        thread::spawn(move || lines.1.carry_answers(down.1, down.0));
    }

    fn carry_requests(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut heads = Heads::default();
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            heads.read(&buffer[..read], &mut lock(&self.requests));
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // Half-closed only: the answer may still be on its way.
        let _ = to.shutdown(Shutdown::Write);
    }

    fn carry_answers(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let rate = self.rate.load(Ordering::SeqCst);
            let (wanted, cut) = self.before_the_cut(read);
            if to.write_all(&buffer[..wanted]).is_err() {
                break;
            }
            self.carried.fetch_add(wanted as u64, Ordering::SeqCst);
            if cut {
                break;
            }
            if rate > 0 {
                thread::sleep(Duration::from_secs_f64(wanted as f64 / rate as f64));
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// How many of so many bytes may still be carried, and whether the connection is to be cut then.
    fn before_the_cut(&self, bytes: usize) -> (usize, bool) {
        let take = |left: u64| (left > 0).then(|| left.saturating_sub(bytes as u64));
        match self.until_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(left) if left <= bytes as u64 => (left as usize, true),
            _ => (bytes, false),
        }
    }
}

/// Finds the heads of requests in what a client sends.
#[derive(Default)]
struct Heads {
    received: Vec<u8>,
    /// Bytes of a body that are still to come.
    body: usize,
    /// A body without a length came: where the next head begins is not known.
    lost: bool,
}

impl Heads {
    fn read(&mut self, mut bytes: &[u8], found: &mut Vec<String>) {
        while !bytes.is_empty() && !self.lost {
            let skipped = self.body.min(bytes.len());
            self.body -= skipped;
            bytes = &bytes[skipped..];
            let before = self.received.len();
            self.received.extend_from_slice(bytes);
            let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") else { return };
            bytes = &bytes[end + 4 - before..];
            let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
            self.received.clear();
            let header = |name: &str| {
                let lower = head.to_ascii_lowercase();
                lower.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
            };
            self.body = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.lost = header("transfer-encoding:").is_some();
            found.push(head);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};

    /// A server that answers each line it gets with so many bytes.
    fn server(answer: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    for _ in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).filter(String::is_empty) {
                        let _ = (&stream).write_all(&vec![7; answer]);
                    }
                });
            }
        });
        address
    }

    fn ask(relay: &Relay, answers: usize) -> usize {
        let mut stream = TcpStream::connect(relay.address).unwrap();
        let _ = stream.write_all(b"GET /v2/a HTTP/1.1\r\nRange: bytes=3-\r\n\r\n");
        let mut received = Vec::new();
        let _ = stream.take(answers as u64).read_to_end(&mut received);
        received.len()
    }

    #[test]
    fn what_passes_is_counted_and_unchanged() {
        let relay = Relay::to(&server(100_000));
        assert_eq!(ask(&relay, 100_000), 100_000);
        assert_eq!(relay.carried(), 100_000);
        assert_eq!(relay.requests("GET /v2/"), ["GET /v2/a HTTP/1.1\r\nRange: bytes=3-"]);
        assert_eq!(relay.requests("bytes="), [""; 0]);
    }

    #[test]
    fn one_connection_is_cut_and_the_next_is_whole() {
        let relay = Relay::to(&server(100_000));
        relay.cut_after(40_000);
        assert_eq!((ask(&relay, 100_000), ask(&relay, 100_000)), (40_000, 100_000));
        relay.down();
        assert_eq!(ask(&relay, 100_000), 0);
        relay.up();
        assert_eq!(ask(&relay, 100_000), 100_000);
    }

    #[test]
    fn heads_are_found_between_bodies_however_they_arrive() {
        let sent = b"PUT /a HTTP/1.1\r\nContent-Length: 16\r\n\r\nGET /b HTTP/1.1\nGET /c HTTP/1.1\r\n\r\nPATCH /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /e HTTP/1.1\r\n\r\n";
        for step in 1..sent.len() {
            let (mut heads, mut found) = (Heads::default(), Vec::new());
            sent.chunks(step).for_each(|part| heads.read(part, &mut found));
            let lines: Vec<&str> = found.iter().map(|head| head.lines().next().unwrap()).collect();
            assert_eq!(lines, ["PUT /a HTTP/1.1", "GET /c HTTP/1.1", "PATCH /d HTTP/1.1"], "{step}");
        }
    }
}
