//! What clients are told, and who signs it: what the commands that change it have in common.

use std::path::{Path, PathBuf};

use bundle::{SigningConfig, TrustedRoot};
use clock::Clock;
use keys::FileKey;
use pki::KeyKind;
use tuf::Target;

use crate::anchors::{Anchors, sha256_hex};
use crate::completion::Completion;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::init::trust::Documents;
use crate::layout::{Layout, names};

/// The documents as they are.
pub(super) struct Known {
    pub(super) trusted_root: TrustedRoot,
    pub(super) signing_config: SigningConfig,
}

impl Known {
    /// Reads them, and sees to it that the trusted root is the one of this installation.
    pub(super) fn read(layout: &Layout, anchors: &Anchors, code: &'static str) -> Outcome<Self> {
        let path = layout.join(names::TRUSTED_ROOT);
        let text = read(&path, code)?;
        let digest = sha256_hex(&text);
        if digest != anchors.trusted_root && anchors.trusted_root_before.as_ref() != Some(&digest) {
            return Err(Failure::new("anchor_mismatch", format!("{} is not the file that was published", path.display()))
                .detail(format!("found     sha256 {digest}"))
                .detail(format!("expected  sha256 {}", anchors.trusted_root))
                .advise("Restore it from the backup that holds anchors.json."));
        }
        let trusted_root = TrustedRoot::from_json(&text).map_err(|error| unusable(&path, &error, code))?;
        let path = layout.join(names::SIGNING_CONFIG);
        let signing_config = SigningConfig::from_json(&read(&path, code)?).map_err(|error| unusable(&path, &error, code))?;
        Ok(Self { trusted_root, signing_config })
    }
}

fn read(path: &Path, code: &'static str) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| unusable(path, &error, code))
}

fn unusable(path: &Path, error: &(dyn std::error::Error + 'static), code: &'static str) -> Failure {
    Failure::because(code, format!("{} cannot be used", path.display()), error)
        .advise("Nothing was changed. Restore the file from the backup and run this again.")
}

/// What publishes TUF's targets.
pub(super) struct TufSigners {
    pub(super) place: tuf::Place,
    pub(super) lifetimes: tuf::Lifetimes,
    targets: FileKey,
    snapshot: FileKey,
    timestamp: FileKey,
}

impl TufSigners {
    /// Loads the keys, the offline one from `offline_keys`.
    ///
    /// # Errors
    /// One of them is not there.
    pub(super) fn load(config: &Config, offline_keys: &Path, code: &'static str) -> Outcome<Self> {
        let section = config.tuf.as_ref().ok_or_else(|| {
            Failure::usage("config_no_service", "the configuration has no section for tuf")
                .advise("Run this where the trust root is: the log has to be in it before clients believe it.")
        })?;
        let path = targets_key(offline_keys);
        let targets = FileKey::load(&path).map_err(|error| {
            Failure::because(code, "the trust root cannot be signed: the key of its targets is not there", &error).advise(
                "Nothing was changed. Bring the keys that were taken offline and name their folder with --offline-keys DIR.",
            )
        })?;
        let online = |what: &str, path: &Path| {
            FileKey::load(path).map_err(|error| {
                Failure::because("key_unusable", format!("{what} cannot be used"), &error).advise("Restore it from the backup.")
            })
        };
        Ok(Self {
            place: section.place(),
            lifetimes: section.lifetimes().map_err(|error| Failure::explained(&error))?,
            targets,
            snapshot: online("TUF's snapshot key", &section.snapshot_key)?,
            timestamp: online("TUF's timestamp key", &section.timestamp_key)?,
        })
    }

    /// Publishes the documents, and single files beside them.
    ///
    /// # Errors
    /// A key is not the one that the root names, or something cannot be written.
    pub(super) async fn publish(&self, documents: &Documents, single: Vec<Target>, clock: &dyn Clock) -> Outcome {
        let keys = tuf::TargetsKeys { targets: &self.targets, snapshot: &self.snapshot, timestamp: &self.timestamp };
        let mut targets = documents.targets();
        targets.extend(single);
        tuf::publish_targets(&self.place, &keys, &targets, &self.lifetimes, clock)
            .await
            .map_err(|error| Failure::explained(&error))?;
        Ok(())
    }
}

/// What a run published that was cut off is what this one would publish.
pub(super) fn same_root(digest: &str, anchors: &Anchors) -> Outcome {
    if digest == anchors.trusted_root {
        return Ok(());
    }
    Err(Failure::new("anchor_mismatch", "the trusted root that was published names this log otherwise")
        .detail(format!("here       sha256 {digest}"))
        .detail(format!("published  sha256 {}", anchors.trusted_root))
        .advise("Restore keys, databases, trust and anchors.json from one backup."))
}

/// Makes the log's key unless it is there. Says whether it was made.
pub(super) fn create_key(path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    FileKey::generate(KeyKind::P256)?.create_file(path)?;
    Ok(true)
}

/// The key in `offline_keys` that signs TUF's targets.
pub(super) fn targets_key(offline_keys: &Path) -> PathBuf {
    let name = Path::new(names::TUF_TARGETS_KEY).file_name().expect("a file has a name");
    offline_keys.join(name)
}

/// Another command has begun to change what clients are told.
pub(super) fn unfinished(code: &'static str, command: &str) -> Failure {
    Failure::new(code, "another change of what clients are told was cut off")
        .detail(format!("cut off  chancery log {command}"))
        .advise("Nothing was changed. Run that one again first: it makes the rest.")
}

/// A change of what clients are told, from the moment in which the anchors allow for it: they know everything that is new, and let the
/// trusted root from before it pass beside the one that will be.
pub(super) struct Telling<'a> {
    pub(super) layout: &'a Layout,
    pub(super) completion: &'a Completion<'a>,
    pub(super) signers: &'a TufSigners,
    pub(super) documents: &'a Documents,
    /// Anchors as they are meanwhile.
    pub(super) anchors: Anchors,
}

impl Telling<'_> {
    /// Tells them; `single` are files of the trust root beside the documents, `pem` public keys, by name below `D/`.
    ///
    /// 1. The trust root, for clients that use TUF.
    /// 2. The files, for those that do not.
    /// 3. The anchors: from here on there is no other trusted root than the new one.
    ///
    /// A crash in between leaves an installation that runs, and whose anchors name the command that makes the rest.
    pub(super) async fn tell(self, single: Vec<Target>, pem: Option<(String, String)>, clock: &dyn Clock) -> Outcome {
        let Self { layout, completion, signers, documents, anchors } = self;
        signers.publish(documents, single, clock).await?;
        completion.give_to_owner(&signers.place.directory)?;
        completion.give_to_owner(&signers.place.state)?;
        let like = layout.join(names::TRUSTED_ROOT);
        if let Some((name, text)) = pem {
            completion.replace(&layout.join(&name), text.as_bytes(), &like)?;
        }
        for (name, bytes) in documents.files() {
            completion.replace(&layout.join(name), &bytes, &like)?;
        }
        let path = layout.anchors();
        let whole = Anchors { trusted_root_before: None, unfinished: None, ..anchors };
        completion.replace(&path, whole.to_json().as_bytes(), &path).map(drop)
    }
}

/// The anchors while `command` puts `documents` in the place of those before; the same again when it was cut off.
///
/// # Errors
/// It was cut off, and what it published is not what it would publish now.
pub(super) fn meanwhile(before: &Anchors, changed: Anchors, documents: &Documents, command: &str) -> Outcome<Anchors> {
    let trusted_root = sha256_hex(&documents.trusted_root.to_json());
    if before.unfinished.as_deref() == Some(command) {
        return same_root(&trusted_root, before).map(|()| before.clone());
    }
    Ok(Anchors {
        trusted_root,
        trusted_root_before: Some(before.trusted_root.clone()),
        unfinished: Some(command.to_owned()),
        ..changed
    })
}
