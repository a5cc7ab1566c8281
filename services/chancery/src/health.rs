//! `chancery health`: asks a running process whether it is ready, for health checks in images that hold nothing but this binary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::cli::{HealthArgs, Output};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::lab::proof;
use crate::layout::Layout;
use crate::{output, serve};

/// A health check that waits longer has its answer: each of the checks behind it gives up sooner.
const PATIENCE: Duration = Duration::from_secs(8);

/// Runs the command.
pub(crate) async fn run(args: &HealthArgs, out: Output) -> Outcome {
    let asked = Asked::by(args)?;
    let client = chassis::http_client(&asked.authorities).map_err(|error| Failure::explained(&error))?;
    let url = format!("{}/readyz?verbose", asked.admin.trim_end_matches('/'));
    let silent = |error: reqwest::Error| {
        Failure::because("admin_unreachable", format!("no answer at {url}"), &error.without_url())
            .advise("Is the process running, and does its `admin` listener accept this address? --url asks another one.")
    };
    let answer = client.get(&url).timeout(PATIENCE).send().await.map_err(silent)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(silent)?;
    let report = Report::read(status, &body).ok_or_else(|| {
        Failure::new("admin_unreachable", format!("{url} answered {status}, and not as an admin listener does"))
            .advise("--url wants the URL of the `admin` listener, which is none of the services.")
    })?;
    let report = report.with_proof(asked.lab.as_ref());
    match (report.ready, out) {
        (true, Output::Text) => output::print(&format!("ready: {}\n", report.services().join(", "))),
        (true, Output::Json) => output::print_json(&serde_json::json!(report)),
        (false, _) => return Err(report.failure()),
    }
    Ok(())
}

/// Whom to ask.
struct Asked {
    /// The base URL of the admin listener.
    admin: String,
    /// Whom to trust besides the machine's roots.
    authorities: Vec<PathBuf>,
    /// Where the lab is, if it is one.
    lab: Option<Layout>,
}

impl Asked {
    fn by(args: &HealthArgs) -> Outcome<Self> {
        if let Some(url) = &args.url {
            return Ok(Self { admin: url.clone(), authorities: Vec::new(), lab: None });
        }
        let (layout, path) = match &args.config {
            Some(path) => (Layout::new(serve::folder_of(path)), path.clone()),
            None => (Layout::new(&args.dir), Layout::new(&args.dir).config()),
        };
        let config = Config::load(&path)?;
        let http = &config.admin.http;
        let address = http.listen.first().copied().ok_or_else(|| {
            Failure::usage("listen_no_address", "the admin listener has no address").advise("Name one below admin.http.listen.")
        })?;
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        Ok(Self {
            admin: format!("{scheme}://{}", from_here(address)),
            authorities: http.tls.iter().map(|tls| tls.certificate.to_path_buf()).collect(),
            lab: config.lab.is_some().then_some(layout),
        })
    }
}

/// Where this machine reaches a listener: one at every address is reached by loopback.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// What `/readyz?verbose` answers.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    ready: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Check {
    service: String,
    check: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Report {
    /// The report, where status and body agree.
    fn read(status: StatusCode, body: &[u8]) -> Option<Self> {
        let report: Self = serde_json::from_slice(body).ok()?;
        let expected = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status == expected).then_some(report)
    }

    /// A lab is ready when it has also proved itself: until then the image that its screen speaks of is not there.
    fn with_proof(mut self, lab: Option<&Layout>) -> Self {
        if lab.is_some_and(|layout| !proof::Proof::begin(layout.proof()).has_passed()) {
            self.ready = false;
            self.checks.push(Check { service: "lab".into(), check: "proof".into(), reason: Some("still running".into()) });
        }
        self
    }

    /// Each service once, in the order of the checks.
    fn services(&self) -> Vec<&str> {
        let mut services: Vec<&str> = self.checks.iter().map(|check| check.service.as_str()).collect();
        services.dedup();
        services
    }

    fn failure(&self) -> Failure {
        let failing = self.checks.iter().filter_map(|check| Some((check, check.reason.as_ref()?)));
        let failure = failing.fold(Failure::new("not_ready", "not ready"), |failure, (check, reason)| {
            failure.detail(output::safe(&format!("{}: {}: {reason}", check.service, check.check)))
        });
        failure.advise("A process that just started needs a moment; its log says what it waits for.")
    }
}

#[cfg(test)]
mod tests {
    use chassis::Explain as _;

    use super::*;

    #[test]
    fn a_listener_at_every_address_is_asked_by_loopback() {
        let asked = |address: &str| from_here(address.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:2112"), "127.0.0.1:2112");
        assert_eq!(asked("[::]:2112"), "[::1]:2112");
        assert_eq!(asked("192.0.2.7:2112"), "192.0.2.7:2112");
    }

    #[test]
    fn a_report_counts_only_with_its_status() {
        let body = br#"{"ready":true,"checks":[{"service":"rekor","check":"database"},{"service":"rekor","check":"clock"}]}"#;
        assert_eq!(Report::read(StatusCode::OK, body).unwrap().services(), ["rekor"]);
        assert!(Report::read(StatusCode::SERVICE_UNAVAILABLE, body).is_none());
        assert!(Report::read(StatusCode::OK, b"ok\n").is_none(), "some other server");
        let body = br#"{"ready":false,"checks":[{"service":"tsa","check":"clock","reason":"stepped back"}]}"#;
        let report = Report::read(StatusCode::SERVICE_UNAVAILABLE, body).unwrap();
        assert_eq!(report.failure().details(), ["tsa: clock: stepped back"]);
    }
}
