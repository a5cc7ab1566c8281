//! CT 7, the part without clients: a certificate carries its timestamp, and every change to either is noticed.

use ct::{LogId, Sct, SctError, SignedEntry};
use pki::oid::CT_SCT_LIST;
use pki::splice::{corresponds, remove_extension};
use pki::{Certificate, PublicKey};

use crate::common::Fixture;

/// What a client does: the TBSCertificate without the SCT list, the issuer's key, the log's key.
fn verify(certificate: &Certificate, issuer: &PublicKey, log: &PublicKey) -> Result<(), Box<dyn std::error::Error>> {
    let scts = ct::parse_sct_list(certificate.extensions().sct_list().ok_or("no SCT list")?)?;
    let [sct] = scts.as_slice() else { return Err("not one SCT".into()) };
    let tbs = remove_extension(certificate.tbs_der(), CT_SCT_LIST)?;
    Ok(sct.verify(log, SignedEntry::Precert { issuer_key_hash: issuer.fingerprint(), tbs })?)
}

#[tokio::test]
async fn the_timestamp_in_a_certificate_verifies_and_no_bit_may_change() {
    for leaf_index in [true, false] {
        let fixture = Fixture::with(|config| config["leaf_index"] = leaf_index.into()).await;
        let (authority, log) = (&fixture.authority, fixture.key());
        let profile = authority.profile();
        let precertificate = authority.precertificate_of(&profile).await;
        let sct = fixture.add_pre_chain(&authority.whole(&precertificate)).await.sct();
        let certificate = authority.certificate_of(&profile, std::slice::from_ref(&sct)).await;
        corresponds(&precertificate, &certificate).unwrap();
        let issuer = authority.intermediate.public_key();
        verify(&certificate, issuer, log).unwrap();

        assert!(verify(&certificate, authority.root.public_key(), log).is_err(), "another issuer");
        assert!(verify(&certificate, issuer, issuer).is_err(), "another log");
        let der = certificate.der();
        let signed = certificate.tbs_der().len() + 4;
        for position in (4..signed).step_by(3) {
            let mut changed = der.to_vec();
            changed[position] ^= 0x04;
            let Ok(changed) = Certificate::from_der(&changed) else { continue };
            assert!(verify(&changed, issuer, log).is_err(), "byte {position}");
        }
    }
}

#[tokio::test]
async fn a_timestamp_speaks_for_its_own_entry_alone() {
    let fixture = Fixture::new().await;
    let (precertificate, sct) = fixture.logged().await;
    let (_, other) = fixture.logged().await;
    let issuer_key_hash = fixture.authority.intermediate.public_key().fingerprint();
    let tbs = remove_extension(precertificate.tbs_der(), pki::oid::CT_POISON).unwrap();
    let entry = || SignedEntry::Precert { issuer_key_hash, tbs: tbs.clone() };
    sct.verify(fixture.key(), entry()).unwrap();
    assert_eq!(other.verify(fixture.key(), entry()), Err(SctError::Signature));
    let later = Sct { timestamp: sct.timestamp + 1, ..sct.clone() };
    assert_eq!(later.verify(fixture.key(), entry()), Err(SctError::Signature));
    let bare = Sct { extensions: vec![], ..sct.clone() };
    assert_eq!(bare.verify(fixture.key(), entry()), Err(SctError::Signature));
    let elsewhere = Sct { log_id: LogId([0; 32]), ..sct };
    assert_eq!(elsewhere.verify(fixture.key(), entry()), Err(SctError::OtherLog));
}
