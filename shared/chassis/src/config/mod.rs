//! Configuration: a YAML file, overlaid by the environment, decoded into one typed value.
//!
//! - Unknown keys are refused when the types say `#[serde(deny_unknown_fields)]`, as all of ours do.
//! - A mistake in the file is shown with line, column and the lines around it.
//! - `CHANCERY_SECTION__KEY=value` sets `section.key`; a name that fits nothing is an error ([`Environment`]).
//! - A [`FilePath`] that is relative is relative to the configuration file's folder, wherever the process was started.
//! - A [`Duration`] has a unit: `10s`, `7d`.
//! - Text that YAML would read as a number or a truth value must be quoted. So the file means the same to the decoder that
//!   knows the types and to the overlay, which does not.

mod environment;
mod values;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::environment::Environment;
pub use self::values::{DatabasePlace, Duration, FilePath};
pub use crate::listen::{ListenConfig, TlsFiles};
use crate::report::Explain;

/// Reads the file at `path`, overlays `environment` and decodes the result.
///
/// # Errors
/// [`ConfigError`], naming the file's line or the variable that is wrong, and what was expected.
pub fn load<T: DeserializeOwned>(path: &Path, environment: &Environment) -> Result<T, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let folder = std::path::absolute(path).map_err(unreadable)?.parent().map(Path::to_owned).unwrap_or_default();
    values::relative_to(&folder, || decode(path, &text, environment))
}

/// The configuration is not usable: always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML, or not of the expected shape.
    #[error("the configuration file {} is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, column, what is wrong, and an excerpt with a caret; several lines.
        excerpt: String,
    },
    /// A variable of the environment does not fit.
    #[error("the environment variable {name} does not fit the configuration")]
    Variable {
        /// Its name.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// The variables fit one by one, but not together.
    #[error("the environment variables {} do not fit the configuration", names.join(", "))]
    Variables {
        /// All that were applied.
        names: Vec<String>,
        /// What was found and what was expected.
        reason: String,
    },
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config_unreadable",
            Self::Invalid { .. } => "config_invalid",
            Self::Variable { .. } | Self::Variables { .. } => "config_environment",
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Unreadable { source, .. } => vec![source.to_string()],
            Self::Invalid { excerpt, .. } => vec![excerpt.clone()],
            Self::Variable { reason, .. } | Self::Variables { reason, .. } => vec![reason.clone()],
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("Name the file with --config FILE; `chancery init` writes one.".into()),
            Self::Invalid { .. } => None,
            Self::Variable { .. } | Self::Variables { .. } => {
                Some("A name is CHANCERY_SECTION__KEY, two underscores per level; a value is read as YAML, so quote a number meant as text.".into())
            }
        }
    }
}

/// Decodes twice when there is an overlay: typed first, for errors with positions, then merged.
fn decode<T: DeserializeOwned>(path: &Path, text: &str, environment: &Environment) -> Result<T, ConfigError> {
    let invalid = |excerpt: String| ConfigError::Invalid {
        path: path.to_owned(),
        excerpt: excerpt.replace("<input>", &path.display().to_string()),
    };
    let typed = parse::<T>(text).map_err(invalid)?;
    if environment.is_empty() {
        return Ok(typed);
    }
    let document = parse::<Value>(text).map_err(invalid)?;
    environment.overlay(&document)
}

/// Parses YAML within a budget that no honest configuration reaches and an alias bomb exceeds at once.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 40_000, max_nodes: 10_000, max_depth: 64, max_aliases: 1_000 },
        strict_booleans: true,
        no_schema: true,
        leading_zero_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        text.strip_prefix("error: ").unwrap_or(&text).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default)]
        limits: Limits,
        key: Option<FilePath>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        size: u32,
        wait: Option<Duration>,
        hosts: Vec<String>,
    }

    fn load_text(text: &str, environment: &Environment) -> Result<Sample, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chancery.yaml");
        std::fs::write(&path, text).unwrap();
        load(&path, environment)
    }

    fn shown(text: &str) -> String {
        let error = load_text(text, &Environment::empty()).unwrap_err();
        assert_eq!(error.code(), "config_invalid");
        error.details().join("\n")
    }

    #[test]
    fn a_file_alone() {
        let sample = load_text("name: a\nlimits:\n  size: 3\n  wait: 7d\n", &Environment::empty()).unwrap();
        assert_eq!(sample.name, "a");
        assert_eq!(sample.limits.size, 3);
        assert_eq!(sample.limits.wait, Some(Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn paths_start_at_the_files_folder_and_variables_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chancery.yaml");
        std::fs::write(&path, "name: a\nkey: keys/a.pem\n").unwrap();
        let key = |environment: &Environment| load::<Sample>(&path, environment).unwrap().key.unwrap();
        assert_eq!(&*key(&Environment::empty()), folder.path().join("keys/a.pem"));
        assert_eq!(&*key(&Environment::from([("CHANCERY_LIMITS__SIZE", "4")])), folder.path().join("keys/a.pem"));
        assert_eq!(&*key(&Environment::from([("CHANCERY__KEY", "b.pem")])), folder.path().join("b.pem"));
        assert_eq!(&*key(&Environment::from([("CHANCERY__KEY", "/b.pem")])), Path::new("/b.pem"));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let text = shown("name: a\nlimits:\n  sice: 3\n");
        for part in ["line 3", "column 3", "sice", "size", "^"] {
            assert!(text.contains(part), "{part} missing in: {text}");
        }
        let text = shown("name: a\nlimits: { size: many }\n");
        assert!(text.contains("line 2") && text.contains("many"), "{text}");
        assert!(shown("limits: {}\n").contains("name"), "a missing field is named");
        assert!(shown("name: a\nname: b\n").contains("line 2"), "a duplicate key is refused");
        assert!(shown("name: a\nlimits: { wait: 7 }\n").contains("unit"), "a duration has a unit");
    }

    #[test]
    fn a_mistake_is_shown_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chancery.yaml");
        std::fs::write(&path, "name: a\nlimits:\n  sice: 3\n").unwrap();
        let text = crate::report::render(&load::<Sample>(&path, &Environment::empty()).unwrap_err());
        let expected = "\
error: the configuration file PATH is not valid
  line 3 column 3: unknown field `sice`, expected one of size, wait, hosts
   --> PATH:3:3
    |
  1 | name: a
  2 | limits:
  3 |   sice: 3
    |   ^ unknown field `sice`, expected one of size, wait, hosts
  [config_invalid]";
        assert_eq!(text.replace(path.to_str().unwrap(), "PATH"), expected);
    }

    #[test]
    fn text_that_looks_like_a_number_is_quoted() {
        assert!(shown("name: 010\n").contains("quot"), "{}", shown("name: 010\n"));
        assert_eq!(load_text("name: '010'\n", &Environment::empty()).unwrap().name, "010");
        assert_eq!(load_text("name: no\n", &Environment::empty()).unwrap().name, "no");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let error = parse::<Value>(&text).unwrap_err();
        assert!(error.contains("budget") || error.contains("limit"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<Sample>(Path::new("/nonexistent/chancery.yaml"), &Environment::empty()).unwrap_err();
        assert_eq!(error.code(), "config_unreadable");
        assert!(
            crate::report::render(&error)
                .starts_with("error: cannot read the configuration file /nonexistent/chancery.yaml\n  No such file or directory")
        );
    }

    #[test]
    fn variables_win_over_the_file() {
        let environment = Environment::from([
            ("CHANCERY_LIMITS__SIZE", "9"),
            ("CHANCERY_LIMITS__HOSTS", "[a, b]"),
            ("CHANCERY__NAME", "'010'"),
        ]);
        let sample = load_text("name: a\nlimits: { size: 3 }\n", &environment).unwrap();
        assert_eq!((sample.name.as_str(), sample.limits.size, sample.limits.hosts.len()), ("010", 9, 2));
    }

    #[test]
    fn a_variable_that_fits_nothing_is_named() {
        let refused = |variables: [(&str, &str); 2]| {
            let error = load_text("name: a\n", &Environment::from(variables)).unwrap_err();
            assert_eq!(error.code(), "config_environment");
            (error.to_string(), error.details().join(" "))
        };
        let (what, why) = refused([("CHANCERY_LIMITS__SIZE", "4"), ("CHANCERY_LIMITS__SICE", "3")]);
        assert!(what.contains("CHANCERY_LIMITS__SICE") && why.contains("`sice`") && why.contains("`size`"), "{what} {why}");
        let (what, why) = refused([("CHANCERY_LIMITS__SIZE", "many"), ("CHANCERY_LIMITS__WAIT", "3s")]);
        assert!(what.contains("CHANCERY_LIMITS__SIZE") && why.contains("many"), "{what} {why}");
        let (what, _) = refused([("CHANCERY_TYPO__X", "1"), ("CHANCERY_LIMITS__WAIT", "3s")]);
        assert!(what.contains("CHANCERY_TYPO__X"), "{what}");
        let (what, why) = refused([("CHANCERY_NAME__X", "1"), ("CHANCERY_LIMITS__WAIT", "3s")]);
        assert!(what.contains("CHANCERY_NAME__X") && why.contains("name is not a section"), "{what} {why}");
    }
}
