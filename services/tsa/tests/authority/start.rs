//! Chains that verifiers would refuse do not start.

use std::sync::Arc;

use crate::common::{Chain, Pems, TIME_STAMPING, configure};
use chassis::Explain as _;
use clock::SystemClock;
use tsa::StartError;

async fn refused(pems: &Pems) -> StartError {
    let folder = tempfile::tempdir().unwrap();
    tsa::open(&configure(folder.path(), pems), Arc::new(SystemClock)).await.unwrap_err()
}

async fn expect(what: &str, pems: &Pems, code: &str, says: &str) {
    let error = refused(pems).await;
    let text = chassis::report::render(&error);
    assert_eq!(error.code(), code, "{what}: {text}");
    assert!(text.contains(says), "{what}: {text}");
    assert!(!text.contains("PRIVATE"), "{text}");
}

#[tokio::test]
async fn leaves_that_verifiers_refuse() {
    let ca = || Chain { basic_constraints: Some(vec![0x30, 3, 1, 1, 0xff]), ..Chain::default() };
    expect("CA:TRUE", &ca().build(), "tsa_leaf_is_ca", "O=Example").await;
    let not_critical = Chain { purposes: Some((TIME_STAMPING.to_vec(), false)), ..Chain::default() };
    expect("EKU not critical", &not_critical.build(), "tsa_leaf_purpose", "critical").await;
    let code_signing = [&[0x30, 20][..], &TIME_STAMPING[2..], &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 3]].concat();
    let two = Chain { purposes: Some((code_signing, true)), ..Chain::default() };
    expect("two purposes", &two.build(), "tsa_leaf_purpose", "exactly one").await;
    let none = Chain { purposes: None, ..Chain::default() };
    expect("no purpose", &none.build(), "tsa_leaf_purpose", "exactly one").await;
    for (what, usage) in [("keyCertSign", vec![3, 2, 2, 0x84]), ("cRLSign and keyCertSign", vec![3, 2, 1, 0x06])] {
        let usage = Chain { key_usage: Some(usage), ..Chain::default() };
        expect(what, &usage.build(), "tsa_leaf_key_usage", "digitalSignature and no other").await;
    }
    let expired = Chain { leaf_days: (-9, -1), ..Chain::default() };
    expect("expired", &expired.build(), "tsa_chain_not_valid_now", "and now it is").await;
    let future = Chain { leaf_days: (1, 9), ..Chain::default() };
    expect("not yet valid", &future.build(), "tsa_chain_not_valid_now", "and now it is").await;
    let ed25519 = Chain { algorithm: &rcgen::PKCS_ED25519, ..Chain::default() };
    expect("Ed25519", &ed25519.build(), "tsa_key_unsupported", "P-256").await;
}

#[tokio::test]
async fn leaves_that_verifiers_accept() {
    for (basic_constraints, key_usage) in [(None, None), (None, Some(vec![3, 2, 6, 0xc0])), (Some(vec![0x30, 0]), None)] {
        crate::common::authority(&Chain { basic_constraints, key_usage, ..Chain::default() }.build()).await;
    }
}

#[tokio::test]
async fn chains_out_of_order_or_incomplete() {
    let good = Chain { intermediates: 1, ..Chain::default() }.build();
    let with = |order: &[usize]| Pems {
        certificates: order.iter().map(|at| good.certificates[*at].clone()).collect(),
        key: good.key.clone(),
    };
    expect("root first", &with(&[2, 1, 0]), "tsa_chain_order", "not its issuer").await;
    expect("intermediate missing", &with(&[0, 2]), "tsa_chain_order", "not its issuer").await;
    expect("root missing", &with(&[0, 1]), "tsa_chain_incomplete", "self-signed").await;
    expect("leaf alone", &with(&[0]), "tsa_chain_incomplete", "at least two").await;
    expect("intermediate first", &with(&[1, 2]), "tsa_leaf_is_ca", "intermediate 0").await;
    expect("nothing", &with(&[]), "tsa_chain_malformed", "PEM").await;
    let other = Chain { intermediates: 1, ..Chain::default() }.build();
    let mixed = Pems {
        certificates: vec![good.certificates[0].clone(), other.certificates[1].clone(), other.certificates[2].clone()],
        key: good.key.clone(),
    };
    expect("same names, other keys", &mixed, "tsa_chain_signature", "not signed").await;
}

#[tokio::test]
async fn intermediates_without_the_purpose() {
    let pems = Chain { intermediates: 1, intermediate_purpose: false, ..Chain::default() }.build();
    expect("no EKU", &pems, "tsa_issuer_purpose", "intermediate 0").await;
    crate::common::authority_at(&pems, Arc::new(SystemClock), |config| config.enforce_intermediate_eku = false).await;
}

#[tokio::test]
async fn another_key_than_the_chains() {
    let (one, two) = (Chain::default().build(), Chain::default().build());
    let mixed = Pems { certificates: one.certificates, key: two.key };
    expect("other key", &mixed, "tsa_key_mismatch", "the key file holds").await;
}

#[tokio::test]
async fn files_that_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let pems = Chain::default().build();
    let config = configure(folder.path(), &pems);
    std::fs::remove_file(folder.path().join("chain.pem")).unwrap();
    let error = tsa::open(&config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(error.code(), "tsa_chain_unreadable");
    assert!(error.to_string().contains("chain.pem"));
    std::fs::remove_file(folder.path().join("tsa.pem")).unwrap();
    let error = tsa::open(&config, Arc::new(SystemClock)).await.unwrap_err();
    assert_eq!(error.code(), "tsa_key");
    assert!(chassis::report::render(&error).contains("tsa.pem"), "{}", chassis::report::render(&error));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made in their place");
}
