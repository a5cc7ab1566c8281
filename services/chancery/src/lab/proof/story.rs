//! The steps of the proof, as a client takes them.

use std::error::Error;

use bundle::ClientTrustConfig;
use bytes::Bytes;
use clock::Clock as _;
use evidence::{Attachment, Evidence, predicate};
use futures_util::future::try_join_all;
use oci::{Digest, RepositoryName, Tag, Target, media_type};
use registry::{Registry, RegistryError, Settings};
use serde_json::{Value, json};
use sign::{Endpoints, Keyless};
use verify::Verifier;

use super::cosign::Cosign;
use super::image::{Image, Manifest};
use super::promotion::{Answer, Promoter, PromotionError};
use super::signing::{Signature, Signer, attachment};
use super::{Identity, Step, sbom};
use crate::failure::{Failure, Outcome};
use crate::lab::env::{self, Environment};

/// Where the image is pushed and signed, and where it goes.
const STAGING: &str = "staging/hello";
const PRODUCTION: &str = "prod/hello";
/// What nobody signs.
const UNSIGNED: &str = "staging/unsigned";
/// The tag of all of them.
const TAG: &str = "1";

/// A client in the middle of the proof.
pub(super) struct Story<'a> {
    environment: &'a Environment,
    image: &'a Image,
    identity: Identity,
    keyless: Keyless,
    registry: Registry,
    promoter: Promoter,
    /// Made by the step that needs it first: a certificate lives for ten minutes, and a lab may be stopped between two steps.
    signer: Option<Signer>,
}

impl<'a> Story<'a> {
    /// Reads what a client is told.
    pub(super) fn new(environment: &'a Environment, image: &'a Image, identity: Identity) -> Outcome<Self> {
        let config = ClientTrustConfig::from_json(&read(environment, "CHANCERY_CLIENT_TRUST_CONFIG")?).map_err(unusable)?;
        let endpoints = Endpoints::select(&config.signing_config, clock::SystemClock.now()).map_err(unusable)?;
        let http = chassis::http_client(&[]).map_err(unusable)?;
        let base = format!("http://{}", environment.get(env::REGISTRY).unwrap_or_default());
        let token = read(environment, env::TOKEN_FILE)?;
        Ok(Self {
            environment,
            image,
            identity,
            promoter: Promoter::new(http.clone(), &base, String::from_utf8_lossy(&token).trim()),
            registry: Registry::new(chassis::http_client_builder(&[]).map_err(unusable)?, Settings::new(base))
                .map_err(unusable)?,
            keyless: Keyless::new(http, endpoints),
            signer: None,
        })
    }

    /// An image is in the registry.
    pub(super) async fn push(&self) -> Outcome<String> {
        self.push_image(STAGING, self.image).await.map_err(|error| failed(Step::Pushed, &error))?;
        let platforms: Vec<String> =
            self.image.platforms.iter().map(|platform| format!("linux/{}", platform.architecture)).collect();
        Ok(format!("{STAGING}:{TAG}  {}", platforms.join(", ")))
    }

    /// A token becomes a certificate.
    pub(super) async fn certify(&mut self) -> Outcome<String> {
        self.signer =
            Some(Signer::certify(&self.keyless, &self.identity.token).await.map_err(|error| failed(Step::Certified, &error))?);
        Ok(self.identity.subject.clone())
    }

    /// Index and platforms are signed.
    pub(super) async fn sign(&mut self) -> Outcome<String> {
        let statements = self.image.manifests().map(|manifest| (manifest, json!({}))).collect();
        let mut indices = self.attach(Step::Logged, predicate::SIGNATURE, statements).await?;
        indices.sort_unstable();
        let before = if indices.first() == Some(&2) { " (0 and 1 were written at creation)" } else { "" };
        let indices: Vec<String> = indices.iter().map(u64::to_string).collect();
        Ok(format!("entries {}{before}, inclusion proved", indices.join(", ")))
    }

    /// Index and platforms say what is in them.
    pub(super) async fn attest(&mut self) -> Outcome<String> {
        let now = clock::SystemClock.now();
        let mut statements = vec![(&self.image.index, sbom::of_index(self.image, now))];
        statements.extend(self.image.platforms.iter().map(|platform| (&platform.manifest, sbom::of_platform(platform, now))));
        self.attach(Step::Attested, predicate::SPDX, statements).await?;
        Ok(format!("SPDX SBOM, index and {} platforms", self.image.platforms.len()))
    }

    /// What lacks a signature stays where it is.
    pub(super) async fn be_refused(&self) -> Outcome<String> {
        let image = Image::saying("hello from an image that nobody signed\n");
        self.push_image(UNSIGNED, &image).await.map_err(|error| failed(Step::Refused, &error))?;
        let target = UNSIGNED.replace("staging", "prod");
        let answer = self.promote_to(UNSIGNED, &target).await.map_err(|error| failed(Step::Refused, &error))?;
        let unsigned = answer.unsigned();
        if answer.state != "denied" || unsigned.len() != image.manifests().count() {
            return Err(otherwise(Step::Refused, format!("{UNSIGNED}:{TAG}, which nobody signed, was {}", answer.state)));
        }
        match self.registry.resolve(&name(&target), &tag()).await {
            Err(RegistryError::NotFound { .. }) => {}
            Err(error) => return Err(failed(Step::Refused, &error)),
            Ok(_) => return Err(otherwise(Step::Refused, format!("{target}:{TAG} exists although it was denied"))),
        }
        Ok(format!("promotion of {UNSIGNED}:{TAG} to prod/*: no signature on index and {} platforms", unsigned.len() - 1))
    }

    /// What lacks nothing goes where it is wanted, with everything attached to it.
    pub(super) async fn promote(&self) -> Outcome<String> {
        let answer = self.promote_to(STAGING, PRODUCTION).await.map_err(|error| failed(Step::Promoted, &error))?;
        let manifests = self.image.manifests().count() as u64;
        let (signatures, sboms) = (answer.signatures, answer.attestations_of(predicate::SPDX));
        let ours = answer.digest == self.image.index.digest && answer.manifests == manifests;
        // More of them are no harm: a lab that was stopped between signing and writing that down signs again.
        if answer.state != "done" || !ours || signatures < manifests || sboms < manifests {
            let what = format!(
                "{}: {} with {} manifests, {signatures} signatures and {sboms} SBOMs",
                answer.state, answer.digest, answer.manifests
            );
            return Err(otherwise(Step::Promoted, format!("{STAGING}:{TAG} to {PRODUCTION}:{TAG} was {what}")));
        }
        Ok(format!("{STAGING}:{TAG} -> {PRODUCTION}:{TAG}  {manifests} manifests, {signatures} signatures, {sboms} SBOMs"))
    }

    /// Fetches the image from where it went, and verifies on this side every signature and SBOM with the trusted root alone.
    pub(super) async fn verify(&self) -> Outcome<String> {
        let repository = name(PRODUCTION);
        let root = String::from_utf8_lossy(&read(self.environment, env::TRUSTED_ROOT)?).into_owned();
        let verifier = Verifier::from_trusted_root(&root).map_err(|error| failed(Step::Verified, &error))?;
        let index = self.registry.manifest(&repository, &tag()).await.map_err(|error| failed(Step::Verified, &error))?;
        if index.digest != self.image.index.digest {
            return Err(otherwise(Step::Verified, format!("{PRODUCTION}:{TAG} is {}, not what was promoted", index.digest)));
        }
        for manifest in self.image.manifests() {
            let found = self.evidence(&repository, &verifier, &manifest.digest).await?;
            let ours = |evidence: &&Evidence| {
                evidence.identity() == self.identity.subject && evidence.issuer() == Some(self.identity.issuer.as_str())
            };
            let kinds: Vec<Option<&str>> = found.iter().filter(ours).map(Evidence::predicate_type).collect();
            if !kinds.contains(&None) || !kinds.contains(&Some(predicate::SPDX)) {
                return Err(otherwise(
                    Step::Verified,
                    format!("{} lacks its signature or SBOM at {PRODUCTION}", manifest.digest),
                ));
            }
        }
        Ok(format!("at {PRODUCTION}:{TAG}: signature, certificate, logs, timestamp, offline"))
    }

    /// The released client agrees.
    pub(super) async fn agree(&self, cosign: &Cosign) -> Outcome<String> {
        let image = format!("{}/{PRODUCTION}:{TAG}", self.environment.get(env::REGISTRY).unwrap_or_default());
        cosign.verify(&image, self.environment.get(env::TRUSTED_ROOT).unwrap_or_default(), &self.identity).await?;
        Ok(format!("cosign {} (found on PATH) verifies it too", cosign.version))
    }

    /// Blobs first, then platforms, then the index by its tag: nothing is visible before all it refers to is there.
    async fn push_image(&self, repository: &str, image: &Image) -> Result<(), RegistryError> {
        let repository = &name(repository);
        let blobs = image.platforms.iter().flat_map(|platform| [&platform.config, &platform.layer]);
        try_join_all(blobs.map(|blob| self.push_blob(repository, blob))).await?;
        let platforms = image.platforms.iter().map(|platform| &platform.manifest);
        try_join_all(platforms.map(|manifest| self.push_manifest(repository, manifest, Target::Digest(manifest.digest.clone()))))
            .await?;
        self.push_manifest(repository, &image.index, tag()).await
    }

    async fn push_blob(&self, repository: &RepositoryName, blob: &Bytes) -> Result<(), RegistryError> {
        self.registry.push_blob(repository, blob.clone(), None).await.map(|_| ())
    }

    async fn push_manifest(&self, repository: &RepositoryName, manifest: &Manifest, target: Target) -> Result<(), RegistryError> {
        self.registry.push_manifest(repository, &target, manifest.media_type, manifest.bytes.clone()).await.map(|_| ())
    }

    /// States something about each manifest and attaches it there; the indices of the log entries.
    async fn attach(&mut self, step: Step, predicate_type: &str, statements: Vec<(&Manifest, Value)>) -> Outcome<Vec<u64>> {
        let signer = match self.signer.take() {
            Some(signer) => signer,
            None => Signer::certify(&self.keyless, &self.identity.token).await.map_err(|error| failed(step, &error))?,
        };
        let signed =
            statements.iter().map(|(manifest, predicate)| signer.sign(&self.keyless, manifest, predicate_type, predicate));
        let signatures: Vec<Signature> = try_join_all(signed).await.map_err(|error| failed(step, &error))?;
        self.signer = Some(signer);

        let (repository, now) = (&name(STAGING), clock::SystemClock.now());
        let empty = Bytes::from_static(media_type::EMPTY_CONTENT);
        let bundles = signatures.iter().map(|signature| &signature.bundle).chain([&empty]);
        try_join_all(bundles.map(|bundle| self.push_blob(repository, bundle))).await.map_err(|error| failed(step, &error))?;
        let attachments = signatures.iter().zip(&statements).map(async |(signature, (subject, _))| {
            let attachment = attachment(&signature.bundle, subject, predicate_type, now);
            let target = Target::Digest(attachment.digest.clone());
            self.push_manifest(repository, &attachment, target).await
        });
        try_join_all(attachments).await.map_err(|error| failed(step, &error))?;
        Ok(signatures.iter().map(|signature| signature.index).collect())
    }

    async fn promote_to(&self, source: &str, target: &str) -> Result<Answer, PromotionError> {
        self.promoter.promote(&format!("{source}:{TAG}"), &format!("{target}:{TAG}")).await
    }

    async fn bundle(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let (mut stream, mut bundle) = (self.registry.blob(repository, digest).await?, Vec::new());
        while let Some(bytes) = stream.next().await? {
            bundle.extend_from_slice(&bytes);
        }
        Ok(bundle)
    }

    /// What the bundles attached to `subject` prove.
    async fn evidence(&self, repository: &RepositoryName, verifier: &Verifier, subject: &Digest) -> Outcome<Vec<Evidence>> {
        let mut found = Vec::new();
        for attached in
            self.registry.verified_referrers(repository, subject).await.map_err(|error| failed(Step::Verified, &error))?
        {
            if let Attachment::Bundle(layer) = Attachment::of(&attached.manifest) {
                let bundle = self.bundle(repository, &layer.digest).await.map_err(|error| failed(Step::Verified, &error))?;
                found.push(evidence::examine(verifier, subject, &bundle).map_err(|error| failed(Step::Verified, &error))?);
            }
        }
        Ok(found)
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().expect("the proof's own names are valid")
}

fn tag() -> Target {
    Target::Tag(TAG.parse::<Tag>().expect("the proof's own tag is valid"))
}

fn read(environment: &Environment, name: &str) -> Outcome<Vec<u8>> {
    let path = environment.get(name).unwrap_or_default();
    std::fs::read(path).map_err(|error| Failure::because("proof_failed", format!("the proof cannot read {path}"), &error))
}

fn unusable<E: Error + 'static>(error: E) -> Failure {
    Failure::because("proof_failed", "the proof cannot use what clients are told", &error)
}

fn failed(step: Step, error: &(dyn Error + 'static)) -> Failure {
    Failure::because("proof_failed", format!("the proof stopped before anything was {}", step.verb()), error)
        .advise("The services keep their logs on stderr: start again with --log debug to see more.")
}

/// Something answered, and not what the step is about.
fn otherwise(step: Step, what: String) -> Failure {
    Failure::new("proof_failed", format!("the proof stopped before anything was {}", step.verb())).detail(what)
}
