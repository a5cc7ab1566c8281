//! What the repository carries: the documents of the trust root and, for old clients, single keys and certificates.

use bundle::{DocumentError, Publishable, SigningConfig, TrustedRoot};
use pki::{Certificate, PublicKey};

use crate::metadata::{Custom, Hashes, Sigstore, Status, TargetInfo, Usage};
use crate::names::{Digest, FileName, TargetName};

/// A file to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    name: TargetName,
    bytes: Vec<u8>,
    custom: Option<Custom>,
}

/// A target that clients would refuse or misread.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A document that breaks some client.
    #[error("{name} is not accepted")]
    Document {
        /// Which target.
        name: TargetName,
        /// Why.
        source: DocumentError,
    },
    /// A PEM file that is not what its name says.
    #[error("{name} is not {expected} in PEM")]
    Pem {
        /// Which target.
        name: TargetName,
        /// What it must hold.
        expected: &'static str,
    },
    /// More bytes than clients read.
    #[error("{name} is longer than the {limit} bytes that every client reads")]
    TooLong {
        /// Which target.
        name: TargetName,
        /// The most bytes.
        limit: usize,
    },
    /// Nobody can verify anything without it.
    #[error("{TRUSTED_ROOT} is missing; every client looks for it")]
    NoTrustedRoot,
    /// cosign 3 does not sign without it.
    #[error("{SIGNING_CONFIG} is missing; cosign 3 and sigstore-java look for it")]
    NoSigningConfig,
    /// Two targets of one name.
    #[error("{0} is given twice")]
    Repeated(TargetName),
}

/// The target that every current client reads.
pub const TRUSTED_ROOT: &str = "trusted_root.json";

/// The target that says where to sign.
pub const SIGNING_CONFIG: &str = "signing_config.v0.2.json";

/// A single key or certificate, by the name that cosign 2, older gitsign, Kyverno and policy-controller fall back to when
/// they do not select by usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Legacy {
    /// The root certificate of the certificate authority.
    FulcioRoot,
    /// Its issuing certificate.
    FulcioIntermediate,
    /// The key of the Rekor v1 log.
    Rekor,
    /// The key of the certificate transparency log.
    Ctfe,
    /// The certificate that signs timestamps.
    TsaLeaf,
    /// The root certificate of the timestamp authority.
    TsaRoot,
}

impl Legacy {
    fn name(self) -> &'static str {
        match self {
            Self::FulcioRoot => "fulcio_v1.crt.pem",
            Self::FulcioIntermediate => "fulcio_intermediate_v1.crt.pem",
            Self::Rekor => "rekor.pub",
            Self::Ctfe => "ctfe.pub",
            Self::TsaLeaf => "tsa_leaf.crt.pem",
            Self::TsaRoot => "tsa_root.crt.pem",
        }
    }

    fn usage(self) -> Usage {
        match self {
            Self::FulcioRoot | Self::FulcioIntermediate => Usage::Fulcio,
            Self::Rekor => Usage::Rekor,
            Self::Ctfe => Usage::Ctfe,
            Self::TsaLeaf | Self::TsaRoot => Usage::Tsa,
        }
    }
}

impl Target {
    /// `trusted_root.json`.
    #[must_use]
    pub fn trusted_root(document: &Publishable<TrustedRoot>) -> Self {
        Self { name: name(TRUSTED_ROOT), bytes: document.to_json(), custom: None }
    }

    /// `signing_config.v0.2.json`.
    #[must_use]
    pub fn signing_config(document: &Publishable<SigningConfig>) -> Self {
        Self { name: name(SIGNING_CONFIG), bytes: document.to_json(), custom: None }
    }

    /// A single key or certificate in PEM, in use by the service at `uri`.
    #[must_use]
    pub fn legacy(which: Legacy, pem: impl Into<String>, uri: impl Into<String>) -> Self {
        let sigstore = Sigstore { usage: which.usage(), status: Status::Active, uri: uri.into() };
        Self { name: name(which.name()), bytes: pem.into().into_bytes(), custom: Some(Custom { sigstore }) }
    }

    /// The key of a later tree of the Rekor v1 log in PEM: clients that select by usage believe it beside that of the first.
    #[must_use]
    pub fn rekor_shard(number: u32, pem: impl Into<String>, uri: impl Into<String>) -> Self {
        Self { name: name(&format!("rekor_{number}.pub")), ..Self::legacy(Legacy::Rekor, pem, uri) }
    }

    /// The key of a later shard of the certificate transparency log likewise.
    #[must_use]
    pub fn ctfe_shard(number: u32, pem: impl Into<String>, uri: impl Into<String>) -> Self {
        Self { name: name(&format!("ctfe_{number}.pub")), ..Self::legacy(Legacy::Ctfe, pem, uri) }
    }

    /// The same when its service uses it no more: clients go on believing what it signed, and say so.
    #[must_use]
    pub fn retired(mut self) -> Self {
        if let Some(custom) = &mut self.custom {
            custom.sigstore.status = Status::Expired;
        }
        self
    }

    /// Any other file.
    #[must_use]
    pub fn other(name: TargetName, bytes: Vec<u8>) -> Self {
        Self { name, bytes, custom: None }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TargetName {
        &self.name
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How the targets metadata describes it.
    pub(crate) fn info(&self) -> TargetInfo {
        let hashes = Hashes { sha256: Digest::of(&self.bytes) };
        TargetInfo { custom: self.custom.clone(), hashes, length: self.bytes.len() as u64 }
    }

    /// The file it is published as.
    pub(crate) fn file(&self) -> FileName {
        FileName::Target(Digest::of(&self.bytes), self.name.clone())
    }

    /// Refuses what a client would refuse. Only what is about to be signed is checked, never what was signed before: an
    /// installation must not stop because a later version of this code learnt another rule.
    pub(crate) fn check(&self) -> Result<(), TargetError> {
        let limit = self.file().limit();
        if self.bytes.len() > limit {
            return Err(TargetError::TooLong { name: self.name.clone(), limit });
        }
        let document = |source| TargetError::Document { name: self.name.clone(), source };
        let name = self.name.as_str();
        if name == TRUSTED_ROOT {
            TrustedRoot::from_json(&self.bytes).and_then(TrustedRoot::publishable).map_err(document)?;
        } else if name.starts_with("signing_config") && name.ends_with(".v0.2.json") {
            SigningConfig::from_json(&self.bytes).and_then(SigningConfig::publishable).map_err(document)?;
        } else if name.ends_with(".crt.pem") {
            self.check_pem("a certificate", |text| Certificate::from_pem(text).is_ok())?;
        } else if name.ends_with(".pub") {
            self.check_pem("a public key", |text| PublicKey::from_pem(text).is_ok())?;
        }
        Ok(())
    }

    fn check_pem(&self, expected: &'static str, parses: impl Fn(&str) -> bool) -> Result<(), TargetError> {
        let good = std::str::from_utf8(&self.bytes).is_ok_and(parses);
        if good { Ok(()) } else { Err(TargetError::Pem { name: self.name.clone(), expected }) }
    }
}

fn name(text: &str) -> TargetName {
    text.parse().expect("a name of this module is a target name")
}
