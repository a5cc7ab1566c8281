//! A private certificate authority that lives as long as a test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// A root certificate authority; nobody trusts it unless told to.
pub struct TestCa(CertifiedIssuer<'static, KeyPair>);

impl TestCa {
    /// A new one, with a P-256 key.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a P-256 key can be generated");
        Self(CertifiedIssuer::self_signed(params, key).expect("these parameters are complete"))
    }

    /// The root certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes the root certificate to `NAME.pem` in a folder, for programs that take a file.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        write(&folder.join(format!("{name}.pem")), &self.pem())
    }

    /// A certificate for TLS servers with these names or addresses.
    ///
    /// # Panics
    /// A name is neither a DNS name nor an address.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> ServerCertificate {
        self.leaf(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for whoever signs code under this name.
    ///
    /// # Panics
    /// It is no DNS name.
    #[must_use]
    pub fn code_signer(&self, name: &str) -> ServerCertificate {
        self.leaf(&[name], ExtendedKeyUsagePurpose::CodeSigning)
    }

    fn leaf(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> ServerCertificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names or addresses");
        params.extended_key_usages = vec![purpose];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a P-256 key can be generated");
        let certificate = params.signed_by(&key, &self.0).expect("these parameters are complete");
        ServerCertificate { der: certificate.der().to_vec(), certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TestCa").finish_non_exhaustive()
    }
}

/// A leaf certificate and its key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS#8.
    pub key: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

impl ServerCertificate {
    /// Writes `NAME.crt` and `NAME.key` each by rename, as tools that rotate certificates do; returns the two paths.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        (write(&folder.join(format!("{name}.crt")), &self.certificate), write(&folder.join(format!("{name}.key")), &self.key))
    }
}

fn write(path: &Path, text: &str) -> PathBuf {
    let new = path.with_extension("new");
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_path_buf()
}
