//! X.509: public keys, CSRs, byte-exact certificates, poison and SCT extensions. Pure.

/// A public key: validated SubjectPublicKeyInfo, ready to verify.
#[derive(Debug, Clone)]
pub struct PublicKey {
    spki: Vec<u8>,
}

impl PublicKey {
    /// The SubjectPublicKeyInfo, DER, byte for byte as it was parsed.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }
}
