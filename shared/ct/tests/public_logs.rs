//! Certificates that Sigstore's public authorities issued, against the keys of the public logs: that our bytes are everybody's bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

use ct::{Sct, SctError, SignedEntry};
use pki::oid::CT_SCT_LIST;
use pki::splice::remove_extension;
use pki::{Certificate, PublicKey};

/// What a client does with an embedded timestamp.
fn embedded(chain: &[Certificate]) -> (Sct, SignedEntry) {
    let list = chain[0].extensions().sct_list().unwrap();
    let mut scts = ct::parse_sct_list(list).unwrap();
    assert_eq!(ct::sct_list(&scts).unwrap(), list, "re-encoded");
    let entry = SignedEntry::Precert {
        issuer_key_hash: chain[1].public_key().fingerprint(),
        tbs: remove_extension(chain[0].tbs_der(), CT_SCT_LIST).unwrap(),
    };
    (scts.pop().unwrap(), entry)
}

fn check(chain: &str, key: &str, timestamp: u64, index: Option<u64>) {
    let chain = Certificate::chain_from_pem(chain).unwrap();
    let key = PublicKey::from_pem(key).unwrap();
    chain[0].verify_signature(chain[1].public_key()).unwrap();
    let (sct, entry) = embedded(&chain);
    assert_eq!((sct.timestamp, ct::leaf_index(&sct.extensions)), (timestamp, Ok(index)));
    sct.verify(&key, entry.clone()).unwrap();

    let SignedEntry::Precert { tbs, .. } = entry else { unreachable!() };
    let other = SignedEntry::Precert { issuer_key_hash: [0; 32], tbs };
    assert_eq!(sct.verify(&key, other), Err(SctError::Signature));
}

#[test]
fn the_public_log_of_2022() {
    let (chain, key) = (include_str!("../testdata/public-2022.pem"), include_str!("../testdata/public-2022.pub"));
    check(chain, key, 1_692_374_735_120, None);
}

/// A static-ct log, whose timestamps carry the entry's index.
#[test]
fn the_staging_log_of_2026() {
    let (chain, key) = (include_str!("../testdata/staging-2026.pem"), include_str!("../testdata/staging-2026.pub"));
    check(chain, key, 1_783_488_311_365, Some(0x9_cd5e));
}
