use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::*;
use crate::PublicKey;
use crate::testing::{Authority, at, pair, public};

const NOW: &str = "2026-11-21T09:14:03Z";

/// A certificate of any shape for `key`, issued by `issuer`, or self-signed.
fn made(key: &KeyPair, issuer: Option<(&Certificate, &KeyPair)>, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "made");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    let built = match issuer {
        None => params.self_signed(key).unwrap(),
        Some((certificate, pair)) => {
            let issuer = rcgen::Issuer::from_ca_cert_der(&certificate.der().into(), pair).unwrap();
            params.signed_by(key, &issuer).unwrap()
        }
    };
    Certificate::from_der(built.der()).unwrap()
}

fn p256() -> KeyPair {
    pair(&rcgen::PKCS_ECDSA_P256_SHA256)
}

fn problem(error: ChainError) -> (usize, Problem) {
    let ChainError::Certificate { position, problem, .. } = error else { panic!("{error}") };
    (position, problem)
}

fn issuing(chain: Vec<Certificate>, signer: &PublicKey) -> (usize, Problem) {
    problem(IssuingChain::check(chain, signer, at(NOW)).unwrap_err())
}

#[test]
fn a_good_chain_knows_its_validity() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P384_SHA384);
    let chain = IssuingChain::check(authority.chain(), authority.intermediate.public_key(), at(NOW)).unwrap();
    assert_eq!(chain.issuing(), &authority.intermediate);
    assert_eq!((chain.not_before(), chain.not_after()), (at("2026-11-21T09:00:00Z"), at("2036-11-18T09:00:00Z")));
    // A root may issue by itself, as scaffolding's does.
    IssuingChain::check(vec![authority.root.clone()], authority.root.public_key(), at(NOW)).unwrap();
}

#[test]
fn order_completeness_and_key_are_checked() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (root, intermediate) = (&authority.root, &authority.intermediate);
    let signer = intermediate.public_key();
    assert_eq!(IssuingChain::check(vec![], signer, at(NOW)), Err(ChainError::Empty));
    let reversed = vec![root.clone(), intermediate.clone()];
    assert_eq!(problem(check_links(&reversed).unwrap_err()), (1, Problem::Order));
    assert_eq!(issuing(vec![intermediate.clone()], signer), (1, Problem::NotSelfSigned));
    let error = IssuingChain::check(authority.chain(), root.public_key(), at(NOW)).unwrap_err();
    assert_eq!(error, ChainError::OtherKey { certified: signer.short(), configured: root.public_key().short() });
    // The same names, another key.
    let twin = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let (position, problem) = issuing(vec![intermediate.clone(), twin.root], signer);
    assert!(matches!((position, &problem), (1, Problem::Signature(_))), "{problem}");
    assert!(problem.to_string().contains("valid signature of the next one"));
}

#[test]
fn times_are_checked_for_every_certificate() {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let signer = authority.intermediate.public_key();
    let check = |now| IssuingChain::check(authority.chain(), signer, at(now));
    assert!(check("2026-11-21T09:00:00Z").is_ok());
    assert!(check("2036-11-18T09:00:00Z").is_ok());
    for now in ["2026-11-21T08:59:59Z", "2036-11-18T09:00:01Z"] {
        let error = check(now).unwrap_err();
        assert!(error.to_string().contains(&format!("and it is {now}")), "{error}");
    }
}

#[test]
fn an_issuing_chain_that_some_client_refuses() {
    let (root_key, key) = (p256(), p256());
    let root = made(&root_key, None, |_| {});
    let signer = public(&key);
    let below = |change: fn(&mut CertificateParams)| {
        let certificate = made(&key, Some((&root, &root_key)), |params| {
            params.distinguished_name.push(DnType::OrganizationName, "x");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
            change(params);
        });
        vec![certificate, root.clone()]
    };
    assert!(IssuingChain::check(below(|_| {}), &signer, at(NOW)).is_ok());
    type Change = fn(&mut CertificateParams);
    let cases: [(Change, Problem); 6] = [
        (|params| params.is_ca = IsCa::ExplicitNoCa, Problem::NotAuthority),
        (|params| params.is_ca = IsCa::NoCa, Problem::NotAuthority),
        (|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature], Problem::MayNotSign),
        (|params| params.key_usages.clear(), Problem::Missing("KeyUsage")),
        (|params| params.extended_key_usages.clear(), Problem::Purpose { expected: "codeSigning" }),
        (
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Problem::Purpose { expected: "codeSigning" },
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(issuing(below(change), &signer), (1, expected));
    }
    let no_key_id = below(|params| params.use_authority_key_identifier_extension = false);
    assert_eq!(issuing(no_key_id, &signer), (1, Problem::Missing("AuthorityKeyIdentifier")));

    let ed25519 = pair(&rcgen::PKCS_ED25519);
    let chain = vec![made(&ed25519, None, |_| {})];
    assert_eq!(issuing(chain, &public(&ed25519)), (1, Problem::Ed25519));
}

#[test]
fn path_lengths_are_kept() {
    let keys: Vec<KeyPair> = (0..3).map(|_| p256()).collect();
    let constrain = |name: &'static str, most: u8| {
        move |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        }
    };
    for (allowed, works) in [(0, false), (1, true)] {
        let root = made(&keys[0], None, constrain("root", allowed));
        let middle = made(&keys[1], Some((&root, &keys[0])), constrain("middle", 0));
        let last = made(&keys[2], Some((&middle, &keys[1])), constrain("last", 0));
        let leaf = made(&p256(), Some((&last, &keys[2])), |params| params.is_ca = IsCa::NoCa);
        assert_eq!(check_links(&[middle.clone(), root.clone()]), Ok(()), "nothing below the intermediate");
        let found = check_links(&[last.clone(), middle.clone(), root.clone()]);
        assert_eq!(found.is_ok(), works, "{found:?}");
        let error = check_links(&[leaf, last, middle, root]).unwrap_err();
        assert_eq!(problem(error), (3, Problem::PathLength { allowed: 0, found: 1 }));
    }
}
