//! What `init` says when it is done: five short lists.

use std::path::Path;

use serde_json::json;

use super::Plan;
use crate::anchors::{Anchors, LogAnchors};
use crate::cli::Output;
use crate::layout::names;
use crate::names::ServiceName;
use crate::output::{self, short};

/// Prints the lists, or one document with the same content.
pub(crate) fn print(dir: &Path, plan: &Plan, anchors: &Anchors, out: Output) {
    match out {
        Output::Text => output::print(&text(dir, plan, anchors)),
        Output::Json => output::print_json(&json!({
            "dir": dir.display().to_string(),
            "config": dir.join("chancery.yaml").display().to_string(),
            "public_urls": plan.urls,
            "fixed": anchors,
            "take_offline": OFFLINE.map(|(file, _)| dir.join(file).display().to_string()),
            "back_up": BACK_UP.map(|(file, _)| dir.join(file).display().to_string()),
            "hand_out": {
                "tuf_mirror": plan.urls.of(ServiceName::Tuf),
                "root_json": dir.join(names::ROOT_JSON).display().to_string(),
                "root_json_sha256": anchors.tuf.root_json,
                "trusted_root": dir.join(names::TRUSTED_ROOT).display().to_string(),
                "signing_config": dir.join(names::SIGNING_CONFIG).display().to_string(),
                "signing_config_rekor_v1": dir.join(names::SIGNING_CONFIG_V1).display().to_string(),
                "rekor_public_key": dir.join(names::REKOR_V1_PUB).display().to_string(),
                "registry": plan.urls.of(ServiceName::Registry),
                "promotion_token": dir.join(names::PROMOTION_TOKEN).display().to_string(),
            },
        })),
    }
}

const OFFLINE: [(&str, &str); 4] = [
    (names::ROOT_KEY, "root certificate authority"),
    (names::TSA_ROOT_KEY, "root of the timestamp authority"),
    (names::TUF_ROOT_KEY, "TUF root"),
    (names::TUF_TARGETS_KEY, "TUF targets"),
];

const BACK_UP: [(&str, &str); 5] = [
    ("keys", "private keys, offline ones apart, and the promotion token"),
    ("db", "logs, records and what the registry knows; copy while stopped, or with a tool that knows SQLite"),
    (names::BLOBS, "what the registry holds; copy after db"),
    ("tuf", "the published trust root"),
    ("anchors.json", "what start-up compares all of it with"),
];

fn text(dir: &Path, plan: &Plan, anchors: &Anchors) -> String {
    let rekor = |log: &LogAnchors| format!("{}   key {}", log.origin, short(&log.key));
    let mut text = format!("created {}\n\npublic names, now part of origins, trusted root and signing config\n", dir.display());
    for service in ServiceName::ALL.into_iter().filter(|service| service.is_anchored()) {
        text.push_str(&format!("  {:<23} {}\n", service.title(), plan.urls.of(service)));
    }
    text.push_str("\ncannot be changed later\n");
    for (what, value) in [
        ("organization", plan.organization.clone()),
        ("root certificate", short(&anchors.fulcio.root_certificate).to_owned()),
        ("certificate log", format!("{}   log id {}", anchors.ctlog.origin, short(&anchors.ctlog.key))),
        (ServiceName::RekorV2.title(), rekor(&anchors.rekor_v2)),
        (ServiceName::RekorV1.title(), anchors.rekor_v1.as_ref().map(rekor).unwrap_or_default()),
        ("timestamp certificate", short(&anchors.tsa.certificate).to_owned()),
    ] {
        text.push_str(&format!("  {what:<23} {value}\n"));
    }
    text.push_str("\ntake offline now: move these away, `serve` never opens them\n");
    files(&mut text, dir, &OFFLINE);
    text.push_str("\nback up\n");
    files(&mut text, dir, &BACK_UP);
    text.push_str("\nhand to clients\n");
    for (what, value) in [
        ("TUF mirror", plan.urls.of(ServiceName::Tuf).to_owned()),
        ("root.json", format!("{}   sha256 {}", dir.join(names::ROOT_JSON).display(), anchors.tuf.root_json)),
        ("without TUF", format!("{}", dir.join(names::TRUSTED_ROOT).display())),
        ("", format!("{}", dir.join(names::SIGNING_CONFIG).display())),
        ("to older clients", format!("{}", dir.join(names::SIGNING_CONFIG_V1).display())),
        ("registry", format!("{}   its host begins every image's name", plan.urls.of(ServiceName::Registry))),
        ("to who may promote", format!("{}   a secret: over a private way", dir.join(names::PROMOTION_TOKEN).display())),
    ] {
        text.push_str(&format!("  {what:<23} {value}\n"));
    }
    let issuers = if plan.ghes.is_none() && plan.oidc_issuer.is_none() {
        "No issuer is configured yet, so nobody gets a certificate: add one under fulcio.issuers in chancery.yaml. "
    } else {
        ""
    };
    text.push_str(&format!("\n{issuers}Start it with: chancery serve --config {}\n", dir.join("chancery.yaml").display()));
    text
}

fn files(text: &mut String, dir: &Path, files: &[(&str, &str)]) {
    let width = files.iter().map(|(file, _)| dir.join(file).display().to_string().len()).max().unwrap_or(0);
    for (file, what) in files {
        text.push_str(&format!("  {:<width$}   {what}\n", dir.join(file).display().to_string()));
    }
}
