//! Altering bundles, one thing at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A member of a document by its path, for example `/verificationMaterial/tlogEntries/0`.
///
/// # Panics
/// The document has none: an alteration of it would alter nothing.
#[must_use]
pub fn at<'a>(document: &'a mut Value, path: &str) -> &'a mut Value {
    document.pointer_mut(path).unwrap_or_else(|| panic!("the bundle has no {path}"))
}

/// Flips the lowest bit of one byte of a base64 member; `from_end` counts from its last byte.
///
/// # Panics
/// The member is not base64, or shorter.
pub fn flip(document: &mut Value, path: &str, from_end: usize) {
    let member = at(document, path);
    let mut bytes = bytes(member);
    let position = bytes.len() - 1 - from_end;
    bytes[position] ^= 1;
    *member = STANDARD.encode(bytes).into();
}

/// Copies a member from another document.
///
/// # Panics
/// Either has none.
pub fn copy(from: &Value, to: &mut Value, path: &str) {
    let other = from.pointer(path).unwrap_or_else(|| panic!("the other bundle has no {path}")).clone();
    assert_ne!(at(to, path), &other, "the two bundles have the same {path}");
    *at(to, path) = other;
}

/// The bytes of a base64 member.
///
/// # Panics
/// It is not base64.
#[must_use]
pub fn bytes(member: &Value) -> Vec<u8> {
    STANDARD.decode(member.as_str().expect("bytes are base64")).expect("bytes are base64")
}
