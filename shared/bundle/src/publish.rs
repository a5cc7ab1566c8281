//! The step between a document and the world: nothing is published that some released client would refuse.

use serde::Serialize;

/// Evidence that a document passed every rule of [`crate::Rule`]; made by its `publishable` method only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishable<T>(T);

impl<T: Serialize> Publishable<T> {
    /// For the checks of this crate alone.
    pub(crate) fn checked(document: T) -> Self {
        Self(document)
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &T {
        &self.0
    }

    /// The JSON text as it is published: indented for people, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(&self.0).expect("strings, numbers and lists always have a JSON form");
        text.push(b'\n');
        text
    }
}
