//! What has been proved since the lab was created: `D/proof.json`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A step of the proof, in the order of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// An image is in the registry.
    Pushed,
    /// A token became a certificate.
    Certified,
    /// Index and platforms are signed, and the signatures are timestamped and logged.
    Logged,
    /// Index and platforms carry SBOMs.
    Attested,
    /// An image without signatures may not go where the policy wants them.
    Refused,
    /// The signed image went there, with everything attached to it.
    Promoted,
    /// It verifies there, offline.
    Verified,
    /// cosign says so too.
    Agreed,
}

impl Step {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Pushed,
        Self::Certified,
        Self::Logged,
        Self::Attested,
        Self::Refused,
        Self::Promoted,
        Self::Verified,
        Self::Agreed,
    ];

    /// Whether it can only pass or fail; cosign may not be there.
    fn is_required(self) -> bool {
        self != Self::Agreed
    }

    /// The word on the screen.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Certified => "certified",
            Self::Logged => "logged",
            Self::Attested => "attested",
            Self::Refused => "refused",
            Self::Promoted => "promoted",
            Self::Verified => "verified",
            Self::Agreed => "agreed",
        }
    }
}

/// A step that passed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Passed {
    /// Which one.
    pub step: Step,
    /// What was seen.
    pub what: String,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "milliseconds")]
    pub took: Duration,
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// The steps that never have to run again, and the image that they are about.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The digest of the image's index.
    image: String,
    passed: BTreeSet<Step>,
}

impl Record {
    /// What has passed for `image`. A record about another image, or of a time when the proof was about a file, says nothing of it.
    pub(crate) fn load(path: &Path, image: &str) -> Self {
        let read = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        read.filter(|record| record.image == image).unwrap_or_else(|| Self { image: image.to_owned(), passed: BTreeSet::new() })
    }

    /// Whether a step has passed.
    pub(crate) fn has(&self, step: Step) -> bool {
        self.passed.contains(&step)
    }

    /// Whether nothing is left that must pass.
    pub(crate) fn is_complete(&self) -> bool {
        Step::ALL.into_iter().filter(|step| step.is_required()).all(|step| self.has(step))
    }

    /// Adds a step and writes the record by rename: a lab that is killed goes on from here.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn pass(&mut self, step: Step, path: &Path) -> std::io::Result<()> {
        self.passed.insert(step);
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        std::io::Write::write_all(&mut file, &serde_json::to_vec(self).expect("plain data serialises"))?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_about_one_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proof.json");
        // What an older lab wrote about a file.
        std::fs::write(&path, r#"{"passed":["certified","timestamped","logged","verified","agreed"]}"#).unwrap();
        let mut record = Record::load(&path, "sha256:aa");
        assert!(!record.has(Step::Certified) && !record.is_complete());
        for step in Step::ALL.into_iter().filter(|step| step.is_required()) {
            assert!(!record.is_complete());
            record.pass(step, &path).unwrap();
        }
        assert_eq!(Record::load(&path, "sha256:aa"), record);
        assert!(record.is_complete() && !record.has(Step::Agreed));
        assert!(!Record::load(&path, "sha256:bb").has(Step::Pushed));
    }
}
