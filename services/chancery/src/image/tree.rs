//! `chancery tree`: an image and everything attached to it.

use std::collections::BTreeMap;

use evidence::{Evidence, Form, Kind, predicate};
use serde_json::{Value, json};

use super::reader::{ATTESTATIONS, Attached, Found, Image, Node, Reader};
use super::{parse, place};
use crate::cli::{Output, TreeArgs};
use crate::failure::Outcome;
use crate::output::{self, Style, safe, size};

/// `chancery tree`
pub(crate) async fn run(args: &TreeArgs, out: Output) -> Outcome {
    let reference = parse(&args.image)?;
    let place = place::find(&args.place, args.trusted_root.as_deref(), &[&reference])?;
    let reader = Reader::open(&place, &reference)?;
    let image = output::waiting(&format!("reading from {}", place.host()), reader.image(&reference.target)).await?;
    match out {
        Output::Text => {
            output::print(&text(&args.image, &image, Style::of_stdout()));
            if place.trusted_root.is_none() {
                output::tell("nothing was verified: give --trusted-root FILE, or --dir D, or set CHANCERY_TRUSTED_ROOT\n");
            }
        }
        Output::Json => output::print_json(&json!({
            "image": args.image,
            "registry": place.base,
            "verified_with": place.trusted_root,
            "digest": image.root.digest.as_str(),
            "media_type": image.root.manifest.as_ref().map(oci::Manifest::media_type),
            "bytes": bytes(&image.root),
            "cut": image.cut,
            "attached": attached_json(&image.root.attached),
            "manifests": children_json(&image.root),
        })),
    }
    Ok(())
}

/// Manifests, configurations and layers of the image itself, each once.
fn bytes(root: &Node) -> u64 {
    let manifests: Vec<_> = root.all().into_iter().filter_map(|node| node.manifest.as_ref()).collect();
    let contents: BTreeMap<_, _> =
        manifests.iter().flat_map(|manifest| manifest.contents()).map(|content| (&content.digest, content.size)).collect();
    let of_manifests = manifests.iter().map(|manifest| manifest.bytes().len() as u64).sum();
    contents.into_values().fold(of_manifests, u64::saturating_add)
}

fn children_json(node: &Node) -> Vec<Value> {
    let one = |(platform, node): &(String, Node)| {
        json!({
            "platform": platform,
            "digest": node.digest.as_str(),
            "here": node.manifest.is_some(),
            "attached": attached_json(&node.attached),
            "manifests": children_json(node),
        })
    };
    node.children.iter().map(one).collect()
}

fn attached_json(attached: &[Attached]) -> Vec<Value> {
    let one = |attached: &Attached| {
        let mut document = json!({
            "digest": attached.digest.as_str(),
            "artifact_type": attached.artifact_type,
            "form": attached.form,
            "attached": attached_json(&attached.attached),
        });
        match &attached.found {
            Found::Proven(evidence) => document["proof"] = json!(evidence),
            Found::Refused { code, reason } => document["refused"] = json!({ "code": code, "reason": reason }),
            Found::Unchecked => document["unchecked"] = true.into(),
            Found::Other(words) => document["what"] = (*words).into(),
        }
        document
    };
    attached.iter().map(one).collect()
}

/// One line of the picture: its branches and what it is, who, when, where.
struct Line {
    what: String,
    who: String,
    when: String,
    logged: String,
}

fn text(name: &str, image: &Image, style: Style) -> String {
    let mut lines = Vec::new();
    draw(&Child::of(&image.root), "", &mut lines);
    let (what, short) = (image.root.word(), image.root.digest.short());
    let platforms = match image.root.children.iter().filter(|(platform, _)| platform != ATTESTATIONS).count() {
        0 => String::new(),
        1 => "1 platform, ".to_owned(),
        more => format!("{more} platforms, "),
    };
    let mut text = format!("{}   {what} {short}   {platforms}{}\n", style.strong(name), size(bytes(&image.root)));
    let width = |column: fn(&Line) -> &str| {
        lines.iter().filter(|line| !line.who.is_empty()).map(|line| column(line).chars().count()).max().unwrap_or(0)
    };
    let (what, who) = (width(|line| &line.what), width(|line| &line.who));
    for line in &lines {
        let line = format!("{:<what$}  {:<who$}  {}  {}", line.what, line.who, line.when, line.logged);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if image.cut {
        text.push_str("and more: only the first of them were looked at\n");
    }
    text
}

enum Child<'a> {
    Attached(&'a Attached),
    Platform(&'a str, &'a Node),
}

impl<'a> Child<'a> {
    /// What is attached to a manifest, and then what is in it.
    fn of(node: &'a Node) -> Vec<Self> {
        let platforms = node.children.iter().map(|(platform, node)| Self::Platform(platform, node));
        node.attached.iter().map(Self::Attached).chain(platforms).collect()
    }
}

fn draw(children: &[Child<'_>], branches: &str, lines: &mut Vec<Line>) {
    for (position, child) in children.iter().enumerate() {
        let last = position + 1 == children.len();
        let (here, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (line, grandchildren) = match child {
            Child::Attached(attached) => (describe(attached), attached.attached.iter().map(Child::Attached).collect()),
            Child::Platform(platform, node) => {
                let elsewhere = if node.manifest.is_none() { "  not in this repository" } else { "" };
                (alone(format!("{:<13} {}{elsewhere}", safe(platform), node.digest.short())), Child::of(node))
            }
        };
        lines.push(Line { what: format!("{branches}{here}{}", line.what), ..line });
        draw(&grandchildren, &format!("{branches}{below}"), lines);
    }
}

/// A line that says what something is, and no more.
fn alone(what: String) -> Line {
    Line { what, who: String::new(), when: String::new(), logged: String::new() }
}

fn describe(attached: &Attached) -> Line {
    match &attached.found {
        Found::Proven(evidence) => Line {
            what: kind(evidence),
            who: who(evidence),
            when: evidence.signed_at().map(|time| format!("{time:.0}")).unwrap_or_default(),
            logged: evidence.log_entries.first().map(|entry| format!("logged {}", entry.index)).unwrap_or_default(),
        },
        Found::Refused { code, reason } => {
            alone(format!("{} {} proves nothing: {} [{code}]", word(attached), attached.digest.short(), safe(reason)))
        }
        Found::Unchecked => alone(format!("{} {}, not verified", word(attached), attached.digest.short())),
        Found::Other("") => {
            let artifact_type = attached.artifact_type.as_deref().unwrap_or("attachment");
            alone(format!("{} {}", safe(artifact_type), attached.digest.short()))
        }
        Found::Other(words) => alone((*words).to_owned()),
    }
}

fn kind(evidence: &Evidence) -> String {
    let kind = match &evidence.kind {
        Kind::Signature => "signature".to_owned(),
        Kind::Attestation { predicate_type } => safe(&predicate::name(predicate_type)),
    };
    if evidence.form.is_legacy() { format!("{kind} (cosign 2)") } else { kind }
}

/// What something claims to be that nothing is proven of.
pub(super) fn word(attached: &Attached) -> &'static str {
    match attached.form {
        Some(Form::LegacySignature) => "signature (cosign 2)",
        Some(Form::LegacyAttestation) => "attestation (cosign 2)",
        Some(Form::Bundle) | None => "bundle",
    }
}

/// Who signed, short and still unmistakable: `ghe.lab/platform/hello build.yml@refs/heads/main` for a workflow.
fn who(evidence: &Evidence) -> String {
    safe(&short_identity(evidence.identity()))
}

fn short_identity(identity: &str) -> String {
    let bare = identity.strip_prefix("https://").unwrap_or(identity);
    bare.replacen("/.github/workflows/", " ", 1)
}

#[cfg(test)]
mod tests {
    use oci::{Digest, Manifest, media_type};
    use verify::{LoggedEntry, SignerReport, TimeSource, VerifiedTime};

    use super::*;

    const PIPELINE: &str = "https://ghe.lab/platform/hello/.github/workflows/build.yml@refs/heads/main";

    fn proven(kind: Kind, identity: &str, index: u64) -> Attached {
        let signer = SignerReport::Identity {
            identity: identity.to_owned(),
            identity_kind: "uri",
            issuer: Some("https://ghe.lab/_services/token".to_owned()),
            certificate_sha256: "ab".to_owned(),
        };
        let time = "2026-11-21T09:14:03Z".parse().unwrap();
        attached(Found::Proven(Evidence {
            kind,
            form: Form::Bundle,
            sbom: None,
            signer,
            times: vec![VerifiedTime { time, source: TimeSource::TimestampAuthority, by: "tsa".to_owned() }],
            log_entries: vec![LoggedEntry {
                log: "log".to_owned(),
                index,
                kind: "hashedrekord 0.0.2".to_owned(),
                included: true,
            }],
        }))
    }

    fn attached(found: Found) -> Attached {
        let artifact_type = Some("application/x\u{1b}[2J".to_owned());
        Attached { digest: Digest::of(b"attached"), form: Some(Form::Bundle), artifact_type, found, attached: Vec::new() }
    }

    /// The same in the form of cosign 2.
    fn older(form: Form, mut attached: Attached) -> Attached {
        attached.form = Some(form);
        if let Found::Proven(evidence) = &mut attached.found {
            evidence.form = form;
        }
        attached
    }

    fn sbom(index: u64) -> Attached {
        proven(Kind::Attestation { predicate_type: predicate::SPDX.to_owned() }, PIPELINE, index)
    }

    fn platform(name: &str, attached: Vec<Attached>) -> (String, Node) {
        let layer = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::of(b"layer").as_str(), "size": 12_000_000 });
        let config =
            json!({ "mediaType": media_type::IMAGE_CONFIG, "digest": Digest::of(name.as_bytes()).as_str(), "size": 300 });
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "config": config, "layers": [layer] });
        let manifest = Manifest::parse(None, manifest.to_string().into()).unwrap();
        let digest = Digest::of(name.as_bytes());
        (name.to_owned(), Node { digest, manifest: Some(manifest), attached, children: Vec::new() })
    }

    fn image() -> Image {
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [] });
        let signature = || proven(Kind::Signature, PIPELINE, 4181);
        let mut signed = signature();
        signed.attached.push(proven(Kind::Signature, "dev@corp.example", 4190));
        let refused = attached(Found::Refused { code: "not_logged", reason: "no trusted log".to_owned() });
        let unproven = attached(Found::Refused { code: "not_logged", reason: "it carries none".to_owned() });
        let legacy = vec![older(Form::LegacySignature, signature()), older(Form::LegacyAttestation, unproven)];
        let mut missing = platform("linux/s390x", Vec::new());
        missing.1.manifest = None;
        let root = Node {
            digest: Digest::of(b"index"),
            manifest: Some(Manifest::parse(None, index.to_string().into()).unwrap()),
            attached: vec![signed, refused, attached(Found::Other("")), attached(Found::Other("Notation signature"))],
            children: vec![
                platform("linux/amd64", vec![signature(), sbom(4183)]),
                platform("linux/arm64", legacy),
                missing,
                platform(ATTESTATIONS, vec![attached(Found::Unchecked)]),
            ],
        };
        Image { root, cut: true }
    }

    #[test]
    fn the_picture() {
        let short = |name: &str| Digest::of(name.as_bytes()).short().to_owned();
        let (amd64, arm64, s390x) = (short("linux/amd64"), short("linux/arm64"), short("linux/s390x"));
        let attestations = short(ATTESTATIONS);
        let (index, attached) = (short("index"), short("attached"));
        let pipeline = "ghe.lab/platform/hello build.yml@refs/heads/main";
        let person = format!("{:<48}", "dev@corp.example");
        let expected = format!(
            "prod/app:2.1   index {index}   3 platforms, 12.0 MB\n\
             ├─ signature                {pipeline}  2026-11-21T09:14:03Z  logged 4181\n\
             │  └─ signature             {person}  2026-11-21T09:14:03Z  logged 4190\n\
             ├─ bundle {attached} proves nothing: no trusted log [not_logged]\n\
             ├─ application/x\u{fffd}[2J {attached}\n\
             ├─ Notation signature\n\
             ├─ linux/amd64   {amd64}\n\
             │  ├─ signature             {pipeline}  2026-11-21T09:14:03Z  logged 4181\n\
             │  └─ SPDX SBOM             {pipeline}  2026-11-21T09:14:03Z  logged 4183\n\
             ├─ linux/arm64   {arm64}\n\
             │  ├─ signature (cosign 2)  {pipeline}  2026-11-21T09:14:03Z  logged 4181\n\
             │  └─ attestation (cosign 2) {attached} proves nothing: it carries none [not_logged]\n\
             ├─ linux/s390x   {s390x}  not in this repository\n\
             └─ attestations  {attestations}\n   \
                └─ bundle {attached}, not verified\n\
             and more: only the first of them were looked at\n"
        );
        assert_eq!(text("prod/app:2.1", &image(), Style::plain()), expected);
    }

    #[test]
    fn each_layer_counts_once() {
        let image = image();
        let manifests: usize =
            image.root.all().iter().filter_map(|node| node.manifest.as_ref()).map(|manifest| manifest.bytes().len()).sum();
        assert_eq!(bytes(&image.root), manifests as u64 + 12_000_000 + 3 * 300);
    }

    #[test]
    fn an_identity_stays_unmistakable() {
        for (identity, expected) in [
            (
                "https://ghe.lab/platform/hello/.github/workflows/build.yml@refs/heads/main",
                "ghe.lab/platform/hello build.yml@refs/heads/main",
            ),
            ("https://gitlab.example/a/b//.gitlab-ci.yml@refs/heads/main", "gitlab.example/a/b//.gitlab-ci.yml@refs/heads/main"),
            ("dev@corp.example", "dev@corp.example"),
            ("http://plain.example/x", "http://plain.example/x"),
        ] {
            assert_eq!(short_identity(identity), expected);
        }
    }
}
