//! Whose request it is: the address at the other end of the connection, or the one that a proxy of ours says.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use serde::{Deserialize, Serialize};

/// The address of the client that sent a request, as far as it is known.
///
/// It is good for sharing what is scarce, and for logs. It proves nothing: never decide by it what anybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// Of a request that came from `peer`.
    ///
    /// Without `proxies` that is the peer, whatever the request says. A peer that is a proxy of ours is asked in `X-Forwarded-For`, whose
    /// last address it has added itself; and so on to the left, as long as the address is that of a proxy. What stands further left was
    /// written by the client, who can write anything. A value that is no address ends the search: its proxy is the client.
    pub(crate) fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[Network]) -> Self {
        let trusted = |address: IpAddr| proxies.iter().any(|network| network.contains(address));
        let mut client = peer.ip().to_canonical();
        if trusted(client) {
            let lines = headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?"));
            let forwarded: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
            for value in forwarded.into_iter().rev() {
                let Some(address) = address(value) else { break };
                client = address;
                if !trusted(client) {
                    break;
                }
            }
        }
        Self(Some(client))
    }
}

/// An address, with or without a port: some proxies add it.
fn address(value: &str) -> Option<IpAddr> {
    let address = value.parse().ok().or_else(|| value.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    /// None for a request that did not come over the network.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(None)))
    }
}

/// Addresses with a common beginning: `10.1.0.0/16`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether it has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                same_beginning(first.to_bits().into(), address.to_bits().into(), 32, self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => same_beginning(first.to_bits(), address.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

fn same_beginning(one: u128, other: u128, length: u8, bits: u8) -> bool {
    // A shift by all 128 bits is none: then everything is the same.
    (one ^ other).checked_shr(u32::from(length - bits)).unwrap_or(0) == 0
}

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network, expected an address or the first address and the number of common bits, like 10.1.0.0/16")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (first, bits) = text.split_once('/').map_or((text, None), |(first, bits)| (first, Some(bits)));
        let first: IpAddr = first.parse().map_err(|_| wrong())?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        let network = Self { first, bits };
        // 10.1.2.3/16 is a slip: whoever wrote it meant one of two things.
        let further_bits = match first {
            _ if bits > most => return Err(wrong()),
            IpAddr::V4(first) => first.to_bits().checked_shl(bits.into()).map(u128::from),
            IpAddr::V6(first) => first.to_bits().checked_shl(bits.into()),
        };
        if further_bits.unwrap_or(0) == 0 { Ok(network) } else { Err(wrong()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let proxies: Vec<Network> = proxies.iter().map(|network| network.parse().unwrap()).collect();
        ClientAddress::of(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &proxies).0.unwrap().to_string()
    }

    #[test]
    fn only_proxies_of_ours_say_who_the_client_is() {
        let proxies = &["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client("192.0.2.1", &["198.51.100.7"], proxies), "192.0.2.1", "anyone can write a header");
        assert_eq!(client("10.1.1.1", &["198.51.100.7"], &[]), "10.1.1.1", "nobody is a proxy unless configured");
        assert_eq!(client("10.1.1.1", &["198.51.100.7"], proxies), "198.51.100.7");
        assert_eq!(client("::ffff:10.1.1.1", &["198.51.100.7"], proxies), "198.51.100.7");
        assert_eq!(client("10.1.1.1", &["1.1.1.1, 198.51.100.7"], proxies), "198.51.100.7", "what the client wrote stands left");
        assert_eq!(client("10.1.1.1", &["198.51.100.7, 10.9.9.9"], proxies), "198.51.100.7", "through two proxies");
        assert_eq!(
            client("10.1.1.1", &["1.1.1.1", "198.51.100.7", "2001:db8::9"], proxies),
            "198.51.100.7",
            "lines are one list"
        );
        assert_eq!(client("10.1.1.1", &["198.51.100.7:4711"], proxies), "198.51.100.7");
        assert_eq!(client("10.1.1.1", &["2001:db9::1"], proxies), "2001:db9::1");
        for useless in ["", "unknown", "1.2.3", "198.51.100.7, evil"] {
            assert_eq!(client("10.1.1.1", &[useless], proxies), "10.1.1.1", "{useless}");
        }
        assert_eq!(client("10.1.1.1", &["10.2.2.2"], proxies), "10.2.2.2", "a proxy may be a client");
        assert_eq!(client("10.1.1.1", &[], proxies), "10.1.1.1");
    }

    #[test]
    fn networks_are_read_and_written() {
        for (text, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "ffff::", "1.2.3.4"),
            ("::1/128", "::1", "::2"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), text);
            assert!(network.contains(inside.parse().unwrap()) && !network.contains(outside.parse().unwrap()), "{text}");
        }
        assert_eq!("192.0.2.1".parse::<Network>().unwrap().to_string(), "192.0.2.1/32");
        for wrong in ["", "10.0.0.0/33", "10.1.2.3/16", "2001:db8::1/32", "10.0.0.0/-1", "10.0.0.0/", "localhost", "::/129"] {
            assert!(wrong.parse::<Network>().unwrap_err().to_string().contains("10.1.0.0/16"), "{wrong}");
        }
    }
}
