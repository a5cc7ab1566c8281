//! DER output: a value is its tag, its length, and its parts one after the other.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;
/// `[4]`, constructed: GeneralName's directoryName.
pub(crate) const CONTEXT_4: u8 = 0xa4;

/// `BOOLEAN TRUE`.
pub(crate) const TRUE: &[u8] = &[0x01, 0x01, 0xff];
/// `NULL`.
pub(crate) const NULL: &[u8] = &[0x05, 0x00];
/// `INTEGER 1`.
pub(crate) const ONE: &[u8] = &[INTEGER, 0x01, 0x01];
/// `INTEGER 3`.
pub(crate) const THREE: &[u8] = &[INTEGER, 0x01, 0x03];

/// One value of `tag` whose contents are `parts` one after the other.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut der = Vec::with_capacity(length + 6);
    der.push(tag);
    push_length(&mut der, length);
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// `SET OF`: DER wants the encodings in ascending order (X.690 §11.6).
pub(crate) fn set_of<const N: usize>(tag: u8, mut members: [&[u8]; N]) -> Vec<u8> {
    members.sort_unstable();
    tlv(tag, &members)
}

fn push_length(der: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let significant = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let bytes = &bytes[significant..];
    if length >= 0x80 {
        der.push(0x80 | u8::try_from(bytes.len()).expect("a usize has at most eight bytes"));
    }
    der.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (length, header) in [
            (0usize, &[0x04, 0x00][..]),
            (127, &[0x04, 0x7f]),
            (128, &[0x04, 0x81, 0x80]),
            (255, &[0x04, 0x81, 0xff]),
            (256, &[0x04, 0x82, 0x01, 0x00]),
            (65_536, &[0x04, 0x83, 0x01, 0x00, 0x00]),
        ] {
            let der = tlv(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(&der[..header.len()], header, "{length}");
            assert_eq!(der.len(), header.len() + length);
        }
    }

    #[test]
    fn sets_are_sorted() {
        assert_eq!(set_of(SET, [ONE, NULL, TRUE]), [SET, 8, 1, 1, 0xff, 2, 1, 1, 5, 0]);
    }
}
