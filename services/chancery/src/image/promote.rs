//! `chancery promote`: the gateway decides and copies; this asks, and says what came of it.

use std::process::ExitCode;
use std::time::Duration;

use gateway::{Clause, Place, PolicyReport, Promotion, PromotionRequest, PromotionState};
use oci::Reference;
use serde_json::Value;

use super::place::Place as Registry;
use super::{parse, place, reader};
use crate::cli::{Output, PromoteArgs};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{self, Style, safe, size};

/// How long a promotion may take: one from a proxied repository may have to fetch it all first.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 16 << 20;

/// `chancery promote`
pub(crate) async fn run(args: &PromoteArgs, out: Output) -> Outcome<ExitCode> {
    let (source, target) = (parse(&args.source)?, parse(&args.target)?);
    let place = place::find(&args.place, None, &[&source, &target])?;
    let token = token(&place)?;
    let name = |reference| unmistakable(place.host(), reference);
    let request = PromotionRequest { source: name(source), target: name(target), dry_run: args.dry_run, expected_previous: None };
    let asked = ask(&place.base, &token, &request);
    let (status, body) = output::waiting(&format!("{} checks and copies", place.host()), asked).await?;
    let answer = serde_json::from_slice::<Value>(&body).ok();
    let promotion = answer.as_ref().and_then(|answer| serde_json::from_value::<Promotion>(answer.clone()).ok());
    match (status, promotion, answer) {
        (200 | 403, Some(promotion), Some(document)) => {
            match out {
                Output::Text => output::print(&text(&promotion, place.host(), Style::of_stdout())),
                Output::Json => output::print_json(&document),
            }
            Ok(match promotion.state {
                PromotionState::Denied => ExitCode::from(Exit::Refused as u8),
                _ => ExitCode::SUCCESS,
            })
        }
        (status, _, answer) => Err(refused(place.host(), status, answer.as_ref(), &body)),
    }
}

/// A reference in the registry at `host`, without the host: it may know itself by another name. Only where a repository begins like a
/// host, as those of a proxied registry may, the host stays in front.
fn unmistakable(host: &str, reference: Reference) -> String {
    let bare = Reference { host: None, ..reference };
    let text = bare.to_string();
    if text.parse::<Reference>().is_ok_and(|read| read == bare) { text } else { format!("{host}/{text}") }
}

async fn ask(base: &str, token: &str, request: &PromotionRequest) -> Outcome<(u16, Vec<u8>)> {
    let url = format!("{base}/api/v1/promotions");
    let http = chassis::http_client(&[]).map_err(|error| Failure::explained(&error))?;
    let unreachable = |error: reqwest::Error| {
        // The URL is in the first line already.
        let error = error.without_url();
        Failure::because("registry_unreachable", format!("{base} does not answer"), &error).advise(reader::UNREACHABLE)
    };
    let body = serde_json::to_vec(request).expect("text and flags serialise");
    let request = http.post(&url).bearer_auth(token).timeout(PATIENCE).header("content-type", "application/json").body(body);
    let mut response = request.send().await.map_err(unreachable)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Failure::new("registry_answer", format!("{base} answers with more than {ANSWER_LIMIT} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

/// The secret of whoever promotes.
fn token(registry: &Registry) -> Outcome<String> {
    let file = registry.promotion_token.as_deref().ok_or_else(|| {
        Failure::usage("registry_token", "who promotes? there is no token for this registry")
            .detail(format!("registry  {}", registry.base))
            .advise("Give --token-file FILE, or --dir D of the installation, or set CHANCERY_TOKEN_FILE.")
    })?;
    place::secret(file, &registry.base)
}

/// Neither done nor denied: what the registry says, under its own code where that is one of those that a promotion has.
fn refused(host: &str, status: u16, answer: Option<&Value>, body: &[u8]) -> Failure {
    let said = |member: &str| answer.and_then(|answer| answer[member].as_str());
    let words = || oci::ErrorBody::parse(body).and_then(|body| body.errors.into_iter().next()).map(|entry| entry.message);
    let reason = said("message").map(str::to_owned).or_else(words).unwrap_or_else(|| {
        let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let words = start.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    });
    const WHAT: &str = "the image was not promoted";
    let failure = match CODES.into_iter().find(|(code, _)| said("code") == Some(*code)) {
        Some((code, exit)) => {
            let mut failure = Failure::new(code, WHAT);
            failure.set_exit(exit);
            failure
        }
        None => Failure::new("promotion_failed", WHAT),
    };
    failure.detail(format!("{host} answers {status}: {}", safe(&reason)))
}

/// What the registry calls its reasons, and whether it is the command that has to change.
const CODES: [(&str, Exit); 14] = [
    ("promoter_unauthorized", Exit::Failed),
    ("promotion_busy", Exit::Failed),
    ("promotion_incomplete", Exit::Failed),
    ("promotion_overtaken", Exit::Failed),
    ("promotion_policy_named", Exit::Usage),
    ("promotion_reference", Exit::Usage),
    ("promotion_request", Exit::Usage),
    ("promotion_slow", Exit::Failed),
    ("promotion_source_read", Exit::Failed),
    ("promotion_source_unknown", Exit::Failed),
    ("promotion_tag_moved", Exit::Failed),
    ("promotion_target_proxied", Exit::Usage),
    ("promotion_too_large", Exit::Failed),
    ("promotion_unknown", Exit::Failed),
];

fn text(promotion: &Promotion, host: &str, style: Style) -> String {
    let target = format!("{}:{}", promotion.target.repository, promotion.target.tag);
    let from = match &promotion.source.tag {
        Some(tag) => format!("{}:{tag}", promotion.source.repository),
        None => format!("{}@{}", promotion.source.repository, promotion.source.digest.short()),
    };
    let by = promotion.policy.as_ref().map(|policy| {
        let (met, all) = policy.met();
        format!("  by policy {} ({met} of {all} clauses met)", safe(&policy.name))
    });
    let by = by.unwrap_or_else(|| "  no policy there".to_owned());
    let mut text = match promotion.state {
        PromotionState::Denied => format!("{}  {target}{by}\n", style.error("refused")),
        PromotionState::Planned => format!("{}  {from} -> {target}{by}\n", style.ok("would promote")),
        _ if promotion.unchanged => format!("{}  {target} is {from} already{by}\n", style.ok("unchanged")),
        _ => format!("{}  {from} -> {target}{by}\n", style.ok("promoted")),
    };
    clauses(&mut text, promotion.policy.as_ref(), style);
    for warning in &promotion.warnings {
        text.push_str(&format!("  note     {}\n", safe(warning)));
    }
    if promotion.state == PromotionState::Denied {
        text.push_str(&remedies(promotion.policy.as_ref()));
        return text;
    }
    text.push_str(&format!("  {}\n", counts(promotion)));
    text.push_str(&last_line(promotion, host, &target));
    text
}

fn clauses(text: &mut String, policy: Option<&PolicyReport>, style: Style) {
    for clause in policy.into_iter().flat_map(|policy| &policy.clauses) {
        let Clause { met, text: what, .. } = clause;
        let verdict = if *met { style.ok("ok     ") } else { style.error("missing") };
        text.push_str(&format!("  {verdict}  {}\n", safe(what)));
        if *met {
            continue;
        }
        let on = |places: &[Place]| {
            places.iter().map(|place| format!("{} ({})", place.digest.short(), safe(&place.role))).collect::<Vec<_>>().join(", ")
        };
        let present =
            if clause.present_on.is_empty() { String::new() } else { format!("; present on {}", on(&clause.present_on)) };
        text.push_str(&format!("           on {}{present}\n", on(&clause.missing_on)));
        for reason in &clause.reasons {
            text.push_str(&format!(
                "           {} on {} does not count: {} [{}]\n",
                reason.attached.short(),
                reason.on.digest.short(),
                safe(&reason.text),
                safe(&reason.code)
            ));
        }
    }
}

/// The commands that attach what is missing, one below the other.
fn remedies(policy: Option<&PolicyReport>) -> String {
    let commands = policy.into_iter().flat_map(|policy| &policy.clauses).flat_map(|clause| &clause.advice);
    let labels = std::iter::once("attach it with:").chain(std::iter::repeat(""));
    labels.zip(commands).map(|(label, command)| format!("{label:<15}  {}\n", safe(command))).collect()
}

/// `3 manifests, 3 signatures, 3 SPDX SBOMs, 1 other attachment; 4.1 kB`
fn counts(promotion: &Promotion) -> String {
    let mut parts = vec![plural(promotion.manifests, "manifest"), plural(promotion.signatures, "signature")];
    let mut counted = promotion.signatures;
    for attestations in &promotion.attestations {
        parts.push(plural(attestations.count, &safe(&evidence::predicate::name(&attestations.predicate_type))));
        counted += attestations.count;
    }
    if promotion.attached > counted {
        parts.push(plural(promotion.attached - counted, "other attachment"));
    }
    format!("{}; {}", parts.join(", "), size(promotion.bytes))
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn last_line(promotion: &Promotion, host: &str, target: &str) -> String {
    if promotion.state == PromotionState::Planned {
        return "nothing was written; promote it by leaving --dry-run away\n".to_owned();
    }
    let before = match &promotion.previous {
        Some(previous) if !promotion.unchanged => format!("  (was {})", previous.short()),
        _ => String::new(),
    };
    format!("{host}/{target} is {}{before}\n", promotion.digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const INDEX: &str = "sha256:9b1c33d0aa170000000000000000000000000000000000000000000000000000";
    const AMD64: &str = "sha256:e7710f3d9c520000000000000000000000000000000000000000000000000000";
    const ARM64: &str = "sha256:5c1e0b7724aa0000000000000000000000000000000000000000000000000000";
    const PLAIN: Style = Style::plain();

    fn promotion(change: &Value) -> Promotion {
        let mut document = json!({
            "id": "p1", "plan": INDEX, "state": "done", "actor": "ops",
            "source": { "repository": "staging/app", "tag": "2.1", "digest": INDEX },
            "target": { "repository": "prod/app", "tag": "2.1" },
            "digest": INDEX, "previous": null, "unchanged": false, "manifests": 3, "platforms": ["linux/amd64", "linux/arm64"],
            "attached": 7, "signatures": 3, "attestations": [{ "predicate_type": "https://spdx.dev/Document", "count": 3 }],
            "blobs": 9, "bytes": 12_400_000, "late_referrers": 0, "policy": null, "warnings": [],
        });
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_denial_names_every_clause_and_what_to_do() {
        let denied = promotion(&json!({ "state": "denied", "policy": { "name": "prod-images", "result": "deny", "clauses": [
            { "requires": "signature", "met": true, "text": "signed by https://ghe.corp.example/platform/app/build.yml" },
            { "requires": "logged", "met": true, "text": "logged in log1.rekor.corp.example at 2026-11-21T09:14:03Z, timestamped" },
            { "requires": "attestation", "predicate_type": "https://cosign.sigstore.dev/attestation/vuln/v1", "met": false,
              "text": "attestation https://cosign.sigstore.dev/attestation/vuln/v1",
              "missing_on": [{ "digest": ARM64, "role": "linux/arm64" }], "present_on": [{ "digest": AMD64, "role": "linux/amd64" }],
              "reasons": [{ "on": { "digest": ARM64, "role": "linux/arm64" }, "attached": AMD64, "code": "identity_mismatch", "text": "by evil\u{1b}[2J" }],
              "advice": ["cosign attest --type vuln --predicate scan.json localhost:5000/staging/app@sha256:5c1e"] },
        ] } }));
        let expected = "refused  prod/app:2.1  by policy prod-images (2 of 3 clauses met)\n  \
            ok       signed by https://ghe.corp.example/platform/app/build.yml\n  \
            ok       logged in log1.rekor.corp.example at 2026-11-21T09:14:03Z, timestamped\n  \
            missing  attestation https://cosign.sigstore.dev/attestation/vuln/v1\n           \
            on 5c1e0b7724aa (linux/arm64); present on e7710f3d9c52 (linux/amd64)\n           \
            e7710f3d9c52 on 5c1e0b7724aa does not count: by evil\u{fffd}[2J [identity_mismatch]\n\
            attach it with:  cosign attest --type vuln --predicate scan.json localhost:5000/staging/app@sha256:5c1e\n";
        assert_eq!(text(&denied, "localhost:5000", PLAIN), expected);
    }

    #[test]
    fn what_was_done_ends_with_what_is_there_now() {
        let shown = |change: Value| text(&promotion(&change), "r.example", PLAIN);
        let done = shown(json!({ "previous": AMD64, "warnings": ["the source tag moved meanwhile"] }));
        let expected = format!(
            "promoted  staging/app:2.1 -> prod/app:2.1  no policy there\n  \
             note     the source tag moved meanwhile\n  \
             3 manifests, 3 signatures, 3 SPDX SBOMs, 1 other attachment; 12.4 MB\n\
             r.example/prod/app:2.1 is {INDEX}  (was e7710f3d9c52)\n"
        );
        assert_eq!(done, expected);
        assert!(
            shown(json!({ "unchanged": true, "previous": INDEX }))
                .starts_with("unchanged  prod/app:2.1 is staging/app:2.1 already")
        );
        let planned = shown(json!({ "state": "planned", "id": null }));
        assert!(
            planned.starts_with("would promote")
                && planned.ends_with("nothing was written; promote it by leaving --dry-run away\n")
        );
    }

    #[test]
    fn a_reference_is_sent_so_that_it_is_read_as_it_was_meant() {
        for (given, sent) in [
            ("staging/app:1", "staging/app:1"),
            ("localhost:5000/staging/app:1", "staging/app:1"),
            ("localhost:5000/hub/library/alpine:1", "hub/library/alpine:1"),
            ("localhost:5000/ghcr.io/org/app:1", "localhost:5000/ghcr.io/org/app:1"),
        ] {
            assert_eq!(unmistakable("localhost:5000", given.parse().unwrap()), sent);
        }
    }

    #[test]
    fn the_registrys_own_code_is_kept_where_it_is_known() {
        use chassis::report::Explain as _;
        let answer = json!({ "code": "promotion_tag_moved", "message": "tag 1 points elsewhere" });
        let failure = refused("r.example", 409, Some(&answer), b"");
        assert_eq!(
            (failure.code(), failure.details()),
            ("promotion_tag_moved", vec!["r.example answers 409: tag 1 points elsewhere".to_owned()])
        );
        let strange = refused("r.example", 502, None, b"<html>\n bad\x1b gateway");
        assert_eq!(
            (strange.code(), strange.details()),
            ("promotion_failed", vec!["r.example answers 502: <html> bad gateway".to_owned()])
        );
        let other = br#"{"errors":[{"code":"DENIED","message":"not here"}]}"#;
        assert!(refused("r", 403, serde_json::from_slice(other).ok().as_ref(), other).details()[0].ends_with("not here"));
    }
}
