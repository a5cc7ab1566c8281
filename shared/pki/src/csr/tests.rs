use proptest::prelude::*;

use super::*;
use crate::hash::HashAlgorithm;
use crate::key::{KeyFault, KeyKind};

macro_rules! csr_file {
    ($name:literal) => {
        include_str!(concat!("../../testdata/csr/", $name, ".pem"))
    };
}

#[test]
fn requests_of_every_kind_prove_possession() {
    use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1};
    let requests = [
        (csr_file!("p256"), KeyKind::P256, Ecdsa(HashAlgorithm::Sha256)),
        (csr_file!("p384"), KeyKind::P384, Ecdsa(HashAlgorithm::Sha384)),
        (csr_file!("p384-sha256"), KeyKind::P384, Ecdsa(HashAlgorithm::Sha256)),
        (csr_file!("p521"), KeyKind::P521, Ecdsa(HashAlgorithm::Sha512)),
        (csr_file!("ed25519"), KeyKind::Ed25519, Ed25519),
        (csr_file!("rsa2048"), KeyKind::Rsa { bits: 2048 }, RsaPkcs1(HashAlgorithm::Sha256)),
        (csr_file!("sigstore-python"), KeyKind::P256, Ecdsa(HashAlgorithm::Sha256)),
        (csr_file!("non-ascii-subject"), KeyKind::P256, Ecdsa(HashAlgorithm::Sha256)),
    ];
    for (pem, kind, algorithm) in requests {
        let csr = Csr::from_pem(pem).unwrap();
        assert_eq!(csr.public_key().kind(), kind);
        assert_eq!(csr.signature_algorithm(), Ok(algorithm));
        assert_eq!(csr.verify(), Ok(()), "{kind} {algorithm}");

        let renamed = pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        assert_eq!(Csr::from_pem(&renamed).unwrap().verify(), Ok(()));
    }
}

#[test]
fn sha1_and_pss_are_refused_by_name() {
    for (pem, oid) in [(csr_file!("rsa2048-sha1"), "1.2.840.113549.1.1.5"), (csr_file!("rsa2048-pss"), "1.2.840.113549.1.1.10")] {
        let csr = Csr::from_pem(pem).unwrap();
        let unknown = UnknownSignatureAlgorithm { oid: oid.parse().unwrap() };
        assert_eq!(csr.signature_algorithm(), Err(unknown));
        assert_eq!(csr.verify(), Err(CsrSignatureError::Algorithm(unknown)));
        assert!(unknown.to_string().contains(oid));
    }
}

#[test]
fn a_request_signed_by_another_key_or_changed_proves_nothing() {
    let (one, other) = (Csr::from_pem(csr_file!("p256")).unwrap(), Csr::from_pem(csr_file!("sigstore-python")).unwrap());
    let swapped = Csr { public_key: other.public_key, ..one.clone() };
    assert_eq!(swapped.verify(), Err(CsrSignatureError::Signature(BadSignature)));
    let mut changed = one;
    *changed.info.last_mut().unwrap() ^= 1;
    assert_eq!(changed.verify(), Err(CsrSignatureError::Signature(BadSignature)));
}

#[test]
fn what_is_not_a_request_says_what_it_is() {
    assert_eq!(Csr::from_pem("").unwrap_err(), CsrError::Pem(PemError::Missing));
    let certificate = csr_file!("p256").replace("CERTIFICATE REQUEST", "CERTIFICATE");
    assert_eq!(Csr::from_pem(&certificate).unwrap_err(), CsrError::Label { found: "CERTIFICATE".into() });
    let (_, der) = pem_text::first_block(csr_file!("p256")).unwrap();
    assert_eq!(Csr::from_der(&[&der[..], &[0]].concat()).unwrap_err(), CsrError::Der);
    assert_eq!(Csr::from_der(&der[..der.len() - 1]).unwrap_err(), CsrError::Der);
    let Err(CsrError::Key(weak)) = Csr::from_pem(csr_file!("rsa1024")) else { panic!("a weak key") };
    assert_eq!(weak.fault(), KeyFault::Insecure);
}

#[test]
fn a_signature_is_whole_bytes() {
    let (_, mut der) = pem_text::first_block(csr_file!("p256")).unwrap();
    let unused_bits = der.windows(2).rposition(|pair| pair == [0x00, 0x30]).unwrap();
    der[unused_bits] = 1;
    assert_eq!(Csr::from_der(&der).unwrap_err(), CsrError::Der);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Csr::from_der(&bytes);
        let _ = Csr::from_pem(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_requests_never_verify(at in any::<prop::sample::Index>(), by in 1u8..) {
        let (_, mut der) = pem_text::first_block(csr_file!("p256")).unwrap();
        let at = at.index(der.len());
        der[at] ^= by;
        if let Ok(csr) = Csr::from_der(&der) {
            prop_assert!(csr.verify().is_err(), "byte {at}");
        }
    }
}
