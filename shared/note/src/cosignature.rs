use crate::{NoteSignature, VerifierKey};

/// What a witness adds to a checkpoint (C2SP `tlog-cosignature`, Ed25519): at this time, this was the largest consistent tree of this log
/// that it had seen. It stands on a signature line as eight bytes of time and 64 of signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// Seconds since 1970, below 2^63.
    pub time: u64,
    /// Over [`Cosignature::message`].
    pub signature: [u8; 64],
}

impl Cosignature {
    /// The bytes that a witness signs for a checkpoint with this text.
    #[must_use]
    pub fn message(time: u64, checkpoint: &str) -> String {
        format!("cosignature/v1\ntime {time}\n{checkpoint}")
    }

    /// Reads what follows the hint on a signature line. None when it has not the form of a cosignature.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, signature) = bytes.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let signature = signature.try_into().ok()?;
        i64::try_from(time).ok().map(|_| Self { time, signature })
    }

    /// The signature line by `witness`.
    #[must_use]
    pub fn line(&self, witness: &VerifierKey) -> NoteSignature {
        let signature = [&self.time.to_be_bytes()[..], &self.signature].concat();
        NoteSignature { name: witness.name().to_owned(), hint: witness.hint(), signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SignedNote;

    #[test]
    fn a_cosignature_is_a_time_and_a_signature() {
        let witness: VerifierKey = "witness.example.test+7aa54a0e+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU".parse().unwrap();
        let cosignature = Cosignature { time: 1_767_225_600, signature: [9; 64] };
        let line = cosignature.line(&witness);
        assert_eq!((line.name.as_str(), line.hint, line.signature.len()), ("witness.example.test", witness.hint(), 72));
        assert_eq!(Cosignature::from_bytes(&line.signature), Some(cosignature));
        assert!(SignedNote::new("log\n0\n".into(), vec![line]).is_ok());
        assert_eq!(Cosignature::from_bytes(&[0; 71]), None);
        assert_eq!(Cosignature::from_bytes(&[0; 73]), None);
        assert_eq!(Cosignature::from_bytes(&[0xff; 72]), None, "a time of 2^63 or more");
        assert_eq!(Cosignature::message(5, "log\n0\nroot\n"), "cosignature/v1\ntime 5\nlog\n0\nroot\n");
    }
}
