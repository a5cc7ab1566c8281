//! Tokens read back by `cms` and `x509-tsp`, and their signatures by aws-lc-rs.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, UnparsedPublicKey};
use cms::signed_data::{SignedData, SignerIdentifier};
use der07::{Decode, Encode};
use jiff::Timestamp;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use super::*;
use crate::{Response, Token};

/// A throwaway authority: leaf, issuer and the leaf's key.
struct Authority {
    key: KeyPair,
    leaf: Vec<u8>,
    issuer: Vec<u8>,
}

impl Authority {
    fn new(algorithm: &'static rcgen::SignatureAlgorithm, leaf_name: &str, issuer_name: &str) -> Self {
        let issuer_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut issuer = CertificateParams::new(vec![]).unwrap();
        issuer.distinguished_name.push(DnType::CommonName, issuer_name);
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer_der = issuer.self_signed(&issuer_key).unwrap().der().to_vec();
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut leaf = CertificateParams::new(vec![]).unwrap();
        leaf.distinguished_name.push(DnType::OrganizationName, "Example");
        leaf.distinguished_name.push(DnType::CommonName, leaf_name);
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        let leaf = leaf.signed_by(&key, &rcgen::Issuer::from_params(&issuer, &issuer_key)).unwrap().der().to_vec();
        Self { key, leaf, issuer: issuer_der }
    }

    fn p256() -> Self {
        Self::new(&rcgen::PKCS_ECDSA_P256_SHA256, "tsa", "root")
    }

    fn sign(&self, template: &TokenTemplate, message: &[u8]) -> Vec<u8> {
        let algorithm = match template.algorithm() {
            SignatureAlgorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            SignatureAlgorithm::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            SignatureAlgorithm::RsaSha256 => unreachable!("no RSA key is made here"),
        };
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &self.key.serialize_der()).unwrap();
        key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn verify(&self, template: &TokenTemplate, message: &[u8], signature: &[u8]) {
        let algorithm = match template.algorithm() {
            SignatureAlgorithm::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            SignatureAlgorithm::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            SignatureAlgorithm::RsaSha256 => unreachable!("no RSA key is made here"),
        };
        UnparsedPublicKey::new(algorithm, self.key.public_key_raw()).verify(message, signature).unwrap();
    }

    fn grant(&self, template: &TokenTemplate, request: &Request) -> Vec<u8> {
        let draft = template.draft(request, PolicyId::SIGSTORE, Serial::from_random([0xa5; 20]), time());
        let signature = self.sign(template, draft.to_be_signed());
        draft.finish(&signature)
    }
}

fn time() -> GenTime {
    GenTime::at("2026-11-21T09:04:05.75Z".parse().unwrap()).unwrap()
}

fn granted(response: &[u8]) -> Token {
    match Response::from_der(response).unwrap() {
        Response::Granted(token) => token,
        Response::Refused(refused) => panic!("{refused}"),
    }
}

/// The token's `SignedData` as `cms` reads it; re-encoding must give the same bytes.
fn signed_data(response: &[u8]) -> SignedData {
    let response_read = x509_tsp::TimeStampResp::from_der(response).unwrap();
    assert_eq!(response_read.to_der().unwrap(), response, "not DER");
    let token = response_read.time_stamp_token.unwrap();
    assert_eq!(token.content_type.to_string(), "1.2.840.113549.1.7.2");
    SignedData::from_der(&token.content.to_der().unwrap()).unwrap()
}

#[test]
fn a_token_in_every_detail() {
    let authority = Authority::p256();
    let template = TokenTemplate::new(&authority.leaf, &[]).unwrap();
    let request = Request::new(HashAlgorithm::Sha512.digest(b"artifact")).with_nonce(0xfeed_0000_0000_0001);
    let response = authority.grant(&template, &request);
    let leaf = x509_cert02::Certificate::from_der(&authority.leaf).unwrap().tbs_certificate;

    let signed = signed_data(&response);
    assert_eq!(signed.version, cms::content_info::CmsVersion::V3);
    assert!(signed.certificates.is_none() && signed.crls.is_none());
    let digest_algorithm = signed.digest_algorithms.get(0).unwrap();
    assert_eq!(digest_algorithm.oid.to_string(), "2.16.840.1.101.3.4.2.1");
    assert!(digest_algorithm.parameters.is_none());

    let content = signed.encap_content_info.econtent.unwrap();
    let info = x509_tsp::TstInfo::from_der(content.value()).unwrap();
    assert_eq!(info.policy.to_string(), "1.3.6.1.4.1.57264.2");
    assert_eq!(info.message_imprint.hash_algorithm.oid.to_string(), "2.16.840.1.101.3.4.2.3");
    assert_eq!(info.message_imprint.hash_algorithm.parameters, Some(der07::asn1::Null.into()));
    assert_eq!(info.message_imprint.hashed_message.as_bytes(), request.imprint().digest());
    assert_eq!(info.serial_number.as_bytes(), [&[0x65][..], &[0xa5; 19]].concat());
    assert_eq!(info.gen_time.to_date_time().to_string(), "2026-11-21T09:04:05Z");
    let accuracy = info.accuracy.unwrap();
    assert_eq!((accuracy.seconds, accuracy.millis, accuracy.micros), (Some(1), None, None));
    assert!(!info.ordering && info.extensions.is_none());
    assert_eq!(hex::encode(info.nonce.unwrap().as_bytes()), "00feed000000000001");
    let x509_cert02::ext::pkix::name::GeneralName::DirectoryName(tsa) = info.tsa.unwrap() else { panic!("no directoryName") };
    assert_eq!(tsa, leaf.subject);

    assert_eq!(signed.signer_infos.0.len(), 1);
    let signer = signed.signer_infos.0.get(0).unwrap();
    assert_eq!(signer.version, cms::content_info::CmsVersion::V1);
    let SignerIdentifier::IssuerAndSerialNumber(sid) = &signer.sid else { panic!("no issuerAndSerialNumber") };
    assert_eq!((&sid.issuer, &sid.serial_number), (&leaf.issuer, &leaf.serial_number));
    assert_eq!(signer.signature_algorithm.oid.to_string(), "1.2.840.10045.4.3.2");
    assert!(signer.signature_algorithm.parameters.is_none() && signer.unsigned_attrs.is_none());

    let attributes = signer.signed_attrs.as_ref().unwrap();
    let value =
        |oid: &str| attributes.iter().find(|a| a.oid.to_string() == oid).unwrap().values.get(0).unwrap().to_der().unwrap();
    assert_eq!(attributes.len(), 4);
    assert_eq!(value("1.2.840.113549.1.9.3"), tlv(OBJECT_IDENTIFIER, &[TST_INFO]));
    assert_eq!(value("1.2.840.113549.1.9.4")[2..], *HashAlgorithm::Sha256.digest(content.value()).digest());
    assert_eq!(value("1.2.840.113549.1.9.5"), b"\x17\x0d261121090405Z");
    let ess = value("1.2.840.113549.1.9.16.2.47");
    let hash = HashAlgorithm::Sha256.digest(&authority.leaf);
    let names = [tlv(CONTEXT_4, &[&leaf.issuer.to_der().unwrap()])];
    let issuer_serial = [tlv(SEQUENCE, &[&names[0]]), leaf.serial_number.to_der().unwrap()].concat();
    let id = tlv(SEQUENCE, &[&tlv(OCTET_STRING, &[hash.digest()]), &tlv(SEQUENCE, &[&issuer_serial])]);
    assert_eq!(ess, tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&id])]));

    authority.verify(&template, &attributes.to_der().unwrap(), signer.signature.as_bytes());

    let token = granted(&response);
    token.check_answers(&request).unwrap();
    assert_eq!(token.time(), "2026-11-21T09:04:05Z".parse::<Timestamp>().unwrap());
    assert!(token.certificates().is_empty());
}

#[test]
fn p384_signs_with_sha384() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384, "tsa", "root");
    let template = TokenTemplate::new(&authority.leaf, &[]).unwrap();
    let signed = signed_data(&authority.grant(&template, &Request::new(HashAlgorithm::Sha256.digest(b"x"))));
    let signer = signed.signer_infos.0.get(0).unwrap();
    assert_eq!(signer.digest_alg.oid.to_string(), "2.16.840.1.101.3.4.2.2");
    assert_eq!(signer.signature_algorithm.oid.to_string(), "1.2.840.10045.4.3.3");
    let attributes = signer.signed_attrs.as_ref().unwrap().to_der().unwrap();
    authority.verify(&template, &attributes, signer.signature.as_bytes());
}

#[test]
fn certificates_only_on_request_and_sorted() {
    // Which of the two certificates is the longer one decides their order.
    for length in 1..=100 {
        let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256, &"t".repeat(length), &"r".repeat(101 - length));
        let request = Request::new(HashAlgorithm::Sha256.digest(b"x"));
        let with = request.clone().with_certificates();

        let leaf_only = TokenTemplate::new(&authority.leaf, &[]).unwrap();
        assert_eq!(granted(&authority.grant(&leaf_only, &with)).certificates(), std::slice::from_ref(&authority.leaf));
        assert!(signed_data(&authority.grant(&leaf_only, &request)).certificates.is_none());

        let chain = TokenTemplate::new(&authority.leaf, &[&authority.issuer]).unwrap();
        let response = authority.grant(&chain, &with);
        let mut expected = vec![authority.leaf.clone(), authority.issuer.clone()];
        expected.sort();
        assert_eq!(granted(&response).certificates(), expected);
        assert_eq!(signed_data(&response).certificates.unwrap().0.len(), 2);
    }
}

#[test]
fn keys_that_cannot_sign_tokens() {
    let ed25519 = Authority::new(&rcgen::PKCS_ED25519, "tsa", "root");
    assert!(matches!(TokenTemplate::new(&ed25519.leaf, &[]), Err(TemplateError::UnsupportedKey)));
    assert!(matches!(TokenTemplate::new(b"no certificate", &[]), Err(TemplateError::Malformed(_))));
}

#[test]
fn tokens_of_other_requests() {
    use crate::AnswerMismatch;
    let authority = Authority::p256();
    let template = TokenTemplate::new(&authority.leaf, &[]).unwrap();
    let request = Request::new(HashAlgorithm::Sha256.digest(b"x")).with_nonce(7);
    let token = granted(&authority.grant(&template, &request));
    let imprint = HashAlgorithm::Sha256.digest(b"y");
    assert_eq!(token.check_answers(&Request::new(imprint).with_nonce(7)), Err(AnswerMismatch::Imprint));
    assert_eq!(token.check_answers(&request.clone().with_nonce(8)), Err(AnswerMismatch::Nonce));
    assert_eq!(token.check_answers(&Request::new(request.imprint().clone())), Err(AnswerMismatch::Nonce));
    let found = PolicyId::SIGSTORE;
    let expected = "1.2.3".parse().unwrap();
    assert_eq!(token.check_answers(&request.with_policy(expected)), Err(AnswerMismatch::Policy { expected, found }));
}

#[test]
fn refusals_are_read_back() {
    let der = crate::refusal(crate::FailureInfo::TimeNotAvailable, "later");
    let Response::Refused(refused) = Response::from_der(&der).unwrap() else { panic!("granted") };
    assert_eq!((refused.status, &*refused.reason, refused.failure), (2, "later", Some(crate::FailureInfo::TimeNotAvailable)));
    assert_eq!(refused.to_string(), "the timestamp authority refused (status 2, TimeNotAvailable): later");
    assert!(matches!(Response::from_der(&[0x30, 5, 0x30, 3, 2, 1, 0]), Err(crate::ResponseError::NoToken)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn mutated_responses_do_not_panic(at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>()) {
        let authority = Authority::p256();
        let template = TokenTemplate::new(&authority.leaf, &[&authority.issuer]).unwrap();
        let mut response = authority.grant(&template, &Request::new(HashAlgorithm::Sha256.digest(b"x")).with_certificates());
        let at = at.index(response.len());
        response[at] ^= flip;
        let _ = Response::from_der(&response);
        response.truncate(cut.index(response.len()));
        prop_assert!(Response::from_der(&response).is_err());
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Response::from_der(&bytes);
    }
}
