//! Public Sigstore documents: log entry, bundle, trusted root, signing config. Pure.
//!
//! What we write, we write by these types: protobuf JSON with fixed choices that every released client accepts. What we
//! publish for clients to believe passes [`TrustedRoot::publishable`] and [`SigningConfig::publishable`] first.

mod algorithm;
mod bundle;
mod error;
mod log_entry;
mod media_type;
mod publish;
mod signing_config;
mod trusted_root;
mod url;
mod wire;

pub use algorithm::{HashAlgorithm, KeyDetails};
pub use bundle::{
    BUNDLE_MEDIA_TYPE, Bundle, Content, DsseEnvelope, DsseSignature, HashOutput, MessageSignature, PublicKeyIdentifier, SignedBy,
    X509Certificate,
};
pub use error::{Document, DocumentError, Rule};
pub use log_entry::{Checkpoint, InclusionPromise, InclusionProof, KindVersion, LogId, TransparencyLogEntry};
pub use publish::Publishable;
pub use signing_config::{
    CLIENT_TRUST_CONFIG_MEDIA_TYPE, ClientTrustConfig, SIGNING_CONFIG_MEDIA_TYPE, Selector, Service, ServiceConfiguration,
    SigningConfig,
};
pub use trusted_root::{
    CertificateAuthority, CertificateChain, LogKey, Subject, TRUSTED_ROOT_MEDIA_TYPE, TransparencyLog, TrustedRoot, ValidFor,
};
pub use wire::{Base64, Time};
