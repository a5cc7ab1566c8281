//! `GeneralizedTime` and `UTCTime`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::encode::{GENERALIZED_TIME, UTC_TIME, tlv};

/// The time in a token that is issued: whole seconds, because a fraction that ends in zero is printed by OpenSSL in a form
/// that sigstore-js cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenTime(DateTime);

impl GenTime {
    /// The last whole second at or before `time`.
    ///
    /// # Errors
    /// [`TimeOutOfRange`] before 1950 or after 9999, which neither encoding can express.
    pub fn at(time: Timestamp) -> Result<Self, TimeOutOfRange> {
        let civil = TimeZone::UTC.to_datetime(time);
        let whole = DateTime::new(civil.year(), civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second(), 0)
            .map_err(|_| TimeOutOfRange(time))?;
        if whole.year() < 1950 { Err(TimeOutOfRange(time)) } else { Ok(Self(whole)) }
    }

    /// `YYYYMMDDHHMMSSZ` (RFC 3161 §2.4.2).
    pub(crate) fn generalized_time(self) -> Vec<u8> {
        tlv(GENERALIZED_TIME, &[self.digits().as_bytes()])
    }

    /// `UTCTime` up to 2049 and `GeneralizedTime` from then on (RFC 5652 §11.3).
    pub(crate) fn signing_time(self) -> Vec<u8> {
        if self.0.year() < 2050 { tlv(UTC_TIME, &[&self.digits().as_bytes()[2..]]) } else { self.generalized_time() }
    }

    fn digits(self) -> String {
        let time = self.0;
        format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}Z",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// A time that a token cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be written in a timestamp: the clock must show a year from 1950 to 9999")]
pub struct TimeOutOfRange(pub Timestamp);

/// Reads the contents of a `GeneralizedTime` as RFC 3161 §2.4.2 allows it: `YYYYMMDDHHMMSS[.f]Z` with one to nine decimals.
pub(crate) fn parse_generalized_time(contents: &[u8]) -> Option<Timestamp> {
    let text = str::from_utf8(contents).ok()?.strip_suffix('Z')?;
    let (digits, fraction) = text.split_once('.').map_or((text, None), |(digits, fraction)| (digits, Some(fraction)));
    if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |start: usize| digits[start..start + 2].parse::<i8>().ok();
    let year = digits[..4].parse().ok()?;
    let nanoseconds = match fraction {
        None => 0,
        Some(fraction) => parse_fraction(fraction)?,
    };
    let civil = DateTime::new(year, two(4)?, two(6)?, two(8)?, two(10)?, two(12)?, nanoseconds).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

fn parse_fraction(fraction: &str) -> Option<i32> {
    let well_formed = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| format!("{fraction:0<9}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn whole_seconds_round_down() {
        let time = GenTime::at(at("2026-11-21T09:04:05.999999999Z")).unwrap();
        assert_eq!(time.generalized_time(), b"\x18\x0f20261121090405Z");
        assert_eq!(time.signing_time(), b"\x17\x0d261121090405Z");
        assert_eq!(GenTime::at(at("2050-01-01T00:00:00Z")).unwrap().signing_time(), b"\x18\x0f20500101000000Z");
        assert!(GenTime::at(at("1949-12-31T23:59:59Z")).is_err());
    }

    #[test]
    fn foreign_times() {
        for (text, expected) in [
            ("20261121090405Z", Some("2026-11-21T09:04:05Z")),
            ("20261121090405.21Z", Some("2026-11-21T09:04:05.21Z")),
            ("20261121090405.123456789Z", Some("2026-11-21T09:04:05.123456789Z")),
            ("20261121090405", None),
            ("20261121090405.Z", None),
            ("20261121090405.1234567890Z", None),
            ("20261121090405+0100", None),
            ("20261321090405Z", None),
            ("20260230090405Z", None),
            ("20261121250405Z", None),
            ("+0261121090405Z", None),
            ("2026112109040Z", None),
            ("", None),
        ] {
            assert_eq!(parse_generalized_time(text.as_bytes()), expected.map(at), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_times_are_read_back(seconds in -631_152_000i64..=253_402_207_200, nanoseconds in 0i32..1_000_000_000) {
            let time = Timestamp::new(seconds, 0).unwrap();
            let with_fraction = Timestamp::from_nanosecond(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)).unwrap();
            let written = GenTime::at(with_fraction).unwrap().generalized_time();
            prop_assert_eq!(parse_generalized_time(&written[2..]), Some(time));
        }

        #[test]
        fn any_bytes(contents: Vec<u8>) {
            let _ = parse_generalized_time(&contents);
        }
    }
}
