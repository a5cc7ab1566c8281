//! JSON values that are of the expected type or not there.
//!
//! Released clients send members that are `null`, and members of other kinds under names that mean something here. The contract treats
//! all of them as absent; what must be there is then missed by name. Repeated members are refused all the same.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most items of one array that are kept. A parser that kept them all would hold many times the request.
pub const MAX_ITEMS: usize = 16;

/// A string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Option<String>);

impl Text {
    /// The string, unless it is absent or empty.
    pub(super) fn filled(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) Option<T>);

/// An array: its first [`MAX_ITEMS`] items, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Few<T> {
    /// The first ones.
    pub items: Vec<T>,
    /// How many there were.
    pub count: usize,
}

impl<T> Few<T> {
    /// Whether all of them were kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.items.len() == self.count
    }
}

/// An array, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Option<Few<T>>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0 }
    }
}

/// What becomes of a value of another type: it is read over, and nothing is there.
macro_rules! ignored {
    ($($scalar:ident: $type:ty),*) => {
        $(fn $scalar<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*
    };
    (scalars) => {
        ignored!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (map) => {
        fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (seq) => {
        fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

pub(super) use ignored;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(Some(text)))
            }
            ignored!(scalars);
            ignored!(map);
            ignored!(seq);
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(|object| Object(Some(object)))
            }
            ignored!(scalars);
            ignored!(visit_str: &str);
            ignored!(seq);
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, items: S) -> Result<List<T>, S::Error> {
                few(items).map(|few| List(Some(few)))
            }
            ignored!(scalars);
            ignored!(visit_str: &str);
            ignored!(map);
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FewVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
            type Value = Few<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, items: S) -> Result<Few<T>, S::Error> {
                few(items)
            }
        }
        deserializer.deserialize_seq(FewVisitor(PhantomData))
    }
}

fn few<'de, T: Deserialize<'de>, S: SeqAccess<'de>>(mut seq: S) -> Result<Few<T>, S::Error> {
    let mut items = Vec::new();
    while items.len() < MAX_ITEMS {
        match seq.next_element()? {
            Some(item) => items.push(item),
            None => return Ok(Few { count: items.len(), items }),
        }
    }
    let mut count = items.len();
    while seq.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(Few { items, count })
}
