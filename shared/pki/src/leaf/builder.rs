//! x509-cert's builder, used for its encoding alone: every extension is ours, and nothing is signed here.
//!
//! rcgen would do as well, but writes an issuer name of its own making when the CA's has two attributes of one type.

use der::DateTime;
use jiff::Timestamp;
use spki::{AlgorithmIdentifierOwned, Document, DynSignatureAlgorithmIdentifier, EncodePublicKey, SubjectPublicKeyInfoRef};
use x509_cert::SubjectPublicKeyInfo;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use super::{Issuer, LeafError, Profile};
use crate::certificate::TbsSlices;
use crate::key::PublicKey;

/// The TBSCertificate, DER.
pub(super) fn tbs(issuer: &Issuer, profile: &Profile, extensions: Vec<Extension>) -> Result<Vec<u8>, LeafError> {
    let serial = SerialNumber::new(profile.serial.as_bytes()).map_err(LeafError::Encode)?;
    let validity = Validity::new(time(profile.not_before)?, time(profile.not_after)?);
    let spki =
        SubjectPublicKeyInfo::try_from(profile.public_key.spki_der()).map_err(builder::Error::from).map_err(LeafError::Build)?;
    let ready_made = ReadyMade { issuer: issuer.name().clone(), extensions };
    let mut builder = CertificateBuilder::new(ready_made, serial, validity, spki).map_err(LeafError::Build)?;
    let signer = Unsigning { key: issuer.certificate().public_key().clone(), algorithm: issuer.algorithm().identifier() };
    let tbs = builder.finalize(&signer).map_err(LeafError::Build)?;

    // Every link of a chain is a comparison of these bytes.
    let slices = TbsSlices::of_tbs(&tbs).map_err(LeafError::Encode)?;
    if tbs[slices.issuer] == *issuer.certificate().subject_der() { Ok(tbs) } else { Err(LeafError::IssuerName) }
}

fn time(at: Timestamp) -> Result<Time, LeafError> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| LeafError::Validity)?;
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(|_| LeafError::Validity)?;
    Ok(Time::from(date))
}

struct ReadyMade {
    issuer: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for ReadyMade {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        Name::default()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

/// What the builder asks of a signer, short of signing.
struct Unsigning {
    key: PublicKey,
    algorithm: AlgorithmIdentifierOwned,
}

#[derive(Clone)]
struct Encoded(PublicKey);

impl EncodePublicKey for Encoded {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.spki_der())?)
    }
}

impl signature::Keypair for Unsigning {
    type VerifyingKey = Encoded;

    fn verifying_key(&self) -> Encoded {
        Encoded(self.key.clone())
    }
}

impl DynSignatureAlgorithmIdentifier for Unsigning {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.algorithm.clone())
    }
}
