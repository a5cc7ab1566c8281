//! Listeners: where a service listens, and its bound sockets.
//!
//! Binding is a step of its own: a process binds the sockets of all its services, and only then serves any of them. So a port
//! that is taken ends the start before anything was done, and port 0 has its number before configuration is written.

use std::fmt::{Debug, Formatter};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};

use crate::config::FilePath;
use crate::peer::Network;
use crate::report::Explain;
use crate::tls::{Tls, TlsError};

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Addresses with ports. Several addresses with port 0 get one free port, the same for all.
    pub listen: Vec<SocketAddr>,
    /// Serve TLS from these files, read again when they change. Without them, addresses must be loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// A proxy in front ends TLS, so plain HTTP beyond loopback is intended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind_proxy: bool,
    /// Networks of the proxies whose `X-Forwarded-For` is believed when clients are told apart. From anyone else the header is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<Network>,
}

impl ListenConfig {
    /// Plain HTTP at these addresses, loopback all of them.
    #[must_use]
    pub fn plain(listen: Vec<SocketAddr>) -> Self {
        Self { listen, tls: None, behind_proxy: false, trusted_proxies: Vec::new() }
    }

    /// Plain HTTP on `127.0.0.1` and, where this machine has it, `::1`; port 0 for a free one.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        // Containers without IPv6 are common: ask the system instead of failing there.
        let ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let addresses = [Some(IpAddr::from(Ipv4Addr::LOCALHOST)), ipv6.then(|| IpAddr::from(Ipv6Addr::LOCALHOST))];
        let listen = addresses.into_iter().flatten().map(|address| SocketAddr::new(address, port)).collect();
        Self::plain(listen)
    }
}

/// A certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM: the leaf first, then the intermediates.
    pub certificate: FilePath,
    /// PEM: the leaf's private key.
    pub key: FilePath,
}

/// The bound sockets of one service, not yet served: connections wait in the kernel's queue.
pub struct Listener {
    service: &'static str,
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) trusted_proxies: Arc<[Network]>,
}

impl Listener {
    /// Binds every address of `config` for `service`, and reads its TLS files.
    ///
    /// # Errors
    /// [`BindError`]: a port in use, an address this machine does not have, TLS files that do not fit, or plain HTTP beyond
    /// loopback.
    pub async fn bind(service: &'static str, config: &ListenConfig) -> Result<Self, BindError> {
        let (first, tls) = read(service, config)?;
        let shared_port = first.port() == 0 && config.listen.len() > 1;
        let sockets = if shared_port { bind_one_port(service, &config.listen)? } else { bind_each(service, &config.listen)? };
        Ok(Self { service, sockets, tls, trusted_proxies: config.trusted_proxies.clone().into() })
    }

    /// Checks all that [`bind`](Self::bind) does before it binds: addresses, certificate and key.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn check(service: &'static str, config: &ListenConfig) -> Result<(), BindError> {
        read(service, config).map(drop)
    }

    /// The service it was bound for.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The actual addresses, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |socket: &TcpListener| socket.local_addr().expect("a bound socket has an address");
        self.sockets.iter().map(address).collect()
    }

    /// The port of the first address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addresses().first().map_or(0, SocketAddr::port)
    }

    /// Scheme and first address: `http://127.0.0.1:5555`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.addresses().first().map_or_else(String::new, |address| format!("{scheme}://{address}"))
    }
}

impl Debug for Listener {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("service", &self.service).field("url", &self.url()).finish_non_exhaustive()
    }
}

/// A service cannot listen: always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address is configured.
    #[error("{service} has no address to listen at")]
    NoAddress {
        /// The service.
        service: &'static str,
    },
    /// Plain HTTP would leave the machine.
    #[error("{service} would serve plain HTTP at {address}, beyond loopback")]
    PlainHttp {
        /// The service.
        service: &'static str,
        /// The first address that is not loopback.
        address: SocketAddr,
    },
    /// Somebody else listens there.
    #[error("port {} of {service} is in use", address.port())]
    PortInUse {
        /// The service.
        service: &'static str,
        /// Address and port.
        address: SocketAddr,
    },
    /// The system refuses the address.
    #[error("{service} cannot listen at {address}")]
    Address {
        /// The service.
        service: &'static str,
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS files do not fit.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Explain for BindError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoAddress { .. } => "listen_no_address",
            Self::PlainHttp { .. } => "listen_plain_http",
            Self::PortInUse { .. } => "listen_port_in_use",
            Self::Address { .. } => "listen_address",
            Self::Tls(error) => error.code(),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::NoAddress { .. } | Self::PlainHttp { .. } => Vec::new(),
            Self::PortInUse { address, .. } => vec![format!("another process listens at {address}")],
            Self::Address { source, .. } => vec![source.to_string()],
            Self::Tls(error) => error.details(),
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::NoAddress { service } => Some(format!("Set {service}.http.listen, for example to [127.0.0.1:0].")),
            Self::PlainHttp { .. } => Some(
                "Set tls.certificate and tls.key, or behind_proxy: true when a proxy in front ends TLS, or listen at 127.0.0.1."
                    .into(),
            ),
            Self::PortInUse { .. } => {
                Some("Stop it, or choose another port; a new lab finds free ports with --ports auto.".into())
            }
            Self::Address { .. } => Some("Use an address of this machine, and a port this user may bind.".into()),
            Self::Tls(error) => error.advice(),
        }
    }
}

fn bind_each(service: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    addresses.iter().map(|address| bind(*address).map_err(|source| refused(service, *address, source))).collect()
}

/// The first address, and what TLS needs. Plain HTTP beyond this machine is refused.
fn read(service: &'static str, config: &ListenConfig) -> Result<(SocketAddr, Option<Arc<Tls>>), BindError> {
    let first = *config.listen.first().ok_or(BindError::NoAddress { service })?;
    let tls = config.tls.as_ref().map(|files| Tls::load(service, files)).transpose()?;
    if tls.is_none()
        && !config.behind_proxy
        && let Some(address) = config.listen.iter().find(|address| !address.ip().is_loopback())
    {
        return Err(BindError::PlainHttp { service, address: *address });
    }
    Ok((first, tls))
}

/// One free port for all addresses: the system chooses it on the first; when it is taken on another, it chooses again.
fn bind_one_port(service: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    const ATTEMPTS: u32 = 32;
    let mut attempt = 1;
    loop {
        let mut sockets = bind_each(service, &addresses[..1])?;
        let port = sockets[0].local_addr().map_err(|source| refused(service, addresses[0], source))?.port();
        let others: Vec<_> = addresses[1..].iter().map(|address| SocketAddr::new(address.ip(), port)).collect();
        match bind_each(service, &others) {
            Ok(more) => {
                sockets.extend(more);
                return Ok(sockets);
            }
            Err(BindError::PortInUse { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    const QUEUE: u32 = 1024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the last run's connections to leave TIME_WAIT; a live listener still refuses us.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

fn refused(service: &'static str, address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::PortInUse { service, address },
        _ => BindError::Address { service, address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addresses: &[&str]) -> ListenConfig {
        let listen = addresses.iter().map(|address| address.parse().unwrap()).collect();
        ListenConfig::plain(listen)
    }

    #[tokio::test]
    async fn port_zero_is_one_port_for_all_addresses() {
        let listener = Listener::bind("rekor", &at(&["127.0.0.1:0", "127.0.0.2:0"])).await.unwrap();
        let addresses = listener.addresses();
        assert_ne!(listener.port(), 0);
        assert!(addresses.iter().all(|address| address.port() == listener.port()));
        assert_eq!(listener.url(), format!("http://127.0.0.1:{}", listener.port()));
    }

    #[tokio::test]
    async fn a_port_in_use_names_port_service_and_the_way_out() {
        let taken = Listener::bind("rekor", &at(&["127.0.0.1:0"])).await.unwrap();
        let address = taken.addresses()[0];
        let error = Listener::bind("fulcio", &at(&[&address.to_string()])).await.unwrap_err();
        assert_eq!(error.code(), "listen_port_in_use");
        let text = crate::report::render(&error);
        for part in [&format!("port {} of fulcio is in use", address.port()), "--ports auto", "[listen_port_in_use]"] {
            assert!(text.contains(part), "{part} missing in: {text}");
        }
    }

    #[tokio::test]
    async fn plain_http_stays_on_loopback_unless_a_proxy_is_declared() {
        let error = Listener::bind("tuf", &at(&["127.0.0.1:0", "0.0.0.0:0"])).await.unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("0.0.0.0:0")), ("listen_plain_http", true));
        let behind = ListenConfig { behind_proxy: true, ..at(&["0.0.0.0:0"]) };
        assert!(Listener::bind("tuf", &behind).await.is_ok());
    }

    #[tokio::test]
    async fn no_address_and_a_foreign_address_are_refused() {
        assert_eq!(Listener::bind("tsa", &at(&[])).await.unwrap_err().code(), "listen_no_address");
        let foreign = ListenConfig { behind_proxy: true, ..at(&["192.0.2.1:0"]) };
        assert_eq!(Listener::bind("tsa", &foreign).await.unwrap_err().code(), "listen_address");
    }

    #[test]
    fn configuration_reads_and_writes_alike() {
        let text = r#"{"listen":["127.0.0.1:1"],"tls":{"certificate":"a","key":"b"},"behind_proxy":true,"trusted_proxies":["10.0.0.0/8"]}"#;
        let config: ListenConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
        assert!(serde_json::from_str::<ListenConfig>(r#"{"listen":[],"port":1}"#).is_err());
        assert_eq!(ListenConfig::loopback(5).listen[0], "127.0.0.1:5".parse().unwrap());
    }
}
