//! Where the fields of a certificate lie in its bytes.

use std::ops::Range;

use der::{Header, Reader, SliceReader, Tag, TagNumber};

/// Offsets of the fields of a TBSCertificate, each a whole TLV, within the bytes that were given.
pub(crate) struct TbsSlices {
    pub(crate) issuer: Range<usize>,
    pub(crate) subject: Range<usize>,
    pub(crate) spki: Range<usize>,
    /// `[3] EXPLICIT`; the last field.
    pub(crate) extensions: Option<Range<usize>>,
    /// Of the TBSCertificate, without its header.
    pub(crate) content: Range<usize>,
}

/// The TBSCertificate of a certificate and its fields, as offsets into `der`.
pub(super) fn of_certificate(der: &[u8]) -> der::Result<(Range<usize>, TbsSlices)> {
    let mut reader = SliceReader::new(der)?;
    enter(&mut reader, Tag::Sequence)?;
    let start = position(&reader)?;
    let slices = read_tbs(&mut reader)?;
    let tbs = start..slices.content.end;
    Ok((tbs, slices))
}

impl TbsSlices {
    /// The fields of a TBSCertificate that stands alone.
    pub(crate) fn of_tbs(tbs: &[u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(tbs)?;
        let slices = read_tbs(&mut reader)?;
        reader.finish()?;
        Ok(slices)
    }
}

/// RFC 5280 §4.1. Leaves the reader behind the TBSCertificate.
fn read_tbs(reader: &mut SliceReader<'_>) -> der::Result<TbsSlices> {
    let length = usize::try_from(enter(reader, Tag::Sequence)?.length())?;
    let start = position(reader)?;
    let content = start..start + length;
    let version = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    if Tag::peek(reader)? == version {
        skip(reader)?;
    }
    skip(reader)?; // serialNumber
    skip(reader)?; // signature
    let issuer = skip(reader)?;
    skip(reader)?; // validity
    let subject = skip(reader)?;
    let spki = skip(reader)?;
    let mut extensions = None;
    while position(reader)? < content.end {
        let tag = Tag::peek(reader)?;
        let field = skip(reader)?;
        if tag == (Tag::ContextSpecific { constructed: true, number: TagNumber(3) }) {
            extensions = Some(field);
        }
    }
    if position(reader)? != content.end {
        return Err(reader.error(der::ErrorKind::Length { tag: Tag::Sequence }));
    }
    Ok(TbsSlices { issuer, subject, spki, extensions, content })
}

pub(super) fn enter(reader: &mut SliceReader<'_>, tag: Tag) -> der::Result<Header> {
    let header: Header = reader.decode()?;
    header.tag().assert_eq(tag)?;
    Ok(header)
}

/// Steps over one TLV and says where it was.
fn skip(reader: &mut SliceReader<'_>) -> der::Result<Range<usize>> {
    let start = position(reader)?;
    reader.tlv_bytes()?;
    Ok(start..position(reader)?)
}

fn position(reader: &SliceReader<'_>) -> der::Result<usize> {
    usize::try_from(reader.position())
}
