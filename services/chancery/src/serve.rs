//! Running an installation: open what `init` created, compare it with `anchors.json`, serve it, drain it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;

use chassis::config::DatabasePlace;
use chassis::listen::Listener;
use chassis::telemetry::Telemetry;
use chassis::{Process, Service, Shutdown};
use clock::{Clock, SystemClock};
use face::{Place, SharedDatabase};
use keys::FileKey;
use note::{Checkpoint, SignedNote};

use crate::anchors::{Anchors, LogAnchors};
use crate::cli::ShardedLog;
use crate::compare;
use crate::completion;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::gateway_command;
use crate::layout::Layout;
use crate::log_command::{self, shards};
use crate::names::ServiceName;

/// `chancery serve`, and with `only` some services of it.
pub(crate) async fn run(config_path: &Path, only: Option<&[ServiceName]>, telemetry: Telemetry) -> Outcome<ExitCode> {
    let shutdown = signals()?;
    let config = Config::load(config_path)?;
    let layout = Layout::new(folder_of(config_path));
    let wanted = wanted(&config, only).map_err(|failure| match only {
        Some([ServiceName::Witness]) => {
            failure.advise(format!("Make one with: chancery witness add --dir {}", layout.dir().display()))
        }
        Some([ServiceName::Registry]) => failure.advise(format!("Make one with: {}", gateway_command::add_to(&layout))),
        _ => failure,
    })?;
    if only.is_none() && config.gateway.is_none() {
        tracing::info!("this installation has no registry; it gets one by: {}", gateway_command::add_to(&layout));
    }
    if wanted.contains(&ServiceName::RekorV2) && config.rekor_v1.is_none() {
        tracing::info!(
            "this installation has no transparency log for older clients; it gets one by: {}",
            log_command::add_to(&layout)
        );
    }
    let sockets = Sockets::bind(&config, &wanted).await?;
    let services = open(&config, &layout, sockets.services, sockets.shards).await?;
    let process = Process::new(services).grace(config.grace.as_std()).admin(sockets.admin, telemetry);
    let ended = process.start().until(shutdown).await;
    Ok(ExitCode::from(u8::from(ended.exit_code() != 0)))
}

/// The installation's folder, as the person would name it.
pub(crate) fn folder_of(config: &Path) -> &Path {
    config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// SIGTERM and Ctrl-C, once for the process.
pub(crate) fn signals() -> Outcome<Shutdown> {
    Shutdown::on_signals().map_err(|error| Failure::because("signals", "this process cannot hear signals", &error))
}

/// The services of this process, in the order in which they drain.
pub(crate) fn wanted(config: &Config, only: Option<&[ServiceName]>) -> Outcome<Vec<ServiceName>> {
    let present: Vec<ServiceName> = DRAIN_ORDER.into_iter().filter(|service| listen_config(config, *service).is_some()).collect();
    match only {
        None if present.is_empty() => Err(Failure::usage("config_no_service", "the configuration has no service section")
            .advise("Expected at least one of fulcio, ctlog, rekor_v2, rekor_v1, tsa, tuf, gateway and witness; `chancery init` writes all but the last.")),
        None => Ok(present),
        Some(services) => {
            let found: Vec<ServiceName> = present.into_iter().filter(|service| services.contains(service)).collect();
            if found.is_empty() {
                let names: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
                let what = format!("the configuration has no section for {}", names.join(" or "));
                return Err(Failure::usage("config_no_service", what));
            }
            Ok(found)
        }
    }
}

/// Clients first, what they depend on later.
pub(crate) const DRAIN_ORDER: [ServiceName; 8] = [
    ServiceName::Registry,
    ServiceName::Fulcio,
    ServiceName::RekorV2,
    ServiceName::RekorV1,
    ServiceName::Ctlog,
    ServiceName::Tsa,
    ServiceName::Tuf,
    ServiceName::Witness,
];

/// Where a service stands in [`DRAIN_ORDER`].
pub(crate) fn drain_position(service: ServiceName) -> usize {
    DRAIN_ORDER.iter().position(|name| *name == service).unwrap_or(DRAIN_ORDER.len())
}

/// Where a service listens; none when the configuration has no section for it.
pub(crate) fn listen_config(config: &Config, service: ServiceName) -> Option<&chassis::config::ListenConfig> {
    match service {
        ServiceName::Fulcio => config.fulcio.as_ref().map(|section| &section.http),
        ServiceName::Ctlog => config.ctlog.as_ref().map(|section| &section.http),
        ServiceName::RekorV2 => config.rekor_v2.as_ref().map(|section| &section.http),
        ServiceName::RekorV1 => config.rekor_v1.as_ref().map(|section| &section.http),
        ServiceName::Tsa => config.tsa.as_ref().map(|section| &section.http),
        ServiceName::Tuf => config.tuf.as_ref().map(|section| &section.http),
        ServiceName::Registry => config.gateway.as_ref().map(|section| &section.http),
        ServiceName::Witness => config.witness.as_ref().map(|section| &section.http),
    }
}

/// Where the later shards of logs listen that have a listener each: whose they are, their list in the configuration, and where.
pub(crate) fn shard_listeners(
    config: &Config,
) -> impl Iterator<Item = (ServiceName, &'static str, &chassis::config::ListenConfig)> {
    let certificates = config.ctlog_shards.iter().map(|shard| (ServiceName::Ctlog, "ctlog_shards", &shard.http));
    let entries = config.rekor_v2_shards.iter().map(|shard| (ServiceName::RekorV2, "rekor_v2_shards", &shard.http));
    certificates.chain(entries)
}

/// Every socket of a process, bound before anything is opened or served.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One per service.
    pub services: Vec<(ServiceName, Listener)>,
    /// One per later shard of those logs among the services that have one each, in their order.
    pub shards: Vec<(ServiceName, Listener)>,
    /// Health and metrics.
    pub admin: Listener,
}

impl Sockets {
    /// Binds what the configuration says.
    pub(crate) async fn bind(config: &Config, services: &[ServiceName]) -> Outcome<Self> {
        let admin = bind("admin", &config.admin.http).await?;
        let mut bound = Vec::new();
        for service in services {
            let http = listen_config(config, *service).expect("only services with a section are asked for");
            bound.push((*service, bind(service.section(), http).await?));
        }
        let mut shards = Vec::new();
        for (service, section, http) in shard_listeners(config) {
            if services.contains(&service) {
                shards.push((service, bind(section, http).await?));
            }
        }
        Ok(Self { services: bound, shards, admin })
    }
}

/// Binds one listener.
pub(crate) async fn bind(name: &'static str, http: &chassis::config::ListenConfig) -> Outcome<Listener> {
    Listener::bind(name, http).await.map_err(|error| Failure::explained(&error))
}

/// Opens each service behind its listener. Order matters for the person who reads a refusal: first what the databases and keys say of
/// themselves, then whether they are the ones that `init` created.
pub(crate) async fn open(
    config: &Config,
    layout: &Layout,
    listeners: Vec<(ServiceName, Listener)>,
    mut shards: Vec<(ServiceName, Listener)>,
) -> Outcome<Vec<Service>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let anchors = completion::anchors(layout)?;
    let mut databases = Databases::default();
    let mut services = Vec::new();
    for (name, listener) in listeners {
        services.push(open_one(config, name, listener, &anchors, &clock, &mut databases).await?);
        let (own, others) = shards.into_iter().partition::<Vec<_>, _>(|(of, _)| *of == name);
        shards = others;
        for (number, (_, listener)) in (2..).zip(own) {
            services.push(match name {
                ServiceName::Ctlog => open_ct(config, number, listener, &anchors, &clock, &mut databases).await?,
                _ => open_v2(config, number, listener, &anchors, &clock, &mut databases).await?,
            });
        }
        compare::with_anchors(config, layout, name, &anchors)?;
    }
    Ok(services)
}

/// The databases in which logs are: a process opens each once, for as many logs as it holds.
#[derive(Debug, Default)]
struct Databases(HashMap<DatabasePlace, SharedDatabase>);

impl Databases {
    async fn open(&mut self, place: &Place<'_>) -> Outcome<SharedDatabase> {
        let real = match place.database {
            // A path that cannot be resolved is of a file that cannot be opened, which says more of it.
            DatabasePlace::File(path) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).into(),
            DatabasePlace::Postgres(_) => place.database.clone(),
        };
        match self.0.entry(real) {
            Entry::Occupied(open) => Ok(open.get().clone()),
            Entry::Vacant(vacant) => {
                let opened = SharedDatabase::open(place).await;
                Ok(vacant.insert(opened.map_err(|error| Failure::explained(&error))?).clone())
            }
        }
    }
}

/// Opens one service; nothing is created here.
async fn open_one(
    config: &Config,
    name: ServiceName,
    listener: Listener,
    anchors: &Anchors,
    clock: &Arc<dyn Clock>,
    databases: &mut Databases,
) -> Outcome<Service> {
    let clock = clock.clone();
    match name {
        ServiceName::Fulcio => {
            let section = section(config.fulcio.as_ref());
            let key = FileKey::load(&section.key).map_err(|error| {
                Failure::because("fulcio_key", "the certificate authority's key cannot be used", &error)
                    .advise("Restore the key that `chancery init` made from the backup.")
            })?;
            let fulcio = fulcio::open(section, Arc::new(key), clock).await.map_err(|error| Failure::explained(&error))?;
            let service = Service::new(listener, fulcio.router());
            let service = fulcio.ready().into_iter().fold(service, Service::ready_when);
            Ok(service.finish_with(fulcio.close()))
        }
        ServiceName::Ctlog => open_ct(config, 1, listener, anchors, &clock, databases).await,
        ServiceName::RekorV2 => open_v2(config, 1, listener, anchors, &clock, databases).await,
        ServiceName::RekorV1 => {
            let section = section(config.rekor_v1.as_ref());
            // Without an anchor, which is compared next, nothing is known of what was published.
            let shards: Vec<_> = anchors.rekor_v1.iter().chain(&anchors.rekor_v1_shards).collect();
            let published: Vec<_> = shards.iter().map(|shard| first_checkpoint(shard)).collect::<Outcome<_>>()?;
            let database = databases.open(&section.place(1)).await?;
            let log = rekor::v1::open_shards(section, &config.rekor_v1_shards, database, clock, &published)
                .await
                .map_err(|error| Failure::explained(&error))?;
            for (frozen, shard) in log.frozen().into_iter().zip(shards) {
                same_end(frozen, shard)?;
            }
            let service = Service::new(listener, log.router()).ready_when(log.ready());
            Ok(service.finish_with(log.close()))
        }
        ServiceName::Tsa => {
            let section = section(config.tsa.as_ref());
            let tsa = tsa::open(section, clock).await.map_err(|error| Failure::explained(&error))?;
            Ok(tsa.ready_checks().into_iter().fold(Service::new(listener, tsa.router()), Service::ready_when))
        }
        ServiceName::Tuf => {
            let section = section(config.tuf.as_ref());
            let tuf = tuf::Tuf::open(section, clock).await.map_err(|error| Failure::explained(&error))?;
            let freshness = tuf.keep_fresh();
            let service = Service::new(listener, tuf.router()).ready_when(tuf.ready());
            Ok(service.finish_with(freshness.stop()))
        }
        ServiceName::Registry => {
            let section = section(config.gateway.as_ref());
            let gateway = gateway::open(section, clock).await.map_err(|error| Failure::explained(&error))?;
            let service = Service::new(listener, gateway.router());
            let service = gateway.ready_checks().into_iter().fold(service, Service::ready_when);
            Ok(service.finish_with(gateway.close()))
        }
        ServiceName::Witness => {
            let section = section(config.witness.as_ref());
            let witness = witness::open(section, clock).await.map_err(|error| Failure::explained(&error))?;
            let service = Service::new(listener, witness.router()).ready_when(witness.ready());
            Ok(service.finish_with(witness.close()))
        }
    }
}

/// Opens a shard of the certificate log. Without an anchor, which is compared next, nothing is known of what was published.
async fn open_ct(
    config: &Config,
    number: u32,
    listener: Listener,
    anchors: &Anchors,
    clock: &Arc<dyn Clock>,
    databases: &mut Databases,
) -> Outcome<Service> {
    let section = shards::ct(config, number)?;
    let anchors = anchors_of(anchors, ShardedLog::Ctlog, number);
    let published = anchors.map_or(Ok(None), first_checkpoint)?;
    let database = databases.open(&section.place(number)).await?;
    let log = ctlog::open_shard(&section, number, database, clock.clone(), published)
        .await
        .map_err(|error| Failure::explained(&error))?;
    anchors.map_or(Ok(()), |anchors| same_end(log.is_frozen(), anchors))?;
    let service = Service::new(listener, log.router());
    let service = log.ready_checks().into_iter().fold(service, Service::ready_when);
    Ok(service.finish_with(log.close()))
}

/// Opens a shard of the Rekor v2 log likewise.
async fn open_v2(
    config: &Config,
    number: u32,
    listener: Listener,
    anchors: &Anchors,
    clock: &Arc<dyn Clock>,
    databases: &mut Databases,
) -> Outcome<Service> {
    let section = shards::v2(config, number)?;
    let anchors = anchors_of(anchors, ShardedLog::RekorV2, number);
    let published = anchors.map_or(Ok(None), first_checkpoint)?;
    let database = databases.open(&section.place(number)).await?;
    let log = rekor::v2::open_shard(&section, number, database, clock.clone(), published)
        .await
        .map_err(|error| Failure::explained(&error))?;
    anchors.map_or(Ok(()), |anchors| same_end(log.is_frozen(), anchors))?;
    let service = Service::new(listener, log.router()).ready_when(log.ready());
    Ok(service.finish_with(log.close()))
}

fn anchors_of(anchors: &Anchors, log: ShardedLog, number: u32) -> Option<&LogAnchors> {
    let shards = shards::of(anchors, log);
    shards.iter().find(|shard| shard.number == number).map(|shard| shard.anchors)
}

/// A log that was frozen must be so: else its database is from before, and would take entries after the last checkpoint.
fn same_end(frozen: bool, anchors: &LogAnchors) -> Outcome {
    if frozen || anchors.frozen.is_none() {
        return Ok(());
    }
    Err(Failure::new("anchor_mismatch", format!("the log {} was frozen, and its database says that it is not", anchors.origin))
        .advise("Restore the newest backup of the database. What was frozen never takes entries again."))
}

/// What every tree of the log must contain; none of a certificate log that takes entries, which begins with none.
pub(crate) fn first_checkpoint(anchors: &LogAnchors) -> Outcome<Option<Checkpoint>> {
    if anchors.checkpoint.is_empty() {
        return Ok(None);
    }
    let note = SignedNote::from_str(&anchors.checkpoint).ok();
    note.and_then(|note| Checkpoint::from_str(note.text()).ok()).map(Some).ok_or_else(|| {
        Failure::new("anchors_damaged", format!("anchors.json holds no checkpoint of the log {}", anchors.origin))
            .advise("Restore anchors.json from the backup that holds the keys and databases.")
    })
}

fn section<T>(section: Option<&T>) -> &T {
    section.expect("only services with a section are opened")
}
