//! The bytes: to be signed, precertificate, certificate. Each is made from the evidence of the step before.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pki::leaf::{self, FulcioExtensions, Profile, Serial};
use pki::{Certificate, oid, splice};

use super::journal::Recorded;
use super::policy::Authorized;
use super::possession::PossessionProven;
use super::{CertificateError, Fault};
use crate::authority::{Authority, Validity};
use crate::ctl::Promised;

/// What one certificate will say, and the bytes of its precertificate that will be signed.
#[derive(Debug)]
pub(crate) struct Draft {
    profile: Profile,
    precertificate: leaf::Draft,
}

impl Draft {
    /// For an authorized identity and a key that its holder has.
    pub(crate) fn new(
        authority: &Authority,
        authorized: &Authorized,
        proven: &PossessionProven,
        validity: Validity,
    ) -> Result<Self, Fault> {
        let identity = authorized.identity();
        let mut extensions = FulcioExtensions::new(identity.issuer(), identity.subject()).map_err(CertificateError::from)?;
        for (field, text) in identity.extensions() {
            extensions.set(field.arc(), text).map_err(CertificateError::from)?;
        }
        let profile = Profile {
            serial: serial()?,
            not_before: validity.not_before,
            not_after: validity.not_after,
            public_key: proven.key().clone(),
            subject_alt_name: identity.name().clone(),
            extensions,
        };
        let precertificate = leaf::Draft::precertificate(authority.issuer(), &profile).map_err(CertificateError::from)?;
        Ok(Self { profile, precertificate })
    }

    /// 20 octets, the first below 128.
    pub(crate) fn serial(&self) -> &[u8; 20] {
        self.profile.serial.as_bytes()
    }

    /// The precertificate's TBSCertificate, DER.
    pub(crate) fn tbs(&self) -> &[u8] {
        self.precertificate.tbs()
    }
}

/// A precertificate: the authority's binding intention to issue, to be logged before anything else happens.
#[derive(Debug)]
pub(crate) struct Precertificate {
    profile: Profile,
    certificate: Certificate,
    /// The TBSCertificate without poison: what the log's promise is about.
    defanged: Vec<u8>,
}

impl Precertificate {
    /// Signs what was recorded.
    pub(crate) async fn sign(authority: &Authority, recorded: Recorded) -> Result<Self, Fault> {
        let Draft { profile, precertificate } = recorded.into_draft();
        let signature = authority.sign(precertificate.tbs()).await.map_err(Fault::Signer)?;
        let certificate = precertificate.assemble(&signature).map_err(CertificateError::from)?;
        let defanged = splice::remove_extension(precertificate.tbs(), oid::CT_POISON).map_err(CertificateError::from)?;
        Ok(Self { profile, certificate, defanged })
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    pub(crate) fn defanged_tbs(&self) -> &[u8] {
        &self.defanged
    }

    /// The certificate: the same, with the log's promise in place of the poison. That it is the same is checked on the bytes
    /// that leave the house.
    pub(crate) async fn certify(self, authority: &Authority, promised: &Promised) -> Result<Certificate, Fault> {
        let list = ct::sct_list(std::slice::from_ref(promised.sct())).map_err(CertificateError::from)?;
        let draft = leaf::Draft::certificate(authority.issuer(), &self.profile, &list).map_err(CertificateError::from)?;
        let signature = authority.sign(draft.tbs()).await.map_err(Fault::Signer)?;
        let certificate = draft.assemble(&signature).map_err(CertificateError::from)?;
        splice::corresponds(&self.certificate, &certificate).map_err(CertificateError::from)?;
        Ok(certificate)
    }
}

/// 20 random octets below 2^159. Those that begin with zero are drawn again: DER would cut them, and certificate and record would
/// show different numbers.
fn serial() -> Result<Serial, Fault> {
    let random = SystemRandom::new();
    let mut octets = [0; 20];
    loop {
        random.fill(&mut octets).map_err(|_| Fault::Random)?;
        let serial = Serial::from_random(octets);
        if serial.as_bytes()[0] != 0 {
            return Ok(serial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_positive_and_have_twenty_octets() {
        for _ in 0..2_000 {
            let serial = serial().unwrap();
            assert!((1..0x80).contains(&serial.as_bytes()[0]));
        }
    }
}
