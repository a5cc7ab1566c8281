//! Completing an installation that was made before there was a registry.
//!
//! Nothing that exists is changed but `chancery.yaml`, which gets one section more and is replaced last, by one rename. So a crash
//! leaves an installation that runs as it did, and some files that the next run keeps.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chassis::config::ListenConfig;
use chassis::listen::Listener;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::{section, token};
use crate::anchors::Anchors;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::lab::env::Environment;
use crate::layout::{Layout, names};
use crate::names::{PublicUrl, ServiceName};
use crate::serve;

/// The registry that an installation is to get.
#[derive(Debug)]
pub(crate) struct Addition {
    public_url: String,
    http: ListenConfig,
    /// In a lab, where its issuer is.
    issuer: Option<String>,
}

impl Addition {
    /// For the installation in `layout`: below its domain, or on the loopback of a lab.
    ///
    /// # Errors
    /// The folder holds no installation, or it says nothing of where its registry would be.
    pub(crate) async fn of(layout: &Layout, public_url: Option<&PublicUrl>) -> Outcome<Self> {
        let config = Config::load(&layout.config())?;
        if config.lab.is_some() {
            // Let go at once: the port is taken for good when the lab starts.
            let listener = serve::bind(ServiceName::Registry.section(), &ListenConfig::loopback(lab_port(&config))).await?;
            return Self::for_lab(&config, &listener);
        }
        let http = ListenConfig::loopback(ServiceName::Registry.port());
        let public_url = match public_url {
            Some(PublicUrl(ServiceName::Registry, url)) => url.clone(),
            Some(PublicUrl(service, _)) => {
                return Err(Failure::usage("usage", format!("{service} is not added here; expected --public-url registry=URL")));
            }
            None => below_domain(layout)?,
        };
        Ok(Self { public_url, http, issuer: None })
    }

    /// For a lab whose registry `listener` is bound for.
    ///
    /// # Errors
    /// It is no lab.
    pub(crate) fn for_lab(config: &Config, listener: &Listener) -> Outcome<Self> {
        let Some(lab) = &config.lab else { return Err(Failure::new("not_a_lab", "this installation is no lab")) };
        let http = ListenConfig { listen: listener.addresses(), tls: None, behind_proxy: false };
        Ok(Self { public_url: lab_url(listener), http, issuer: Some(lab.public_url.clone()) })
    }
}

/// `localhost` and not an address: it is the one name that every released client takes plain HTTP from without a flag.
pub(crate) fn lab_url(listener: &Listener) -> String {
    format!("http://localhost:{}", listener.port())
}

/// The well-known port in a lab that uses well-known ones, any free one in another.
pub(crate) fn lab_port(config: &Config) -> u16 {
    let well_known = config
        .fulcio
        .as_ref()
        .is_some_and(|fulcio| fulcio.http.listen.first().is_some_and(|address| address.port() == ServiceName::Fulcio.port()));
    if well_known { ServiceName::Registry.port() } else { 0 }
}

fn below_domain(layout: &Layout) -> Outcome<String> {
    let anchors = Anchors::load(&layout.anchors()).map_err(|error| {
        Failure::because("anchors_damaged", "what this installation was created with is not known", &error)
            .advise("Restore anchors.json from the backup that holds the keys and databases.")
    })?;
    anchors.public_urls.domain().map(|domain| ServiceName::Registry.url_below(domain)).ok_or_else(|| {
        Failure::usage("name_invalid", "the registry has no public URL: this installation's services are not below one domain")
            .advise("Give --public-url registry=URL.")
    })
}

/// What an installation gets, in the order it gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The secret of whoever may promote.
    Token,
    /// The folder of blobs.
    Blobs,
    /// The database.
    Database,
    /// A lab's environment for clients.
    Environment,
    /// The section of the configuration.
    Configuration,
}

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    /// Which one.
    pub step: Step,
    /// The file or folder, below `D/`.
    pub path: &'static str,
    /// Whether this run made it; else it was there.
    pub made: bool,
}

/// What became of an [`Addition`].
#[derive(Debug)]
pub(crate) struct Added {
    /// What clients call the registry.
    pub public_url: String,
    /// None when the installation had its registry already.
    pub steps: Vec<Done>,
}

impl Added {
    /// Whether there was nothing to do.
    pub(crate) fn was_complete(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Gives the installation in `layout` its registry. Run again after a crash, it keeps what is there and makes the rest.
///
/// # Errors
/// Another run is under way, or something cannot be written.
pub(crate) async fn complete(layout: &Layout, addition: Addition) -> Outcome<Added> {
    // 1. One run at a time. The file that is locked is never replaced, so nothing is left behind.
    let lock = File::open(layout.anchors()).map_err(|error| unwritable(&layout.anchors(), &error))?;
    lock.try_lock().map_err(|error| {
        Failure::because("gateway_add_failed", format!("another process is completing {}", layout.dir().display()), &error)
    })?;
    if let Some(gateway) = Config::load(&layout.config())?.gateway {
        return Ok(Added { public_url: gateway.public_url, steps: Vec::new() });
    }

    // 2. The configuration as it will be, read as any start will read it: nothing is made for a file that cannot take it.
    let section = section::text(&addition.public_url, &addition.http, addition.issuer.as_deref());
    let prepared = Prepared::new(&layout.config(), &section)?;

    // 3. The token, 4. the folder of blobs and the database, complete when they get their names.
    let mut steps = Vec::new();
    let mut done = |step, path, made| steps.push(Done { step, path, made });
    let path = layout.join(names::PROMOTION_TOKEN);
    done(Step::Token, names::PROMOTION_TOKEN, token::create(&path).map_err(|error| unwritable(&path, &error))?);
    let stores = create_stores(layout, &prepared.gateway).await?;
    done(Step::Blobs, names::BLOBS, stores.blobs);
    done(Step::Database, names::GATEWAY_DB, stores.database);

    // 5. What a lab's clients read.
    if layout.env().exists() {
        let written = Environment::add_registry(layout, &addition.public_url);
        done(Step::Environment, "env", written.map_err(|error| unwritable(&layout.env(), &error))?);
    }

    // 6. The configuration: from here on the installation has a registry.
    for path in [names::PROMOTION_TOKEN, names::BLOBS, names::GATEWAY_DB] {
        give_to_owner(layout.dir(), &layout.join(path)).map_err(|error| unwritable(&layout.join(path), &error))?;
    }
    prepared.publish()?;
    done(Step::Configuration, "chancery.yaml", true);
    Ok(Added { public_url: addition.public_url, steps })
}

/// `chancery.yaml` with the section, under another name.
struct Prepared {
    file: NamedTempFile,
    /// The real file, behind any link.
    path: PathBuf,
    gateway: gateway::Config,
}

impl Prepared {
    fn new(config: &Path, section: &str) -> Outcome<Self> {
        let failed = |error: std::io::Error| unwritable(config, &error);
        let path = config.canonicalize().map_err(failed)?;
        let before = std::fs::read(&path).map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let write = || {
            let mut file = NamedTempFile::new_in(folder)?;
            file.write_all(&before)?;
            file.write_all(if before.ends_with(b"\n") { b"\n" } else { b"\n\n" })?;
            file.write_all(section.as_bytes())?;
            let metadata = path.metadata()?;
            file.as_file().set_permissions(metadata.permissions())?;
            std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(failed)?;
        let read = chassis::config::load::<Config>(file.path(), &chassis::config::Environment::empty());
        let gateway = read.ok().and_then(|config| config.gateway).ok_or_else(|| {
            Failure::new("gateway_add_failed", format!("{} cannot take a section at its end", config.display()))
                .detail(section.to_owned())
                .advise("Nothing was changed. Write the section into the file yourself where it fits, and remove it again once its files exist; or give the file block style at its top level and run this again.")
        })?;
        Ok(Self { file, path, gateway })
    }

    fn publish(self) -> Outcome {
        let Self { file, path, .. } = self;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let published = file.persist(&path).map_err(|error| error.error).and_then(|_| File::open(folder)?.sync_all());
        published.map_err(|error| unwritable(&path, &error))
    }
}

/// Which of them had to be made.
struct Stores {
    blobs: bool,
    database: bool,
}

/// Where the stores are made before they get their names; what a crash left there is cleared away.
const UNFINISHED: &str = ".gateway-unfinished";

/// Makes folder and database in a folder of their own and gives each its name when it is whole. The database comes last: with it
/// there is a registry to serve.
async fn create_stores(layout: &Layout, gateway: &gateway::Config) -> Outcome<Stores> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| unwritable(&path, &error)
    };
    let work = layout.join(UNFINISHED);
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(failed(&work))?;
    }
    let (database, blobs) = (layout.join(names::GATEWAY_DB), layout.join(names::BLOBS));
    let missing = Stores { blobs: !blobs.exists(), database: !database.exists() };
    if !missing.blobs && !missing.database {
        return Ok(missing);
    }
    std::fs::create_dir(&work).map_err(failed(&work))?;
    let (new_database, new_blobs) = (work.join("gateway.db"), work.join("blobs"));
    let apart = gateway::Config { database: new_database.as_path().into(), blobs: new_blobs.as_path().into(), ..gateway.clone() };
    gateway::create(&apart).await.map_err(|error| Failure::explained(&error))?;
    crate::init::sync_tree(&work).map_err(failed(&work))?;
    if missing.blobs {
        std::fs::rename(&new_blobs, &blobs).map_err(failed(&blobs))?;
    }
    if missing.database {
        // A link cannot replace a file, as a rename would.
        let folder = database.parent().unwrap_or(layout.dir());
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        std::fs::hard_link(&new_database, &database).map_err(failed(&database))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
    }
    std::fs::remove_dir_all(&work).map_err(failed(&work))?;
    File::open(layout.dir()).and_then(|dir| dir.sync_all()).map_err(failed(layout.dir()))?;
    Ok(missing)
}

/// Whoever completes an installation as root completes it for the account that runs it.
fn give_to_owner(dir: &Path, path: &Path) -> std::io::Result<()> {
    let (owner, ours) = (dir.metadata()?, path.metadata()?);
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid()) || ours.uid() != 0 {
        return Ok(());
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_to_owner(dir, &entry?.path())?;
        }
    }
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn unwritable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because("gateway_add_failed", format!("{} cannot be written", path.display()), error)
        .advise("What was made so far stays and is kept: mend the cause and run this again.")
}

#[cfg(test)]
mod tests;
