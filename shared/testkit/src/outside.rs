//! The outside world as seen from a test: nothing there answers, and whoever asks for it is remembered.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A proxy that refuses everything and keeps a list of what was asked for.
///
/// A program that is told to use it (see [`Self::variables`]) reaches loopback directly and any other machine only through here.
#[derive(Debug)]
pub struct Outside {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Outside {
    /// Begins to listen.
    ///
    /// # Panics
    /// Loopback has no free port.
    #[must_use]
    pub fn watch() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let outside = Self { address, asked: Arc::clone(&asked), over: Arc::clone(&over) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                refuse(stream, &asked);
            }
        });
        outside
    }

    /// Environment variables that send a program here, in the spellings that programs look for.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let proxy = format!("http://{}", self.address);
        let direct = "localhost,127.0.0.1,::1".to_owned();
        let mut variables = Vec::new();
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            variables.push((name, proxy.clone()));
        }
        variables.extend([("NO_PROXY", direct.clone()), ("no_proxy", direct)]);
        variables
    }

    /// Fails the test if anything was asked for.
    ///
    /// # Panics
    /// With the list of requests.
    pub fn assert_untouched(&self, by: &str) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(asked.is_empty(), "{by} tried to reach another machine: {asked:?}");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(self.address);
    }
}

/// Puts the request line on the list, and then answers that it is forbidden.
fn refuse(mut stream: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut line = String::new();
    let read = stream.set_read_timeout(Some(Duration::from_secs(5))).and_then(|()| BufReader::new(&stream).read_line(&mut line));
    let request = line.trim_end().trim_end_matches(" HTTP/1.1");
    if read.is_ok() && !request.is_empty() {
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.to_owned());
    }
    let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(outside: &Outside, line: &str) -> String {
        let mut stream = TcpStream::connect(outside.address).unwrap();
        write!(stream, "{line} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    #[test]
    fn nothing_asked_is_fine() {
        Outside::watch().assert_untouched("nobody");
    }

    #[test]
    #[should_panic(expected = "somebody tried to reach another machine: [\"CONNECT tuf.example:443\"]")]
    fn a_tunnel_is_refused_and_remembered() {
        let outside = Outside::watch();
        assert_eq!(ask(&outside, "CONNECT tuf.example:443"), "HTTP/1.1 403 Forbidden\r\n");
        outside.assert_untouched("somebody");
    }
}
