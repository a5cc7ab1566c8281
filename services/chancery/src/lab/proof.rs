//! The lab's proof: a signature made, logged, timestamped and verified through the services' public URLs only.
//!
//! It sees what any client sees: the environment that `chancery env` prints, and a token. It depends on no service crate
//! (`cargo xtask check-deps` looks).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bundle::ClientTrustConfig;
use clock::Clock as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sign::{Content, Endpoints, EphemeralKey, IdentityToken, Keyless, SignError};
use verify::{Artifact, IdentityPolicy, Matcher, Policy, Verifier};

use super::cosign;
use super::env::Environment;
use crate::failure::{Failure, Outcome};

/// A step of the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// A token became a certificate.
    Certified,
    /// The signature was timestamped.
    Timestamped,
    /// Signature and certificate are in the log.
    Logged,
    /// The bundle verifies offline.
    Verified,
    /// cosign says so too.
    Agreed,
}

impl Step {
    /// The word on the screen.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Certified => "certified",
            Self::Timestamped => "timestamped",
            Self::Logged => "logged",
            Self::Verified => "verified",
            Self::Agreed => "agreed",
        }
    }
}

/// A step that passed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Passed {
    /// Which one.
    pub step: Step,
    /// What was seen.
    pub what: String,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// Which steps have passed since the lab was created: `D/proof.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The steps that never have to run again.
    pub passed: BTreeSet<Step>,
}

impl Record {
    /// Reads the record; a lab without one has proved nothing yet.
    pub(crate) fn load(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Whether every step that can only pass or fail has passed.
    pub(crate) fn complete(&self) -> bool {
        [Step::Certified, Step::Timestamped, Step::Logged, Step::Verified].iter().all(|step| self.passed.contains(step))
    }

    /// Writes the record by rename.
    pub(crate) fn store(&self, path: &Path) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        std::io::Write::write_all(&mut file, &serde_json::to_vec(self).expect("plain data serialises"))?;
        file.persist(path)?;
        Ok(())
    }
}

/// Who signs in the proof, and who vouches.
pub(crate) struct Identity {
    /// A fresh token.
    pub token: String,
    /// The subject alternative name that the certificate must carry.
    pub subject: String,
    /// The issuer that it must name.
    pub issuer: String,
}

/// Runs the proof; `passed` hears of each step at once. Nothing is written outside a temporary folder.
///
/// # Errors
/// The first step that fails, by name.
pub(crate) async fn run(env: &Environment, identity: Identity, mut passed: impl FnMut(Passed)) -> Outcome {
    let artifact = format!("hello from a new Chancery lab, {}\n", clock::SystemClock.now()).into_bytes();
    let client_config = read(env, "CHANCERY_CLIENT_TRUST_CONFIG")?;
    let trusted_root = read(env, "CHANCERY_TRUSTED_ROOT")?;

    // 1. A token becomes a certificate.
    let mut watch = Stopwatch::start();
    let config = ClientTrustConfig::from_json(&client_config).map_err(|error| failed(Step::Certified, &error))?;
    let endpoints = Endpoints::select(&config.signing_config, clock::SystemClock.now()).map_err(refused(Step::Certified))?;
    let http = chassis::http_client(&[]).map_err(|error| failed(Step::Certified, &error))?;
    let keyless = Keyless::new(http, endpoints);
    let token = IdentityToken::parse(&identity.token).map_err(refused(Step::Certified))?;
    let key = EphemeralKey::generate().map_err(refused(Step::Certified))?;
    let signed = key.sign(Content::Message(artifact.clone())).await.map_err(refused(Step::Certified))?;
    let certificate = keyless.certify(&token, &key).await.map_err(refused(Step::Certified))?;
    passed(watch.passed(Step::Certified, identity.subject.clone()));

    // 2. Its signature is timestamped, 3. and logged.
    let timestamp = keyless.timestamp(&signed).await.map_err(refused(Step::Timestamped))?;
    passed(watch.passed(Step::Timestamped, format!("{:.0}", timestamp.time)));
    let logged = keyless.log(&signed, &certificate).await.map_err(refused(Step::Logged))?;
    let index = logged.0.log_index;
    let before = if index == 2 { " (0 and 1 were written at creation)" } else { "" };
    passed(watch.passed(Step::Logged, format!("entry {index}{before}, inclusion proved")));

    // 4. What came out verifies against the trusted root alone.
    let bundle = sign::assemble(signed, &certificate, timestamp, logged).to_json();
    let exact = |name: &str| Matcher::Exact(name.to_owned());
    let policy = Policy::identity(IdentityPolicy { identity: exact(&identity.subject), issuer: exact(&identity.issuer) });
    let trusted_root = String::from_utf8_lossy(&trusted_root);
    let verifier = Verifier::from_trusted_root(&trusted_root).map_err(|error| failed(Step::Verified, &error))?;
    verifier.verify(&bundle, Artifact::Bytes(&artifact), &policy).map_err(|error| failed(Step::Verified, &error))?;
    passed(watch.passed(Step::Verified, "signature, certificate, logs, timestamp, offline".to_owned()));

    // 5. The released client agrees, where there is one.
    if let Some(cosign) = cosign::find().await {
        let folder = tempfile::tempdir().map_err(|error| failed(Step::Agreed, &error))?;
        let files = Files::write(folder.path(), &artifact, &bundle).map_err(|error| failed(Step::Agreed, &error))?;
        let root = env.get("CHANCERY_TRUSTED_ROOT").unwrap_or_default();
        cosign.verify_blob(folder.path(), &files.bundle, &files.artifact, Path::new(root), &identity).await?;
        passed(watch.passed(Step::Agreed, format!("cosign {} (found on PATH) verifies it too", cosign.version)));
    }
    Ok(())
}

struct Files {
    artifact: PathBuf,
    bundle: PathBuf,
}

impl Files {
    fn write(folder: &Path, artifact: &[u8], bundle: &[u8]) -> std::io::Result<Self> {
        let files = Self { artifact: folder.join("hello.txt"), bundle: folder.join("hello.sigstore.json") };
        std::fs::write(&files.artifact, artifact)?;
        std::fs::write(&files.bundle, bundle)?;
        Ok(files)
    }
}

struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// Ends a step and starts the next.
    fn passed(&mut self, step: Step, what: String) -> Passed {
        let took = self.0.elapsed();
        self.0 = Instant::now();
        Passed { step, what, took }
    }
}

fn read(env: &Environment, name: &str) -> Outcome<Vec<u8>> {
    let path = env.get(name).unwrap_or_default();
    std::fs::read(path).map_err(|error| Failure::because("proof_failed", format!("the proof cannot read {path}"), &error))
}

fn refused(step: Step) -> impl Fn(SignError) -> Failure {
    move |error| failed(step, &error)
}

fn failed(step: Step, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because("proof_failed", format!("the proof stopped before anything was {}", step.verb()), error)
        .advise("The services keep their logs on stderr: start again with --log debug to see more.")
}

/// The proof as `--output json` shows it.
pub(crate) fn to_json(steps: &[Passed]) -> serde_json::Value {
    json!(steps)
}
