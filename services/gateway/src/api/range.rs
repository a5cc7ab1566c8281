//! Ranges: which part of a blob is asked for (RFC 9110 §14.2), and which part of one is sent.

use std::ops::Range;

use axum::http::HeaderValue;

/// What a GET asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no range, one in another unit, or several, which no client needs.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Bytes that are not there.
    Nothing,
}

impl Asked {
    /// Of a header `Range` and the size of what it is asked of.
    pub(super) fn of(header: Option<&HeaderValue>, size: u64) -> Self {
        let Some(set) = header.and_then(|value| value.to_str().ok()).and_then(|text| text.trim().strip_prefix("bytes=")) else {
            return Self::Whole;
        };
        if set.contains(',') {
            return Self::Whole;
        }
        match part(set.trim(), size) {
            Some(range) if !range.is_empty() => Self::Part(range),
            _ => Self::Nothing,
        }
    }
}

/// `first-last`, `first-` or `-length`, cut to what is there.
fn part(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        return Some(size.saturating_sub(number(last)?)..size);
    }
    let first = number(first)?;
    let end = if last.is_empty() { size } else { number(last)?.saturating_add(1).min(size) };
    Some(first..end)
}

/// `Content-Range` of a chunk (`first-last`, inclusive, without a unit): where it begins and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The offset of its first byte.
    pub first: u64,
    /// Its bytes; never none.
    pub length: u64,
}

impl Chunk {
    /// Of the header's value. A unit, as other uses of this header have it, is not refused.
    pub(super) fn of(header: &HeaderValue) -> Option<Self> {
        let text = header.to_str().ok()?.trim();
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _total)| range);
        let (first, last) = text.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        Some(Self { first, length: last.checked_sub(first)?.checked_add(1)? })
    }
}

/// Digits and nothing else: a sign would pass the standard library's parser.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(text: &str, size: u64) -> Asked {
        Asked::of(Some(&HeaderValue::from_str(text).unwrap()), size)
    }

    #[test]
    fn ranges_of_a_blob_of_2048_bytes() {
        for (text, expected) in [
            ("bytes=500-1499", Asked::Part(500..1500)),
            ("bytes=500-", Asked::Part(500..2048)),
            ("bytes=-500", Asked::Part(1548..2048)),
            ("bytes=-5000", Asked::Part(0..2048)),
            ("bytes=2000-5000", Asked::Part(2000..2048)),
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-18446744073709551615", Asked::Part(0..2048)),
            ("bytes=500-0", Asked::Nothing),
            ("bytes=2048-", Asked::Nothing),
            ("bytes=5000-10000", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=-", Asked::Nothing),
            ("bytes=+1-2", Asked::Nothing),
            ("bytes=18446744073709551616-", Asked::Nothing),
            ("bytes=x", Asked::Nothing),
            ("bytes=0-1,4-5", Asked::Whole),
            ("items=0-1", Asked::Whole),
        ] {
            assert_eq!(asked(text, 2048), expected, "{text}");
        }
        assert_eq!(Asked::of(None, 5), Asked::Whole);
        assert_eq!(asked("bytes=0-", 0), Asked::Nothing);
    }

    #[test]
    fn chunks_have_no_unit_and_are_inclusive() {
        let chunk = |text: &str| Chunk::of(&HeaderValue::from_str(text).unwrap());
        assert_eq!(chunk("0-1023"), Some(Chunk { first: 0, length: 1024 }));
        assert_eq!(chunk("5-5"), Some(Chunk { first: 5, length: 1 }));
        assert_eq!(chunk("bytes 1-2/3"), Some(Chunk { first: 1, length: 2 }));
        for bad in ["", "-", "1", "1-", "-1", "2-1", "a-b", "+1-2", "0-18446744073709551615", "bytes=0-1", "1-2-3"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_beyond(text in "bytes=[0-9,-]{0,24}", size in 0..5_000_u64) {
            if let Asked::Part(range) = asked(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
