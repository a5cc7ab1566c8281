//! Certificate authorities.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use super::{Key, at};

/// A certificate authority's certificate and key.
#[derive(Debug)]
pub(super) struct Ca {
    params: CertificateParams,
    pub(super) key: Key,
    pub(super) der: Vec<u8>,
}

impl Ca {
    pub(super) fn new(name: &str, issuer: Option<&Self>, days: (i64, i64), purpose: Option<ExtendedKeyUsagePurpose>) -> Self {
        let mut params = params(name, days);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = purpose.into_iter().collect();
        let key = Key::p384();
        let certificate = match issuer {
            None => params.self_signed(&key.rcgen).unwrap(),
            Some(ca) => params.signed_by(&key.rcgen, &ca.issuer()).unwrap(),
        };
        Self { der: certificate.der().to_vec(), params, key }
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key.rcgen)
    }
}

/// A certificate valid from and to so many days from [`super::SIGNED`].
pub(super) fn params(name: &str, (from, to): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (moment(from * 86_400), moment(to * 86_400));
    params
}

pub(super) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at(seconds).as_second()).unwrap()
}
