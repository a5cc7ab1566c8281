//! Completing an installation that was made before there was a registry.
//!
//! Nothing that exists is changed but `chancery.yaml`, which gets one section more and is replaced last, by one rename. So a crash
//! leaves an installation that runs as it did, and some files that the next run keeps.

use std::fs::File;
use std::path::Path;

use chassis::config::ListenConfig;
use chassis::listen::Listener;
use serde::Serialize;

use super::{section, token};
use crate::completion::{self, Completion, Done, lab_port};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::lab::env::Environment;
use crate::layout::{Layout, names};
use crate::names::{PublicUrl, ServiceName};
use crate::serve;

/// Whatever keeps a registry from being added.
const CODE: &str = "gateway_add_failed";

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
            let port = lab_port(&config, ServiceName::Registry);
            let listener = serve::bind(ServiceName::Registry.section(), &ListenConfig::loopback(port)).await?;
            return Self::for_lab(&config, &listener);
        }
        let http = ListenConfig::loopback(ServiceName::Registry.port());
        let public_url = completion::public_url(layout, ServiceName::Registry, public_url)?;
        Ok(Self { public_url, http, issuer: None })
    }

    /// For a lab whose registry `listener` is bound for.
    ///
    /// # Errors
    /// It is no lab.
    pub(crate) fn for_lab(config: &Config, listener: &Listener) -> Outcome<Self> {
        let Some(lab) = &config.lab else { return Err(Failure::new("not_a_lab", "this installation is no lab")) };
        let http = ListenConfig::plain(listener.addresses());
        Ok(Self { public_url: lab_url(listener), http, issuer: Some(lab.public_url.clone()) })
    }
}

/// `localhost` and not an address: it is the one name that every released client takes plain HTTP from without a flag.
pub(crate) fn lab_url(listener: &Listener) -> String {
    format!("http://localhost:{}", listener.port())
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

/// What became of an [`Addition`].
pub(crate) type Added = completion::Added<Step>;

/// Gives the installation in `layout` its registry. Run again after a crash, it keeps what is there and makes the rest.
///
/// # Errors
/// Another run is under way, or something cannot be written.
pub(crate) async fn complete(layout: &Layout, addition: Addition) -> Outcome<Added> {
    // 1. One run at a time.
    let completion = Completion::begin(layout, CODE)?;
    if let Some(gateway) = Config::load(&layout.config())?.gateway {
        return Ok(Added { public_url: gateway.public_url, steps: Vec::new() });
    }

    // 2. The configuration as it will be.
    let section = section::text(&addition.public_url, &addition.http, addition.issuer.as_deref());
    let prepared = completion.prepare(&section, ServiceName::Registry)?;
    let gateway = prepared.config.gateway.as_ref().expect("a prepared configuration has the section");

    // 3. The token, 4. the folder of blobs and the database, complete when they get their names.
    let mut steps = Vec::new();
    let mut done = |step, path, made| steps.push(Done { step, path, made });
    let path = layout.join(names::PROMOTION_TOKEN);
    done(Step::Token, names::PROMOTION_TOKEN, token::create(&path).map_err(|error| completion.unwritable(&path, &error))?);
    let stores = create_stores(layout, gateway, &completion).await?;
    done(Step::Blobs, names::BLOBS, stores.blobs);
    done(Step::Database, names::GATEWAY_DB, stores.database);

    // 5. What a lab's clients read.
    if layout.env().exists() {
        let written = Environment::add_registry(layout, &addition.public_url);
        done(Step::Environment, "env", written.map_err(|error| completion.unwritable(&layout.env(), &error))?);
    }

    // 6. The configuration: from here on the installation has a registry.
    for path in [names::PROMOTION_TOKEN, names::BLOBS, names::GATEWAY_DB] {
        completion.give_to_owner(&layout.join(path))?;
    }
    completion.publish(prepared)?;
    done(Step::Configuration, "chancery.yaml", true);
    Ok(Added { public_url: addition.public_url, steps })
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
async fn create_stores(layout: &Layout, gateway: &gateway::Config, completion: &Completion<'_>) -> Outcome<Stores> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| completion.unwritable(&path, &error)
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

#[cfg(test)]
mod tests;
