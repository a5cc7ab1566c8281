//! Completing an installation that was made when there was less to it: what `gateway add` and `log add` have in common.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::anchors::Anchors;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layout::Layout;
use crate::names::{PublicUrl, ServiceName};
use crate::serve;

/// One run, which is the only one while this lives.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    layout: &'a Layout,
    service: ServiceName,
    /// Of the folder itself: nothing is left behind, and every file in it may be replaced meanwhile.
    _lock: File,
}

impl<'a> Completion<'a> {
    /// Begins to give `service` to the installation in `layout`.
    ///
    /// # Errors
    /// Another run is under way.
    pub(crate) fn begin(layout: &'a Layout, service: ServiceName) -> Outcome<Self> {
        let lock = File::open(layout.dir()).map_err(|error| unwritable(service, layout.dir(), &error))?;
        lock.try_lock().map_err(|error| {
            Failure::because(failed_code(service), format!("another process is completing {}", layout.dir().display()), &error)
        })?;
        Ok(Self { layout, service, _lock: lock })
    }

    /// What was made so far stays.
    pub(crate) fn unwritable(&self, path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
        unwritable(self.service, path, error)
    }

    /// `chancery.yaml` as it will be with `section` at its end, read as any start will read it: nothing is made for a file that cannot
    /// take it.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn prepare(&self, section: &str) -> Outcome<Prepared> {
        let config = self.layout.config();
        let failed = |error: io::Error| self.unwritable(&config, &error);
        let mut text = std::fs::read(&config).map_err(failed)?;
        text.extend_from_slice(if text.ends_with(b"\n") { b"\n" } else { b"\n\n" });
        text.extend_from_slice(section.as_bytes());
        let file = Replacement::of(&config, &text).map_err(failed)?;
        let read = chassis::config::load::<Config>(file.file.path(), &chassis::config::Environment::empty()).ok();
        let read = read.filter(|config| serve::listen_config(config, self.service).is_some()).ok_or_else(|| {
            Failure::new(failed_code(self.service), format!("{} cannot take a section at its end", config.display()))
                .detail(section.to_owned())
                .advise("Nothing was changed. Write the section into the file yourself where it fits, and remove it again once its files exist; or give the file block style at its top level and run this again.")
        })?;
        Ok(Prepared { file, config: read })
    }

    /// Makes `prepared` the configuration.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn publish(&self, prepared: Prepared) -> Outcome {
        self.put(prepared.file)
    }

    /// Replaces a file, whole or not at all, or makes it, with mode and owner of `like`. Says whether it had other content.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8], like: &Path) -> Outcome<bool> {
        if std::fs::read(path).is_ok_and(|there| there == bytes) {
            return Ok(false);
        }
        self.put(Replacement::like(path, bytes, like).map_err(|error| self.unwritable(path, &error))?)?;
        Ok(true)
    }

    fn put(&self, file: Replacement) -> Outcome {
        let path = file.path.clone();
        file.put().map_err(|error| self.unwritable(&path, &error))
    }

    /// Whoever completes an installation as root completes it for the account that runs it.
    ///
    /// # Errors
    /// The file is not there.
    pub(crate) fn give_to_owner(&self, path: &Path) -> Outcome {
        give_to_owner(self.layout.dir(), path).map_err(|error| self.unwritable(path, &error))
    }
}

/// The configuration with the section, under another name.
#[derive(Debug)]
pub(crate) struct Prepared {
    file: Replacement,
    /// What it says.
    pub config: Config,
}

/// A file with another's content, in the same folder.
#[derive(Debug)]
struct Replacement {
    file: NamedTempFile,
    /// The real file, behind any link.
    path: PathBuf,
}

impl Replacement {
    fn of(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        Self::like(path, bytes, path)
    }

    fn like(path: &Path, bytes: &[u8], like: &Path) -> io::Result<Self> {
        let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
        let mut file = NamedTempFile::new_in(folder_of(&path))?;
        file.write_all(bytes)?;
        let metadata = like.metadata()?;
        file.as_file().set_permissions(metadata.permissions())?;
        std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
        file.as_file().sync_all()?;
        Ok(Self { file, path })
    }

    fn put(self) -> io::Result<()> {
        self.file.persist(&self.path).map_err(|error| error.error)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn give_to_owner(dir: &Path, path: &Path) -> io::Result<()> {
    let (owner, ours) = (dir.metadata()?, path.metadata()?);
    if owner.uid() == 0 {
        return Ok(());
    }
    // A folder that is the owner's may have got a file that is not.
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_to_owner(dir, &entry?.path())?;
        }
    }
    if ours.uid() == 0 { std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())) } else { Ok(()) }
}

fn unwritable(service: ServiceName, path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because(failed_code(service), format!("{} cannot be written", path.display()), error)
        .advise("What was made so far stays and is kept: mend the cause and run this again.")
}

/// The code of whatever keeps a service from being added.
pub(crate) const fn failed_code(service: ServiceName) -> &'static str {
    match service {
        ServiceName::Registry => "gateway_add_failed",
        _ => "log_add_failed",
    }
}

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Done<S> {
    /// Which one.
    pub step: S,
    /// The file or folder, below `D/`.
    pub path: &'static str,
    /// Whether this run made it; else it was there.
    pub made: bool,
}

/// What became of an addition.
#[derive(Debug)]
pub(crate) struct Added<S> {
    /// What clients call the service.
    pub public_url: String,
    /// None when the installation had it already.
    pub steps: Vec<Done<S>>,
}

impl<S> Added<S> {
    /// Whether there was nothing to do.
    pub(crate) fn was_complete(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The public URL of a service that is added: the one that was given, or the one below the installation's domain.
///
/// # Errors
/// The installation's services are not below one domain and none was given, or one for another service.
pub(crate) fn public_url(layout: &Layout, service: ServiceName, given: Option<&PublicUrl>) -> Outcome<String> {
    match given {
        Some(PublicUrl(named, url)) if *named == service => return Ok(url.clone()),
        Some(PublicUrl(named, _)) => {
            let expected = format!("{named} is not added here; expected --public-url {service}=URL");
            return Err(Failure::usage("usage", expected));
        }
        None => {}
    }
    let anchors = anchors(layout)?;
    anchors.public_urls.domain().map(|domain| service.url_below(domain)).ok_or_else(|| {
        let what = format!("the {} has no public URL: this installation's services are not below one domain", service.title());
        Failure::usage("name_invalid", what).advise(format!("Give --public-url {service}=URL."))
    })
}

/// What the installation in `layout` was created with.
///
/// # Errors
/// `anchors.json` is missing or damaged.
pub(crate) fn anchors(layout: &Layout) -> Outcome<Anchors> {
    Anchors::load(&layout.anchors()).map_err(|error| {
        Failure::because("anchors_damaged", "what this installation was created with is not known", &error)
            .advise("Restore anchors.json from the backup that holds the keys and databases.")
    })
}

/// The well-known port in a lab that uses well-known ones, any free one in another.
pub(crate) fn lab_port(config: &Config, service: ServiceName) -> u16 {
    let well_known = config
        .fulcio
        .as_ref()
        .is_some_and(|fulcio| fulcio.http.listen.first().is_some_and(|address| address.port() == ServiceName::Fulcio.port()));
    if well_known { service.port() } else { 0 }
}
