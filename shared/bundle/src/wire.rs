//! Protobuf JSON encodings of single values: 64-bit integers as strings, bytes as base64, times with `Z`.
//!
//! Written in one form; read as leniently as protobuf JSON demands of a parser (both base64 alphabets, padding optional,
//! integers as numbers too, `null` for a default).

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are base64 in JSON.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Base64(pub Vec<u8>);

impl Base64 {
    /// The standard alphabet with padding, as it is written.
    #[must_use]
    pub fn encoded(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl Deref for Base64 {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Base64 {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Base64 {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Base64 {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoded())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encoded())
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                decode_base64(text)
                    .map(Base64)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Other("text that is not base64"), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A moment in RFC 3339 with `Z`: no fraction when the second is whole, else 3, 6 or 9 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// The start of the second that `moment` lies in: what our own documents carry.
    #[must_use]
    pub fn whole_second(moment: Timestamp) -> Self {
        // Flooring can only leave jiff's range within the first second of the year -9999; keep the moment as it is there.
        let second = if moment.subsec_nanosecond() < 0 { moment.as_second() - 1 } else { moment.as_second() };
        Self(Timestamp::from_second(second).unwrap_or(moment))
    }

    /// The moment.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.subsec_nanosecond() {
            0 => 0,
            nanoseconds if nanoseconds % 1_000_000 == 0 => 3,
            nanoseconds if nanoseconds % 1_000 == 0 => 6,
            _ => 9,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time such as 2026-11-21T09:14:03Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                Timestamp::from_str(text).map(Time).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// `#[serde(with = "…")]` for 64-bit integers: strings when written, strings or numbers when read.
pub(crate) mod int64 {
    use super::{Deserializer, FromStr, PhantomInteger, Serializer, de};
    use std::fmt;

    pub(crate) fn serialize<T: fmt::Display, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr + TryFrom<u64> + TryFrom<i64> + Default,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(PhantomInteger::<T>::default())
    }

    impl<T> de::Visitor<'_> for PhantomInteger<T>
    where
        T: FromStr + TryFrom<u64> + TryFrom<i64> + Default,
    {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a 64-bit integer as a string")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            T::try_from(number).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
        }
        fn visit_unit<E: de::Error>(self) -> Result<T, E> {
            Ok(T::default())
        }
    }
}

/// `#[serde(deserialize_with = "…")]`: `null` is the default, as in protobuf JSON.
pub(crate) fn nullable<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

pub(crate) struct PhantomInteger<T>(std::marker::PhantomData<T>);

impl<T> Default for PhantomInteger<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
    const URL_LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
    STANDARD_LENIENT.decode(text).or_else(|_| URL_LENIENT.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_no_fraction_when_whole_and_three_six_or_nine_digits_else() {
        for text in
            ["2026-11-21T09:14:03Z", "2022-10-31T23:59:59.999Z", "2022-10-31T23:59:59.000120Z", "2022-10-31T23:59:59.000000001Z"]
        {
            let time: Time = serde_json::from_value(text.into()).unwrap();
            assert_eq!(serde_json::to_value(time).unwrap(), text);
        }
        let offset: Time = serde_json::from_value("2026-11-21T10:14:03.50+01:00".into()).unwrap();
        assert_eq!(offset.to_string(), "2026-11-21T09:14:03.500Z");
        assert_eq!(Time::whole_second(offset.timestamp()).to_string(), "2026-11-21T09:14:03Z");
        assert_eq!(Time::whole_second("1969-12-31T23:59:59.25Z".parse().unwrap()).to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn base64_is_read_in_both_alphabets_and_written_in_one() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            let bytes: Base64 = serde_json::from_value(text.into()).unwrap();
            assert_eq!((bytes.0.as_slice(), bytes.encoded().as_str()), ([0xfb, 0xff].as_slice(), "+/8="));
        }
        assert!(serde_json::from_value::<Base64>("*".into()).is_err());
        assert!(serde_json::from_value::<Base64>(7.into()).is_err());
    }

    proptest! {
        #[test]
        fn any_base64_and_any_time_come_back(bytes: Vec<u8>, second in -62_135_596_800_i64..253_402_300_799, nano in 0..1_000_000_000_i32) {
            let value = Base64(bytes);
            prop_assert_eq!(&serde_json::from_str::<Base64>(&serde_json::to_string(&value).unwrap()).unwrap(), &value);
            let time = Time(Timestamp::new(second, nano).unwrap());
            prop_assert_eq!(serde_json::from_str::<Time>(&serde_json::to_string(&time).unwrap()).unwrap(), time);
        }

        #[test]
        fn any_text_is_answered_without_panic(text in ".*") {
            let _ = serde_json::from_value::<Base64>(text.clone().into());
            let _ = serde_json::from_value::<Time>(text.into());
        }
    }
}
