//! The environment as an overlay over the file.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ConfigError, parse};

const PREFIX: &str = "CHANCERY_";

/// The variables that configure: names of the form `CHANCERY_SECTION__KEY`, with two underscores per level.
///
/// `CHANCERY_FULCIO__HTTP__LISTEN=[127.0.0.1:5555]` sets `fulcio.http.listen`. A name's case does not matter; a value is read
/// as YAML, so lists work and text that looks like a number is quoted. Names without `__` (`CHANCERY_FULCIO_URL` and what
/// else `chancery env` prints) are for clients and are ignored here.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// No variables.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The process's own. A value that is not Unicode is kept with replacement characters and will be refused by its type.
    #[must_use]
    pub fn of_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets every variable in `document` and decodes the result.
    pub(super) fn overlay<T: DeserializeOwned>(&self, document: &Value) -> Result<T, ConfigError> {
        let error = match self.decode_without::<T>(document, None)? {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        // The decoder knows no names: the variable to blame is the one without which this error does not occur.
        for name in self.0.keys() {
            match self.decode_without::<T>(document, Some(name))? {
                Err(other) if other == error => {}
                _ => return Err(ConfigError::Variable { name: name.clone(), reason: error }),
            }
        }
        Err(ConfigError::Variables { names: self.0.keys().cloned().collect(), reason: error })
    }

    fn decode_without<T: DeserializeOwned>(
        &self,
        document: &Value,
        left_out: Option<&str>,
    ) -> Result<Result<T, String>, ConfigError> {
        let mut document = document.clone();
        for (name, value) in self.0.iter().filter(|(name, _)| Some(name.as_str()) != left_out) {
            set(&mut document, &levels(name), value).map_err(|reason| ConfigError::Variable { name: name.clone(), reason })?;
        }
        Ok(serde_json::from_value(document).map_err(|error| error.to_string()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let named = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(named.filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(configures)).collect())
    }
}

impl<const COUNT: usize> From<[(&str, &str); COUNT]> for Environment {
    fn from(variables: [(&str, &str); COUNT]) -> Self {
        variables.into_iter().collect()
    }
}

/// `FULCIO__URL` and `_NAME` (a key outside any section, written `CHANCERY__NAME`) do, `FULCIO_URL` does not.
fn configures(rest: &str) -> bool {
    rest.starts_with('_') || rest.contains("__")
}

fn levels(name: &str) -> Vec<String> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    rest.strip_prefix('_').unwrap_or(rest).split("__").map(str::to_lowercase).collect()
}

fn set(document: &mut Value, levels: &[String], text: &str) -> Result<(), String> {
    let value = parse::<Value>(text).map_err(|_| "its value is not YAML".to_owned())?;
    let mut place = document;
    let mut above = "the configuration";
    for level in levels {
        // A section that is present but empty (`fulcio:`) reads as null.
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let section = place.as_object_mut().ok_or_else(|| format!("{above} is not a section"))?;
        place = section.entry(level.as_str()).or_insert(Value::Null);
        above = level;
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_double_underscores_configure() {
        let environment = Environment::from([
            ("CHANCERY_FULCIO_URL", "http://127.0.0.1:5555"),
            ("CHANCERY_FULCIO__PUBLIC_URL", "x"),
            ("CHANCERY__NAME", "x"),
            ("OTHER__KEY", "x"),
            ("CHANCERY_", "x"),
        ]);
        let names: Vec<_> = environment.0.keys().cloned().collect();
        assert_eq!(names, ["CHANCERY_FULCIO__PUBLIC_URL", "CHANCERY__NAME"]);
        assert_eq!(levels("CHANCERY_FULCIO__PUBLIC_URL"), ["fulcio", "public_url"]);
        assert_eq!(levels("CHANCERY__NAME"), ["name"]);
    }

    #[test]
    fn sections_appear_where_they_were_missing_or_empty() {
        let environment = Environment::from([("CHANCERY_A__B__C", "1"), ("CHANCERY_D__E", "[x]")]);
        let merged: Value = environment.overlay(&json!({ "a": null, "z": 1 })).unwrap();
        assert_eq!(merged, json!({ "a": { "b": { "c": 1 } }, "d": { "e": ["x"] }, "z": 1 }));
    }

    #[test]
    fn a_value_that_is_no_yaml_is_refused_without_being_repeated() {
        let error = Environment::from([("CHANCERY_A__B", "[secret")]).overlay::<Value>(&json!({})).unwrap_err();
        let ConfigError::Variable { name, reason } = error else { panic!("{error:?}") };
        assert_eq!((name.as_str(), reason.as_str()), ("CHANCERY_A__B", "its value is not YAML"));
    }
}
