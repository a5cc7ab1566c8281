//! Where a registry may send us.
//!
//! An answer can name other hosts: a redirect to where the blobs lie, a token service. Whoever writes the answer would otherwise
//! choose which machines of the private network we call, and who is shown the account's password.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The registry's own host, and those that the operator trusts like it.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    https: bool,
    host: String,
    trusted: Vec<String>,
}

impl Reach {
    pub(crate) fn new(base: &Url, trusted: &[String]) -> Self {
        let host = host_of(base);
        Self { https: base.scheme() == "https", host, trusted: trusted.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Whether a redirect to `target` is followed.
    pub(crate) fn check_redirect(&self, target: &Url) -> Result<(), &'static str> {
        self.check_scheme(target)?;
        let host = host_of(target);
        let private = literal(&host).is_some_and(is_private);
        if private && !self.is_ours(&host) {
            Err("the address is private; name its host in trusted_hosts if it is yours")
        } else {
            Ok(())
        }
    }

    /// Whether the token service `realm` may see the account and be asked for tokens.
    pub(crate) fn check_realm(&self, realm: &Url) -> Result<(), &'static str> {
        self.check_scheme(realm)?;
        let host = host_of(realm);
        if self.is_ours(&host) {
            Ok(())
        } else {
            Err("the token service is on another domain; name its host in trusted_hosts if it is the right one")
        }
    }

    fn check_scheme(&self, target: &Url) -> Result<(), &'static str> {
        match target.scheme() {
            "https" => {}
            "http" if !self.https => {}
            "http" => return Err("it would leave https"),
            _ => return Err("it is neither https nor http"),
        }
        if target.username().is_empty() && target.password().is_none() { Ok(()) } else { Err("the URL carries an account") }
    }

    /// Whether a host is the registry's, one that the operator trusts like it, or of the same owner, and so may be private: who owns the registry's name
    /// may let it point to any address in the first place.
    fn is_ours(&self, host: &str) -> bool {
        host == self.host || self.trusted.iter().any(|trusted| trusted == host) || self.same_site(host)
    }

    /// Whether both hosts belong to whoever registered one domain (by the Public Suffix List). Addresses belong to no domain.
    fn same_site(&self, host: &str) -> bool {
        let site = |host: &str| if literal(host).is_some() { None } else { psl::domain_str(host).map(str::to_owned) };
        site(host).is_some_and(|one| site(&self.host) == Some(one))
    }
}

/// Name resolution that answers no private address for a host that may not have one: the check of the URL sees names only.
#[derive(Debug)]
pub(crate) struct Guarded(Reach);

impl Guarded {
    pub(crate) fn new(reach: Reach) -> Self {
        Self(reach)
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let trusted = self.0.is_ours(&host);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| trusted || !is_private(address.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("{host} has private addresses only; name it in trusted_hosts if it is yours").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase()
}

/// An address that stands in the place of a host name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is reached only from here: loopback, link, private and carrier networks, and what embeds them.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = match segments {
        // Mapped, compatible, and translated (RFC 6052) addresses of the older protocol; 6to4 carries one at its front.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some((segments[6], segments[7])),
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    let v4 = embedded.map(|(high, low)| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || segments[0] & 0xffc0 == 0xfec0
        || v4.is_some_and(is_private_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(base: &str) -> Reach {
        Reach::new(&Url::parse(base).unwrap(), &["Minio.Corp.Example".into()])
    }

    fn redirect(base: &str, target: &str) -> Result<(), &'static str> {
        reach(base).check_redirect(&Url::parse(target).unwrap())
    }

    fn realm(base: &str, target: &str) -> bool {
        reach(base).check_realm(&Url::parse(target).unwrap()).is_ok()
    }

    #[test]
    fn redirects() {
        let hub = "https://registry-1.docker.io";
        assert_eq!(redirect(hub, "https://cdn.example/x?signature=1"), Ok(()));
        assert_eq!(redirect(hub, "http://cdn.example/x"), Err("it would leave https"));
        assert_eq!(redirect("http://r.example", "http://cdn.example/x"), Ok(()));
        assert_eq!(redirect(hub, "ftp://cdn.example/x"), Err("it is neither https nor http"));
        assert_eq!(redirect(hub, "https://u:p@cdn.example/x"), Err("the URL carries an account"));
        for private in
            ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "0x7f000001", "2130706433"]
        {
            assert!(redirect(hub, &format!("https://{private}:1/x")).is_err(), "{private}");
        }
        assert_eq!(redirect("http://127.0.0.1:5000", "http://127.0.0.1:9000/x"), Ok(()), "its own host");
    }

    #[test]
    fn token_services() {
        let hub = "https://registry-1.docker.io";
        assert!(realm(hub, "https://auth.docker.io/token") && realm(hub, "https://registry-1.docker.io:8443/token"));
        assert!(realm("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"));
        assert!(realm("https://r.corp.example", "https://minio.corp.example/token"));
        assert!(realm("https://r.elsewhere.example", "https://minio.corp.example/token"), "trusted by name");
        assert!(!realm(hub, "http://auth.docker.io/token"), "not without TLS");
        assert!(!realm(hub, "https://docker.io.evil.example/token"));
        assert!(!realm("https://one.co.uk", "https://two.co.uk/token"), "a public suffix is nobody's domain");
        assert!(!realm("https://one.github.io", "https://two.github.io/token"));
        assert!(!realm("https://10.0.0.1", "https://10.0.0.2/token") && realm("http://10.0.0.1:5000", "http://10.0.0.1/token"));
        assert!(!realm("https://registry", "https://auth/token"), "names without a dot share no domain");
    }

    #[test]
    fn private_addresses() {
        let private = |text: &str| is_private(text.parse().unwrap());
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:0a00:0001::1",
        ] {
            assert!(private(address), "{address}");
        }
        for address in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.169.0.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"]
        {
            assert!(!private(address), "{address}");
        }
    }

    #[tokio::test]
    async fn names_of_private_addresses_are_not_resolved() {
        let resolve = async |base: &str| Guarded::new(reach(base)).resolve("localhost".parse().unwrap()).await.is_ok();
        assert!(!resolve("https://r.example").await);
        assert!(resolve("http://localhost:5000").await, "its own host");
    }
}
