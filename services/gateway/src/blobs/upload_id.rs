use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::RngCore as _;

/// The name of an upload: a random UUID (RFC 9562, version 4), which nobody can guess. Also the name of its file, so that only this
/// one spelling may ever be parsed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UploadId(Arc<str>);

/// Not the name of any upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an upload's UUID, 36 lower-case characters")]
pub(crate) struct UploadIdError;

impl UploadId {
    /// One that was never used.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex::encode(bytes);
        Self(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
    }

    /// As it stands in a URL.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
        let groups: Vec<&str> = text.split('-').collect();
        let hexadecimal = |group: &str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let good = groups.iter().map(|group| group.len()).eq(LENGTHS) && groups.iter().all(|group| hexadecimal(group));
        if good { Ok(Self(text.into())) } else { Err(UploadIdError) }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_random_one_is_a_uuid() {
        let id = UploadId::random();
        assert_eq!(id.as_str().parse::<UploadId>().unwrap(), id);
        assert_eq!(&id.as_str()[14..15], "4", "{id}");
        assert!("89ab".contains(&id.as_str()[19..20]), "{id}");
        assert_ne!(id, UploadId::random());
    }

    #[test]
    fn nothing_else_is_one() {
        let good = "01234567-89ab-4def-8123-456789abcdef";
        assert!(good.parse::<UploadId>().is_ok());
        for bad in ["", "..", "../../etc/passwd", &good.to_uppercase(), &good[1..], &format!("{good}0"), &good.replace('-', "")] {
            assert!(bad.parse::<UploadId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_kept_as_it_is(text in "\\PC*") {
            if let Ok(id) = text.parse::<UploadId>() {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
