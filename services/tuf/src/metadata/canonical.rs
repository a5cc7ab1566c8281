//! OLPC canonical JSON, the bytes that TUF signatures are over. It is not RFC 8785: newlines stay literal.

use serde::Serialize;

/// A value has no canonical form that all clients agree on.
#[derive(Debug, thiserror::Error)]
pub enum NotCanonical {
    /// tough normalises other characters and the other clients do not, so that they would check different bytes.
    #[error("metadata must be ASCII; found the character {0:?}")]
    NotAscii(char),
    /// Such as a number with a fraction.
    #[error("a value has no canonical form")]
    Unsupported(#[from] serde_json::Error),
}

/// The canonical form of `value`.
///
/// # Errors
/// [`NotCanonical`].
pub(crate) fn canonical(value: &impl Serialize) -> Result<Vec<u8>, NotCanonical> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, olpc_cjson::CanonicalFormatter::new()))?;
    match std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().find(|character| !character.is_ascii())) {
        Some(character) => Err(NotCanonical::NotAscii(character)),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn members_are_sorted_and_only_quote_and_backslash_escaped() {
        let value = json!({"b": [1, true, null], "a": "x\n\"\\\t/\u{7f}", "B": {"d": -1, "c": ""}});
        let expected = b"{\"B\":{\"c\":\"\",\"d\":-1},\"a\":\"x\n\\\"\\\\\t/\x7f\",\"b\":[1,true,null]}";
        assert_eq!(canonical(&value).unwrap(), expected);
    }

    #[test]
    fn what_clients_disagree_on_is_refused() {
        assert!(matches!(canonical(&json!({"a": 1.5})), Err(NotCanonical::Unsupported(_))));
        assert!(matches!(canonical(&json!({"a": "caf\u{e9}"})), Err(NotCanonical::NotAscii('\u{e9}'))));
        assert!(matches!(canonical(&json!({"\u{fb33}": 1})), Err(NotCanonical::NotAscii(_))));
    }

    proptest! {
        #[test]
        fn the_form_is_read_back_as_the_same_text(text in "[ -~]*") {
            let bytes = canonical(&json!({ "text": text })).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(value["text"].as_str(), Some(text.as_str()));
        }
    }
}
