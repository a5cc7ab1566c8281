use proptest::prelude::*;

use super::*;
use crate::leaf::{Draft, Issuer};
use crate::testing::{Authority, pair, profile, public, uri};

fn precertificate_tbs() -> Vec<u8> {
    let authority = Authority::new(&rcgen::PKCS_ECDSA_P256_SHA256);
    let issuer = Issuer::new(&authority.intermediate).unwrap();
    Draft::precertificate(&issuer, &profile(public(&pair(&rcgen::PKCS_ED25519)), uri())).unwrap().tbs().to_vec()
}

/// Appends `extension` (a whole TLV) to the extensions of `tbs`.
fn append(tbs: &[u8], extension: &[u8]) -> Vec<u8> {
    let slices = TbsSlices::of_tbs(tbs).unwrap();
    let field = slices.extensions.unwrap();
    let kept = split(&tbs[field.clone()], oid::FULCIO).unwrap().0.concat();
    let extensions = wrap(EXTENSIONS, &wrap(Tag::Sequence, &[&kept, extension].concat()));
    wrap(Tag::Sequence, &[&tbs[slices.content.start..field.start], &extensions].concat())
}

const POISON: [u8; 21] =
    [0x30, 0x13, 0x06, 0x0A, 0x2B, 6, 1, 4, 1, 0xD6, 0x79, 2, 4, 3, 0x01, 0x01, 0xFF, 0x04, 0x02, 0x05, 0x00];

#[test]
fn removing_is_the_inverse_of_appending_whatever_the_length() {
    let tbs = precertificate_tbs();
    let bare = remove_extension(&tbs, oid::CT_POISON).unwrap();
    assert_eq!(append(&bare, &POISON), tbs);
    // Cross the lengths at which a DER length grows by a byte.
    for size in [0usize, 1, 90, 127, 128, 129, 255, 256, 257, 40_000, 66_000] {
        let extension = x509_cert::ext::Extension {
            extn_id: "1.2.3.4".parse().unwrap(),
            critical: false,
            extn_value: der::asn1::OctetString::new(vec![7; size]).unwrap(),
        };
        let longer = append(&tbs, &extension.to_der().unwrap());
        assert_eq!(remove_extension(&longer, extension.extn_id).unwrap(), tbs, "{size}");
    }
}

#[test]
fn the_only_extension_takes_its_field_with_it() {
    let mut tbs = precertificate_tbs();
    let slices = TbsSlices::of_tbs(&tbs).unwrap();
    let before = tbs[slices.content.start..slices.extensions.unwrap().start].to_vec();
    tbs = wrap(Tag::Sequence, &[&before[..], &wrap(EXTENSIONS, &wrap(Tag::Sequence, &POISON))].concat());
    assert_eq!(remove_extension(&tbs, oid::CT_POISON).unwrap(), wrap(Tag::Sequence, &before));
    let none = wrap(Tag::Sequence, &before);
    assert_eq!(remove_extension(&none, oid::CT_POISON), Err(SpliceError::Missing { oid: oid::CT_POISON }));
}

#[test]
fn missing_and_repeated_extensions_are_refused() {
    let tbs = precertificate_tbs();
    assert_eq!(remove_extension(&tbs, oid::CT_SCT_LIST), Err(SpliceError::Missing { oid: oid::CT_SCT_LIST }));
    let twice = append(&tbs, &POISON);
    assert_eq!(remove_extension(&twice, oid::CT_POISON), Err(SpliceError::Repeated { oid: oid::CT_POISON }));
}

#[test]
fn what_is_not_der_is_refused() {
    let tbs = precertificate_tbs();
    let (trailing, short) = ([&tbs[..], &[0]].concat(), &tbs[..tbs.len() - 1]);
    // critical FALSE, written out, is BER.
    let explicit_false = append(&tbs, &[0x30, 0x0A, 0x06, 0x01, 0x2A, 0x01, 0x01, 0x00, 0x04, 0x02, 0x05, 0x00]);
    // critical TRUE as 01.
    let odd_true = append(&tbs, &[0x30, 0x0A, 0x06, 0x01, 0x2A, 0x01, 0x01, 0x01, 0x04, 0x02, 0x05, 0x00]);
    let mut long_length = vec![0x30, 0x83, 0x00];
    long_length.extend_from_slice(&tbs[2..]);
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend_from_slice(&tbs[4..]);
    indefinite.extend_from_slice(&[0, 0]);
    for bad in [&trailing[..], short, &explicit_false, &odd_true, &long_length, &indefinite, &[], &[0x30, 0x00]] {
        assert_eq!(remove_extension(bad, oid::CT_POISON), Err(SpliceError::NotDer), "{}", hex::encode(bad));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = remove_extension(&bytes, oid::CT_POISON);
    }

    /// Whatever one byte of damage is accepted, the poison put back gives the damaged input again: nothing is re-encoded.
    #[test]
    fn damage_is_refused_or_kept(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut tbs = precertificate_tbs();
        let at = at.index(tbs.len());
        tbs[at] = to;
        if let Ok(bare) = remove_extension(&tbs, oid::CT_POISON) {
            let poison = &tbs[tbs.len() - POISON.len()..];
            prop_assert_eq!(append(&bare, poison), tbs);
        }
    }
}
