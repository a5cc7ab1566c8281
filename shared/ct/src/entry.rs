//! Log entries.

use merkle::Hash;

use crate::wire::{Malformed, Reader, put16, put24};

const X509_ENTRY: u16 = 0;
const PRECERT_ENTRY: u16 = 1;

/// What a log entry is about (RFC 6962 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedEntry {
    /// A certificate, DER.
    X509(Vec<u8>),
    /// A precertificate.
    Precert {
        /// SHA-256 of the issuer's SubjectPublicKeyInfo.
        issuer_key_hash: [u8; 32],
        /// The TBSCertificate without its poison, DER.
        tbs: Vec<u8>,
    },
}

/// An entry with its time: `TimestampedEntry` (RFC 6962 §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampedEntry {
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// What it is about.
    pub entry: SignedEntry,
    /// `CtExtensions`, at most 65,535 bytes.
    pub extensions: Vec<u8>,
}

impl TimestampedEntry {
    /// The `MerkleTreeLeaf`. It is also what the SCT signs: the two structures differ only in the meaning of their second
    /// byte, which is 0 in both.
    ///
    /// # Errors
    /// A part is longer than its length field can say.
    pub fn to_leaf(&self) -> Result<Vec<u8>, Malformed> {
        let too_long = Malformed { structure: "log entry", reason: "a part is too long" };
        let mut out = vec![0, 0];
        out.extend(self.timestamp.to_be_bytes());
        match &self.entry {
            SignedEntry::X509(certificate) => {
                out.extend(X509_ENTRY.to_be_bytes());
                put24(&mut out, certificate).ok_or(too_long)?;
            }
            SignedEntry::Precert { issuer_key_hash, tbs } => {
                out.extend(PRECERT_ENTRY.to_be_bytes());
                out.extend(issuer_key_hash);
                put24(&mut out, tbs).ok_or(too_long)?;
            }
        }
        put16(&mut out, &self.extensions).ok_or(too_long)?;
        Ok(out)
    }

    /// Reads a `MerkleTreeLeaf`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse_leaf(leaf: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("MerkleTreeLeaf", leaf);
        if reader.array()? != [0, 0] {
            return Err(reader.error("its version or type is not 0"));
        }
        let timestamp = reader.u64()?;
        let entry = match reader.u16()? {
            X509_ENTRY => SignedEntry::X509(reader.vector24()?.to_vec()),
            PRECERT_ENTRY => SignedEntry::Precert { issuer_key_hash: reader.array()?, tbs: reader.vector24()?.to_vec() },
            _ => return Err(reader.error("its entry type is neither 0 nor 1")),
        };
        let extensions = reader.vector16()?.to_vec();
        reader.end()?;
        Ok(Self { timestamp, entry, extensions })
    }

    /// The hash that the tree holds for this entry.
    ///
    /// # Errors
    /// As [`TimestampedEntry::to_leaf`].
    pub fn leaf_hash(&self) -> Result<Hash, Malformed> {
        Ok(merkle::leaf_hash(&self.to_leaf()?))
    }
}

/// `extra_data`: what readers need besides the leaf to see what was submitted (RFC 6962 §4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraData<'a> {
    /// The precertificate, DER, when that is what was submitted; the leaf holds only a part of it.
    pub precertificate: Option<&'a [u8]>,
    /// From the issuer to the root, DER each.
    pub chain: Vec<&'a [u8]>,
}

impl<'a> ExtraData<'a> {
    /// The bytes that are kept beside the leaf.
    ///
    /// # Errors
    /// A part is longer than its length field can say.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let too_long = Malformed { structure: "extra_data", reason: "a part is too long" };
        let mut list = Vec::new();
        for certificate in &self.chain {
            put24(&mut list, certificate).ok_or(too_long)?;
        }
        let mut out = Vec::new();
        if let Some(precertificate) = self.precertificate {
            put24(&mut out, precertificate).ok_or(too_long)?;
        }
        put24(&mut out, &list).ok_or(too_long)?;
        Ok(out)
    }

    /// Reads those bytes; the leaf says whether the entry is about a precertificate.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &'a [u8], precert: bool) -> Result<Self, Malformed> {
        let mut reader = Reader::new("extra_data", bytes);
        let precertificate = if precert { Some(reader.vector24()?) } else { None };
        let mut list = Reader::new("extra_data", reader.vector24()?);
        reader.end()?;
        let mut chain = Vec::new();
        while !list.is_empty() {
            chain.push(list.vector24()?);
        }
        Ok(Self { precertificate, chain })
    }
}

/// `CtExtensions` with one `leaf_index`; `None` from 2^40 on, which the extension cannot express.
#[must_use]
pub fn leaf_index_extension(index: u64) -> Option<[u8; 8]> {
    let [0, 0, 0, a, b, c, d, e] = index.to_be_bytes() else { return None };
    Some([0, 0, 5, a, b, c, d, e])
}

/// The `leaf_index` in `CtExtensions`, if it is there; unknown extensions are passed over.
///
/// # Errors
/// [`Malformed`].
pub fn leaf_index(extensions: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut reader = Reader::new("CtExtensions", extensions);
    let mut found = None;
    while !reader.is_empty() {
        let (kind, data) = (reader.u8()?, reader.vector16()?);
        if kind == 0 {
            let [a, b, c, d, e] = data.try_into().map_err(|_| reader.error("a leaf_index has 5 bytes"))?;
            if found.replace(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])).is_some() {
                return Err(reader.error("leaf_index occurs twice"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_precert_leaf_has_the_bytes_of_the_specification() {
        let entry = SignedEntry::Precert { issuer_key_hash: [7; 32], tbs: vec![0x30, 0] };
        let extensions = leaf_index_extension(3).unwrap().to_vec();
        let leaf = TimestampedEntry { timestamp: 0x0102, entry, extensions }.to_leaf().unwrap();
        let expected = format!("0000{:016x}0001{}0000023000{}{}", 0x0102, "07".repeat(32), "0008", "0000050000000003");
        assert_eq!(hex::encode(leaf), expected);
    }

    #[test]
    fn the_index_extension_ends_at_forty_bits() {
        assert_eq!(leaf_index_extension((1 << 40) - 1), Some([0, 0, 5, 255, 255, 255, 255, 255]));
        assert_eq!(leaf_index_extension(1 << 40), None);
        assert_eq!(leaf_index(&[9, 0, 1, 1, 0, 0, 5, 0, 0, 0, 1, 0]).unwrap(), Some(256));
        assert!(leaf_index(&[0, 0, 4, 0, 0, 0, 1]).is_err());
        assert!(leaf_index(&[0, 0, 5, 0, 0, 0, 0, 1, 0, 0, 5, 0, 0, 0, 0, 1]).is_err());
    }

    fn entries() -> impl Strategy<Value = TimestampedEntry> {
        let x509 = any::<Vec<u8>>().prop_map(SignedEntry::X509);
        let precert =
            any::<([u8; 32], Vec<u8>)>().prop_map(|(issuer_key_hash, tbs)| SignedEntry::Precert { issuer_key_hash, tbs });
        (any::<u64>(), prop_oneof![x509, precert], any::<Vec<u8>>()).prop_map(|(timestamp, entry, extensions)| TimestampedEntry {
            timestamp,
            entry,
            extensions,
        })
    }

    #[test]
    fn extra_data_is_the_precertificate_and_a_list() {
        let precert = ExtraData { precertificate: Some(&[1]), chain: vec![&[2, 3], &[4]] };
        assert_eq!(hex::encode(precert.to_bytes().unwrap()), "00000101000009000002020300000104");
        let x509 = ExtraData { precertificate: None, chain: vec![] };
        assert_eq!(hex::encode(x509.to_bytes().unwrap()), "000000");
        assert!(ExtraData::parse(&[0, 0, 1, 0], false).is_err(), "a list that ends within a certificate");
    }

    proptest! {
        #[test]
        fn leaves_come_back(entry in entries()) {
            prop_assert_eq!(TimestampedEntry::parse_leaf(&entry.to_leaf().unwrap()).unwrap(), entry);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, precert: bool) {
            if let Ok(entry) = TimestampedEntry::parse_leaf(&bytes) {
                prop_assert_eq!(entry.to_leaf().unwrap(), bytes.clone());
            }
            let _ = leaf_index(&bytes);
            if let Ok(extra) = ExtraData::parse(&bytes, precert) {
                prop_assert_eq!(extra.to_bytes().unwrap(), bytes);
            }
        }

        #[test]
        fn truncated_leaves_are_refused(entry in entries(), cut in 1_usize..40) {
            let leaf = entry.to_leaf().unwrap();
            let end = leaf.len().saturating_sub(cut);
            prop_assert!(TimestampedEntry::parse_leaf(&leaf[..end]).is_err());
        }
    }
}
