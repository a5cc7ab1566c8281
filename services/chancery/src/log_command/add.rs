//! Completing an installation that was made before there was a Rekor v1 log.
//!
//! Clients keep every trust they have: the documents get one log more and lose nothing, and the TUF repository goes on where it is, with
//! the same root. `chancery.yaml` comes last, so a crash leaves an installation that runs as it did, and what was made is kept by the
//! next run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::config::{DatabasePlace, ListenConfig};
use chassis::listen::Listener;
use clock::{Clock, SystemClock};
use rekor::v1::Created;
use serde::Serialize;

use super::trust::{Known, TufSigners, create_key, same_root, targets_key, unfinished};
use crate::anchors::{Anchors, LogAnchors, sha256_hex};
use crate::completion::{self, Completion, Done, lab_port};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::init::distinct_keys;
use crate::init::text;
use crate::init::trust::{Documents, NewLog};
use crate::lab::env::Environment;
use crate::layout::{Layout, names};
use crate::names::{PublicUrl, ServiceName};
use crate::serve;

/// Whatever keeps the log from being added.
const CODE: &str = "log_add_failed";

/// The log that an installation is to get.
#[derive(Debug)]
pub(crate) struct Addition {
    public_url: String,
    http: ListenConfig,
    /// Where the key is that signs TUF's targets.
    offline_keys: PathBuf,
}

impl Addition {
    /// For the installation in `layout`: below its domain, or on the loopback of a lab.
    ///
    /// # Errors
    /// The folder holds no installation, or it says nothing of where its log would be.
    pub(crate) async fn of(layout: &Layout, public_url: Option<&PublicUrl>, offline_keys: Option<&Path>) -> Outcome<Self> {
        let config = Config::load(&layout.config())?;
        let offline_keys = offline_keys.map_or_else(|| layout.join(names::OFFLINE), Path::to_owned);
        if config.lab.is_some() {
            // Let go at once: the port is taken for good when the lab starts.
            let port = published_port(layout)?.unwrap_or(lab_port(&config, ServiceName::RekorV1));
            let listener = serve::bind(ServiceName::RekorV1.section(), &ListenConfig::loopback(port)).await?;
            return Ok(Self { offline_keys, ..Self::for_lab(layout, &listener) });
        }
        let public_url = completion::public_url(layout, ServiceName::RekorV1, public_url)?;
        Ok(Self { public_url, http: ListenConfig::loopback(ServiceName::RekorV1.port()), offline_keys })
    }

    /// For a lab whose log `listener` is bound for.
    pub(crate) fn for_lab(layout: &Layout, listener: &Listener) -> Self {
        let http = ListenConfig::plain(listener.addresses());
        Self { public_url: listener.url(), http, offline_keys: layout.join(names::OFFLINE) }
    }

    /// Whether the key is there that signs TUF's targets. It may have been taken offline, as it should be.
    pub(crate) fn has_targets_key(&self) -> bool {
        targets_key(&self.offline_keys).exists()
    }
}

/// The port that clients of the lab in `layout` know the log by, when a run was cut off after it had told them.
///
/// # Errors
/// `anchors.json` is missing or damaged.
pub(crate) fn published_port(layout: &Layout) -> Outcome<Option<u16>> {
    let anchors = completion::anchors(layout)?;
    let url = anchors.public_urls.get(ServiceName::RekorV1);
    Ok(url.and_then(|url| url::Url::parse(url).ok()?.port_or_known_default()))
}

/// What an installation gets, in the order it gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The log's key.
    Key,
    /// The log in its database.
    Log,
    /// The targets of the TUF repository.
    TrustRoot,
    /// The files for clients.
    Documents,
    /// What start-up compares.
    Anchors,
    /// A lab's environment for clients.
    Environment,
    /// The section of the configuration.
    Configuration,
}

/// What became of an [`Addition`].
pub(crate) type Added = completion::Added<Step>;

/// Gives the installation in `layout` its log. Run again after a crash, it keeps what is there and makes the rest.
///
/// # Errors
/// Another run is under way, the log's database is in use, the key of TUF's targets is not there, or something cannot be written.
pub(crate) async fn complete(layout: &Layout, addition: Addition) -> Outcome<Added> {
    // 1. One run at a time.
    let completion = Completion::begin(layout, CODE)?;
    let config = Config::load(&layout.config())?;
    if let Some(section) = config.rekor_v1 {
        return Ok(Added { public_url: section.public_url, steps: Vec::new() });
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    // 2. Everything that is there and must fit, and the configuration as it will be. Nothing is made before all of it is found good.
    let anchors = completion::anchors(layout)?;
    if let Some(other) = &anchors.unfinished {
        return Err(unfinished(CODE, other));
    }
    let known = Known::read(layout, &anchors, CODE)?;
    let section = text::rekor_v1(&addition.public_url, &addition.http, &database_of(&config, layout));
    let prepared = completion.prepare(&section, ServiceName::RekorV1)?;
    let section = prepared.config.rekor_v1.as_ref().expect("a prepared configuration has the section");
    let publication = match &anchors.rekor_v1 {
        None => Publication::Due(Box::new(TufSigners::load(&config, &addition.offline_keys, CODE)?)),
        Some(log) => {
            same_name(&anchors, &addition.public_url)?;
            Publication::Done(log)
        }
    };

    let mut steps = Vec::new();
    let mut done = |step, path, made| steps.push(Done { step, path, made });

    // 3. Key and log. Nobody knows of them yet, unless a run was cut off after it had published them: then there is one that it can be.
    let key = layout.join(names::REKOR_V1_KEY);
    let key_made = match &publication {
        Publication::Due(_) => create_key(&key).map_err(|error| completion.unwritable(&key, &*error))?,
        Publication::Done(log) => {
            let published = serve::first_checkpoint(log)?;
            let log = rekor::v1::open(section, clock.clone(), published).await;
            log.map_err(|error| Failure::explained(&error))?.close().await;
            false
        }
    };
    done(Step::Key, names::REKOR_V1_KEY, key_made);
    let log = rekor::v1::complete(section, clock.clone()).await.map_err(|error| Failure::explained(&error))?;
    done(Step::Log, names::REKOR_DB, log.made);
    completion.give_to_owner(&key)?;
    if let DatabasePlace::File(file) = &section.database {
        completion.give_to_owner(file)?;
    }

    // 4. What clients are told, by TUF first: anchors and files follow what is published.
    let new = NewLog { url: &addition.public_url, key: &log.identity.public_key, since: log.since };
    let documents = Documents::with_rekor_v1(known.trusted_root, known.signing_config, new)
        .map_err(|error| Failure::because(CODE, "what clients are told cannot name the log", &error))?;
    let after = anchored(&anchors, &addition.public_url, &log, &documents)?;
    distinct_keys(&after)?;
    if let Publication::Due(signers) = &publication {
        signers.publish(&documents, vec![new.target()], clock.as_ref()).await?;
        completion.give_to_owner(&signers.place.directory)?;
        completion.give_to_owner(&signers.place.state)?;
    }
    done(Step::TrustRoot, names::TUF_REPOSITORY, matches!(publication, Publication::Due(_)));

    // 5. The anchors, which let the old trusted root pass until the new one is in its place; then the files.
    let path = layout.anchors();
    let anchors_made = completion.replace(&path, after.to_json().as_bytes(), &path)?;
    let like = layout.join(names::TRUSTED_ROOT);
    let mut made = completion.replace(&layout.join(names::REKOR_V1_PUB), log.identity.public_key.to_pem().as_bytes(), &like)?;
    for (name, bytes) in documents.files() {
        made |= completion.replace(&layout.join(name), &bytes, &like)?;
    }
    done(Step::Documents, "trust", made);
    let whole = Anchors { trusted_root_before: None, ..after };
    let anchors_made = completion.replace(&path, whole.to_json().as_bytes(), &path)? || anchors_made;
    done(Step::Anchors, "anchors.json", anchors_made);

    // 6. What a lab's clients read.
    if layout.env().exists() {
        let written = Environment::add_rekor_v1(layout, &addition.public_url);
        done(Step::Environment, "env", written.map_err(|error| completion.unwritable(&layout.env(), &error))?);
    }

    // 7. The configuration: from here on the installation has the log.
    completion.publish(prepared)?;
    done(Step::Configuration, "chancery.yaml", true);
    Ok(Added { public_url: addition.public_url, steps })
}

/// Whether clients have been told of the log.
enum Publication<'a> {
    /// Not yet, or nothing is known of it, and telling them again does no harm.
    Due(Box<TufSigners>),
    /// By a run that was cut off after that.
    Done(&'a LogAnchors),
}

/// A log that clients have been told of keeps its name.
fn same_name(anchors: &Anchors, public_url: &str) -> Outcome {
    let published = anchors.public_urls.get(ServiceName::RekorV1).unwrap_or_default();
    if published == public_url {
        return Ok(());
    }
    Err(Failure::new("anchor_mismatch", "this log has another public URL already")
        .detail(format!("asked for  {public_url}"))
        .detail(format!("published  {published}"))
        .advise(format!("A run that was cut off has published it: finish that one with --public-url rekor-v1={published}.")))
}

/// The anchors of the installation with the log, while the trusted root from before it may still lie there.
fn anchored(before: &Anchors, public_url: &str, log: &Created, documents: &Documents) -> Outcome<Anchors> {
    let trusted_root = sha256_hex(&documents.trusted_root.to_json());
    if before.rekor_v1.is_some() {
        return same_root(&trusted_root, before).map(|()| before.clone());
    }
    Ok(Anchors {
        public_urls: before.public_urls.clone().with(ServiceName::RekorV1, public_url),
        rekor_v1: Some(LogAnchors::new(
            log.identity.origin.clone(),
            hex::encode(log.identity.public_key.fingerprint()),
            log.checkpoint.clone(),
        )),
        trusted_root,
        trusted_root_before: Some(before.trusted_root.clone()),
        ..before.clone()
    })
}

/// The database of the other Rekor log, as the section names it, with the password for it.
fn database_of(config: &Config, layout: &Layout) -> String {
    let same = |path: &Path, other: &Path| match (path.canonicalize(), other.canonicalize()) {
        (Ok(path), Ok(other)) => path == other,
        _ => false,
    };
    let Some(other) = &config.rekor_v2 else { return names::REKOR_DB.to_owned() };
    match &other.database {
        DatabasePlace::File(file) if same(file, &layout.join(names::REKOR_DB)) => names::REKOR_DB.to_owned(),
        place => text::database(&place.to_string(), other.database_password_file.as_deref()),
    }
}

#[cfg(test)]
pub(super) mod tests;
