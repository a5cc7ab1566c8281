//! `chancery tree`: an image and everything attached to it.

use evidence::{Evidence, Kind, predicate};
use serde_json::{Value, json};

use super::reader::{ATTESTATIONS, Attached, Found, Image, Node, Reader};
use super::{parse, place, word};
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
            "media_type": image.root.manifest.media_type(),
            "bytes": bytes(&image),
            "attached": attached_json(&image.root.attached),
            "manifests": image.platforms.iter().map(|(platform, node)| json!({
                "platform": platform,
                "digest": node.digest.as_str(),
                "attached": attached_json(&node.attached),
            })).collect::<Vec<_>>(),
        })),
    }
    Ok(())
}

/// Manifests, configurations and layers of the image itself, each once.
fn bytes(image: &Image) -> u64 {
    let nodes = || std::iter::once(&image.root).chain(image.platforms.iter().map(|(_, node)| node));
    let manifests: u64 = nodes().map(|node| node.manifest.bytes().len() as u64).sum();
    let contents: std::collections::BTreeMap<_, _> =
        nodes().flat_map(|node| node.manifest.contents()).map(|content| (&content.digest, content.size)).collect();
    contents.into_values().fold(manifests, u64::saturating_add)
}

fn attached_json(attached: &[Attached]) -> Vec<Value> {
    let one = |attached: &Attached| {
        let mut document = json!({
            "digest": attached.digest.as_str(),
            "artifact_type": attached.artifact_type,
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
    let children: Vec<Child<'_>> = image
        .root
        .attached
        .iter()
        .map(Child::Attached)
        .chain(image.platforms.iter().map(|(platform, node)| Child::Platform(platform, node)))
        .collect();
    draw(&children, "", &mut lines);
    let short = image.root.digest.short();
    let what = word(image.root.manifest.kind());
    let platforms = image.platforms.iter().filter(|(platform, _)| platform != ATTESTATIONS).count();
    let platforms = match platforms {
        0 => String::new(),
        1 => "1 platform, ".to_owned(),
        more => format!("{more} platforms, "),
    };
    let mut text = format!("{}   {what} {short}   {platforms}{}\n", style.strong(name), size(bytes(image)));
    let width = |column: fn(&Line) -> &str| {
        lines.iter().filter(|line| !line.who.is_empty()).map(|line| column(line).chars().count()).max().unwrap_or(0)
    };
    let (what, who) = (width(|line| &line.what), width(|line| &line.who));
    for line in &lines {
        let line = format!("{:<what$}  {:<who$}  {}  {}", line.what, line.who, line.when, line.logged);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

enum Child<'a> {
    Attached(&'a Attached),
    Platform(&'a str, &'a Node),
}

fn draw(children: &[Child<'_>], branches: &str, lines: &mut Vec<Line>) {
    for (position, child) in children.iter().enumerate() {
        let last = position + 1 == children.len();
        let (here, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (line, grandchildren) = match child {
            Child::Attached(attached) => (describe(attached), &attached.attached),
            Child::Platform(platform, node) => {
                let what = format!("{platform:<13} {}", node.digest.short());
                (Line { what, who: String::new(), when: String::new(), logged: String::new() }, &node.attached)
            }
        };
        lines.push(Line { what: format!("{branches}{here}{}", line.what), ..line });
        let grandchildren: Vec<Child<'_>> = grandchildren.iter().map(Child::Attached).collect();
        draw(&grandchildren, &format!("{branches}{below}"), lines);
    }
}

fn describe(attached: &Attached) -> Line {
    let alone = |what: String| Line { what, who: String::new(), when: String::new(), logged: String::new() };
    match &attached.found {
        Found::Proven(evidence) => Line {
            what: kind(&evidence.kind),
            who: who(evidence),
            when: evidence.signed_at().map(|time| format!("{time:.0}")).unwrap_or_default(),
            logged: evidence.log_entries.first().map(|entry| format!("logged {}", entry.index)).unwrap_or_default(),
        },
        Found::Refused { code, reason } => {
            alone(format!("bundle {} proves nothing: {} [{code}]", attached.digest.short(), safe(reason)))
        }
        Found::Unchecked => alone(format!("bundle {}, not verified", attached.digest.short())),
        Found::Other("") => {
            let artifact_type = attached.artifact_type.as_deref().unwrap_or("attachment");
            alone(format!("{} {}", safe(artifact_type), attached.digest.short()))
        }
        Found::Other(words) => alone((*words).to_owned()),
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Signature => "signature".to_owned(),
        Kind::Attestation { predicate_type } => safe(&predicate::name(predicate_type)),
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
    use super::*;

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
