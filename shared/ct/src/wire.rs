//! TLS presentation language: big-endian integers and length-prefixed vectors.

/// Bytes that are not the structure they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {structure}: {reason}")]
pub struct Malformed {
    /// What was being read.
    pub structure: &'static str,
    /// What did not fit.
    pub reason: &'static str,
}

/// Reads a structure from the front of a slice.
pub(crate) struct Reader<'a> {
    structure: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, rest: bytes }
    }

    pub(crate) const fn error(&self, reason: &'static str) -> Malformed {
        Malformed { structure: self.structure, reason }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.error("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("taken N bytes"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A vector behind a two-byte length.
    pub(crate) fn vector16(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A vector behind a three-byte length.
    pub(crate) fn vector24(&mut self) -> Result<&'a [u8], Malformed> {
        let [a, b, c] = self.array()?;
        self.take(u32::from_be_bytes([0, a, b, c]) as usize)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.error("bytes follow its end")) }
    }
}

/// Appends a vector behind a two-byte length; `None` when it is too long.
#[must_use]
pub(crate) fn put16(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

/// Appends a vector behind a three-byte length; `None` when it is too long.
#[must_use]
pub(crate) fn put24(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length < 1 << 24)?;
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(bytes);
    Some(())
}
