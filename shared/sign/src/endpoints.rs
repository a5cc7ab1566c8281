//! Where to sign, chosen from a signing config as the released clients choose.

use bundle::{Service, SigningConfig};
use jiff::Timestamp;

use crate::error::SignError;

/// One service of each kind. URLs have no trailing slash; the TSA's is the full endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Base URL of the certificate authority.
    pub fulcio: String,
    /// Base URL of the Rekor v2 log.
    pub rekor: String,
    /// Full URL that timestamp requests go to.
    pub tsa: String,
}

impl Endpoints {
    /// Takes, per kind, the newest service that is valid at `now` and of a version this client speaks (authority 1, log 2,
    /// timestamps 1). A selector asking for more than one log or authority is answered with one.
    ///
    /// # Errors
    /// [`SignError::NoService`] for a kind without such a service.
    pub fn select(config: &SigningConfig, now: Timestamp) -> Result<Self, SignError> {
        Ok(Self {
            fulcio: newest(&config.ca_urls, 1, now, "certificate authority", "1")?,
            rekor: newest(&config.rekor_tlog_urls, 2, now, "transparency log", "2")?,
            tsa: newest(&config.tsa_urls, 1, now, "timestamp authority", "1")?,
        })
    }
}

fn newest(
    services: &[Service],
    version: u32,
    now: Timestamp,
    what: &'static str,
    versions: &'static str,
) -> Result<String, SignError> {
    services
        .iter()
        .filter(|service| service.major_api_version == version && valid_at(service, now))
        .max_by_key(|service| service.valid_for.start)
        .map(|service| service.url.trim_end_matches('/').to_owned())
        .ok_or(SignError::NoService { what, versions })
}

/// Validity is inclusive at both ends.
fn valid_at(service: &Service, now: Timestamp) -> bool {
    service.valid_for.start.timestamp() <= now && service.valid_for.end.is_none_or(|end| now <= end.timestamp())
}

#[cfg(test)]
mod tests {
    use bundle::ValidFor;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn service(url: &str, version: u32, start: i64, end: Option<i64>) -> Service {
        let valid_for = ValidFor { start: at(start).into(), end: end.map(|end| at(end).into()) };
        Service { url: url.into(), major_api_version: version, valid_for, operator: "corp".into() }
    }

    #[test]
    fn the_newest_valid_service_of_a_known_version_is_taken() {
        let logs = vec![
            service("https://v1", 1, 90, None),
            service("https://old/", 2, 10, None),
            service("https://new/", 2, 50, Some(100)),
            service("https://future", 2, 200, None),
        ];
        let one = |url: &str| vec![service(url, 1, 0, None)];
        let config = SigningConfig::new(one("https://ca"), vec![], logs, one("https://tsa/api/v1/timestamp"));
        assert_eq!(Endpoints::select(&config, at(100)).unwrap().rekor, "https://new");
        assert_eq!(Endpoints::select(&config, at(101)).unwrap().rekor, "https://old");
        let error = Endpoints::select(&config, at(5)).unwrap_err().to_string();
        assert!(error.contains("no transparency log that is valid now and of version 2"), "{error}");
    }
}
