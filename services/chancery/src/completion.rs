//! Changing an installation that is there: what `gateway add` and the commands of `log` have in common.

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
    /// Of whatever keeps it from being done.
    code: &'static str,
    /// Of the folder itself: nothing is left behind, and every file in it may be replaced meanwhile.
    _lock: File,
}

impl<'a> Completion<'a> {
    /// Begins to change the installation in `layout`; what keeps that from being done is reported under `code`.
    ///
    /// # Errors
    /// Another run is under way.
    pub(crate) fn begin(layout: &'a Layout, code: &'static str) -> Outcome<Self> {
        let lock = File::open(layout.dir()).map_err(|error| unwritable(code, layout.dir(), &error))?;
        lock.try_lock()
            .map_err(|error| Failure::because(code, format!("another process is changing {}", layout.dir().display()), &error))?;
        Ok(Self { layout, code, _lock: lock })
    }

    /// What was made so far stays.
    pub(crate) fn unwritable(&self, path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
        unwritable(self.code, path, error)
    }

    /// `chancery.yaml` as it will be with `section` at its end, read as any start will read it: nothing is made for a file that cannot
    /// take it.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn prepare(&self, section: &str, service: ServiceName) -> Outcome<Prepared> {
        let prepared = self.prepare_text(|text| appended(text, section))?;
        prepared.filter(|prepared| serve::listen_config(&prepared.config, service).is_some()).ok_or_else(|| {
            Failure::new(self.code, format!("{} cannot take a section at its end", self.layout.config().display()))
                .detail(section.to_owned())
                .advise("Nothing was changed. Write the section into the file yourself where it fits, and remove it again once its files exist; or give the file block style at its top level and run this again.")
        })
    }

    /// `chancery.yaml` as it will be with `item` at the end of `list`, and with nothing else changed.
    ///
    /// # Errors
    /// It cannot take that.
    pub(crate) fn prepare_item(&self, list: &str, item: &str) -> Outcome<Prepared> {
        let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
        let path = self.layout.config();
        let before = value(&self.read()?);
        let longer_by_one = |prepared: &Prepared| {
            let mut after = value(&prepared.config);
            let added = after[list].as_array_mut().and_then(Vec::pop);
            if after[list].as_array().is_some_and(Vec::is_empty) {
                after.as_object_mut().map(|config| config.remove(list));
            }
            added.is_some() && after == before
        };
        let prepared = self.prepare_text(|text| with_item(text, list, item))?;
        prepared.filter(longer_by_one).ok_or_else(|| {
            Failure::new(self.code, format!("{} cannot take an item at the end of its list {list}", path.display()))
                .detail(format!("- {item}"))
                .advise(format!(
                    "Nothing was changed. Give the list {list} block style, with items indented below it, and run this again."
                ))
        })
    }

    /// `chancery.yaml` with other values of some keys of a section within a section, and with nothing else changed; `change` says what
    /// that makes of the configuration.
    ///
    /// # Errors
    /// It cannot take that.
    pub(crate) fn prepare_values(
        &self,
        section: &str,
        inner: &str,
        values: &[(&str, String)],
        change: impl FnOnce(&mut Config),
    ) -> Outcome<Prepared> {
        let value = |config: &Config| serde_json::to_value(config).unwrap_or_default();
        let mut expected = self.read()?;
        change(&mut expected);
        let expected = value(&expected);
        let prepared = self.prepare_text(|text| with_values(text, section, inner, values))?;
        prepared.filter(|prepared| value(&prepared.config) == expected).ok_or_else(|| {
            let lines = values.iter().map(|(key, value)| format!("{key}: {value}"));
            let failure = Failure::new(
                self.code,
                format!("{section}.{inner} in {} cannot be changed here", self.layout.config().display()),
            );
            lines
                .fold(failure, Failure::detail)
                .advise("Nothing was changed. Write these lines there yourself, and run this again.")
        })
    }

    /// The configuration as the file alone says.
    fn read(&self) -> Outcome<Config> {
        let path = self.layout.config();
        // As the replacement is read: behind any link.
        let path = path.canonicalize().unwrap_or(path);
        chassis::config::load(&path, &chassis::config::Environment::empty()).map_err(|error| Failure::explained(&error))
    }

    /// A path below the installation's folder, as the configuration has it.
    pub(crate) fn join(&self, relative: &str) -> PathBuf {
        let config = self.layout.config();
        folder_of(&config.canonicalize().unwrap_or(config)).join(relative)
    }

    /// `chancery.yaml` after an edit; none when it cannot be read any more.
    fn prepare_text(&self, edit: impl FnOnce(&str) -> String) -> Outcome<Option<Prepared>> {
        let path = self.layout.config();
        let failed = |error: io::Error| self.unwritable(&path, &error);
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let file = Replacement::of(&path, edit(&text).as_bytes()).map_err(failed)?;
        let read = chassis::config::load::<Config>(file.file.path(), &chassis::config::Environment::empty()).ok();
        Ok(read.map(|config| Prepared { file, config }))
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

/// A text with a section at its end.
fn appended(text: &str, section: &str) -> String {
    let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
    format!("{text}{gap}{section}")
}

/// A text with an item after the last one of a list at its top level; with the list at its end when there is none.
///
/// Whether that is what was wanted is for who reads the result to find out: YAML has more spellings than are looked for here.
fn with_item(text: &str, list: &str, item: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_head = |line: &&str| line.strip_prefix(list).is_some_and(|rest| rest.starts_with(':'));
    let Some(head) = lines.iter().position(is_head) else {
        return appended(text, &format!("{list}:\n  - {item}\n"));
    };
    let of_list = |line: &&&str| line.starts_with([' ', '-']) || line.trim().is_empty();
    let below: Vec<&&str> = lines[head + 1..].iter().take_while(of_list).collect();
    let length = below.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    let first = below.iter().find(|line| line.trim_start().starts_with('-'));
    let indent = first.map_or(2, |line| line.len() - line.trim_start().len());
    let (before, after) = lines.split_at(head + 1 + length);
    let before = before.concat();
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    format!("{before}{gap}{:indent$}- {item}\n{}", "", after.concat())
}

/// A text with other values of some keys in a section within a section at its top level. They are single lines, or all of them on the
/// line of the inner section, which then has no others.
///
/// As with lists, whether that is what was wanted is for who reads the result to find out.
fn with_values(text: &str, section: &str, inner: &str, values: &[(&str, String)]) -> String {
    let (mut in_section, mut inner_indent) = (false, None);
    let mut changed = String::with_capacity(text.len() + 256);
    for line in text.split_inclusive('\n') {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let key = content.split(':').next().unwrap_or_default();
        let blank = content.is_empty() || content.starts_with('#');
        if !blank && indent == 0 {
            in_section = key == section;
        }
        if !blank && inner_indent.is_some_and(|outer| indent <= outer) {
            inner_indent = None;
        }
        let spaces = &line[..indent];
        let value = values.iter().find(|(name, _)| *name == key).filter(|_| inner_indent.is_some() && !blank);
        if let Some((name, value)) = value {
            changed.push_str(&format!("{spaces}{name}: {value}\n"));
        } else if in_section && !blank && key == inner && content.trim_end().ends_with('}') {
            let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            changed.push_str(&format!("{spaces}{inner}: {{ {} }}\n", pairs.join(", ")));
        } else {
            if in_section && !blank && key == inner && indent > 0 {
                inner_indent = Some(indent);
            }
            changed.push_str(line);
        }
    }
    changed
}

/// The configuration after a change, under another name.
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

fn unwritable(code: &'static str, path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because(code, format!("{} cannot be written", path.display()), error)
        .advise("What was made so far stays and is kept: mend the cause and run this again.")
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

impl<S: Copy> Added<S> {
    /// A line for each step that was done, `described` as what it made and what that is for.
    pub(crate) fn lines(&self, layout: &Layout, described: impl Fn(S) -> (&'static str, &'static str)) -> String {
        let line = |done: &Done<S>| {
            let (what, note) = described(done.step);
            let verb = if done.made { "made" } else { "kept" };
            format!("  {verb}  {what:<16} {}   {note}\n", layout.join(done.path).display())
        };
        self.steps.iter().map(line).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_change_where_they_are() {
        let values = [("url", "\"u2\"".to_owned()), ("public_key", "\"k2\"".to_owned())];
        for (before, after) in [
            (
                "ctlog:\n  url: x\nfulcio:\n  # ct_log:\n  url: y\n  ct_log: # where\n    url: \"u1\"\n    # its key\n    public_key: k1\n    ca_cert: c\n  key: z\ntsa:\n  ct_log:\n    url: w\n",
                "ctlog:\n  url: x\nfulcio:\n  # ct_log:\n  url: y\n  ct_log: # where\n    url: \"u2\"\n    # its key\n    public_key: \"k2\"\n    ca_cert: c\n  key: z\ntsa:\n  ct_log:\n    url: w\n",
            ),
            (
                "fulcio:\n    ct_log: { public_key: k1, url: u1 }\n    key: z\n",
                "fulcio:\n    ct_log: { url: \"u2\", public_key: \"k2\" }\n    key: z\n",
            ),
            ("tsa:\n  ct_log:\n    url: w\n", "tsa:\n  ct_log:\n    url: w\n"),
        ] {
            assert_eq!(with_values(before, "fulcio", "ct_log", &values), after);
        }
    }

    #[test]
    fn an_item_goes_to_the_end_of_its_list() {
        for (before, after) in [
            ("a: 1\n", "a: 1\n\nlist:\n  - x\n"),
            ("a: 1", "a: 1\n\nlist:\n  - x\n"),
            ("list:\n  - w\n", "list:\n  - w\n  - x\n"),
            ("list:\n  - w", "list:\n  - w\n  - x\n"),
            ("list: # of things\n- v\n- w\n\nb: 2\n", "list: # of things\n- v\n- w\n- x\n\nb: 2\n"),
            ("list:\n    - v: 1\n      w: 2\n# of b\nb: 2\n", "list:\n    - v: 1\n      w: 2\n    - x\n# of b\nb: 2\n"),
            ("lists:\n  - w\n", "lists:\n  - w\n\nlist:\n  - x\n"),
        ] {
            assert_eq!(with_item(before, "list", "x"), after);
        }
    }
}
