//! Signed certificate timestamps.

use pki::{KeyKind, PublicKey};

use crate::entry::{SignedEntry, TimestampedEntry};
use crate::wire::{Malformed, Reader, put16};

/// SHA-256 of a log's SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 32]);

impl LogId {
    /// The id of the log with this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(key.fingerprint())
    }
}

/// `DigitallySigned` with SHA-256 and ECDSA, the only combination that every client accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigitallySigned(
    /// DER ECDSA signature.
    pub Vec<u8>,
);

const SHA256_ECDSA: [u8; 2] = [4, 3];

impl DigitallySigned {
    /// `hash, signature, u16 length, bytes`.
    ///
    /// # Errors
    /// The signature has more than 65,535 bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = SHA256_ECDSA.to_vec();
        put16(&mut out, &self.0).ok_or(Malformed { structure: "DigitallySigned", reason: "the signature is too long" })?;
        Ok(out)
    }

    /// Reads exactly one `DigitallySigned`.
    ///
    /// # Errors
    /// Another algorithm, or trailing bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("DigitallySigned", bytes);
        let signed = Self::read(&mut reader)?;
        reader.end()?;
        Ok(signed)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if reader.array()? != SHA256_ECDSA {
            return Err(reader.error("its algorithm is not ECDSA with SHA-256"));
        }
        Ok(Self(reader.vector16()?.to_vec()))
    }
}

/// A signed certificate timestamp, version 1 (RFC 6962 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sct {
    /// Whose it is.
    pub log_id: LogId,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// `CtExtensions`, kept as they are: they are part of what is signed.
    pub extensions: Vec<u8>,
    /// Over [`TimestampedEntry::to_leaf`].
    pub signature: DigitallySigned,
}

/// An SCT does not speak for this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SctError {
    /// Another log's.
    #[error("the SCT is from another log than the one expected")]
    OtherLog,
    /// The key cannot have made it.
    #[error("the log's key is not ECDSA P-256")]
    KeyKind,
    /// The signature does not verify.
    #[error("the SCT's signature does not verify under the log's key")]
    Signature,
    /// The entry has no encoding.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Sct {
    /// Verifies that the log with `key` promised `entry`.
    ///
    /// # Errors
    /// [`SctError`].
    pub fn verify(&self, key: &PublicKey, entry: SignedEntry) -> Result<(), SctError> {
        if self.log_id != LogId::of(key) {
            return Err(SctError::OtherLog);
        }
        if key.kind() != KeyKind::P256 {
            return Err(SctError::KeyKind);
        }
        let entry = TimestampedEntry { timestamp: self.timestamp, entry, extensions: self.extensions.clone() };
        key.verify(&entry.to_leaf()?, &self.signature.0).map_err(|_| SctError::Signature)
    }

    /// The TLS encoding, as it stands in a certificate.
    ///
    /// # Errors
    /// A part is longer than its length field can say.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = vec![0];
        out.extend(self.log_id.0);
        out.extend(self.timestamp.to_be_bytes());
        put16(&mut out, &self.extensions).ok_or(Malformed { structure: "SCT", reason: "its extensions are too long" })?;
        out.extend(self.signature.to_bytes()?);
        Ok(out)
    }

    /// Reads exactly one SCT.
    ///
    /// # Errors
    /// Another version or algorithm, or trailing bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("SCT", bytes);
        if reader.u8()? != 0 {
            return Err(reader.error("its version is not 1"));
        }
        let (log_id, timestamp) = (LogId(reader.array()?), reader.u64()?);
        let extensions = reader.vector16()?.to_vec();
        let signature = DigitallySigned::read(&mut reader)?;
        reader.end()?;
        Ok(Self { log_id, timestamp, extensions, signature })
    }
}

/// `SignedCertificateTimestampList`, its outer length included: what the extension 1.3.6.1.4.1.11129.2.4.2 holds, inside of two
/// OCTET STRINGs.
///
/// # Errors
/// The list is longer than its length field can say.
pub fn sct_list(scts: &[Sct]) -> Result<Vec<u8>, Malformed> {
    let too_long = Malformed { structure: "SCT list", reason: "it is too long" };
    let (mut items, mut list) = (Vec::new(), Vec::new());
    for sct in scts {
        put16(&mut items, &sct.to_bytes()?).ok_or(too_long)?;
    }
    put16(&mut list, &items).ok_or(too_long)?;
    Ok(list)
}

/// Reads what [`sct_list`] writes.
///
/// # Errors
/// [`Malformed`]; an empty list is one too.
pub fn parse_sct_list(list: &[u8]) -> Result<Vec<Sct>, Malformed> {
    let mut list = Reader::new("SCT list", list);
    let mut items = Reader::new("SCT list", list.vector16()?);
    list.end()?;
    let mut scts = Vec::new();
    while !items.is_empty() {
        scts.push(Sct::parse(items.vector16()?)?);
    }
    if scts.is_empty() { Err(items.error("it is empty")) } else { Ok(scts) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sct(extensions: Vec<u8>, signature: Vec<u8>) -> Sct {
        Sct { log_id: LogId([9; 32]), timestamp: 77, extensions, signature: DigitallySigned(signature) }
    }

    #[test]
    fn the_list_begins_as_certificates_show_it() {
        // 47 bytes of overhead and a signature of 72 bytes: 0x0077 for the SCT, 0x0079 for the list.
        let list = sct_list(&[sct(vec![], vec![1; 72])]).unwrap();
        assert_eq!(hex::encode(&list[..5]), "0079007700");
    }

    #[test]
    fn other_versions_and_algorithms_are_refused() {
        let good = sct(vec![], vec![1; 70]).to_bytes().unwrap();
        for (position, reason) in [(0, "version"), (43, "algorithm"), (44, "algorithm")] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            assert!(Sct::parse(&bad).unwrap_err().reason.contains(reason), "{position}");
        }
        let mut long = good;
        long.push(0);
        assert!(Sct::parse(&long).is_err());
        assert!(parse_sct_list(&[0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn lists_come_back(parts: Vec<(Vec<u8>, Vec<u8>)>) {
            let scts: Vec<Sct> = parts.into_iter().map(|(extensions, signature)| sct(extensions, signature)).collect();
            let list = sct_list(&scts).unwrap();
            if scts.is_empty() {
                prop_assert!(parse_sct_list(&list).is_err());
            } else {
                prop_assert_eq!(parse_sct_list(&list).unwrap(), scts);
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse_sct_list(&bytes);
            if let Ok(sct) = Sct::parse(&bytes) {
                prop_assert_eq!(sct.to_bytes().unwrap(), bytes);
            }
        }
    }
}
