//! `chancery verify` of an image: is the manifest that a reference names signed by whom it should be?

use evidence::{Evidence, Kind};
use oci::Digest;
use serde_json::json;

use super::reader::{Attached, Found, Image, Node, Reader};
use super::{parse, place, tree};
use crate::cli::{Output, VerifyArgs};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{self, Style, safe};

/// Who must have signed, and who must vouch for that name.
struct Signer<'a> {
    identity: &'a str,
    issuer: &'a str,
}

/// Verifies the image that `args` name.
pub(crate) async fn run(args: &VerifyArgs, out: Output) -> Outcome {
    let reference = parse(&args.artifact)?;
    let place = place::find(&args.place, args.trusted_root.as_deref(), &[&reference])?;
    place.trusted_root()?;
    let (Some(identity), Some(issuer)) = (&args.certificate_identity, &args.certificate_oidc_issuer) else {
        return Err(Failure::usage("usage", "who must have signed? give --certificate-identity and --certificate-oidc-issuer"));
    };
    let signer = Signer { identity, issuer };
    let reader = Reader::open(&place, &reference)?;
    let image = output::waiting(&format!("reading from {}", place.host()), reader.image(&reference.target)).await?;
    let Some(proof) = signer.signature_on(&image.root) else {
        return Err(refused(&args.artifact, &image.root, &signer));
    };
    match out {
        Output::Text => output::print(&text(&args.artifact, &image, proof, &signer, Style::of_stdout())),
        Output::Json => output::print_json(&json!({
            "verified": true,
            "image": args.artifact,
            "digest": image.root.digest.as_str(),
            "proof": proof,
            "manifests": image.root.children.iter().map(|(platform, node)| json!({
                "platform": platform,
                "digest": node.digest.as_str(),
                "signed": signer.signature_on(node).is_some(),
            })).collect::<Vec<_>>(),
        })),
    }
    Ok(())
}

impl Signer<'_> {
    fn signature_on<'n>(&self, node: &'n Node) -> Option<&'n Evidence> {
        signatures(node).map(|(_, evidence)| evidence).find(|evidence| self.is(evidence))
    }

    fn is(&self, evidence: &Evidence) -> bool {
        evidence.identity() == self.identity && evidence.issuer() == Some(self.issuer)
    }
}

/// Verified signatures: an attestation says something about an image, and not that somebody stands behind it.
fn signatures(node: &Node) -> impl Iterator<Item = (&Digest, &Evidence)> {
    node.attached.iter().filter_map(|attached| match &attached.found {
        Found::Proven(evidence) if evidence.kind == Kind::Signature => Some((&attached.digest, evidence)),
        _ => None,
    })
}

/// Nothing on the manifest is a signature by `signer`: what there is instead.
fn refused(name: &str, node: &Node, signer: &Signer<'_>) -> Failure {
    let what = format!("{name} does not verify");
    let unproven: Vec<String> = node.attached.iter().filter_map(unproven).collect();
    let mut failure = if signatures(node).next().is_none() && !node.attached.iter().any(is_refused) {
        Failure::new("image_unsigned", what).detail(format!("{} {} has no signature", node.word(), node.digest.short()))
    } else {
        Failure::new("image_signer", what)
    };
    for (digest, evidence) in signatures(node) {
        failure = failure.detail(format!(
            "found     signature {} by {} (issuer {})",
            digest.short(),
            evidence.identity(),
            evidence.issuer().unwrap_or("none")
        ));
    }
    failure = unproven.into_iter().fold(failure, Failure::detail);
    failure = failure
        .detail(format!("expected  a signature by {} (issuer {})", signer.identity, signer.issuer))
        .advise(format!("Show all that is attached with: chancery tree {name}"));
    failure.set_exit(Exit::Refused);
    failure
}

fn is_refused(attached: &Attached) -> bool {
    matches!(attached.found, Found::Refused { .. })
}

fn unproven(attached: &Attached) -> Option<String> {
    let digest = attached.digest.short();
    match &attached.found {
        Found::Proven(Evidence { kind: Kind::Attestation { predicate_type }, .. }) => {
            Some(format!("found     {} {digest}, which is no signature", safe(&evidence::predicate::name(predicate_type))))
        }
        Found::Proven(_) | Found::Unchecked | Found::Other("") => None,
        Found::Refused { code, reason } => {
            Some(format!("found     {} {digest}, which proves nothing: {} [{code}]", tree::word(attached), safe(reason)))
        }
        Found::Other(words) => Some(format!("found     {words}")),
    }
}

fn text(name: &str, image: &Image, proof: &Evidence, signer: &Signer<'_>, style: Style) -> String {
    let root = &image.root;
    let mut text = format!("{} {name}  {} {}\n", style.ok("verified"), root.word(), root.digest);
    let mut line = |what: &str, value: &str| text.push_str(&format!("  {what:<9} {value}\n"));
    line("signed by", proof.identity());
    line("issuer", proof.issuer().unwrap_or("none"));
    if proof.form.is_legacy() {
        line("form", "cosign 2, from before bundles");
    }
    for entry in &proof.log_entries {
        line("logged", &format!("entry {} of {}", entry.index, entry.log));
    }
    for time in &proof.times {
        line("at", &format!("{:.0} by {}", time.time, time.by));
    }
    for (platform, node) in &root.children {
        let signed =
            if signer.signature_on(node).is_some() { "signed too" } else { "not signed itself; the index names its digest" };
        line("holds", &format!("{platform} {}, {signed}", node.digest.short()));
    }
    text
}
