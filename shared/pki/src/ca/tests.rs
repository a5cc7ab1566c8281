use super::*;
use crate::chain::{IssuingChain, check_links};
use crate::oid;
use crate::testing::{Authority, at, pair, public, subject};

#[test]
fn root_and_intermediate_are_as_verifiers_demand() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
    let (root, intermediate) = (&authority.root, &authority.intermediate);
    assert!(root.is_self_signed());
    assert_eq!(root.subject(), "CN=root,O=corp.example");
    assert_eq!(intermediate.subject(), "CN=intermediate,O=corp.example");
    for (certificate, path_length, purposes) in [(root, None, None), (intermediate, Some(0), Some(&[oid::CODE_SIGNING][..]))] {
        let extensions = certificate.extensions();
        let constraints = extensions.basic_constraints().unwrap();
        assert_eq!((constraints.ca, constraints.critical, constraints.path_length), (true, true, path_length));
        let usage = extensions.key_usage().unwrap();
        assert!(usage.critical && usage.certificate_signing && usage.crl_signing && !usage.digital_signature && !usage.other);
        assert_eq!(extensions.ext_key_usage(), purposes);
        assert_eq!(extensions.subject_key_id().unwrap(), key_id(certificate.public_key()));
        assert_eq!(certificate.not_after(), at("2036-11-18T09:00:00Z"));
        assert_eq!(certificate.public_key().kind(), KeyKind::P384);
    }
    assert!(!intermediate.extensions().get(ID_CE_EXT_KEY_USAGE).unwrap().critical);
    assert_eq!(intermediate.extensions().authority_key_id(), root.extensions().subject_key_id());
    assert_eq!(intermediate.serial(), [2; 20]);
    IssuingChain::check(authority.chain(), intermediate.public_key(), at("2026-11-21T09:00:00Z")).unwrap();
}

#[test]
fn the_timestamping_certificate_is_the_one_shape_that_every_client_takes() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = public(&pair(algorithm));
        let leaf = timestamping(&authority.root, &authority.root_key, &key, &subject("tsa", 3)).unwrap();
        let extensions = leaf.extensions();
        assert_eq!(extensions.basic_constraints().map(|constraints| constraints.ca), Some(false));
        let usage = extensions.key_usage().unwrap();
        assert!(usage.critical && usage.digital_signature && !usage.certificate_signing && !usage.crl_signing && !usage.other);
        assert_eq!(extensions.ext_key_usage(), Some(&[oid::TIME_STAMPING][..]));
        assert!(extensions.get(ID_CE_EXT_KEY_USAGE).unwrap().critical);
        assert_eq!(extensions.authority_key_id(), authority.root.extensions().subject_key_id());
        assert_eq!(leaf.public_key(), &key);
        check_links(&[leaf, authority.root.clone()]).unwrap();
    }
}

#[test]
fn authorities_are_never_ed25519() {
    let pem = pair(&rcgen::PKCS_ED25519).serialize_pem();
    assert!(matches!(CaKey::from_pkcs8_pem(&pem), Err(CaError::Kind { kind: KeyKind::Ed25519 })));
    assert!(matches!(CaKey::from_pkcs8_pem("nothing"), Err(CaError::Key(_))));
}

#[test]
fn a_root_with_another_key_signs_nothing() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let other = CaKey::from_pkcs8_pem(&pair(&rcgen::PKCS_ECDSA_P256_SHA256).serialize_pem()).unwrap();
    let made = intermediate(&authority.root, &other, authority.intermediate.public_key(), &subject("x", 4));
    assert!(matches!(made, Err(CaError::Signature(_))), "{made:?}");
}
