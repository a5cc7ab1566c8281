//! The first reading of a manifest: is it JSON that every reader reads alike?
//!
//! Readers differ on JSON with a key twice (first or last wins), and Go's match keys without regard to case. A document that means
//! one thing to whom checks a policy and another to whom runs the image is refused before anyone reads it a second time.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::manifest::MAX_DESCRIPTORS;
use crate::text::shown;

/// The deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// The most members that one object may have: what is remembered of a document stays bounded.
pub const MAX_MEMBERS: usize = 10_000;

/// Why a document is not read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("the document is not JSON: {0}")]
    Syntax(String),
    /// JSON, but no object.
    #[error("the document is JSON but not an object")]
    NoObject,
    /// Too much nesting.
    #[error("the document nests deeper than {MAX_DEPTH} levels")]
    Deep,
    /// One key twice in one object.
    #[error("member `{}` appears twice in one object; readers differ on which one counts", shown(.0))]
    Twice(String),
    /// A key that some readers take for another.
    #[error("member `{}` differs from `{expected}` only in letter case; some readers take one for the other", shown(.found))]
    Case {
        /// The key as it stands.
        found: String,
        /// The one it is mistaken for.
        expected: &'static str,
    },
    /// An object that is too large.
    #[error("one object has more than {MAX_MEMBERS} members")]
    Members,
    /// A document that refers to too much.
    #[error("the document has more than {MAX_DESCRIPTORS} descriptors")]
    Descriptors,
}

/// What the first reading tells: the top-level members and whether they hold something (`false`: `null`).
pub(crate) type Outline = BTreeMap<String, bool>;

/// # Errors
/// See [`JsonError`]; nothing beyond an object's keys and the outline is kept in memory.
pub(crate) fn outline(document: &[u8]) -> Result<Outline, JsonError> {
    let found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(document);
    let walked = Walk { found: &found, place: Place::Top, depth: 0 }.deserialize(&mut reader).and_then(|_| reader.end());
    match (walked, found.wrong.into_inner()) {
        (Ok(()), None) if !found.object.get() => Err(JsonError::NoObject),
        (Ok(()), None) => Ok(found.outline.into_inner()),
        (_, Some(wrong)) => Err(wrong),
        (Err(error), None) => Err(JsonError::Syntax(error.to_string())),
    }
}

/// Members that mean something, by where they stand.
const TOP: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "blobs",
    "subject",
    "annotations",
    "fsLayers",
];
const DESCRIPTOR: &[&str] = &["mediaType", "digest", "size", "urls", "annotations", "platform", "artifactType", "data"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Descriptor,
    Descriptors,
    Elsewhere,
}

impl Place {
    fn members(self) -> &'static [&'static str] {
        match self {
            Self::Top => TOP,
            Self::Descriptor => DESCRIPTOR,
            Self::Descriptors | Self::Elsewhere => &[],
        }
    }

    fn of_member(self, key: &str) -> Self {
        match (self, key) {
            (Self::Top, "config" | "subject") => Self::Descriptor,
            (Self::Top, "layers" | "manifests" | "blobs") => Self::Descriptors,
            _ => Self::Elsewhere,
        }
    }

    fn of_element(self) -> Self {
        if self == Self::Descriptors { Self::Descriptor } else { Self::Elsewhere }
    }
}

#[derive(Default)]
struct Found {
    outline: RefCell<Outline>,
    wrong: RefCell<Option<JsonError>>,
    object: std::cell::Cell<bool>,
    descriptors: std::cell::Cell<usize>,
}

impl Found {
    /// Ends the walk; what serde hands back is not looked at.
    fn stop<E: serde::de::Error>(&self, wrong: JsonError) -> E {
        let text = E::custom(&wrong);
        *self.wrong.borrow_mut() = Some(wrong);
        text
    }
}

/// Reads one value. Answers whether it is anything but `null`.
#[derive(Clone, Copy)]
struct Walk<'a> {
    found: &'a Found,
    place: Place,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        let depth = self.deeper()?;
        let element = Walk { place: self.place.of_element(), depth, ..self };
        while elements.next_element_seed(element)?.is_some() {}
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let depth = self.deeper()?;
        self.count_object()?;
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            self.check_key(&key, &keys)?;
            let place = self.place.of_member(&key);
            let holds = members.next_value_seed(Walk { place, depth, ..self })?;
            if self.place == Place::Top {
                self.found.outline.borrow_mut().insert(key.clone(), holds);
            }
            keys.insert(key);
        }
        Ok(true)
    }
}

impl Walk<'_> {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        if self.depth == MAX_DEPTH { Err(self.found.stop(JsonError::Deep)) } else { Ok(self.depth + 1) }
    }

    fn count_object<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.place {
            Place::Top => self.found.object.set(true),
            Place::Descriptor => self.found.descriptors.set(self.found.descriptors.get() + 1),
            Place::Descriptors | Place::Elsewhere => {}
        }
        if self.found.descriptors.get() > MAX_DESCRIPTORS { Err(self.found.stop(JsonError::Descriptors)) } else { Ok(()) }
    }

    fn check_key<E: serde::de::Error>(&self, key: &str, seen: &HashSet<String>) -> Result<(), E> {
        let mistaken = |expected: &&&str| **expected != key && same_to_go(expected, key);
        let expected = self.place.members().iter().find(mistaken);
        match expected {
            Some(expected) => Err(self.found.stop(JsonError::Case { found: key.to_owned(), expected })),
            None if seen.contains(key) => Err(self.found.stop(JsonError::Twice(key.to_owned()))),
            None if seen.len() == MAX_MEMBERS => Err(self.found.stop(JsonError::Members)),
            None => Ok(()),
        }
    }
}

/// Go's `encoding/json` folds ASCII letters, and with them the long s and the Kelvin sign.
fn same_to_go(known: &str, key: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    known.chars().map(fold).eq(key.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(document: &str) -> JsonError {
        outline(document.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_outline_says_which_members_hold_something() {
        let found = outline(br#"{"a":null,"b":[1,{"a":2}],"c":false,"d":{"a":null},"e":1.5,"f":-1,"g":"x\n"}"#).unwrap();
        let nulls: Vec<_> = found.iter().filter(|(_, holds)| !**holds).map(|(name, _)| name.as_str()).collect();
        assert_eq!((nulls, found.len()), (vec!["a"], 7));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(matches!(refused(""), JsonError::Syntax(_)));
        assert!(matches!(refused("{} {}"), JsonError::Syntax(_)), "nothing may follow");
        assert!(matches!(refused("{'a':1}"), JsonError::Syntax(_)));
        assert!(matches!(refused("\u{feff}{}"), JsonError::Syntax(_)), "no byte order mark");
        for text in ["[]", "1", "null", "\"x\""] {
            assert_eq!(refused(text), JsonError::NoObject, "{text}");
        }
    }

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        assert_eq!(refused(r#"{"a":1,"a":1}"#), JsonError::Twice("a".into()));
        assert_eq!(refused(r#"{"x":[{"a":1,"\u0061":2}]}"#), JsonError::Twice("a".into()), "as read, not as written");
    }

    #[test]
    fn a_key_that_go_takes_for_another_is_refused() {
        let case = |found: &str, expected| JsonError::Case { found: found.into(), expected };
        assert_eq!(refused(r#"{"Layers":[]}"#), case("Layers", "layers"));
        assert_eq!(refused(r#"{"manifestſ":[]}"#), case("manifestſ", "manifests"));
        assert_eq!(refused(r#"{"config":{"DIGEST":"x"}}"#), case("DIGEST", "digest"));
        assert_eq!(refused(r#"{"layers":[{"Size":1}]}"#), case("Size", "size"));
        assert!(
            outline(br#"{"annotations":{"Digest":"x","digest":"y"},"other":{"Config":1}}"#).is_ok(),
            "elsewhere it means nothing"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(outline(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH + 1)), JsonError::Deep);
        assert!(matches!(refused(&"[".repeat(100_000)), JsonError::Deep));
    }

    #[test]
    fn members_and_descriptors_are_bounded() {
        let members = |count: usize| format!("{{{}}}", (0..count).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","));
        assert!(outline(members(MAX_MEMBERS).as_bytes()).is_ok());
        assert_eq!(refused(&members(MAX_MEMBERS + 1)), JsonError::Members);
        let layers = |count: usize| format!("{{\"config\":{{}},\"layers\":[{}]}}", vec!["{}"; count - 1].join(","));
        assert!(outline(layers(MAX_DESCRIPTORS).as_bytes()).is_ok());
        assert_eq!(refused(&layers(MAX_DESCRIPTORS + 1)), JsonError::Descriptors);
    }

    proptest! {
        #[test]
        fn what_is_outlined_is_what_serde_reads(document in "[\\[\\]{}\",:a-c01 ]{0,24}") {
            let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&document);
            match outline(document.as_bytes()) {
                Ok(found) => {
                    let parsed = parsed.unwrap();
                    prop_assert!(found.iter().eq(parsed.iter().map(|(key, value)| (key, !value.is_null())).collect::<BTreeMap<_, _>>().iter().map(|(k, v)| (*k, v))));
                }
                Err(JsonError::Twice(_)) => {}
                Err(_) => prop_assert!(parsed.is_err()),
            }
        }

        #[test]
        fn no_bytes_break_it(document: Vec<u8>) {
            let _ = outline(&document);
        }
    }
}
