use proptest::prelude::*;

use super::*;
use crate::leaf::{Draft, Issuer};
use crate::testing::{Authority, at, pair, profile, public, uri};
use crate::{KeyKind, SubjectAltName};

fn leaf() -> (Authority, Certificate) {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
    let issuer = Issuer::new(&authority.intermediate).unwrap();
    let draft = Draft::certificate(&issuer, &profile(public(&pair(&rcgen::PKCS_ECDSA_P256_SHA256)), uri()), &[0, 0]).unwrap();
    let certificate = draft.assemble(&authority.sign(draft.tbs())).unwrap();
    (authority, certificate)
}

#[test]
fn bytes_are_kept_and_pem_round_trips() {
    let (authority, leaf) = leaf();
    let chain = [leaf.clone(), authority.intermediate.clone(), authority.root.clone()];
    let text: String = chain.iter().map(Certificate::to_pem).collect();
    assert_eq!(Certificate::chain_from_pem(&text).unwrap(), chain);
    assert_eq!(Certificate::from_pem(&text).unwrap(), leaf);
    assert_eq!(Certificate::from_der(leaf.der()).unwrap().der(), leaf.der());
    assert_eq!(leaf.fingerprint(), sha256(leaf.der()));
    assert_eq!(leaf.short(), hex::encode(leaf.fingerprint())[..12]);
    assert!(leaf.is_valid_at(at("2026-11-21T09:24:03Z")) && !leaf.is_valid_at(at("2026-11-21T09:24:03.001Z")));
    assert_eq!(leaf.extensions().subject_alt_names(), [uri()]);
    assert_eq!(leaf.extensions().sct_list(), Some(&[0, 0][..]));
    assert!(!leaf.is_self_signed() && authority.root.is_self_signed());
}

#[test]
fn what_openssl_says_is_what_we_read() {
    let certificate = Certificate::from_pem(include_str!("../../testdata/chain/two-ous.pem")).unwrap();
    assert_eq!(certificate.subject(), "CN=Corp CA,OU=Signing,OU=Platform,O=Corp");
    assert_eq!(certificate.public_key().kind(), KeyKind::P384);
    assert!(certificate.is_self_signed());
    assert!(certificate.extensions().basic_constraints().unwrap().ca);
}

#[test]
fn a_chain_is_whole_or_refused() {
    let (authority, leaf) = leaf();
    let pem = leaf.to_pem();
    assert_eq!(Certificate::chain_from_pem("").unwrap_err(), CertificateError::Pem(PemError::Missing));
    let cut = format!("{pem}{}", &authority.root.to_pem()[..200]);
    assert_eq!(Certificate::chain_from_pem(&cut).unwrap_err(), CertificateError::Pem(PemError::Damaged));
    let key = format!("{pem}{}", leaf.public_key().to_pem());
    assert_eq!(Certificate::chain_from_pem(&key).unwrap_err(), CertificateError::Label { found: "PUBLIC KEY".into() });
    assert_eq!(
        Certificate::from_pem(&leaf.public_key().to_pem()).unwrap_err(),
        CertificateError::Label { found: "PUBLIC KEY".into() }
    );
}

#[test]
fn a_signature_has_one_form() {
    let (_, leaf) = leaf();
    // The BIT STRING is the last field: tag, length, unused bits, signature.
    let unused = leaf.der().len() - leaf.0.signature.len() - 1;
    for bits in 1..=7 {
        let mut der = leaf.der().to_vec();
        der[unused] = bits;
        assert_eq!(Certificate::from_der(&der).unwrap_err(), CertificateError::Signature);
    }
}

#[test]
fn signatures_bind_every_byte() {
    let (authority, leaf) = leaf();
    leaf.verify_signature(authority.intermediate.public_key()).unwrap();
    let wrong = leaf.verify_signature(authority.root.public_key());
    assert_eq!(wrong, Err(CertificateSignatureError::Signature(BadSignature)));
}

#[test]
fn a_second_subject_alternative_name_and_foreign_kinds_are_shown() {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name("a@b.c".try_into().unwrap()));
    let built = params.self_signed(&pair(&rcgen::PKCS_ED25519)).unwrap();
    let certificate = Certificate::from_der(built.der()).unwrap();
    let names = [SubjectAltName::Other, SubjectAltName::Email("a@b.c".into())];
    assert_eq!(certificate.extensions().subject_alt_names(), names);
    assert_eq!(certificate.extensions().subject_texts(), ["localhost", "a@b.c"]);
}

#[test]
fn every_name_that_has_a_text_is_read_as_one() {
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![
        rcgen::SanType::URI("https://corp.example/A".try_into().unwrap()),
        rcgen::SanType::IpAddress([127, 0, 0, 1].into()),
        rcgen::SanType::IpAddress("2001:db8::1".parse().unwrap()),
        rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, 7], "a!b.example".into())),
        rcgen::SanType::OtherName((vec![1, 2, 3], "unknown".into())),
    ];
    let built = params.self_signed(&pair(&rcgen::PKCS_ED25519)).unwrap();
    let certificate = Certificate::from_der(built.der()).unwrap();
    assert_eq!(certificate.extensions().subject_texts(), ["https://corp.example/A", "127.0.0.1", "2001:db8::1", "a!b.example"]);
    let (_, leaf) = leaf();
    assert_eq!(leaf.extensions().subject_texts().len(), 1);
}

#[test]
fn repeated_and_malformed_extensions_are_refused() {
    let build = |extensions: Vec<(&[u64], &[u8])>| {
        let mut params = rcgen::CertificateParams::default();
        params.custom_extensions =
            extensions.iter().map(|(oid, value)| rcgen::CustomExtension::from_oid_content(oid, value.to_vec())).collect();
        Certificate::from_der(params.self_signed(&pair(&rcgen::PKCS_ED25519)).unwrap().der()).unwrap_err()
    };
    let oid = |text: &str| text.parse().unwrap();
    let twice = build(vec![(&[1, 2, 3], &[5, 0]), (&[1, 2, 3], &[5, 0])]);
    assert_eq!(twice, CertificateError::DuplicateExtension { oid: oid("1.2.3") });
    for arc in [14, 15, 17, 19, 35, 37] {
        let error = build(vec![(&[2, 5, 29, arc], &[1, 1, 0xFF])]);
        assert_eq!(error, CertificateError::Extension { oid: oid(&format!("2.5.29.{arc}")) });
    }
    // An SCT list without its inner OCTET STRING.
    let error = build(vec![(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], &[0, 0])]);
    assert_eq!(error, CertificateError::Extension { oid: crate::oid::CT_SCT_LIST });
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::from_der(&bytes);
        let _ = Certificate::chain_from_pem(&String::from_utf8_lossy(&bytes));
    }

    /// A changed certificate does not parse, or keeps its bytes and no longer verifies.
    #[test]
    fn damage_is_noticed(at in any::<prop::sample::Index>(), by in 1u8..) {
        let (authority, leaf) = leaf();
        let mut der = leaf.der().to_vec();
        let at = at.index(der.len());
        der[at] ^= by;
        if let Ok(changed) = Certificate::from_der(&der) {
            prop_assert_eq!(changed.der(), &der[..]);
            prop_assert!(changed.verify_signature(authority.intermediate.public_key()).is_err(), "byte {}", at);
        }
    }
}
