//! `chancery log fsck`: everything that a log has, compared with what it signed.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bundle::TrustedRoot;
use chassis::Explain;
use chassis::reason::causes;
use pki::PublicKey;
use serde_json::json;
use tlog::{CheckReport, Depth, NoteVerifier, TileFault, TileSource, check_tiles};

use super::shards;
use super::source::{Folder, Http};
use crate::cli::{DEFAULT_LAB_DIR, LogFsckArgs, Output, ShardedLog};
use crate::config::Config;
use crate::failure::{Exit, Failure, Outcome};
use crate::lab::env;
use crate::layout::{Layout, names};
use crate::output::{self, Style};

/// What was checked of one log.
struct Checked {
    /// As the person named it, or the section of the configuration.
    log: String,
    report: CheckReport,
    took: Duration,
}

/// `chancery log fsck`
pub(crate) async fn run(args: &LogFsckArgs, out: Output) -> Outcome {
    let depth = if args.deep { Depth::Deep } else { Depth::Whole };
    let checked = match Target::of(&args.target) {
        Target::Url(url) => vec![tiles(args, &Http::new(client(args)?, url), Some(url), depth).await?],
        Target::Folder(folder) => vec![tiles(args, &Folder(folder), None, depth).await?],
        Target::Configuration(path) => databases(&path, depth).await?,
    };
    match out {
        Output::Text => {
            output::print(&checked.iter().map(|checked| text(checked, depth, Style::of_stdout())).collect::<String>());
        }
        Output::Json => {
            output::print_json(&json!({ "deep": args.deep, "checked": checked.iter().map(document).collect::<Vec<_>>() }));
        }
    }
    Ok(())
}

/// What can be checked.
enum Target<'a> {
    Url(&'a str),
    Folder(PathBuf),
    Configuration(PathBuf),
}

impl<'a> Target<'a> {
    fn of(text: &'a str) -> Self {
        let path = Path::new(text);
        if text.starts_with("https://") || text.starts_with("http://") {
            Self::Url(text)
        } else if path.is_dir() && !Layout::new(path).config().is_file() {
            Self::Folder(path.to_owned())
        } else if path.is_dir() {
            Self::Configuration(Layout::new(path).config())
        } else {
            Self::Configuration(path.to_owned())
        }
    }
}

/// Checks a log that is published as tiles.
async fn tiles(args: &LogFsckArgs, source: &dyn TileSource, url: Option<&str>, depth: Depth) -> Outcome<Checked> {
    let verifier = verifier(args, url)?;
    let (begun, progress) = (Instant::now(), Progress::new());
    let checked = check_tiles(source, &verifier, depth, &|done, all| progress.tell(done, all)).await;
    progress.end();
    let (_, report) = checked.map_err(|fault| faulty(&args.target, &fault))?;
    Ok(Checked { log: args.target.clone(), report, took: begun.elapsed() })
}

/// Checks every log of an installation, in its databases.
async fn databases(path: &Path, depth: Depth) -> Outcome<Vec<Checked>> {
    let config = Config::load(path)?;
    let mut checked = Vec::new();
    let progress = Progress::new();
    let tell = |done, all| progress.tell(done, all);
    let mut add = |log: &str, begun: Instant, outcome: Result<CheckReport, Failure>| {
        progress.end();
        outcome.map(|report| checked.push(Checked { log: log.to_owned(), report, took: begun.elapsed() }))
    };
    for number in shards::numbers(&config, ShardedLog::Ctlog) {
        let (log, section) = (shards::section(ShardedLog::Ctlog, number), shards::ct(&config, number)?);
        let (begun, found) = (Instant::now(), ctlog::check(&section, number, depth, &tell).await);
        add(&log, begun, found.map_err(|error| damaged(&log, &error)))?;
    }
    for number in shards::numbers(&config, ShardedLog::RekorV2) {
        let (log, section) = (shards::section(ShardedLog::RekorV2, number), shards::v2(&config, number)?);
        let (begun, found) = (Instant::now(), rekor::v2::check(&section, number, depth, &tell).await);
        add(&log, begun, found.map_err(|error| damaged(&log, &error)))?;
    }
    for number in shards::numbers(&config, ShardedLog::RekorV1) {
        let (log, (section, key)) = (shards::section(ShardedLog::RekorV1, number), shards::v1(&config, number)?);
        let (begun, found) = (Instant::now(), rekor::v1::check(section, (number, key), depth, &tell).await);
        add(&log, begun, found.map_err(|error| damaged(&log, &error)))?;
    }
    if checked.is_empty() {
        return Err(Failure::usage("config_no_service", format!("{} has no log", path.display()))
            .advise("Expected a section ctlog, rekor_v2 or rekor_v1."));
    }
    Ok(checked)
}

/// The key that the checkpoint must be signed with, and the name that must be on it.
fn verifier(args: &LogFsckArgs, url: Option<&str>) -> Outcome<NoteVerifier> {
    let (origin, key) = match &args.key {
        Some(path) => (origin(args, url)?, key_of(path)?),
        None => from_trusted_root(args, url)?,
    };
    NoteVerifier::new(&origin, key)
        .map_err(|error| Failure::because("key_unusable", format!("no log {origin} has this key"), &error))
}

fn key_of(path: &Path) -> Outcome<PublicKey> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::because("file_unreadable", format!("{} cannot be read", path.display()), &error))?;
    PublicKey::from_pem(&text).map_err(|error| {
        Failure::because("key_unusable", format!("{} is not a public key", path.display()), &error)
            .advise("Expected PEM that begins with -----BEGIN PUBLIC KEY-----.")
    })
}

fn origin(args: &LogFsckArgs, url: Option<&str>) -> Outcome<String> {
    let host = || url.and_then(|url| rekor::v2::origin_of(url.trim_end_matches('/')).ok());
    args.origin
        .clone()
        .or_else(host)
        .ok_or_else(|| Failure::usage("usage", "which log is it? give --origin, the first line of its checkpoint"))
}

/// The log in the trusted root that is served there, or has the origin that was asked for.
fn from_trusted_root(args: &LogFsckArgs, url: Option<&str>) -> Outcome<(String, PublicKey)> {
    let path = trusted_root(args)?;
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        Failure::because("trusted_root_unusable", format!("{} is no trusted root", path.display()), error)
    };
    let text = std::fs::read(&path)
        .map_err(|error| Failure::because("file_unreadable", format!("{} cannot be read", path.display()), &error))?;
    let root = TrustedRoot::from_json(&text).map_err(|error| unusable(&error))?;
    let wanted = origin(args, url)?;
    let of_host = |log: &&bundle::TransparencyLog| rekor::v2::origin_of(&log.base_url).is_ok_and(|origin| origin == wanted);
    let same_url = |log: &&bundle::TransparencyLog| Some(log.base_url.as_str()) == url.map(|url| url.trim_end_matches('/'));
    let found = root.tlogs.iter().find(same_url).or_else(|| root.tlogs.iter().find(of_host)).ok_or_else(|| {
        let known: Vec<_> = root.tlogs.iter().map(|log| log.base_url.as_str()).collect();
        Failure::usage("log_unknown", format!("{} has no log {wanted}", path.display()))
            .detail(format!("it has {}", known.join(", ")))
            .advise("Give --key with the log's public key, or another trusted root.")
    })?;
    let key = PublicKey::from_spki_der(found.public_key.raw_bytes.as_ref()).map_err(|error| unusable(&error))?;
    Ok((wanted, key))
}

fn trusted_root(args: &LogFsckArgs) -> Outcome<PathBuf> {
    let environment = || std::env::var_os(env::TRUSTED_ROOT).filter(|value| !value.is_empty()).map(PathBuf::from);
    let lab = || Some(Layout::new(DEFAULT_LAB_DIR).join(names::TRUSTED_ROOT)).filter(|root| root.is_file());
    args.trusted_root.clone().or_else(environment).or_else(lab).ok_or_else(|| {
        Failure::usage("usage", "which key must have signed? give --key, or --trusted-root")
            .advise("`chancery env` exports the trusted root of a lab.")
    })
}

fn client(args: &LogFsckArgs) -> Outcome<reqwest::Client> {
    let authorities: Vec<PathBuf> = args.ca_cert.iter().cloned().collect();
    chassis::http_client(&authorities).map_err(|error| Failure::explained(&error))
}

fn faulty(target: &str, fault: &TileFault) -> Failure {
    let (what, exit) = match fault {
        TileFault::Unreadable { .. } | TileFault::NotPublished => ("could not be checked", Exit::Failed),
        TileFault::Missing { .. }
        | TileFault::Head(_)
        | TileFault::Origin { .. }
        | TileFault::Malformed { .. }
        | TileFault::Entry { .. }
        | TileFault::Tile { .. }
        | TileFault::Root { .. } => ("is not what its key signed", Exit::Refused),
    };
    let mut failure = Failure::new(fault.code(), format!("the log {target} {what}")).detail(fault.to_string());
    for cause in causes(std::error::Error::source(fault)) {
        failure = failure.detail(cause);
    }
    failure.set_exit(exit);
    failure.advise(match fault {
        TileFault::NotPublished => {
            "Expected the address of a log that is published as tiles (C2SP tlog-tiles). A Rekor v1 log and a certificate log are not: \
             check them with `chancery log fsck CONFIG`, while nothing serves them."
        }
        _ if exit == Exit::Refused => {
            "Keep a copy as it is. Who runs the log restores it from a backup that passes; a mirror is fetched anew."
        }
        _ => "Check that the log can be reached, and try again.",
    })
}

fn damaged(log: &str, error: &dyn Explain) -> Failure {
    // What is wrong with the log is a finding; that it could not be looked at is not.
    const UNCHECKED: [&str; 6] =
        ["log_store_failed", "log_objects_failed", "log_objects_unset", "log_key_file", "database_in_use", "database_missing"];
    let mut failure = Failure::explained(error).detail(format!("log       {log}"));
    failure.set_exit(if UNCHECKED.contains(&error.code()) || error.code().starts_with("objects_") {
        Exit::Failed
    } else {
        Exit::Refused
    });
    failure
}

fn text(checked: &Checked, depth: Depth, style: Style) -> String {
    let CheckReport { entries, tiles, root } = checked.report;
    let deep = match depth {
        Depth::Whole => "",
        Depth::Deep => "; each tile by a second implementation too, each entry or width by what it is found by",
    };
    format!(
        "{} {}\n  entries   {entries}, each hashed again\n  tiles     {tiles}, each compared with what those hashes make{deep}\n  \
         root      {}, the signed one\n  took      {}\n",
        style.ok("in order"),
        output::safe(&checked.log),
        root.short(),
        output::duration(checked.took),
    )
}

fn document(checked: &Checked) -> serde_json::Value {
    let CheckReport { entries, tiles, root } = checked.report;
    json!({ "log": checked.log, "entries": entries, "tiles": tiles, "root": root.to_string() })
}

/// One line on a terminal that says how far it is.
struct Progress(Mutex<Instant>);

impl Progress {
    fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn tell(&self, done: u64, all: u64) {
        const EVERY: Duration = Duration::from_millis(500);
        let Ok(mut last) = self.0.lock() else { return };
        if last.elapsed() > EVERY && std::io::stderr().is_terminal() {
            *last = Instant::now();
            output::tell(&format!("\r\u{1b}[Kchecked {done} of {all} entries"));
        }
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() {
            output::tell("\r\u{1b}[K");
        }
    }
}
