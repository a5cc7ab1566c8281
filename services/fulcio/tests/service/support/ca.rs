//! A root and an intermediate, both P-384 unless asked otherwise.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm,
};
use time::{Duration, OffsetDateTime};

/// What a test may do differently.
pub(crate) struct CaOptions {
    pub(crate) algorithm: &'static SignatureAlgorithm,
    pub(crate) code_signing: bool,
    pub(crate) expires_in: Duration,
}

impl Default for CaOptions {
    fn default() -> Self {
        Self { algorithm: &PKCS_ECDSA_P384_SHA384, code_signing: true, expires_in: Duration::days(365) }
    }
}

pub(crate) struct TestAuthority {
    /// Issuing certificate, then root.
    pub(crate) certificates: [String; 2],
    /// The issuing key, PKCS#8.
    pub(crate) key: String,
}

impl TestAuthority {
    pub(crate) fn new(options: &CaOptions) -> Self {
        let now = OffsetDateTime::now_utc();
        let params = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "test.example");
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.not_before = now - Duration::days(1);
            params.not_after = now + Duration::days(3650);
            params
        };
        let mut root = params("root");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()).unwrap();
        let mut intermediate = params("intermediate");
        intermediate.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        intermediate.use_authority_key_identifier_extension = true;
        intermediate.not_after = now + options.expires_in;
        if options.code_signing {
            intermediate.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        }
        let key = KeyPair::generate_for(options.algorithm).unwrap();
        let certificate = intermediate.signed_by(&key, &root).unwrap();
        Self { certificates: [certificate.pem(), root.pem()], key: key.serialize_pem() }
    }

    /// Writes the chain; returns the path.
    pub(crate) fn write_chain(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join("chain.pem");
        std::fs::write(&path, self.certificates.concat()).unwrap();
        path
    }
}
