//! `chancery init`: creates, once, everything that clients will rely on.
//!
//! Everything is made in `D.new` and becomes `D` by one rename, so that a crash leaves either no installation or a whole one.
//! Nothing that exists is ever overwritten.

pub(crate) mod keys;
mod lists;
pub(crate) mod text;
pub(crate) mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::keys::Signer as _;
use chassis::Explain;
use chassis::config::{DatabasePlace, ListenConfig};
use clock::{Clock, SystemClock};
use jiff::Timestamp;

use crate::anchors::{Anchors, FulcioAnchors, LogAnchors, TsaAnchors, TufAnchors, VERSION, sha256_hex};
use crate::cli::{InitArgs, LogKey, Output};
use crate::config::{ADMIN_PORT, Config, LabConfig};
use crate::failure::{Failure, Outcome};
use crate::gateway_command::token;
use crate::layout::{Layout, names};
use crate::names::{PublicUrls, ServiceName};
use keys::Keys;
use trust::{Documents, Public, all_targets};

/// What to create.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The public names.
    pub urls: PublicUrls,
    /// Where each service listens, in the order of [`ServiceName::ALL`].
    pub listen: Vec<ListenConfig>,
    /// Where health and metrics are.
    pub admin: ListenConfig,
    /// The `O` of every certificate.
    pub organization: String,
    /// The provider that people log in with.
    pub oidc_issuer: Option<String>,
    /// The base URL of a GitHub Enterprise Server.
    pub ghes: Option<String>,
    /// The kind of key of the Rekor v2 log.
    pub rekor_v2_key: LogKey,
    /// Where the logs' entries go.
    pub databases: Databases,
    /// Set in a lab: its issuer.
    pub lab: Option<LabConfig>,
}

/// The databases of the logs: files of the installation, unless said otherwise.
#[derive(Debug, Default)]
pub(crate) struct Databases {
    rekor: Option<String>,
    ctlog: Option<String>,
    password_file: Option<PathBuf>,
}

impl Databases {
    fn of(args: &InitArgs) -> Outcome<Self> {
        let bad = |flag: &str, error: &tlog::postgres::AddressError| {
            Failure::usage("database_address", format!("{flag} cannot be used")).detail(error.to_string())
        };
        for (flag, url) in [("--rekor-database", &args.rekor_database), ("--ctlog-database", &args.ctlog_database)] {
            let parsed = url.as_deref().map(tlog::postgres::Address::parse).transpose();
            parsed.map_err(|error| bad(flag, &error))?;
        }
        // The configuration is read from another folder than this one.
        let password_file = args.database_password_file.as_ref().map(std::path::absolute).transpose().map_err(|error| {
            Failure::because("database_password", "the path of the database's password cannot be made absolute", &error)
        })?;
        Ok(Self { rekor: args.rekor_database.clone(), ctlog: args.ctlog_database.clone(), password_file })
    }

    /// The value of `database` in the sections of the Rekor logs.
    pub(crate) fn rekor(&self, file: &str) -> String {
        self.text(self.rekor.as_deref(), file)
    }

    /// The value of `database` in the section of the certificate log.
    pub(crate) fn ctlog(&self, file: &str) -> String {
        self.text(self.ctlog.as_deref(), file)
    }

    fn text(&self, url: Option<&str>, file: &str) -> String {
        url.map_or_else(|| file.to_owned(), |url| text::database(url, self.password_file.as_deref()))
    }
}

impl Plan {
    /// Where a service listens.
    pub(crate) fn listen(&self, service: ServiceName) -> &ListenConfig {
        let position = ServiceName::ALL.iter().position(|name| *name == service).expect("ALL has every service");
        &self.listen[position]
    }

    /// Where the certificate authority submits: straight to the listener when that is plain HTTP on this machine.
    pub(crate) fn ctlog_submission_url(&self) -> String {
        submission_url(self.listen(ServiceName::Ctlog), self.urls.of(ServiceName::Ctlog))
    }

    fn of(args: &InitArgs) -> Outcome<Self> {
        let bad_name = |error: crate::names::NameError| Failure::usage("name_invalid", error.to_string());
        let urls = PublicUrls::new(args.domain.as_deref(), &args.public_url).map_err(bad_name)?;
        let organization = args.organization.clone().or_else(|| args.domain.clone()).unwrap_or_else(|| "Chancery".to_owned());
        if organization.trim().is_empty() || organization.chars().count() > 64 || organization.chars().any(char::is_control) {
            return Err(Failure::usage("name_invalid", "the organization cannot stand in a certificate")
                .detail("expected 1 to 64 printable characters"));
        }
        Ok(Self {
            urls,
            listen: ServiceName::ALL.iter().map(|service| ListenConfig::loopback(service.port())).collect(),
            admin: ListenConfig::loopback(ADMIN_PORT),
            organization,
            oidc_issuer: args.oidc_issuer.as_deref().map(|url| issuer_url("--oidc-issuer", url)).transpose()?,
            ghes: args.ghes.as_deref().map(|url| issuer_url("--ghes", url)).transpose()?,
            rekor_v2_key: args.rekor_v2_key,
            databases: Databases::of(args)?,
            lab: None,
        })
    }
}

/// Where to submit to the certificate log that listens at `http`: straight there when that is plain HTTP on this machine.
pub(crate) fn submission_url(http: &ListenConfig, public_url: &str) -> String {
    match http.listen.first() {
        Some(address) if address.ip().is_loopback() && http.tls.is_none() => format!("http://{address}"),
        _ => public_url.to_owned(),
    }
}

/// `chancery init`
pub(crate) async fn run(args: InitArgs, out: Output) -> Outcome {
    let plan = Plan::of(&args)?;
    let anchors = create(&args.dir, &plan).await?;
    lists::print(&args.dir, &plan, &anchors, out);
    Ok(())
}

/// Creates the installation `dir` and returns its anchors.
pub(crate) async fn create(dir: &Path, plan: &Plan) -> Outcome<Anchors> {
    if occupied(dir) {
        return Err(Failure::new("installation_exists", format!("{} exists already; nothing was changed", dir.display()))
            .advise("Keys and logs are created once and never overwritten. Name a new folder, or move this one away yourself."));
    }
    distinct_origins(plan)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let created = whole_second(clock.now());

    // 1. A folder of our own beside the final one. A crash from here to step 5 leaves only a marked `D.new`, which the next run clears
    //    away.
    let work = Work::begin(dir)?;
    let layout = Layout::new(work.path());

    // 2. Keys, certificates, and the secret of whoever may promote images.
    let keys = Keys::create(&layout, plan, created)?;
    let token = layout.join(names::PROMOTION_TOKEN);
    token::create(&token)
        .map_err(|error| Failure::because("init_failed", format!("{} cannot be written", token.display()), &error))?;

    // 3. Databases, logs and the folder of blobs; each Rekor log with its first two entries.
    let config = write_config(&layout, plan, created)?;

    // 4. What clients are told.
    let logs = create_stores(&config, &clock).await?;
    let public = Public {
        fulcio_chain: keys.fulcio_chain.clone(),
        ctlog: keys.ctlog.public_key().clone(),
        rekor_v2: (logs.v2.identity.public_key.clone(), *logs.v2.identity.log_id.as_bytes()),
        rekor_v1: logs.v1.identity.public_key.clone(),
        tsa_chain: keys.tsa_chain.clone(),
    };
    let anchors = publish(&layout, plan, &keys, &public, &logs, created, &clock).await?;

    // 5. Everything on disk, then the name.
    write(&layout.anchors(), anchors.to_json().as_bytes())?;
    work.finish(dir)?;
    Ok(anchors)
}

fn write_config(layout: &Layout, plan: &Plan, created: Timestamp) -> Outcome<Config> {
    write(&layout.config(), text::chancery_yaml(plan, created).as_bytes())?;
    // What was just written is read as any start will read it, but without this process' environment.
    chassis::config::load(&layout.config(), &chassis::config::Environment::empty()).map_err(|error| Failure::explained(&error))
}

/// The Rekor logs that were made.
struct RekorLogs {
    v2: rekor::v2::Created,
    v1: rekor::v1::Created,
}

/// Makes every database; each Rekor log gets its first two entries here.
async fn create_stores(config: &Config, clock: &Arc<dyn Clock>) -> Outcome<RekorLogs> {
    let (Some(ca), Some(ct), Some(v2), Some(v1), Some(registry)) =
        (&config.fulcio, &config.ctlog, &config.rekor_v2, &config.rekor_v1, &config.gateway)
    else {
        return Err(Failure::new("init_failed", "the configuration that was just written lacks a section"));
    };
    fulcio::create(&ca.database)
        .await
        .map_err(|error| Failure::because("init_failed", "the certificate authority's record cannot be created", &error))?;
    ctlog::create(ct, clock.clone()).await.map_err(|error| not_created(&error, &ct.database))?;
    gateway::create(registry).await.map_err(|error| Failure::explained(&error))?;
    Ok(RekorLogs {
        v2: rekor::v2::create(v2, clock.clone()).await.map_err(|error| not_created(&error, &v2.database))?,
        v1: rekor::v1::create(v1, clock.clone()).await.map_err(|error| not_created(&error, &v1.database))?,
    })
}

/// What an interrupted run leaves outside its folder is a log in Postgres. Its key went with the folder, so nobody can go on with it, and
/// whether somebody has the key all the same is not to be seen here.
fn not_created(error: &dyn Explain, database: &DatabasePlace) -> Failure {
    let failure = Failure::explained(error);
    let DatabasePlace::Postgres(url) = database else { return failure };
    if error.code() != "log_exists" {
        return failure;
    }
    let url = url::Url::parse(url).ok();
    let name = url.as_ref().map_or("NAME", |url| url.path().trim_start_matches('/'));
    let owner = url.as_ref().map_or("USER", url::Url::username);
    failure.advise(format!(
        "If an interrupted `chancery init` left it there, its key is gone and no client knows of it. Make the database anew, and run this \
         again: dropdb {name} && createdb --owner {owner} --encoding UTF8 --template template0 {name}. If an installation uses it, give this \
         one another database."
    ))
}

/// Writes `trust/` and the TUF repository.
async fn publish(
    layout: &Layout,
    plan: &Plan,
    keys: &Keys,
    public: &Public,
    logs: &RekorLogs,
    created: Timestamp,
    clock: &Arc<dyn Clock>,
) -> Outcome<Anchors> {
    let refused =
        |error: &(dyn std::error::Error + 'static)| Failure::because("init_failed", "the trust root cannot be made", error);
    let issuer = plan.lab.as_ref().map(|lab| lab.public_url.as_str()).or(plan.oidc_issuer.as_deref());
    let documents = Documents::new(public, &plan.urls, &plan.organization, issuer, created).map_err(|error| refused(&error))?;
    let place = tuf::Place { directory: layout.join(names::TUF_REPOSITORY), state: layout.join(names::TUF_STATE) };
    let signers = tuf::CreationKeys {
        root: &keys.tuf_root,
        targets: &keys.tuf_targets,
        snapshot: &keys.tuf_snapshot,
        timestamp: &keys.tuf_timestamp,
    };
    let targets = all_targets(&documents, public, &plan.urls, created);
    let published = tuf::create_repository(&place, &signers, &targets, &tuf::Lifetimes::default(), clock.as_ref())
        .await
        .map_err(|error| refused(&error))?;
    write(&layout.join(names::ROOT_JSON), &published.root_json)?;
    for (name, bytes) in documents.files() {
        write(&layout.join(name), &bytes)?;
    }
    anchors(plan, keys, logs, created, &published.root_json, &documents.trusted_root.to_json())
}

fn anchors(
    plan: &Plan,
    keys: &Keys,
    logs: &RekorLogs,
    created: Timestamp,
    root_json: &[u8],
    trusted_root: &[u8],
) -> Outcome<Anchors> {
    let key = |key: &::keys::FileKey| hex::encode(key.public_key().fingerprint());
    let certificate = |certificate: Option<&pki::Certificate>| {
        certificate.map(|certificate| hex::encode(certificate.fingerprint())).unwrap_or_default()
    };
    let rekor = |origin: &String, log: &::keys::FileKey, checkpoint: &String| {
        LogAnchors::new(origin.clone(), key(log), checkpoint.clone())
    };
    let anchors = Anchors {
        version: VERSION,
        created,
        public_urls: plan.urls.anchored(),
        fulcio: FulcioAnchors {
            root_certificate: certificate(keys.fulcio_chain.last()),
            intermediate_certificate: certificate(keys.fulcio_chain.first()),
            intermediate_key: key(&keys.intermediate),
        },
        ctlog: LogAnchors::new(ctlog_origin(plan), key(&keys.ctlog), String::new()),
        rekor_v2: rekor(&logs.v2.identity.origin, &keys.rekor_v2, &logs.v2.checkpoint),
        rekor_v1: Some(rekor(&logs.v1.identity.origin, &keys.rekor_v1, &logs.v1.checkpoint)),
        ctlog_shards: Vec::new(),
        rekor_v2_shards: Vec::new(),
        rekor_v1_shards: Vec::new(),
        tsa: TsaAnchors {
            root_certificate: certificate(keys.tsa_chain.last()),
            certificate: certificate(keys.tsa_chain.first()),
            key: key(&keys.tsa),
        },
        tuf: TufAnchors {
            root_json: sha256_hex(root_json),
            snapshot_key: key(&keys.tuf_snapshot),
            timestamp_key: key(&keys.tuf_timestamp),
        },
        trusted_root: sha256_hex(trusted_root),
        trusted_root_before: None,
        unfinished: None,
    };
    distinct_keys(&anchors)?;
    Ok(anchors)
}

/// Clients know logs by their key ids alone.
pub(crate) fn distinct_keys(anchors: &Anchors) -> Outcome {
    let first = [&anchors.ctlog, &anchors.rekor_v2].into_iter().chain(&anchors.rekor_v1);
    let later = anchors.ctlog_shards.iter().chain(&anchors.rekor_v2_shards).chain(&anchors.rekor_v1_shards);
    let keys: Vec<&String> = first.chain(later).map(|log| &log.key).collect();
    if keys.iter().enumerate().any(|(position, key)| keys[..position].contains(key)) {
        return Err(Failure::new("key_shared", "two logs would have the same key id"));
    }
    Ok(())
}

/// Witnesses know logs by their origins, so no two logs may share one. That of a Rekor v1 log ends in a number that is drawn.
fn distinct_origins(plan: &Plan) -> Outcome {
    let rekor = rekor::v2::origin_of(plan.urls.of(ServiceName::RekorV2))
        .map_err(|error| Failure::usage("name_invalid", error.to_string()))?;
    if rekor != ctlog_origin(plan) {
        return Ok(());
    }
    Err(Failure::usage("origin_shared", "two logs would have the same origin")
        .detail(format!("certificate log and transparency log  {rekor}"))
        .advise("Give one of them another host name with --public-url SERVICE=URL."))
}

fn ctlog_origin(plan: &Plan) -> String {
    let url = plan.urls.of(ServiceName::Ctlog);
    url.split_once("://").map_or(url, |(_, rest)| rest).to_owned()
}

fn issuer_url(flag: &str, text: &str) -> Outcome<String> {
    let fits = url::Url::parse(text).is_ok_and(|url| {
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && loopback)) && url.query().is_none()
    });
    if fits {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(Failure::usage("name_invalid", format!("{text} cannot be an issuer"))
            .detail(format!("{flag} expects an https:// URL, for example https://ghe.corp.example")))
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A folder counts as occupied unless it is absent or empty.
fn occupied(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Writes a new file; on disk when this returns.
fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let written = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    };
    written()
        .map_err(|error: std::io::Error| Failure::because("init_failed", format!("{} cannot be written", path.display()), &error))
}

/// Marks a `D.new` as ours to clear away. A folder of that name without it may be somebody's installation, moved aside.
const UNFINISHED: &str = ".unfinished";

/// `D.new`, held by a lock so that two runs cannot share it. Dropped before it is finished, it disappears.
#[derive(Debug)]
struct Work {
    path: PathBuf,
    lock: (PathBuf, std::fs::File),
    finished: bool,
}

impl Work {
    /// Makes an empty `D.new`, clearing away what a crash left there.
    fn begin(dir: &Path) -> Outcome<Self> {
        let Some(name) = dir.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(Failure::usage("usage", format!("{} is no name for a new folder", dir.display())));
        };
        let failed = |error: std::io::Error| {
            Failure::because("init_failed", format!("a folder beside {} cannot be made", dir.display()), &error)
        };
        let parent = parent_of(dir);
        std::fs::create_dir_all(parent).map_err(failed)?;
        let lock_path = parent.join(format!(".{name}.lock"));
        // Never truncated: whoever may write beside `D` may have put a link to another file here.
        let lock = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Failure::new("init_running", format!("another process is creating {}", dir.display())));
        }
        let path = parent.join(format!("{name}.new"));
        if occupied(&path) && !path.join(UNFINISHED).exists() {
            return Err(Failure::new("installation_exists", format!("{} is in the way; nothing was changed", path.display()))
                .detail("it is not what an interrupted run left there")
                .advise("If it is an installation, give it a name of its own; else move it away. Then run this again."));
        }
        let work = Self { path, lock: (lock_path, lock), finished: false };
        work.lay_out().map_err(failed)?;
        Ok(work)
    }

    fn lay_out(&self) -> std::io::Result<()> {
        if self.path.exists() {
            std::fs::remove_dir_all(&self.path)?;
        }
        std::fs::create_dir(&self.path)?;
        std::fs::File::create_new(self.path.join(UNFINISHED))?;
        for folder in [names::KEYS, names::OFFLINE, "db", "trust"] {
            std::fs::create_dir(self.path.join(folder))?;
        }
        owner_only(&self.path.join(names::KEYS))?;
        owner_only(&self.path.join(names::OFFLINE))
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs every folder, then gives the installation its name.
    fn finish(mut self, dir: &Path) -> Outcome {
        // A crash between these two leaves a whole installation under the name `D.new`, which the next run leaves alone.
        let finished = || {
            std::fs::remove_file(self.path.join(UNFINISHED))?;
            sync_tree(&self.path)?;
            std::fs::rename(&self.path, dir)?;
            std::fs::File::open(parent_of(dir))?.sync_all()
        };
        finished().map_err(|error: std::io::Error| {
            Failure::because("init_failed", format!("{} cannot be given its name", dir.display()), &error)
        })?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_dir_all(&self.path);
        }
        let _ = std::fs::remove_file(&self.lock.0);
    }
}

fn parent_of(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn owner_only(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Syncs every file and folder below `folder`, and itself.
pub(crate) fn sync_tree(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            std::fs::File::open(&path)?.sync_all()?;
        }
    }
    std::fs::File::open(folder)?.sync_all()
}
