//! The parsers of what every service reads of a request, as a function that takes anything and must come back, and says whether it is
//! one: for fuzzing, and for tests of what that found.

use std::net::{Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::layers::RequestId;
use crate::peer::{ClientAddress, Network};

/// `X-Forwarded-For`, as a proxy that is trusted sends it, and `X-Request-Id`; also a network as it stands in the configuration.
///
/// # Panics
/// An id could break a line of the log, there is no client, or a network is written otherwise than it was read.
pub fn headers(data: &[u8]) -> bool {
    let text = std::str::from_utf8(data).unwrap_or_default();
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network), "a network is read as it is written");
    }
    let Ok(value) = HeaderValue::from_bytes(data) else { return false };
    let forwarded = HeaderName::from_static("x-forwarded-for");
    let headers: HeaderMap = [(RequestId::HEADER, value.clone()), (forwarded, value)].into_iter().collect();
    let id = RequestId::of(&headers);
    assert!((1..=64).contains(&id.as_str().len()) && id.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{id:?}");
    let (proxy, networks) = (Ipv4Addr::new(10, 0, 0, 1), "10.0.0.0/8".parse::<Network>());
    let networks: Vec<Network> = networks.into_iter().collect();
    let client = ClientAddress::of(SocketAddr::from((proxy, 1)), &headers, &networks).0;
    assert!(client.is_some(), "somebody sent it");
    client != Some(proxy.into())
}
