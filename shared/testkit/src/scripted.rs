//! A server that does as it is told, wrong things above all: one request per connection, answered byte by byte.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct ScriptedRequest {
    /// Method and path: `GET /v2/`.
    pub line: String,
    /// What it carried.
    pub body: Vec<u8>,
    head: String,
}

impl ScriptedRequest {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    head: String,
    body: Vec<u8>,
    /// How much of the body is sent before the connection is cut.
    sent: usize,
    held: Option<(usize, Arc<Semaphore>)>,
}

impl Reply {
    /// A whole answer, its length said.
    #[must_use]
    pub fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        Self { head, sent: body.len(), body, held: None }
    }

    /// The same, but the connection is cut after so many bytes of the body.
    #[must_use]
    pub fn cut_after(self, sent: usize) -> Self {
        Self { sent: sent.min(self.body.len()), ..self }
    }

    /// The same, but after so many bytes of the body it waits until `gate` has a permit for it.
    #[must_use]
    pub fn held_after(self, sent: usize, gate: &Arc<Semaphore>) -> Self {
        Self { held: Some((sent.min(self.sent), Arc::clone(gate))), ..self }
    }

    async fn write(self, stream: &mut TcpStream, head_only: bool) -> std::io::Result<()> {
        stream.write_all(format!("{}\r\n", self.head).as_bytes()).await?;
        if head_only {
            return stream.shutdown().await;
        }
        let (first, gate) = self.held.unwrap_or_else(|| (0, Arc::new(Semaphore::new(1))));
        stream.write_all(&self.body[..first]).await?;
        stream.flush().await?;
        gate.acquire().await.map_err(std::io::Error::other)?.forget();
        stream.write_all(&self.body[first..self.sent]).await?;
        stream.shutdown().await
    }
}

/// The server. It ends with its runtime.
#[derive(Debug)]
pub struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<ScriptedRequest>>>,
}

impl Scripted {
    /// `answer` gets each request and how many came before it; `None` closes the connection.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start(answer: impl Fn(&ScriptedRequest, usize) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(serve(stream, seen, answer));
            }
        });
        Self { address, requests }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Method and path of what came so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<ScriptedRequest>>>,
    answer: Arc<impl Fn(&ScriptedRequest, usize) -> Option<Reply> + Send + Sync + 'static>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let before = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(request.clone());
        seen.len() - 1
    };
    if let Some(reply) = answer(&request, before) {
        // The client may have gone.
        let _ = reply.write(&mut stream, request.line.starts_with("HEAD ")).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<ScriptedRequest> {
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        received.extend_from_slice(&buffer[..read]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(received[..end].to_vec()).ok()?;
        let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
        let request = ScriptedRequest { line, head, body: received[end + 4..].to_vec() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if request.body.len() >= length {
            return Some(request);
        }
    }
}
