//! The words under which an entry is found again.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::lenient::ignored;

/// The most words of one entry. A statement can name any number of subjects; what is beyond is logged and not found by them.
pub const MAX_INDEX_KEYS: usize = 4_096;

/// The longest word, in characters: no query can ask for a longer one.
pub const MAX_INDEX_KEY: usize = 512;

/// Words, each once, in lower case: that is how they are asked for.
#[derive(Debug, Default)]
pub(super) struct IndexKeys(BTreeSet<String>);

impl IndexKeys {
    pub(super) fn add(&mut self, word: &str) {
        let fits = (1..=MAX_INDEX_KEY).contains(&word.chars().take(MAX_INDEX_KEY + 1).count());
        if fits && self.0.len() < MAX_INDEX_KEYS {
            self.0.insert(index_key(word));
        }
    }

    pub(super) fn add_all(&mut self, words: impl IntoIterator<Item = String>) {
        words.into_iter().for_each(|word| self.add(&word));
    }

    /// Adds what an in-toto statement is about: the digests of its subjects and, in SLSA provenance, of the materials (v0.1, v0.2) and
    /// resolved dependencies (v1). A payload that is no such statement adds nothing.
    pub(super) fn add_statement(&mut self, payload: &[u8]) {
        let mut found = Self::default();
        let mut json = serde_json::Deserializer::from_slice(payload);
        let walk = Walk { place: Place::Statement, name: "", found: &mut found };
        if walk.deserialize(&mut json).and_then(|()| json.end()).is_ok() {
            self.add_all(found.0);
        }
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// A word as the index has it.
#[must_use]
pub fn index_key(word: &str) -> String {
    word.to_lowercase()
}

/// Where in a statement a value stands. Everything else is read over, so memory is bounded by what is found.
#[derive(Debug, Clone, Copy)]
enum Place {
    Statement,
    Predicate,
    BuildDefinition,
    Artifacts,
    Artifact,
    Digests,
    Digest,
    Elsewhere,
}

impl Place {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Statement, "subject") | (Self::Predicate, "materials") => Self::Artifacts,
            (Self::BuildDefinition, "resolvedDependencies") => Self::Artifacts,
            (Self::Statement, "predicate") => Self::Predicate,
            (Self::Predicate, "buildDefinition") => Self::BuildDefinition,
            (Self::Artifact, "digest") => Self::Digests,
            (Self::Digests, _) => Self::Digest,
            _ => Self::Elsewhere,
        }
    }

    fn item(self) -> Self {
        match self {
            Self::Artifacts => Self::Artifact,
            _ => Self::Elsewhere,
        }
    }
}

/// Reads one value, and adds `algorithm:digest` for each digest in it.
struct Walk<'a> {
    place: Place,
    /// Of the member whose value it is.
    name: &'a str,
    found: &'a mut IndexKeys,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Walk { place: self.place.member(&name), name: &name, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        while items.next_element_seed(Walk { place: self.place.item(), name: "", found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if matches!(self.place, Place::Digest) {
            self.found.add(&format!("{}:{text}", self.name));
        }
        Ok(())
    }

    ignored!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}
