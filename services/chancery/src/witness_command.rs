//! `chancery witness add`: a witness for an installation, which watches the logs of others.
//!
//! Nothing that exists is changed but `chancery.yaml`, which gets one section more and is replaced last, by one rename. So a crash leaves
//! an installation that runs as it did, and some files that the next run keeps.

use std::path::Path;

use chassis::config::ListenConfig;
use keys::{FileKey, KeyFileError};
use note::{NoteKey, VerifierKey};
use pki::{KeyKind, PublicKey};
use serde::Serialize;
use serde_json::json;

use crate::cli::{Output, WitnessAddArgs};
use crate::completion::{self, Added, Completion, Done};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::init::text::{listen, quoted};
use crate::layout::{Layout, names};
use crate::names::{ServiceName, host_of};
use crate::output;

/// What an installation gets, in the order it gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// The key.
    Key,
    /// The database.
    Database,
    /// The section of the configuration.
    Configuration,
}

/// What operators tell each other.
#[derive(Debug)]
struct Keys {
    /// For the policies of the logs that this witness is to watch.
    witness: VerifierKey,
    /// Of this installation's own log, for the witnesses of others.
    log: Option<VerifierKey>,
}

/// `chancery witness add`
pub(crate) async fn run_add(args: &WitnessAddArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.dir);
    let added = complete(&layout, args).await?;
    let keys = keys(&layout)?;
    match out {
        Output::Text => output::print(&text(&layout, &added, &keys)),
        Output::Json => output::print_json(&json!({
            "dir": layout.dir().display().to_string(),
            "added": !added.was_complete(),
            "witness": added.public_url,
            "vkey": keys.witness.to_string(),
            "log_vkey": keys.log.as_ref().map(VerifierKey::to_string),
            "steps": added.steps,
        })),
    }
    Ok(())
}

/// Gives the installation in `layout` its witness. Run again after a crash, it keeps what is there and makes the rest.
async fn complete(layout: &Layout, args: &WitnessAddArgs) -> Outcome<Added<Step>> {
    // 1. One run at a time.
    let completion = Completion::begin(layout, "witness_add_failed")?;
    if let Some(section) = Config::load(&layout.config())?.witness {
        return Ok(Added { public_url: section.public_url, steps: Vec::new() });
    }
    let public_url = completion::public_url(layout, ServiceName::Witness, args.public_url.as_ref())?;

    // 2. The configuration as it will be.
    let name = args.name.as_deref().unwrap_or(host_of(&public_url));
    let prepared = completion.prepare(&section(&public_url, name), ServiceName::Witness)?;
    let section = prepared.config.witness.as_ref().expect("a prepared configuration has the section");

    // 3. The key. Nobody trusts it before this command has printed it.
    let mut steps = Vec::new();
    let mut done = |step, path, made| steps.push(Done { step, path, made });
    let path = layout.join(names::WITNESS_KEY);
    done(Step::Key, names::WITNESS_KEY, create_key(&path).map_err(|error| completion.unwritable(&path, &*error))?);

    // 4. The database. It has seen nothing, so one that a crash left half made is of no use to anybody.
    let path = layout.join(names::WITNESS_DB);
    let made = !path.exists();
    if made {
        witness::create(section).await.map_err(|error| Failure::explained(&error))?;
    }
    done(Step::Database, names::WITNESS_DB, made);

    // 5. The configuration: from here on the installation has a witness.
    for path in [names::WITNESS_KEY, names::WITNESS_DB] {
        completion.give_to_owner(&layout.join(path))?;
    }
    completion.publish(prepared)?;
    done(Step::Configuration, "chancery.yaml", true);
    Ok(Added { public_url, steps })
}

/// Draws the key unless it is there; says whether it was made.
fn create_key(path: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    match FileKey::generate(KeyKind::Ed25519)?.create_file(path) {
        Ok(()) => Ok(true),
        Err(KeyFileError::Exists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The section, beginning with its name.
fn section(public_url: &str, name: &str) -> String {
    format!(
        "witness:\n  public_url: {}\n  name: {}\n  http: {}\n  database: {}\n  key: {}\n  \
         # The logs that it watches, each by the verifier key that its operator publishes:\n  \
         #   - vkey: log1.rekor.other.example+01234567+AZ…\n  logs: []\n",
        quoted(public_url),
        quoted(name),
        listen(&ListenConfig::loopback(ServiceName::Witness.port())),
        names::WITNESS_DB,
        names::WITNESS_KEY,
    )
}

fn keys(layout: &Layout) -> Outcome<Keys> {
    let config = Config::load(&layout.config())?;
    let section = config.witness.as_ref().ok_or_else(|| Failure::new("witness_add_failed", "the witness is gone again"))?;
    let witness = witness::identify(section).map_err(|error| Failure::explained(&error))?.vkey;
    let origin = completion::anchors(layout)?.rekor_v2.origin;
    let public = std::fs::read_to_string(layout.join(names::REKOR_V2_PUB)).ok().and_then(|pem| PublicKey::from_pem(&pem).ok());
    let log = public.and_then(|key| log_key(&origin, &key));
    Ok(Keys { witness, log })
}

/// A log's key as its readers and witnesses are told it.
fn log_key(origin: &str, key: &PublicKey) -> Option<VerifierKey> {
    let key = match key.kind() {
        KeyKind::Ed25519 => NoteKey::Ed25519(key.key_bytes().try_into().ok()?),
        _ => NoteKey::Ecdsa(key.spki_der().to_vec()),
    };
    VerifierKey::new(origin, key).ok()
}

fn text(layout: &Layout, added: &Added<Step>, keys: &Keys) -> String {
    let dir = layout.dir().display();
    let mut text = if added.was_complete() {
        format!("{dir} has its witness already, {}; nothing was changed\n", added.public_url)
    } else {
        format!("added a witness to {dir}\n")
    };
    for done in &added.steps {
        let (what, note) = match done.step {
            Step::Key => ("key", "Ed25519, the witness's own"),
            Step::Database => ("database", "what it has seen: never restore it from a backup"),
            Step::Configuration => ("configuration", "section witness appended, all else byte for byte as it was"),
        };
        let verb = if done.made { "made" } else { "kept" };
        text.push_str(&format!("  {verb}  {what:<14} {}   {note}\n", layout.join(done.path).display()));
    }
    text.push_str(&format!(
        "  Give this line to operators of logs, for their witness policies:\n    witness {} {} {}\n",
        keys.witness.name(),
        keys.witness,
        added.public_url
    ));
    if let Some(log) = &keys.log {
        text.push_str(&format!("  Give this key of your log to operators of witnesses:\n    {log}\n"));
    }
    text.push_str(&format!(
        "Put the keys of the logs it is to watch under witness.logs, then start it with: chancery serve --config {}\n",
        layout.config().display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> witness::Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chancery.yaml");
        std::fs::write(&file, format!("admin:\n  http: {{ listen: [\"127.0.0.1:1\"] }}\n\n{section}")).unwrap();
        chassis::config::load::<Config>(&file, &chassis::config::Environment::empty()).unwrap().witness.unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let section = read(&section("https://witness.corp.example", "witness.corp.example"));
        assert_eq!(section.http, ListenConfig::loopback(7380));
        assert_eq!((section.name.as_str(), section.logs.len()), ("witness.corp.example", 0));
        assert!(section.key.ends_with(names::WITNESS_KEY) && section.database.ends_with(names::WITNESS_DB));
    }

    #[test]
    fn a_log_is_named_by_its_key() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let key = FileKey::generate(kind).unwrap();
            let public = keys::Signer::public_key(&key);
            let vkey = log_key("log1.rekor.corp.example", public).unwrap();
            assert_eq!((vkey.name(), vkey.spki_der()), ("log1.rekor.corp.example", public.spki_der().to_vec()));
            assert_eq!(vkey.to_string().parse(), Ok(vkey));
        }
    }
}
