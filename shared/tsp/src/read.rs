//! DER input: the members of one constructed value, in order, with nothing left over.

use der::{Decode, Error, Reader, SliceReader, Tag, TagNumber, Tagged, asn1::AnyRef};

/// The members of one constructed value. [`Fields::end`] refuses what was not read.
pub(crate) struct Fields<'a>(SliceReader<'a>);

impl<'a> Fields<'a> {
    /// The members of the one value that `der` holds; trailing bytes are refused.
    pub(crate) fn whole(der: &'a [u8], tag: Tag) -> Result<Self, Error> {
        let value = AnyRef::from_der(der)?;
        value.tag().assert_eq(tag)?;
        Self::of(value.value())
    }

    /// The members that these contents octets hold.
    pub(crate) fn of(contents: &'a [u8]) -> Result<Self, Error> {
        SliceReader::new(contents).map(Self)
    }

    /// The next member, whatever it is.
    pub(crate) fn any(&mut self) -> Result<AnyRef<'a>, Error> {
        self.0.decode()
    }

    /// The next member with its tag and length, byte for byte.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Error> {
        self.0.tlv_bytes()
    }

    /// The contents of the next member, which must have this tag.
    pub(crate) fn contents(&mut self, tag: Tag) -> Result<&'a [u8], Error> {
        let value = self.any()?;
        value.tag().assert_eq(tag)?;
        Ok(value.value())
    }

    /// The contents of the next member when it has this tag; otherwise it stays unread.
    pub(crate) fn optional(&mut self, tag: Tag) -> Result<Option<&'a [u8]>, Error> {
        if self.is_empty() || Tag::peek(&self.0)? != tag {
            return Ok(None);
        }
        self.contents(tag).map(Some)
    }

    /// The members of the next member, which must have this tag.
    pub(crate) fn nested(&mut self, tag: Tag) -> Result<Self, Error> {
        Self::of(self.contents(tag)?)
    }

    /// The contents octets of the next member, a minimally encoded `INTEGER`.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Error> {
        minimal(self.contents(Tag::Integer)?)
    }

    /// As [`Self::integer`], when the next member is one.
    pub(crate) fn optional_integer(&mut self) -> Result<Option<&'a [u8]>, Error> {
        self.optional(Tag::Integer)?.map(minimal).transpose()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_finished()
    }

    /// Everything was read.
    pub(crate) fn end(self) -> Result<(), Error> {
        self.0.finish()
    }
}

/// Context-specific, constructed.
pub(crate) fn context(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(u32::from(number)) }
}

/// X.690 §8.3.2: at least one octet, and the first nine bits are neither all zero nor all one.
pub(crate) fn is_minimal_integer(contents: &[u8]) -> bool {
    match contents {
        [] => false,
        [0x00, next, ..] => *next >= 0x80,
        [0xff, next, ..] => *next < 0x80,
        _ => true,
    }
}

fn minimal(contents: &[u8]) -> Result<&[u8], Error> {
    if is_minimal_integer(contents) { Ok(contents) } else { Err(Tag::Integer.non_canonical_error().into()) }
}
