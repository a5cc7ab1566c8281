//! Documents whose first member is one fixed media type.

/// Declares a value that is always written as this text and read as nothing else.
macro_rules! media_type {
    ($name:ident, $text:expr) => {
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        struct $name;

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let found = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                if found == $text {
                    return Ok(Self);
                }
                Err(serde::de::Error::custom(format_args!("mediaType is {found}, expected {}", $text)))
            }
        }
    };
}

pub(crate) use media_type;
