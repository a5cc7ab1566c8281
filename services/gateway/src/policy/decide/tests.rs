//! Decisions over bundles made with throwaway authorities: every refusal, with every reason.

use std::sync::LazyLock;

use serde_json::{Value, json};
use testkit::sigstore::{IDENTITY, ISSUER, Order, World};

use super::*;
use crate::PolicyConfig;
use crate::policy::{Policies, TrustRoot, tests};

const IMAGE: Option<&str> = Some("localhost:5000/staging/app");
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static TRUST: LazyLock<TrustRoot> = LazyLock::new(|| TrustRoot::parse(&WORLD.trusted_root.to_string()).unwrap());

fn policy(change: impl FnOnce(&mut Value)) -> std::sync::Arc<Policy> {
    let mut config = json!({
        "name": "prod-images", "repositories": "prod/*", "mode": "enforce", "attestations": [predicate::SPDX],
        "identities": [{"issuer": ISSUER, "subject": IDENTITY}],
    });
    change(&mut config);
    let config: PolicyConfig = serde_json::from_value(config).unwrap();
    Policies::read(&[config], &[]).unwrap().governing(&"prod/app".parse().unwrap()).unwrap().clone()
}

fn subject(role: &str) -> Subject {
    Subject { place: Place { digest: Digest::of(role.as_bytes()), role: role.to_owned() }, attached: Vec::new() }
}

impl Subject {
    fn with(mut self, examined: Examined) -> Self {
        let digest = Digest::of(format!("{} {}", self.place.role, self.attached.len()).as_bytes());
        self.attached.push(Attached { digest, layer: None, examined });
        self
    }

    /// A bundle about this subject, as cosign attaches it.
    fn bundle(self, predicate_type: &str, predicate: &Value) -> Self {
        let order = Order::about(self.place.digest.hex(), predicate_type, predicate);
        self.order(predicate_type, &order)
    }

    fn order(self, claimed: &str, order: &Order<'_>) -> Self {
        self.bytes(claimed, WORLD.sign(order).to_string().as_bytes())
    }

    fn bytes(self, claimed: &str, bundle: &[u8]) -> Self {
        let verdict = TRUST.examine(&self.place.digest, &tests::bundle(claimed, bundle), bundle);
        self.with(Examined::Claim { form: Form::Bundle, claimed: Some(claimed.to_owned()), verdict })
    }

    /// A signature or attestation as cosign 2 attaches it.
    fn legacy(self, form: Form, order: &Order<'_>) -> Self {
        let layer = WORLD.sign_legacy(order);
        let claimed = if form == Form::LegacySignature { predicate::SIGNATURE } else { predicate::SPDX };
        let verdict = TRUST.examine(&self.place.digest, &tests::legacy(form, &layer), &layer.content);
        self.with(Examined::Claim { form, claimed: Some(claimed.to_owned()), verdict })
    }

    fn legacy_signed(self) -> Self {
        let order = Order::image(&self.place.digest);
        self.legacy(Form::LegacySignature, &order)
    }

    fn legacy_sbom(self) -> Self {
        let what = Order::about(self.place.digest.hex(), predicate::SPDX, &json!({"packages": [{}]})).what;
        self.legacy(Form::LegacyAttestation, &Order { what, ..Order::v1() })
    }

    fn signed(self) -> Self {
        self.bundle(predicate::SIGNATURE, &json!({}))
    }

    fn sbom(self, packages: usize) -> Self {
        self.bundle(predicate::SPDX, &json!({"packages": vec![json!({}); packages]}))
    }
}

fn codes(clause: &Clause) -> Vec<&str> {
    clause.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn roles(places: &[Place]) -> Vec<&str> {
    places.iter().map(|place| place.role.as_str()).collect()
}

#[test]
fn everything_is_there() {
    let subjects = [subject("index").signed().sbom(214), subject("linux/amd64").signed().sbom(214)];
    let decision = decide(&policy(|_| {}), &subjects, IMAGE);
    assert!(decision.allowed());
    let texts: Vec<&str> = decision.report.clauses.iter().map(|clause| clause.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            format!("signed by {IDENTITY}").as_str(),
            "logged in log1.rekor.example at 2025-06-01T12:00:01Z, timestamped",
            "SPDX SBOM by the same identity, 214 packages",
        ]
    );
    assert_eq!(decision.report.met(), (3, 3));
    for clause in &decision.report.clauses {
        assert_eq!(roles(&clause.present_on), ["index", "linux/amd64"]);
        assert!(clause.missing_on.is_empty() && clause.reasons.is_empty() && clause.advice.is_empty());
    }
}

#[test]
fn nothing_is_there() {
    let decision = decide(&policy(|_| {}), &[subject("index"), subject("linux/amd64")], IMAGE);
    assert!(!decision.allowed());
    assert_eq!(decision.report.met(), (0, 3));
    let [signature, logged, sbom] = &decision.report.clauses[..] else { panic!() };
    assert_eq!(signature.text, format!("signature by {IDENTITY} of {ISSUER}"));
    assert_eq!(logged.text, "log entry and timestamp of that signature");
    assert_eq!(sbom.text, "attestation https://spdx.dev/Document");
    for clause in [signature, logged, sbom] {
        assert_eq!(roles(&clause.missing_on), ["index", "linux/amd64"]);
    }
    let (index, amd64) = (Digest::of(b"index"), Digest::of(b"linux/amd64"));
    assert_eq!(signature.advice, [format!("cosign sign --yes --recursive localhost:5000/staging/app@{index}")]);
    let attest = "cosign attest --yes --type spdxjson --predicate sbom.spdx.json localhost:5000/staging/app";
    assert_eq!(sbom.advice, [format!("{attest}@{index}"), format!("{attest}@{amd64}")]);
}

#[test]
fn nothing_to_look_at_allows_nothing() {
    assert!(!decide(&policy(|_| {}), &[], IMAGE).allowed());
}

#[test]
fn one_platform_lacks_a_scan() {
    let scanned = subject("linux/amd64").signed().sbom(3).bundle(VULN, &json!({}));
    let subjects = [subject("index").signed().sbom(3).bundle(VULN, &json!({})), scanned, subject("linux/arm64").signed().sbom(5)];
    let decision = decide(&policy(|c| c["attestations"] = json!([predicate::SPDX, VULN])), &subjects, IMAGE);
    assert_eq!(decision.report.met(), (3, 4));
    assert_eq!(decision.report.clauses[2].text, "SPDX SBOM by the same identity, 3 to 5 packages");
    let scan = &decision.report.clauses[3];
    assert_eq!(scan.text, format!("attestation {VULN}"));
    assert_eq!((roles(&scan.missing_on), roles(&scan.present_on)), (vec!["linux/arm64"], vec!["index", "linux/amd64"]));
    let arm64 = Digest::of(b"linux/arm64");
    let command = format!("cosign attest --yes --type vuln --predicate scan.json localhost:5000/staging/app@{arm64}");
    assert_eq!(scan.advice, [command]);
    assert!(scan.reasons.is_empty(), "{scan:?}");
}

#[test]
fn an_sbom_is_no_signature() {
    let decision = decide(&policy(|_| {}), &[subject("manifest").sbom(1)], IMAGE);
    let [signature, logged, sbom] = &decision.report.clauses[..] else { panic!() };
    assert!(!signature.met && !logged.met && sbom.met);
    assert_eq!(codes(signature), ["attestation_only"]);
    assert_eq!(signature.reasons[0].text, format!("SPDX SBOM by {IDENTITY}, which is no signature"));
    assert_eq!(sbom.text, format!("SPDX SBOM by {IDENTITY}, 1 package"));
    assert_eq!(signature.advice, [format!("cosign sign --yes localhost:5000/staging/app@{}", Digest::of(b"manifest"))]);
}

#[test]
fn a_signature_is_no_sbom() {
    let decision = decide(&policy(|_| {}), &[subject("manifest").signed()], IMAGE);
    let [signature, logged, sbom] = &decision.report.clauses[..] else { panic!() };
    assert!(signature.met && logged.met && !sbom.met && sbom.reasons.is_empty());
}

#[test]
fn by_somebody_else() {
    let about = |predicate_type| Order::about(Digest::of(b"manifest").hex(), predicate_type, &json!({}));
    let other = "https://ghe.example/platform/other";
    let subject = subject("manifest")
        .order(predicate::SIGNATURE, &about(predicate::SIGNATURE).by(other, ISSUER))
        .order(predicate::SIGNATURE, &about(predicate::SIGNATURE).by(IDENTITY, "https://other.example"))
        .order(predicate::SPDX, &about(predicate::SPDX).by(other, ISSUER));
    let decision = decide(&policy(|_| {}), &[subject], IMAGE);
    assert_eq!(decision.report.met(), (0, 3));
    let [signature, _, sbom] = &decision.report.clauses[..] else { panic!() };
    assert_eq!(codes(signature), ["identity_mismatch", "issuer_mismatch", "attestation_only"]);
    assert_eq!(signature.reasons[0].text, format!("signed by {other}, expected {IDENTITY} of {ISSUER}"));
    let issuer = format!("the identity was vouched for by https://other.example, expected {ISSUER}");
    assert_eq!(signature.reasons[1].text, issuer);
    assert_eq!(codes(sbom), ["identity_mismatch"]);
}

#[test]
fn one_of_several_identities_is_enough_and_each_clause_names_whom_it_found() {
    let other = "https://ghe.example/scanners/syft";
    let policy = policy(|c| {
        c["identities"] = json!([
            {"issuer": ISSUER, "subject": IDENTITY},
            {"issuer_pattern": "https://ghe\\.example/.*", "subject_pattern": "https://ghe\\.example/scanners/[a-z]+"},
        ]);
    });
    let sbom = Order::about(Digest::of(b"manifest").hex(), predicate::SPDX, &json!({"packages": []})).by(other, ISSUER);
    let decision = decide(&policy, &[subject("manifest").signed().order(predicate::SPDX, &sbom)], IMAGE);
    assert!(decision.allowed());
    assert_eq!(decision.report.clauses[2].text, format!("SPDX SBOM by {other}, 0 packages"));
    let part = Order::about(Digest::of(b"manifest").hex(), predicate::SIGNATURE, &json!({})).by(&format!("{other}/9"), ISSUER);
    let decision = decide(&policy, &[subject("manifest").order(predicate::SIGNATURE, &part)], IMAGE);
    assert_eq!(codes(&decision.report.clauses[0]), ["identity_mismatch"], "patterns are anchored");
}

#[test]
fn bundles_that_prove_nothing_are_named_where_they_were_meant() {
    let elsewhere = Order::about(Digest::of(b"another image").hex(), predicate::SIGNATURE, &json!({}));
    let mut tampered = WORLD.sign(&Order::about(Digest::of(b"manifest").hex(), predicate::SPDX, &json!({})));
    tampered["dsseEnvelope"]["payload"] = json!("e30=");
    let foreign = World::new().sign(&Order::about(Digest::of(b"manifest").hex(), predicate::SIGNATURE, &json!({})));
    let subject = subject("manifest")
        .order(predicate::SIGNATURE, &elsewhere)
        .bytes(predicate::SIGNATURE, foreign.to_string().as_bytes())
        .bytes(predicate::SPDX, tampered.to_string().as_bytes())
        .bytes("https://example.com/anything", b"{}");
    let decision = decide(&policy(|_| {}), &[subject], IMAGE);
    let [signature, _, sbom] = &decision.report.clauses[..] else { panic!() };
    assert_eq!(codes(signature), ["artifact_mismatch", "not_logged", "bundle_malformed"]);
    assert_eq!(codes(sbom), ["log_entry_mismatch"]);
}

/// A claim decides where a refusal is told. It never makes anything count.
#[test]
fn claims_prove_nothing() {
    let sbom = Order::about(Digest::of(b"manifest").hex(), predicate::SPDX, &json!({}));
    let decision = decide(&policy(|_| {}), &[subject("manifest").order(predicate::SIGNATURE, &sbom)], IMAGE);
    assert_eq!(codes(&decision.report.clauses[0]), ["attestation_only"]);
}

#[test]
fn the_form_of_cosign_2_meets_a_policy_and_is_named() {
    let decision = decide(&policy(|_| {}), &[subject("manifest").legacy_signed().legacy_sbom()], IMAGE);
    assert!(decision.allowed());
    let [signature, logged, sbom] = &decision.report.clauses[..] else { panic!() };
    assert_eq!(signature.text, format!("signed by {IDENTITY}, in the form of cosign 2"));
    assert_eq!(logged.text, "logged in rekor-v1.example at 2025-06-01T12:00:02Z");
    assert_eq!(sbom.text, "SPDX SBOM by the same identity, 1 package, in the form of cosign 2");
    assert_eq!((signature.legacy_on.len(), sbom.legacy_on.len()), (1, 1));

    // Where a bundle says the same, it is the bundle that counts.
    let both = subject("manifest").legacy_signed().signed().legacy_sbom().sbom(3);
    let decision = decide(&policy(|_| {}), &[both], IMAGE);
    assert_eq!(decision.report.clauses[0].text, format!("signed by {IDENTITY}"));
    assert!(decision.report.clauses.iter().all(|clause| clause.met && clause.legacy_on.is_empty()));
}

#[test]
fn the_form_of_cosign_2_is_judged_like_any_other() {
    let wrong = |order: Order<'_>| subject("manifest").legacy(Form::LegacySignature, &order).legacy_sbom();
    let right = || Order::image(Digest::of(b"manifest"));
    for (order, code) in [
        (right().by("https://ghe.example/platform/other", ISSUER), "identity_mismatch"),
        (right().by(IDENTITY, "https://other.example"), "issuer_mismatch"),
        (Order::image(Digest::of(b"another")), "artifact_mismatch"),
    ] {
        let decision = decide(&policy(|_| {}), &[wrong(order)], IMAGE);
        assert!(!decision.allowed());
        assert_eq!(codes(&decision.report.clauses[0]), [code, "attestation_only"]);
    }
    // An attestation, whatever it is of, is no signature; and a signature is no attestation.
    let decision = decide(&policy(|_| {}), &[subject("manifest").legacy_sbom()], IMAGE);
    assert_eq!(codes(&decision.report.clauses[0]), ["attestation_only"]);
    let decision = decide(&policy(|_| {}), &[subject("manifest").legacy_signed()], IMAGE);
    let [signature, _, sbom] = &decision.report.clauses[..] else { panic!() };
    assert!(signature.met && !sbom.met && sbom.reasons.is_empty());
    // On every manifest, or not at all.
    let decision = decide(&policy(|_| {}), &[subject("index").legacy_signed().legacy_sbom(), subject("linux/amd64")], IMAGE);
    assert!(!decision.allowed());
}

#[test]
fn what_was_not_read_meets_nothing_and_the_refusal_says_so() {
    let subject =
        subject("manifest").with(Examined::UnsignedSbom).with(Examined::Other).with(Examined::Unread("it is too large"));
    let decision = decide(&policy(|_| {}), &[subject], None);
    let [signature, _, sbom] = &decision.report.clauses[..] else { panic!() };
    assert_eq!(codes(signature), ["bundle_unread"]);
    assert_eq!(codes(sbom), ["sbom_unsigned", "bundle_unread"]);
    assert!(signature.advice.is_empty() && sbom.advice.is_empty(), "nothing can be attached where the image comes from");
}

#[test]
fn reasons_are_bounded() {
    let crowded = (0..MAX_REASONS + 5).fold(subject("manifest"), |subject, _| subject.with(Examined::Unread("it is too large")));
    assert_eq!(decide(&policy(|_| {}), &[crowded], IMAGE).report.clauses[0].reasons.len(), MAX_REASONS);
}
