//! Whether an image meets a policy, clause by clause: a pure function.
//!
//! It says everything that is missing and why each thing that is attached does not count, because whoever was refused has to mend
//! all of it.

use std::collections::BTreeSet;

use chassis::reason::one_line;
use evidence::{Evidence, Form, Kind, predicate};
use oci::Digest;
use verify::TimeSource;

use super::{Clause, Place, Policy, PolicyReport, PolicyResult, Reason, Requirement, Verdict};

/// The most reasons of one clause that are told; who attaches thousands of things is not helped by a line for each.
const MAX_REASONS: usize = 100;
/// The most commands that are advised for one clause.
const MAX_ADVICE: usize = 8;

/// A manifest that the policy looks at.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Which.
    pub(crate) place: Place,
    /// What is attached to it.
    pub(crate) attached: Vec<Attached>,
}

/// Something that is attached to a manifest.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The attached manifest.
    pub(crate) digest: Digest,
    /// Which of its layers, where each is something of its own.
    pub(crate) layer: Option<Digest>,
    /// What was made of it.
    pub(crate) examined: Examined,
}

impl Attached {
    /// What it proves, if it is a claim that was verified.
    pub(crate) fn evidence(&self) -> Option<&Evidence> {
        match &self.examined {
            Examined::Claim { verdict, .. } => verdict.as_ref().as_ref().ok(),
            _ => None,
        }
    }
}

/// What was made of something attached.
#[derive(Debug)]
pub(crate) enum Examined {
    /// Something that claims to be signed, read and verified.
    Claim {
        /// In which form.
        form: Form,
        /// What it says of itself. Decides which clause a refusal is told at, and nothing else.
        claimed: Option<String>,
        /// What it proves.
        verdict: Verdict,
    },
    /// Something that claims to be signed and was not read, and why.
    Unread(&'static str),
    /// An SBOM that nobody signed.
    UnsignedSbom,
    /// Anything else.
    Other,
}

/// A policy's word about an image.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Every clause.
    pub(crate) report: PolicyReport,
}

impl Decision {
    /// Whether the image may be promoted.
    pub(crate) fn allowed(&self) -> bool {
        self.report.result == PolicyResult::Allow
    }
}

/// Whether `subjects`, the manifests that `policy` looks at, carry what it asks for; the promoted manifest comes first. `image` is
/// the repository as clients name it, for advice, where things can be attached there.
pub(crate) fn decide(policy: &Policy, subjects: &[Subject], image: Option<&str>) -> Decision {
    let signatures = Search::new(policy, subjects, &Kind::Signature);
    let mut clauses = vec![signatures.clause(image), signatures.logged()];
    for predicate_type in &policy.attestations {
        let kind = Kind::Attestation { predicate_type: predicate_type.clone() };
        clauses.push(Search::new(policy, subjects, &kind).attested(&signatures, image));
    }
    // Without a manifest to look at nothing was looked at: that allows nothing.
    let met = !subjects.is_empty() && clauses.iter().all(|clause| clause.met);
    let result = if met { PolicyResult::Allow } else { PolicyResult::Deny };
    Decision { report: PolicyReport { name: policy.name.clone(), result, clauses } }
}

/// What was found for one clause.
struct Search<'a> {
    policy: &'a Policy,
    kind: Kind,
    /// Where it is, with the first evidence that counts.
    found: Vec<(&'a Place, &'a Evidence)>,
    missing: Vec<&'a Place>,
    reasons: Vec<Reason>,
}

impl<'a> Search<'a> {
    fn new(policy: &'a Policy, subjects: &'a [Subject], kind: &Kind) -> Self {
        let mut search = Self { policy, kind: kind.clone(), found: Vec::new(), missing: Vec::new(), reasons: Vec::new() };
        for Subject { place, attached } in subjects {
            // A bundle before an older form: clients that find bundles look no further.
            let counts =
                attached.iter().filter_map(|attached| search.counts(attached)).min_by_key(|counts| counts.form.is_legacy());
            match counts {
                Some(evidence) => search.found.push((place, evidence)),
                None => {
                    search.missing.push(place);
                    search.explain(place, attached);
                }
            }
        }
        search
    }

    /// The evidence, if it is of the wanted kind and by somebody whose word counts.
    fn counts(&self, attached: &'a Attached) -> Option<&'a Evidence> {
        let evidence = attached.evidence()?;
        (evidence.kind == self.kind && self.policy.accepts(evidence).is_ok()).then_some(evidence)
    }

    fn explain(&mut self, place: &Place, attached: &[Attached]) {
        for attached in attached {
            if self.reasons.len() == MAX_REASONS {
                return;
            }
            if let Some((code, text)) = self.reason(&attached.examined) {
                self.reasons.push(Reason {
                    on: place.clone(),
                    attached: attached.digest.clone(),
                    layer: attached.layer.clone(),
                    code: code.to_owned(),
                    text: one_line(&text),
                });
            }
        }
    }

    /// Why something does not count; `None` when nobody would expect it to.
    fn reason(&self, examined: &Examined) -> Option<(&'static str, String)> {
        let uncounted = match examined {
            Examined::Claim { claimed, verdict, .. } => match verdict.as_ref() {
                Ok(evidence) if evidence.kind == self.kind => {
                    return self.policy.accepts(evidence).err().map(|refusal| (refusal.code(), refusal.to_string()));
                }
                Ok(evidence) if self.kind == Kind::Signature => Uncounted::of_another_kind(evidence)?,
                Err(refused) if self.claims(claimed.as_deref()) => return Some((refused.code(), refused.to_string())),
                Ok(_) | Err(_) => return None,
            },
            Examined::Unread(why) => Uncounted::Unread(why),
            Examined::UnsignedSbom if self.wants_sbom() => Uncounted::UnsignedSbom,
            Examined::UnsignedSbom | Examined::Other => return None,
        };
        Some((uncounted.code(), uncounted.to_string()))
    }

    /// Whether a claim that was refused might have been meant for this clause. One that claims to be something that no clause asks
    /// for, or says nothing, is told at the signature: a person looks there first.
    fn claims(&self, claimed: Option<&str>) -> bool {
        match (&self.kind, claimed) {
            (Kind::Attestation { predicate_type }, claimed) => claimed == Some(predicate_type),
            (Kind::Signature, Some(claimed)) => !self.policy.attestations.iter().any(|wanted| wanted == claimed),
            (Kind::Signature, None) => true,
        }
    }

    fn wants_sbom(&self) -> bool {
        let Kind::Attestation { predicate_type } = &self.kind else { return false };
        [predicate::SPDX, predicate::CYCLONEDX].contains(&predicate_type.as_str())
    }

    fn met(&self) -> bool {
        self.missing.is_empty()
    }

    /// Everybody whose word counted, each once.
    fn signers(&self) -> BTreeSet<&str> {
        self.found.iter().map(|(_, evidence)| evidence.identity()).collect()
    }

    /// The signature.
    fn clause(&self, image: Option<&str>) -> Clause {
        let text = match self.met() {
            true => format!("signed by {}{}", listed(&self.signers()), self.form()),
            false => format!("signature by {}", self.policy.expected()),
        };
        let advice = match (image, &self.missing[..]) {
            (Some(image), [one]) => vec![format!("cosign sign --yes {image}@{}", one.digest)],
            (Some(image), [first, ..]) => vec![format!("cosign sign --yes --recursive {image}@{}", first.digest)],
            _ => Vec::new(),
        };
        self.told(Requirement::Signature, &text, advice)
    }

    /// Where and when that signature was logged. A bundle without either is refused before, so this is missing where it is.
    fn logged(&self) -> Clause {
        let text = match (self.met(), self.found.first()) {
            (true, Some((_, evidence))) => when_and_where(evidence),
            _ => "log entry and timestamp of that signature".to_owned(),
        };
        Clause { reasons: Vec::new(), ..self.told(Requirement::Logged, &text, Vec::new()) }
    }

    /// An attestation.
    fn attested(&self, signatures: &Self, image: Option<&str>) -> Clause {
        let Kind::Attestation { predicate_type } = &self.kind else { unreachable!("clauses beyond the first are attestations") };
        let signers = self.signers();
        let by = match signers == signatures.signers() {
            true => "the same identity".to_owned(),
            false => listed(&signers),
        };
        let text = match self.met() {
            true => format!("{} by {by}{}{}", predicate::name(predicate_type), self.packages(), self.form()),
            false => format!("attestation {predicate_type}"),
        };
        let command = |place: &&Place| {
            let (word, file) = (predicate::cosign_type(predicate_type), file_name(predicate_type));
            image.map(|image| format!("cosign attest --yes --type {word} --predicate {file} {image}@{}", place.digest))
        };
        let advice = self.missing.iter().take(MAX_ADVICE).filter_map(command).collect();
        self.told(Requirement::Attestation { predicate_type: predicate_type.clone() }, &text, advice)
    }

    fn told(&self, requires: Requirement, text: &str, advice: Vec<String>) -> Clause {
        Clause {
            requires,
            met: self.met(),
            text: one_line(text),
            missing_on: self.missing.iter().map(|place| (*place).clone()).collect(),
            present_on: self.found.iter().map(|(place, _)| (*place).clone()).collect(),
            legacy_on: self.legacy().cloned().collect(),
            reasons: self.reasons.clone(),
            advice,
        }
    }

    /// Where what counts is in the form of cosign 2 alone.
    fn legacy(&self) -> impl Iterator<Item = &'a Place> {
        self.found.iter().filter(|(_, evidence)| evidence.form.is_legacy()).map(|(place, _)| *place)
    }

    /// `, in the form of cosign 2`, where that is all there is.
    fn form(&self) -> &'static str {
        if self.legacy().next().is_some() { ", in the form of cosign 2" } else { "" }
    }

    /// `, 214 packages`, where the SBOMs say so.
    fn packages(&self) -> String {
        let counts = self.found.iter().filter_map(|(_, evidence)| Some(evidence.sbom?.packages));
        match (counts.clone().min(), counts.max()) {
            (Some(1), Some(1)) => ", 1 package".to_owned(),
            (Some(least), Some(most)) if least == most => format!(", {most} packages"),
            (Some(least), Some(most)) => format!(", {least} to {most} packages"),
            _ => String::new(),
        }
    }
}

/// Why something that is not wrong in itself does not count.
#[derive(Debug, thiserror::Error)]
enum Uncounted {
    #[error("{what} by {whom}, which is no signature")]
    AttestationOnly { what: String, whom: String },
    #[error("it was not read: {0}")]
    Unread(&'static str),
    #[error("an SBOM that nobody signed; attest it instead of attaching it")]
    UnsignedSbom,
}

impl Uncounted {
    fn of_another_kind(evidence: &Evidence) -> Option<Self> {
        let what = predicate::name(evidence.predicate_type()?);
        Some(Self::AttestationOnly { what, whom: evidence.identity().to_owned() })
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::AttestationOnly { .. } => "attestation_only",
            Self::Unread(_) => "bundle_unread",
            Self::UnsignedSbom => "sbom_unsigned",
        }
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(" and ")
}

fn when_and_where(evidence: &Evidence) -> String {
    let log = evidence.log_entries.first().map_or("", |entry| entry.log.as_str());
    let host = log.split_once("://").map_or(log, |(_, host)| host);
    let time = evidence.signed_at().map_or_else(String::new, |time| format!(" at {time:.0}"));
    let stamped = evidence.times.iter().any(|time| time.source == TimeSource::TimestampAuthority);
    format!("logged in {host}{time}{}", if stamped { ", timestamped" } else { "" })
}

/// What people call the file that they attest.
fn file_name(predicate_type: &str) -> &'static str {
    match predicate::cosign_type(predicate_type) {
        "spdxjson" => "sbom.spdx.json",
        "cyclonedx" => "sbom.cdx.json",
        "vuln" => "scan.json",
        _ => "predicate.json",
    }
}

#[cfg(test)]
mod tests;
