//! What a timestamp authority answers when it grants nothing.

use crate::encode::{BIT_STRING, INTEGER, SEQUENCE, UTF8_STRING, tlv};

/// Why no token was granted: the one bit that is set in `PKIFailureInfo` (RFC 3161 §2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureInfo {
    /// Unrecognised or unsupported hash algorithm.
    BadAlg = 0,
    /// Not a request this authority serves.
    BadRequest = 2,
    /// The data submitted is not of the right format.
    BadDataFormat = 5,
    /// The authority's clock cannot be trusted now.
    TimeNotAvailable = 14,
    /// The requested policy is not one of this authority's.
    UnacceptedPolicy = 15,
    /// The requested extension is not supported.
    UnacceptedExtension = 16,
    /// The additional information requested is not available.
    AddInfoNotAvailable = 17,
    /// The authority failed.
    SystemFailure = 25,
}

impl FailureInfo {
    const ALL: [Self; 8] = [
        Self::BadAlg,
        Self::BadRequest,
        Self::BadDataFormat,
        Self::TimeNotAvailable,
        Self::UnacceptedPolicy,
        Self::UnacceptedExtension,
        Self::AddInfoNotAvailable,
        Self::SystemFailure,
    ];

    /// The bit's number.
    #[must_use]
    pub const fn bit(self) -> u8 {
        self as u8
    }

    /// The first bit that is set in the contents octets of a `PKIFailureInfo`, when it is one of these.
    pub(crate) fn from_bit_string(contents: &[u8]) -> Option<Self> {
        let is_set = |bit: u8| contents.get(1 + usize::from(bit / 8)).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
        Self::ALL.into_iter().find(|failure| is_set(failure.bit()))
    }

    /// A named bit list ends with its last bit set (X.690 §11.2.2).
    fn to_der(self) -> Vec<u8> {
        let (full, bit) = (usize::from(self.bit() / 8), self.bit() % 8);
        let mut contents = vec![0; full + 2];
        contents[0] = 7 - bit;
        contents[full + 1] = 0x80 >> bit;
        tlv(BIT_STRING, &[&contents])
    }
}

/// A response that grants nothing: status `rejection` with a reason for people and one for programs. DER.
#[must_use]
pub fn refusal(failure: FailureInfo, reason: &str) -> Vec<u8> {
    let rejection = [INTEGER, 1, 2];
    let text = tlv(SEQUENCE, &[&tlv(UTF8_STRING, &[reason.as_bytes()])]);
    tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&rejection, &text, &failure.to_der()])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_byte_for_byte() {
        assert_eq!(hex::encode(refusal(FailureInfo::BadAlg, "no")), "300f300d02010230040c026e6f03020780");
        assert_eq!(hex::encode(FailureInfo::BadDataFormat.to_der()), "03020204");
        assert_eq!(hex::encode(FailureInfo::TimeNotAvailable.to_der()), "0303010002");
        assert_eq!(hex::encode(FailureInfo::SystemFailure.to_der()), "03050600000040");
    }

    #[test]
    fn bits_are_read_back() {
        for failure in FailureInfo::ALL {
            assert_eq!(FailureInfo::from_bit_string(&failure.to_der()[2..]), Some(failure));
        }
        assert_eq!(FailureInfo::from_bit_string(&[]), None);
        assert_eq!(FailureInfo::from_bit_string(&[7]), None);
        assert_eq!(FailureInfo::from_bit_string(&[3, 0x08]), None);
    }
}
