//! The steps of issuing a certificate, in order. `Issuer::issue` is the story; each step's evidence is a type that only that
//! step can make, and that the next one consumes: a certificate cannot be signed that was not recorded, nor recorded for a key
//! that was not proven, nor issued without a promise of the log.
//!
//! | step | evidence | where |
//! | --- | --- | --- |
//! | who asks | `VerifiedIdentity` | [`crate::identity`] |
//! | may they | `Authorized` | `policy` |
//! | do they hold the key | `PossessionProven` | `possession` |
//! | what will be signed | `Draft`, then `Recorded` | `certificate`, `journal` |
//! | precertificate | `Precertificate` | `certificate` |
//! | the log's promise | `Promised` | `crate::ctl` |
//! | certificate | `Issued` | `certificate` |

mod certificate;
pub(crate) mod journal;
mod policy;
mod possession;

use std::sync::Arc;

use clock::Clock;
use keys::SignError;
use pki::leaf::{ExtensionError, LeafError};
use pki::splice::{CorrespondenceError, SpliceError};
use pki::{Certificate, SubjectAltName};

use self::certificate::{Draft, Precertificate};
use self::journal::Journal;
pub use self::journal::RecordError;
pub(crate) use self::policy::Policy;
pub use self::possession::KeyRefusal;
pub(crate) use self::possession::RequestedKey;
use crate::authority::{Authority, NotValidNow};
use crate::config::ClientAlgorithm;
use crate::ctl::{CtLog, CtLogError, Promised};
use crate::identity::{IdentityError, Issuers, VerifiedIdentity};
use crate::metric;

/// Everything that takes part.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) policy: Policy,
    pub(crate) permitted: Vec<ClientAlgorithm>,
    pub(crate) authority: Authority,
    pub(crate) journal: Journal,
    pub(crate) ct_log: CtLog,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A request, whichever face it came through.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) token: String,
    pub(crate) key: RequestedKey,
}

/// A certificate that was issued, with the chain above it.
#[derive(Debug)]
pub(crate) struct Issued {
    leaf: String,
    chain: Arc<[String]>,
}

impl Issued {
    /// The certificate, the issuing one, …, the root: PEM without final newlines.
    pub(crate) fn pems(&self) -> Vec<&str> {
        std::iter::once(self.leaf.as_str()).chain(self.chain.iter().map(String::as_str)).collect()
    }
}

/// No certificate was issued, by who erred.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The token, or the way to its issuer's keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The caller's key or proof.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// We, or what is behind us.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Our own inability; the caller may try again.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The chain is not valid now.
    #[error(transparent)]
    NotValidNow(#[from] NotValidNow),
    /// The random source is silent.
    #[error("no random numbers are to be had")]
    Random,
    /// The certificate cannot be written.
    #[error("the certificate could not be made")]
    Certificate(#[from] CertificateError),
    /// The record of certificates.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The issuing key.
    #[error(transparent)]
    Signer(SignError),
    /// The certificate log.
    #[error(transparent)]
    CtLog(#[from] CtLogError),
}

/// The bytes of a certificate could not be made, or were not what they had to be.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A field.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The whole.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// Poison.
    #[error(transparent)]
    Splice(#[from] SpliceError),
    /// SCT list.
    #[error(transparent)]
    SctList(#[from] ct::Malformed),
    /// Precertificate and certificate.
    #[error(transparent)]
    Correspondence(#[from] CorrespondenceError),
}

impl Issuer {
    /// Issues one certificate. Nothing is undone when a step fails, or the caller goes away: what that leaves behind is said at
    /// each step.
    pub(crate) async fn issue(&self, request: Request) -> Result<Issued, IssueError> {
        // 1. Who asks: an accepted issuer vouches for them, now, towards us.
        let identity = self.issuers.authenticate(&request.token).await?;

        // 2. May they have a certificate.
        let authorized = self.policy.authorize(identity);

        // 3. Do they hold the key, and may it be certified.
        let proven = possession::prove(&authorized, &request.key, &self.permitted)?;

        // 4. What will be signed: serial, times, names. Up to here nothing has been written anywhere.
        let now = self.clock.now();
        let validity = self.authority.validity_at(now).map_err(Fault::from)?;
        let draft = Draft::new(&self.authority, &authorized, &proven, validity)?;

        // 5. Recorded: on disk before the key is used. A crash from here on leaves a record of something that was never signed,
        //    or signed and never handed out; both are harmless, and nothing was ever signed without a record.
        let recorded = self.journal.record(draft, now).await.map_err(Fault::from)?;

        // 6. Signed as a precertificate, which no verifier takes for a certificate.
        let precertificate = Precertificate::sign(&self.authority, recorded).await?;

        // 7. Logged. A crash between the log's answer and step 8 leaves an entry without a certificate, for monitors to see: the
        //    log shows more than was issued, never less.
        let promised = self.ct_log.submit(precertificate.der(), precertificate.defanged_tbs()).await.map_err(Fault::from)?;

        // 8. The certificate, with the log's promise inside; its bytes are compared with what was logged.
        let certificate = precertificate.certify(&self.authority, &promised).await?;

        // 9. The audit line. A crash before it leaves a certificate that nobody received; record and log both have it.
        audit(authorized.identity(), &certificate, &promised);
        metric::new_certificate();

        // 10. The answer.
        Ok(Issued { leaf: certificate.to_pem().trim_end().to_owned(), chain: Arc::clone(self.authority.chain_pems()) })
    }
}

fn audit(identity: &VerifiedIdentity, certificate: &Certificate, promised: &Promised) {
    let (kind, name) = match identity.name() {
        SubjectAltName::Email(name) => ("email", name.as_str()),
        SubjectAltName::Uri(name) => ("uri", name.as_str()),
        SubjectAltName::Username(name) => ("username", name.as_str()),
        SubjectAltName::Other => ("other", ""),
    };
    tracing::info!(
        target: "audit",
        issuer = identity.issuer(),
        subject = identity.subject(),
        name.kind = kind,
        serial = hex::encode(certificate.serial()),
        not_after = %certificate.not_after(),
        key = certificate.public_key().short(),
        ct.timestamp = promised.sct().timestamp,
        ct.index = ct::leaf_index(&promised.sct().extensions).ok().flatten(),
        "issued a certificate for {name}"
    );
}
