//! INTEGERs too long for a machine word: nonces and serial numbers.

use std::fmt;

use crate::encode::{INTEGER, tlv};
use crate::read::is_minimal_integer;

/// An ASN.1 `INTEGER` of any size and sign, as its minimal two's complement contents octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Integer(Vec<u8>);

impl Integer {
    /// From contents octets; `None` when they are empty or longer than they need to be (X.690 §8.3.2).
    #[must_use]
    pub fn from_contents(contents: &[u8]) -> Option<Self> {
        is_minimal_integer(contents).then(|| Self(contents.to_vec()))
    }

    /// From a decimal literal as JSON writes integers: `-?(0|[1-9][0-9]*)`. `None` for anything else.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let well_formed = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        if digits.is_empty() || !well_formed {
            return None;
        }
        Some(Self::from_magnitude(negative, &magnitude(digits)))
    }

    /// The contents octets, big-endian two's complement.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        tlv(INTEGER, &[&self.0])
    }

    /// `magnitude` is big-endian without leading zeros.
    fn from_magnitude(negative: bool, magnitude: &[u8]) -> Self {
        let mut contents = Vec::with_capacity(magnitude.len() + 1);
        contents.push(0);
        contents.extend_from_slice(magnitude);
        if negative {
            let mut carry = true;
            for byte in contents.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        let superfluous = (0..contents.len() - 1).take_while(|start| !is_minimal_integer(&contents[*start..])).count();
        contents.drain(..superfluous);
        Self(contents)
    }
}

impl From<u64> for Integer {
    fn from(value: u64) -> Self {
        Self::from_magnitude(false, &value.to_be_bytes())
    }
}

impl fmt::Debug for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Integer({})", hex::encode(&self.0))
    }
}

/// Big-endian, possibly with leading zeros. Nine digits are taken in at a time, so that the longest number a JSON request
/// can carry costs some thousand multiplications.
fn magnitude(digits: &str) -> Vec<u8> {
    let mut limbs: Vec<u32> = Vec::new();
    let first = digits.len() % 9;
    let chunks = std::iter::once(&digits[..first]).chain((first..digits.len()).step_by(9).map(|start| &digits[start..start + 9]));
    for chunk in chunks.filter(|chunk| !chunk.is_empty()) {
        let scale = 10u64.pow(u32::try_from(chunk.len()).expect("at most nine digits"));
        let mut carry: u64 = chunk.parse().expect("at most nine ASCII digits");
        for limb in &mut limbs {
            let wide = u64::from(*limb) * scale + carry;
            *limb = (wide & u64::from(u32::MAX)) as u32;
            carry = wide >> 32;
        }
        if carry > 0 {
            limbs.push(u32::try_from(carry).expect("a carry is below 2^32"));
        }
    }
    limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
}

/// The serial number of a token: positive and exactly 20 bytes long, the most that every reader must take (RFC 3161 §2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serial([u8; 20]);

impl Serial {
    /// From random bytes. The two highest bits are fixed to `01`, so that every serial is positive and equally long; 158
    /// random bits remain.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 20]) -> Self {
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes)
    }

    /// Big-endian.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_literals() {
        for (text, contents) in [
            ("0", "00"),
            ("-0", "00"),
            ("127", "7f"),
            ("128", "0080"),
            ("255", "00ff"),
            ("256", "0100"),
            ("-1", "ff"),
            ("-128", "80"),
            ("-129", "ff7f"),
            ("18446744073709551616", "010000000000000000"),
        ] {
            assert_eq!(hex::encode(Integer::from_decimal(text).unwrap().contents()), contents, "{text}");
        }
        for text in ["", "-", "01", "-01", "1.0", "1e3", "+1", " 1", "0x1", "１"] {
            assert_eq!(Integer::from_decimal(text), None, "{text}");
        }
        assert_eq!(Integer::from(128).contents(), [0, 0x80]);
    }

    #[test]
    fn serials_are_positive_and_twenty_bytes_long() {
        for fill in [0x00, 0x7f, 0x80, 0xff] {
            let serial = Serial::from_random([fill; 20]);
            assert!(is_minimal_integer(serial.as_bytes()));
            assert!((0x40..0x80).contains(&serial.as_bytes()[0]));
        }
    }

    proptest! {
        #[test]
        fn decimal_agrees_with_i128(value: i128) {
            let full = value.to_be_bytes();
            let start = (0..15).find(|start| is_minimal_integer(&full[*start..])).unwrap_or(15);
            let parsed = Integer::from_decimal(&value.to_string()).unwrap();
            prop_assert_eq!(parsed.contents(), &full[start..]);
        }

        #[test]
        fn decimal_of_any_length(digits in "[1-9][0-9]{0,1000}") {
            let parsed = Integer::from_decimal(&digits).unwrap();
            // Schoolbook division by ten gives the digits back.
            let mut bytes = parsed.contents().to_vec();
            let mut back = Vec::new();
            while bytes.iter().any(|byte| *byte != 0) {
                let mut rest = 0u32;
                for byte in &mut bytes {
                    let wide = rest * 256 + u32::from(*byte);
                    *byte = u8::try_from(wide / 10).unwrap();
                    rest = wide % 10;
                }
                back.push(char::from_digit(rest, 10).unwrap());
            }
            prop_assert_eq!(back.into_iter().rev().collect::<String>(), digits);
        }
    }
}
