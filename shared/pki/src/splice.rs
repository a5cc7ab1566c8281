//! Cutting one extension out of a TBSCertificate, byte for byte.
//!
//! An SCT is a signature over the precertificate's TBSCertificate without its poison; verifiers rebuild those bytes from the final
//! certificate by cutting its SCT list (RFC 6962 §3.2). Whatever else differed by one byte would make the SCT worthless, so nothing is
//! re-encoded here: fields are copied, and only the lengths around the cut are repaired. Input that is not DER is refused,
//! because Go's clients re-encode and would arrive at other bytes.

use const_oid::ObjectIdentifier;
use der::{Decode as _, Encode as _, Header, Length, Reader, SliceReader, Tag, TagNumber};
use x509_cert::certificate::{Raw, TbsCertificateInner};

use crate::certificate::{Certificate, TbsSlices};
use crate::oid;

/// The extension could not be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// Not a TBSCertificate in its one DER encoding.
    #[error("the certificate is not in strict DER, so its bytes cannot be rebuilt")]
    NotDer,
    /// It is not there.
    #[error("the extension {oid} is missing")]
    Missing {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// It is there more than once.
    #[error("the extension {oid} occurs more than once")]
    Repeated {
        /// The extension.
        oid: ObjectIdentifier,
    },
}

/// The DER TBSCertificate `tbs` without its one extension `oid`; everything else is the same bytes.
///
/// # Errors
/// [`SpliceError`].
pub fn remove_extension(tbs: &[u8], oid: ObjectIdentifier) -> Result<Vec<u8>, SpliceError> {
    check_der(tbs)?;
    let slices = TbsSlices::of_tbs(tbs).map_err(|_| SpliceError::NotDer)?;
    let field = slices.extensions.ok_or(SpliceError::Missing { oid })?;
    let (kept, removed) = split(&tbs[field.clone()], oid).map_err(|_| SpliceError::NotDer)?;
    match removed {
        0 => return Err(SpliceError::Missing { oid }),
        1 => {}
        _ => return Err(SpliceError::Repeated { oid }),
    }
    let mut content = tbs[slices.content.start..field.start].to_vec();
    if !kept.is_empty() {
        content.extend(wrap(EXTENSIONS, &wrap(Tag::Sequence, &kept.concat())));
    }
    Ok(wrap(Tag::Sequence, &content))
}

/// A precertificate and a certificate that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CorrespondenceError {
    /// The first is no precertificate.
    #[error("the precertificate cannot be compared")]
    Precertificate(#[source] SpliceError),
    /// The second has no SCT list.
    #[error("the certificate cannot be compared")]
    Certificate(#[source] SpliceError),
    /// They differ in more than poison and SCT list.
    #[error("the certificate differs from its precertificate in more than poison and SCT list")]
    Different,
}

/// Checks that `certificate` is `precertificate` with the SCT list in place of the poison: every other signed byte is the same.
///
/// # Errors
/// [`CorrespondenceError`]: such a certificate must not leave the house, its SCT would verify nowhere.
pub fn corresponds(precertificate: &Certificate, certificate: &Certificate) -> Result<(), CorrespondenceError> {
    let logged = remove_extension(precertificate.tbs_der(), oid::CT_POISON).map_err(CorrespondenceError::Precertificate)?;
    let issued = remove_extension(certificate.tbs_der(), oid::CT_SCT_LIST).map_err(CorrespondenceError::Certificate)?;
    if logged == issued { Ok(()) } else { Err(CorrespondenceError::Different) }
}

const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };

fn check_der(tbs: &[u8]) -> Result<(), SpliceError> {
    // The raw profile changes nothing on the way: what differs was not DER.
    let parsed = TbsCertificateInner::<Raw>::from_der(tbs).map_err(|_| SpliceError::NotDer)?;
    if parsed.to_der().ok().as_deref() == Some(tbs) { Ok(()) } else { Err(SpliceError::NotDer) }
}

/// The extensions of the `[3]` field other than `oid`, each a whole TLV, and how many `oid` there were.
fn split(field: &[u8], oid: ObjectIdentifier) -> der::Result<(Vec<&[u8]>, usize)> {
    let mut reader = SliceReader::new(field)?;
    for tag in [EXTENSIONS, Tag::Sequence] {
        Header::decode(&mut reader)?.tag().assert_eq(tag)?;
    }
    let (mut kept, mut removed) = (Vec::new(), 0);
    while !reader.is_finished() {
        let extension = reader.tlv_bytes()?;
        if x509_cert::ext::Extension::from_der(extension)?.extn_id == oid {
            removed += 1;
        } else {
            kept.push(extension);
        }
    }
    Ok((kept, removed))
}

pub(crate) fn wrap(tag: Tag, content: &[u8]) -> Vec<u8> {
    let length = Length::try_from(content.len()).expect("part of an input whose length was representable");
    let mut out = Header::new(tag, length).to_der().expect("a header is a few bytes");
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests;
