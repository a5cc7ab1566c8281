//! Running an installation: open what `init` created, compare it with `anchors.json`, serve it, drain it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::sync::Arc;

use chassis::config::{DatabasePlace, FilePath};
use chassis::listen::Listener;
use chassis::telemetry::Telemetry;
use chassis::{Process, Service, Shutdown};
use clock::{Clock, SystemClock};
use keys::FileKey;
use note::{Checkpoint, SignedNote};
use rekor::SharedDatabase;

use crate::anchors::{Anchors, RekorAnchors};
use crate::compare;
use crate::completion;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::gateway_command;
use crate::layout::Layout;
use crate::log_command;
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

/// Every socket of a process, bound before anything is opened or served.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One per service.
    pub services: Vec<(ServiceName, Listener)>,
    /// Of the later shards of the Rekor v2 log, in their order, when that is one of the services.
    pub shards: Vec<Listener>,
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
        for shard in config.rekor_v2_shards.iter().filter(|_| services.contains(&ServiceName::RekorV2)) {
            shards.push(bind("rekor_v2_shards", &shard.http).await?);
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
    shards: Vec<Listener>,
) -> Outcome<Vec<Service>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let anchors = completion::anchors(layout)?;
    let mut databases = Databases::default();
    let mut services = Vec::new();
    let mut shards = shards.into_iter();
    for (name, listener) in listeners {
        services.push(open_one(config, name, listener, &anchors, &clock, &mut databases).await?);
        if let (ServiceName::RekorV2, Some(first)) = (name, &config.rekor_v2) {
            for (position, (shard, listener)) in config.rekor_v2_shards.iter().zip(shards.by_ref()).enumerate() {
                let anchors = anchors.rekor_v2_shards.get(position);
                services.push(open_v2(&shard.beside(first), position + 2, listener, anchors, &clock, &mut databases).await?);
            }
        }
        compare::with_anchors(config, layout, name, &anchors)?;
    }
    Ok(services)
}

/// The databases in which Rekor logs are: a process opens each once, for as many logs as it holds.
#[derive(Debug, Default)]
struct Databases(HashMap<DatabasePlace, SharedDatabase>);

impl Databases {
    async fn open(&mut self, place: &DatabasePlace, password_file: Option<&FilePath>) -> Outcome<SharedDatabase> {
        let real = match place {
            // A path that cannot be resolved is of a file that cannot be opened, which says more of it.
            DatabasePlace::File(path) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).into(),
            DatabasePlace::Postgres(_) => place.clone(),
        };
        match self.0.entry(real) {
            Entry::Occupied(open) => Ok(open.get().clone()),
            Entry::Vacant(vacant) => {
                let opened = SharedDatabase::open(place, password_file).await;
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
        ServiceName::Ctlog => {
            let section = section(config.ctlog.as_ref());
            let ctlog = ctlog::open(section, clock).await.map_err(|error| Failure::explained(&error))?;
            let service = Service::new(listener, ctlog.router());
            let service = ctlog.ready_checks().into_iter().fold(service, Service::ready_when);
            Ok(service.finish_with(ctlog.close()))
        }
        ServiceName::RekorV2 => {
            let section = section(config.rekor_v2.as_ref());
            open_v2(section, 1, listener, Some(&anchors.rekor_v2), &clock, databases).await
        }
        ServiceName::RekorV1 => {
            let section = section(config.rekor_v1.as_ref());
            // Without an anchor, which is compared next, nothing is known of what was published.
            let shards: Vec<_> = anchors.rekor_v1.iter().chain(&anchors.rekor_v1_shards).collect();
            let published: Vec<_> = shards.iter().map(|shard| first_checkpoint(shard).map(Some)).collect::<Outcome<_>>()?;
            let database = databases.open(&section.database, section.database_password_file.as_ref()).await?;
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

/// Opens a shard of the Rekor v2 log. Without an anchor, which is compared next, nothing is known of what was published.
async fn open_v2(
    section: &rekor::v2::Config,
    number: usize,
    listener: Listener,
    anchors: Option<&RekorAnchors>,
    clock: &Arc<dyn Clock>,
    databases: &mut Databases,
) -> Outcome<Service> {
    let published = anchors.map(first_checkpoint).transpose()?;
    let database = databases.open(&section.database, section.database_password_file.as_ref()).await?;
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let log = rekor::v2::open_shard(section, number, database, clock.clone(), published)
        .await
        .map_err(|error| Failure::explained(&error))?;
    anchors.map_or(Ok(()), |anchors| same_end(log.is_frozen(), anchors))?;
    let service = Service::new(listener, log.router()).ready_when(log.ready());
    Ok(service.finish_with(log.close()))
}

/// A log that was frozen must be so: else its database is from before, and would take entries after the last checkpoint.
fn same_end(frozen: bool, anchors: &RekorAnchors) -> Outcome {
    if frozen || anchors.frozen.is_none() {
        return Ok(());
    }
    Err(Failure::new(
        "anchor_mismatch",
        format!("the transparency log {} was frozen, and its database says that it is not", anchors.origin),
    )
    .advise("Restore the newest backup of the database. What was frozen never takes entries again."))
}

/// What every tree of the log must contain.
pub(crate) fn first_checkpoint(anchors: &RekorAnchors) -> Outcome<Checkpoint> {
    let note = SignedNote::from_str(&anchors.checkpoint).ok();
    note.and_then(|note| Checkpoint::from_str(note.text()).ok()).ok_or_else(|| {
        Failure::new("anchors_damaged", format!("anchors.json holds no checkpoint of the transparency log {}", anchors.origin))
            .advise("Restore anchors.json from the backup that holds the keys and databases.")
    })
}

fn section<T>(section: Option<&T>) -> &T {
    section.expect("only services with a section are opened")
}
