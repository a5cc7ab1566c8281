use rcgen::{CertificateParams, CustomExtension, DistinguishedName, SerialNumber, SubjectPublicKeyInfo};

use super::*;
use crate::key::KeyKind;
use crate::splice::{CorrespondenceError, corresponds, remove_extension};
use crate::testing::{Authority, at, pair, profile, public, uri};

const SCT_LIST: &[u8] = &[0x00, 0x04, 0x00, 0x02, 0xAA, 0xBB];

fn names() -> [SubjectAltName; 3] {
    [uri(), SubjectAltName::Email("ops@corp.example".into()), SubjectAltName::Username("örn!corp.example".into())]
}

fn client_keys() -> Vec<PublicKey> {
    let algorithms = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    algorithms.map(|algorithm| public(&pair(algorithm))).into()
}

fn issue(authority: &Authority, profile: &Profile) -> (Certificate, Certificate) {
    let issuer = Issuer::new(&authority.intermediate).unwrap();
    let draft = Draft::precertificate(&issuer, profile).unwrap();
    let precertificate = draft.assemble(&authority.sign(draft.tbs())).unwrap();
    let draft = Draft::certificate(&issuer, profile, SCT_LIST).unwrap();
    (precertificate, draft.assemble(&authority.sign(draft.tbs())).unwrap())
}

/// The same certificate by rcgen: every extension handed over as it is, in our order.
fn by_rcgen(authority: &Authority, profile: &Profile, certificate: &Certificate) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(profile.serial.as_bytes()));
    let date = |time: Timestamp| time::OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap();
    (params.not_before, params.not_after) = (date(profile.not_before), date(profile.not_after));
    params.custom_extensions = certificate
        .extensions()
        .all()
        .iter()
        .map(|extension| {
            let oid: Vec<u64> = extension.oid.arcs().map(u64::from).collect();
            let mut custom = CustomExtension::from_oid_content(&oid, extension.value.clone());
            custom.set_criticality(extension.critical);
            custom
        })
        .collect();
    let issuer = rcgen::Issuer::from_ca_cert_der(&authority.intermediate.der().into(), &authority.pair).unwrap();
    let key = SubjectPublicKeyInfo::from_der(profile.public_key.spki_der()).unwrap();
    let built = params.signed_by(&key, &issuer).unwrap();
    Certificate::from_der(built.der()).unwrap().tbs_der().to_vec()
}

#[test]
fn every_combination_agrees_with_rcgen_and_with_its_precertificate() {
    let client_keys = client_keys();
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P256_SHA256] {
        let authority = Authority::new(algorithm);
        for name in names() {
            for key in &client_keys {
                let profile = profile(key.clone(), name.clone());
                let (precertificate, certificate) = issue(&authority, &profile);
                assert_eq!(precertificate.tbs_der(), by_rcgen(&authority, &profile, &precertificate));
                assert_eq!(certificate.tbs_der(), by_rcgen(&authority, &profile, &certificate));
                corresponds(&precertificate, &certificate).unwrap();
                precertificate.verify_signature(authority.intermediate.public_key()).unwrap();
                certificate.verify_signature(authority.intermediate.public_key()).unwrap();
                assert_eq!(certificate.extensions().subject_alt_names(), std::slice::from_ref(&name));
                assert_eq!(certificate.public_key(), &profile.public_key);
            }
        }
    }
}

#[test]
fn the_profile_is_exact() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
    let profile = profile(public(&pair(&rcgen::PKCS_ECDSA_P256_SHA256)), uri());
    let (precertificate, certificate) = issue(&authority, &profile);
    let shown = |certificate: &Certificate| -> Vec<(String, bool)> {
        certificate
            .extensions()
            .all()
            .iter()
            .map(|e| (e.oid.to_string().replace("1.3.6.1.4.1.57264.1", ""), e.critical))
            .collect()
    };
    let mut expected: Vec<(String, bool)> = ["2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.35", "2.5.29.17"]
        .map(|oid| (oid.to_owned(), matches!(oid, "2.5.29.15" | "2.5.29.17")))
        .into();
    expected.extend((1..=6).chain(8..=24).map(|arc| (format!(".{arc}"), false)));
    expected.push(("1.3.6.1.4.1.11129.2.4.3".into(), true));
    assert_eq!(shown(&precertificate), expected);
    *expected.last_mut().unwrap() = ("1.3.6.1.4.1.11129.2.4.2".into(), false);
    assert_eq!(shown(&certificate), expected);

    let value = |oid: &str| certificate.extensions().get(oid.parse().unwrap()).unwrap().value.clone();
    assert_eq!(value("2.5.29.15"), [0x03, 0x02, 0x07, 0x80]);
    assert_eq!(value("2.5.29.37"), [0x30, 0x0A, 6, 8, 0x2B, 6, 1, 5, 5, 7, 3, 3]);
    assert_eq!(value("2.5.29.35")[4..], *authority.intermediate.extensions().subject_key_id().unwrap());
    assert_eq!(value("1.3.6.1.4.1.57264.1.1"), b"https://ghe.corp.example/_services/token");
    assert_eq!(value("1.3.6.1.4.1.57264.1.8"), [b"\x0C\x28".as_slice(), b"https://ghe.corp.example/_services/token"].concat());
    assert_eq!(value("1.3.6.1.4.1.57264.1.6"), "text of 6 with ünïcode".as_bytes());
    assert_eq!(value("1.3.6.1.4.1.57264.1.23")[..2], [0x0C, 25]);
    assert_eq!(value("1.3.6.1.4.1.11129.2.4.2"), [&[0x04, 0x06], SCT_LIST].concat());
    assert_eq!(precertificate.extensions().get(oid::CT_POISON).unwrap().value, [0x05, 0x00]);

    assert_eq!(certificate.subject_der(), [0x30, 0x00]);
    assert_eq!(certificate.issuer_der(), authority.intermediate.subject_der());
    assert_eq!(certificate.serial(), [&[0x7F][..], &[0xFF; 19]].concat());
    assert_eq!(certificate.not_before(), at("2026-11-21T09:14:03Z"));
    assert_eq!(certificate.not_after(), at("2026-11-21T09:24:03Z"));
}

#[test]
fn other_name_is_as_fulcio_writes_it() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let name = SubjectAltName::Username("user!domain".into());
    let (_, certificate) = issue(&authority, &profile(public(&pair(&rcgen::PKCS_ED25519)), name));
    let expected = "3021a01f060a2b0601040183bf300107a0110c0f";
    let value = &certificate.extensions().get("2.5.29.17".parse().unwrap()).unwrap().value;
    // SEQUENCE { [0] { OID .1.7, [0] EXPLICIT UTF8String } }; the lengths follow the text.
    let text = b"user!domain";
    let mut shape = hex::decode(expected).unwrap();
    let length = |n: usize| u8::try_from(n).unwrap();
    (shape[1], shape[3]) = (length(text.len() + 18), length(text.len() + 16));
    (shape[17], shape[19]) = (length(text.len() + 2), length(text.len()));
    assert_eq!(*value, [&shape[..], text].concat());
}

#[test]
fn a_foreign_authoritys_name_is_copied_byte_for_byte() {
    for pem in [include_str!("../../testdata/chain/two-ous.pem"), include_str!("../../testdata/chain/bmp-name.pem")] {
        let certificate = Certificate::from_pem(pem).unwrap();
        let issuer = Issuer::new(&certificate).unwrap();
        let draft = Draft::precertificate(&issuer, &profile(public(&pair(&rcgen::PKCS_ED25519)), uri())).unwrap();
        assert_eq!(draft.assemble(&[0; 8]).unwrap().issuer_der(), certificate.subject_der());
    }
}

#[test]
fn identities_that_no_certificate_can_carry() {
    let issuer = Issuer::new(&Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256).intermediate).unwrap();
    let key = public(&pair(&rcgen::PKCS_ED25519));
    let refused = [
        (SubjectAltName::Email("jörg@corp.example".into()), SanError::NotAscii { kind: "e-mail address" }),
        (SubjectAltName::Uri("https://corp.example/ü".into()), SanError::NotAscii { kind: "URI" }),
        (SubjectAltName::Uri(String::new()), SanError::Empty),
        (SubjectAltName::Other, SanError::Kind),
    ];
    for (name, expected) in refused {
        let error = Draft::precertificate(&issuer, &profile(key.clone(), name)).unwrap_err();
        assert!(matches!(&error, LeafError::Identity(found) if *found == expected), "{error:?}");
    }
}

#[test]
fn only_template_fields_can_be_set_and_empty_ones_are_left_out() {
    assert_eq!(FulcioExtensions::new("", "x"), Err(ExtensionError::EmptyIssuer));
    let mut extensions = FulcioExtensions::new("https://issuer", "").unwrap();
    for arc in [0, 1, 7, 8, 24, 25, 255] {
        assert_eq!(extensions.set(arc, "x"), Err(ExtensionError::Arc { arc }));
    }
    extensions.set(23, "production").unwrap();
    extensions.set(2, "push").unwrap();
    extensions.set(23, "").unwrap();
    let found: Vec<_> = extensions.iter().collect();
    assert_eq!(found, [(1, "https://issuer"), (2, "push"), (8, "https://issuer")]);
}

#[test]
fn an_issuer_needs_a_key_identifier() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let leaf = issue(&authority, &profile(public(&pair(&rcgen::PKCS_ED25519)), uri())).1;
    assert!(Issuer::new(&leaf).is_ok());
    let tbs = remove_extension(leaf.tbs_der(), "2.5.29.14".parse().unwrap()).unwrap();
    let without = Draft { tbs, algorithm: hex::decode("300a06082a8648ce3d040302").unwrap() }.assemble(&[]).unwrap();
    assert_eq!(Issuer::new(&without).unwrap_err(), IssuerError::NoKeyId);
    assert_eq!(authority.intermediate.public_key().kind(), KeyKind::P256);
}

#[test]
fn a_certificate_of_another_precertificate_does_not_correspond() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let one = profile(public(&pair(&rcgen::PKCS_ED25519)), uri());
    let (precertificate, certificate) = issue(&authority, &one);
    let later = Profile { not_after: one.not_after + jiff::SignedDuration::from_secs(1), ..one.clone() };
    let renamed = Profile { serial: Serial::from_random([1; 20]), ..one };
    for other in [later, renamed] {
        assert_eq!(corresponds(&precertificate, &issue(&authority, &other).1), Err(CorrespondenceError::Different));
    }
    assert!(matches!(corresponds(&certificate, &certificate), Err(CorrespondenceError::Precertificate(_))));
    assert!(matches!(corresponds(&precertificate, &precertificate), Err(CorrespondenceError::Certificate(_))));
}

#[test]
fn dates_beyond_2049_use_generalized_time() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let mut profile = profile(public(&pair(&rcgen::PKCS_ED25519)), uri());
    profile.not_after = at("2050-01-01T00:00:00Z");
    let (precertificate, certificate) = issue(&authority, &profile);
    corresponds(&precertificate, &certificate).unwrap();
    assert_eq!(certificate.tbs_der(), by_rcgen(&authority, &profile, &certificate));
    profile.not_before = at("1969-12-31T23:59:59Z");
    let issuer = Issuer::new(&authority.intermediate).unwrap();
    assert!(matches!(Draft::precertificate(&issuer, &profile), Err(LeafError::Validity)));
}
