//! What the text types share: cheap clones, one spelling, and outside text that is safe to show.

/// Text from outside as it may stand in a message: one line, printable, at most 128 characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 128;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The conversions of a type that is nothing but checked text: `$type(Arc<str>)` with a `FromStr`.
macro_rules! text_type {
    ($type:ident) => {
        impl $type {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use text_type;

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn outside_text_stays_on_one_line() {
        assert_eq!(shown("a\nb\u{1b}[1m"), "a\\nb\\u{1b}[1m");
        assert_eq!(shown(&"x".repeat(129)), format!("{}…", "x".repeat(128)));
        assert_eq!(shown(&"x".repeat(128)), "x".repeat(128));
    }
}
