//! A registry that does as it is told, wrong things above all: one request per connection, answered with raw bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Credentials, Registry, Settings};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET /v2/`
    pub line: String,
    head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let find = |line: &'_ str| line.split_once(": ").is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| find(line)).and_then(|line| Some(line.split_once(": ")?.1))
    }
}

/// What is answered.
pub(crate) struct Reply {
    head: String,
    body: Vec<u8>,
    /// How much of the body is sent before the connection is cut.
    sent: usize,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        Self { head, sent: body.len(), body }
    }

    pub(crate) fn cut_after(self, sent: usize) -> Self {
        Self { sent, ..self }
    }
}

pub(crate) struct Fake {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// `answer` gets the request and how many came before it; `None` closes the connection.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    let Some(reply) = answer(&request, before) else { return };
                    let _ = stream.write_all(format!("{}\r\n", reply.head).as_bytes()).await;
                    let body = if request.line.starts_with("HEAD") { &[][..] } else { &reply.body[..reply.sent] };
                    let _ = stream.write_all(body).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { pause: Duration::from_millis(1), ..Settings::new(format!("http://{}", self.address)) }
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new(http(), self.settings()).unwrap()
    }

    pub(crate) fn with_account(&self) -> Registry {
        let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
        Registry::new(http(), Settings { credentials: Some(credentials), ..self.settings() }).unwrap()
    }
}

pub(crate) fn http() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).no_proxy()
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        received.extend_from_slice(&buffer[..read]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(received[..end].to_vec()).ok()?;
        let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
        let request = Request { line, head, body: received[end + 4..].to_vec() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if request.body.len() >= length {
            return Some(request);
        }
    }
}
