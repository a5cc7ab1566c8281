use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use merkle::Hash;

use crate::checkpoint::parse_size;
use crate::{MAX_NOTE_BYTES, NoteError, SignedNote};

/// How many hashes a consistency proof may have.
pub const MAX_PROOF: usize = 63;
/// How long the body of a request may be, in bytes: the size line, the longest proof, and the longest note.
pub const MAX_ADD_CHECKPOINT_BYTES: usize = 32 + MAX_PROOF * 45 + 1 + MAX_NOTE_BYTES;
/// The media type of a tree size alone.
pub const TREE_SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// What a log sends to a witness (C2SP `tlog-witness`, `add-checkpoint`), parsed and not verified: an old size, the proof that the tree
/// of that size is the beginning of the one in the checkpoint, and the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last; 0 when it knows nothing of the log.
    pub old: u64,
    /// The consistency proof (RFC 6962 §2.1.2), empty from size 0 and between equal sizes.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub note: SignedNote,
}

impl fmt::Display for AddCheckpoint {
    /// The body of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", BASE64_STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for AddCheckpoint {
    type Err = AddCheckpointError;

    fn from_str(body: &str) -> Result<Self, AddCheckpointError> {
        let (head, note) = body.split_once("\n\n").ok_or(AddCheckpointError::BlankLine)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_size).ok_or(AddCheckpointError::Old)?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == MAX_PROOF {
                return Err(AddCheckpointError::ProofLength);
            }
            let hash = BASE64_STANDARD.decode(line).ok().and_then(|bytes| Hash::try_from(&bytes[..]).ok());
            proof.push(hash.ok_or(AddCheckpointError::ProofLine)?);
        }
        Ok(Self { old, proof, note: note.parse()? })
    }
}

/// A body that is no request to a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Nothing separates the proof from the checkpoint.
    #[error("the request has no blank line between its proof and its checkpoint")]
    BlankLine,
    /// The first line.
    #[error("the first line of the request is not `old` and a decimal size without leading zeros")]
    Old,
    /// A line of the proof.
    #[error("a line of the proof is not 32 bytes in base64 with padding")]
    ProofLine,
    /// Too many of them.
    #[error("the proof has more than {MAX_PROOF} hashes")]
    ProofLength,
    /// The checkpoint.
    #[error("the checkpoint of the request is not a signed note")]
    Note(#[from] NoteError),
}

/// Reads the tree size that a witness answers when it knows another one than the request said: a decimal number and a newline.
#[must_use]
pub fn parse_tree_size(body: &str) -> Option<u64> {
    parse_size(body.strip_suffix('\n').unwrap_or(body))
}

#[cfg(test)]
mod tests {
    use merkle::sha256;
    use proptest::prelude::*;

    use super::*;
    use crate::{Checkpoint, KeyHint, NoteSignature};

    fn note() -> SignedNote {
        let line = NoteSignature { name: "log.example".into(), hint: KeyHint([1, 2, 3, 4]), signature: vec![5; 64] };
        SignedNote::new(Checkpoint::new("log.example", 7, sha256(b"root")).text(), vec![line]).unwrap()
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let body = "old 20852014\n\
            PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
            jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
            5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
            /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
            example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let request: AddCheckpoint = body.parse().unwrap();
        assert_eq!((request.old, request.proof.len(), request.note.signatures().len()), (20_852_014, 4, 1));
        assert_eq!(request.to_string(), body);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = AddCheckpoint { old: 3, proof: vec![sha256(b"a")], note: note() }.to_string();
        let hash = BASE64_STANDARD.encode(sha256(b"a"));
        for (body, expected) in [
            (String::new(), AddCheckpointError::BlankLine),
            (good.replacen("old 3", "old 03", 1), AddCheckpointError::Old),
            (good.replacen("old 3", "old -3", 1), AddCheckpointError::Old),
            (good.replacen("old 3", "old 18446744073709551616", 1), AddCheckpointError::Old),
            (good.replacen("old 3", "new 3", 1), AddCheckpointError::Old),
            (good.replacen(&hash, "AAAA", 1), AddCheckpointError::ProofLine),
            (good.replacen(&hash, "not base64", 1), AddCheckpointError::ProofLine),
            (good.replacen(&hash, &vec![hash.as_str(); 64].join("\n"), 1), AddCheckpointError::ProofLength),
            (good.trim_end().to_owned(), AddCheckpointError::Note(NoteError::LastNewline)),
        ] {
            assert_eq!(body.parse::<AddCheckpoint>(), Err(expected), "{body}");
        }
        let longest = good.replacen(&hash, &vec![hash.as_str(); 63].join("\n"), 1);
        assert_eq!(longest.parse::<AddCheckpoint>().unwrap().proof.len(), 63);
    }

    #[test]
    fn sizes_are_numbers_on_a_line() {
        assert_eq!(
            (parse_tree_size("0\n"), parse_tree_size("20852014\n"), parse_tree_size("5")),
            (Some(0), Some(20_852_014), Some(5))
        );
        for wrong in ["", "\n", "01\n", "5\n\n", "+5\n", "five\n"] {
            assert_eq!(parse_tree_size(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_request_survives_being_written(old: u64, proof in proptest::collection::vec(any::<[u8; 32]>(), 0..=63)) {
            let request = AddCheckpoint { old, proof: proof.into_iter().map(Hash::new).collect(), note: note() };
            prop_assert!(request.to_string().len() <= MAX_ADD_CHECKPOINT_BYTES);
            prop_assert_eq!(request.to_string().parse(), Ok(request));
        }

        #[test]
        fn no_text_panics(body in "(old [0-9]{1,3}\n)?([A-Za-z0-9+/=]{0,44}\n){0,3}\n?[ -~\n]{0,80}", size in any::<String>()) {
            let _ = body.parse::<AddCheckpoint>();
            let _ = parse_tree_size(&size);
        }
    }
}
