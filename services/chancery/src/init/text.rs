//! `chancery.yaml` as `init` writes it: every value that matters, and how to change the ones people change.

use std::fmt::Write as _;
use std::path::Path;

use chassis::config::ListenConfig;
use jiff::Timestamp;

use super::Plan;
use crate::gateway_command;
use crate::lab::identity::Issuer;
use crate::layout::names;
use crate::names::ServiceName;
use crate::output::date;

/// The whole file.
pub(crate) fn chancery_yaml(plan: &Plan, created: Timestamp) -> String {
    let mut text = format!(
        "# Written by `chancery {}` on {}. Paths are relative to this file. `chancery config check --config FILE` checks it.\n\
         #\n\
         # http.listen is where a service listens; public_url is what clients call it and can never change. To serve TLS:\n\
         #   http: {{ listen: [\"0.0.0.0:443\"], tls: {{ certificate: tls/fulcio.pem, key: tls/fulcio.key }} }}\n\
         # Behind a proxy that ends TLS, on another machine: add behind_proxy: true.\n\n",
        if plan.lab.is_some() { "lab" } else { "init" },
        date(created)
    );
    fulcio(&mut text, plan);
    section(&mut text, plan, "ctlog", ServiceName::Ctlog);
    let ctlog = plan.databases.ctlog(names::CTLOG_DB);
    lines(&mut text, &[("key", names::CTLOG_KEY), ("database", &ctlog), ("roots", names::FULCIO_ROOTS)]);
    section(&mut text, plan, "rekor_v2", ServiceName::RekorV2);
    let rekor = plan.databases.rekor(names::REKOR_DB);
    lines(&mut text, &[("key", names::REKOR_V2_KEY), ("database", &rekor)]);
    text.push('\n');
    text.push_str(&rekor_v1(plan.urls.of(ServiceName::RekorV1), plan.listen(ServiceName::RekorV1), &rekor));
    section(&mut text, plan, "tsa", ServiceName::Tsa);
    lines(&mut text, &[("key", names::TSA_KEY), ("certificate_chain", names::TSA_CHAIN)]);
    section(&mut text, plan, "tuf", ServiceName::Tuf);
    lines(
        &mut text,
        &[
            ("directory", names::TUF_REPOSITORY),
            ("state", names::TUF_STATE),
            ("snapshot_key", names::TUF_SNAPSHOT_KEY),
            ("timestamp_key", names::TUF_TIMESTAMP_KEY),
        ],
    );
    let issuer = plan.lab.as_ref().map(|lab| lab.public_url.as_str());
    text.push('\n');
    text.push_str(&gateway_command::section::text(
        plan.urls.of(ServiceName::Registry),
        plan.listen(ServiceName::Registry),
        issuer,
    ));
    if let Some(lab) = &plan.lab {
        let _ = write!(text, "\nlab:\n  public_url: {}\n  http: {}\n", quoted(&lab.public_url), listen(&lab.http));
    }
    let _ = write!(
        text,
        "\nadmin:                 # health, readiness, metrics, log filter: not for clients\n  http: {}\n",
        listen(&plan.admin)
    );
    text
}

/// The section `rekor_v1`, as `init`, `lab` and `log add` write it.
pub(crate) fn rekor_v1(public_url: &str, http: &ListenConfig, database: &str) -> String {
    let key = names::REKOR_V1_KEY;
    let (public_url, http) = (quoted(public_url), listen(http));
    format!("rekor_v1:\n  public_url: {public_url}\n  http: {http}\n  key: {key}\n  database: {database}\n")
}

/// What follows `database: ` in a section, quoted: a path or a URL, and the line of the file with its password.
pub(crate) fn database(place: &str, password_file: Option<&Path>) -> String {
    let password = password_file.map(|file| format!("\n  database_password_file: {}", quoted(&file.display().to_string())));
    quoted(place) + &password.unwrap_or_default()
}

fn fulcio(text: &mut String, plan: &Plan) {
    section(text, plan, "fulcio", ServiceName::Fulcio);
    lines(text, &[("key", names::INTERMEDIATE_KEY), ("certificate_chain", names::FULCIO_CHAIN), ("database", names::FULCIO_DB)]);
    let _ = write!(text, "  ct_log:\n    url: {}\n    public_key: {}\n", quoted(&plan.ctlog_submission_url()), names::CTLOG_PUB);
    text.push_str("  # Whose tokens are accepted. ca_cert: FILE adds a private authority for an issuer's own TLS.\n");
    let mut issuers = String::new();
    if let Some(url) = &plan.oidc_issuer {
        issuers.push_str(&issuer(url, "email", ""));
    }
    if let Some(ghes) = &plan.ghes {
        let provider = format!("      ci_provider: {{ template: ghes, url: {} }}\n", quoted(ghes));
        issuers.push_str(&issuer(&format!("{ghes}/_services/token"), "ci-provider", &provider));
    }
    if let Some(lab) = &plan.lab {
        let base = &lab.public_url;
        issuers.push_str(&issuer(&Issuer::Email.url(base), "email", ""));
        issuers.push_str(&issuer(&Issuer::Github.url(base), "ci-provider", "      ci_provider: github\n"));
        let ghes = "      ci_provider: { template: ghes, url: \"https://ghe.lab\" }\n";
        issuers.push_str(&issuer(&Issuer::Ghes.url(base), "ci-provider", ghes));
        let domain = format!("      subject_domain: {}\n", quoted(base));
        issuers.push_str(&issuer(&Issuer::Claims.url(base), "uri", &domain));
    }
    if issuers.is_empty() {
        text.push_str(
            "  # For example a GitHub Enterprise Server:\n  #   - issuer_url: https://ghe.corp.example/_services/token\n  #     type: ci-provider\n  #     ci_provider: { template: ghes, url: \"https://ghe.corp.example\" }\n  issuers: []\n",
        );
    } else {
        let _ = write!(text, "  issuers:\n{issuers}");
    }
}

fn issuer(url: &str, kind: &str, more: &str) -> String {
    format!("    - issuer_url: {}\n      type: {kind}\n{more}", quoted(url))
}

fn section(text: &mut String, plan: &Plan, name: &str, service: ServiceName) {
    let blank = if name == "fulcio" { "" } else { "\n" };
    let (url, http) = (quoted(plan.urls.of(service)), listen(plan.listen(service)));
    let _ = write!(text, "{blank}{name}:\n  public_url: {url}\n  http: {http}\n");
}

fn lines(text: &mut String, pairs: &[(&str, &str)]) {
    for (key, value) in pairs {
        let _ = writeln!(text, "  {key}: {value}");
    }
}

/// A listener's addresses.
pub(crate) fn listen(http: &ListenConfig) -> String {
    let addresses: Vec<String> = http.listen.iter().map(|address| quoted(&address.to_string())).collect();
    format!("{{ listen: [{}] }}", addresses.join(", "))
}

/// A JSON string is a YAML string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
