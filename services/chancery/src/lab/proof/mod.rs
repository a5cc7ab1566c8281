//! The lab's proof: an image pushed, signed, attested, refused where it lacks something, promoted and verified, through the services'
//! public URLs only.
//!
//! It sees what any client sees: the environment that `chancery env` prints, and a token. It depends on no service crate
//! (`cargo xtask check-deps` looks).

mod cosign;
mod image;
mod promotion;
mod record;
mod sbom;
mod signing;
mod story;

use std::path::PathBuf;
use std::time::Instant;

use super::env::Environment;
use crate::failure::{Failure, Outcome};
use image::Image;
use record::Record;
use story::Story;

pub(crate) use record::{Passed, Step};

/// Who signs in the proof, and who vouches.
#[derive(Debug)]
pub(crate) struct Identity {
    /// A fresh token.
    pub token: String,
    /// The subject alternative name that the certificate must carry.
    pub subject: String,
    /// The issuer that it must name.
    pub issuer: String,
}

/// What is left to prove.
#[derive(Debug)]
pub(crate) struct Proof {
    path: PathBuf,
    image: Image,
    record: Record,
}

impl Proof {
    /// Looks into the record at `path`.
    pub(crate) fn begin(path: PathBuf) -> Self {
        let image = Image::saying("hello from a Chancery lab\n");
        let record = Record::load(&path, image.index.digest.as_str());
        Self { path, image, record }
    }

    /// Whether every step has passed that needs nothing but the lab itself.
    pub(crate) fn has_passed(&self) -> bool {
        self.record.is_complete()
    }

    /// Whether every step has passed that can be run on this machine.
    pub(crate) fn is_complete(&self) -> bool {
        self.record.is_complete() && (self.record.has(Step::Agreed) || !cosign::is_on_path())
    }

    /// Runs the steps that have not passed yet, in their order; `passed` hears of each at once.
    ///
    /// # Errors
    /// The first step that fails, by name.
    pub(crate) async fn run(mut self, environment: &Environment, identity: Identity, mut passed: impl FnMut(Passed)) -> Outcome {
        let mut story = Story::new(environment, &self.image, identity)?;
        for step in Step::ALL {
            if self.record.has(step) {
                continue;
            }
            let begun = Instant::now();
            let what = match step {
                Step::Pushed => story.push().await?,
                Step::Certified => story.certify().await?,
                Step::Logged => story.sign().await?,
                Step::Attested => story.attest().await?,
                Step::Refused => story.be_refused().await?,
                Step::Promoted => story.promote().await?,
                Step::Verified => story.verify().await?,
                Step::Agreed => match cosign::find().await {
                    Some(cosign) => story.agree(&cosign).await?,
                    None => continue,
                },
            };
            passed(Passed { step, what, took: begun.elapsed() });
            self.record
                .pass(step, &self.path)
                .map_err(|error| Failure::because("lab_folder", format!("{} cannot be written", self.path.display()), &error))?;
        }
        Ok(())
    }
}
