//! `chancery lab`: an installation on loopback, an issuer of test identities, and a proof that it works.

pub(crate) mod env;
pub(crate) mod identity;
mod issuer;
pub(crate) mod proof;
mod screen;
pub(crate) mod token;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use chassis::config::ListenConfig;
use chassis::listen::Listener;
use chassis::telemetry::Telemetry;
use chassis::{Process, Service};
use clock::Clock as _;
use serde_json::Map;

use crate::anchors::{Anchors, LogAnchors};
use crate::cli::{EnvArgs, LabArgs, LogKey, Output, Ports, ShardedLog};
use crate::completion::{self, lab_port};
use crate::config::{ADMIN_PORT, Config, LabConfig};
use crate::failure::{Failure, Outcome};
use crate::gateway_command::add::{self, Addition};
use crate::init::{self, Plan};
use crate::layout::{Layout, names};
use crate::log_command::{self, add as log_add, shards};
use crate::names::{PublicUrl, PublicUrls, ServiceName, host_of};
use crate::output;
use crate::serve::{self, Sockets};
use env::Environment;
use identity::{Issuer, PROVEN, Subject};
use issuer::LabIssuer;
use proof::Proof;
use screen::{Opening, Row, Screen};

/// Where the issuer listens unless told otherwise.
const ISSUER_PORT: u16 = 8888;

/// `chancery lab`
pub(crate) async fn run(args: LabArgs, out: Output, telemetry: Telemetry) -> Outcome<ExitCode> {
    let started = Instant::now();
    let shutdown = serve::signals()?;
    let layout = Layout::new(&args.dir);
    let mut screen = Screen::new(out);

    // 1. Every socket, then on the first start everything that will name them.
    let created = !layout.config().exists();
    let sockets = if created { create(&layout, args.ports).await? } else { reopen(&layout, args.ports).await? };
    let config = Config::load(&layout.config())?;
    let registry = config.gateway.as_ref().expect("a lab that lacked its registry has just got it");
    let issuer = Arc::new(token::open_issuer(&layout)?);

    // 2. The services, what clients need to know of them, and the opening lines.
    let anchors = completion::anchors(&layout)?;
    let mut services = serve::open(&config, &layout, sockets.of_services.services, sockets.of_services.shards).await?;
    services.push(Service::new(sockets.issuer, issuer.clone().router()));
    let admin_url = sockets.of_services.admin.url();
    let environment = Environment::new(&layout, &anchors.public_urls, issuer.base(), &admin_url)
        .map(|environment| environment.with_rekor_v2(shards::newest_v2(&anchors, clock::SystemClock.now())))
        .map(|environment| match shards::oldest_open(&anchors, ShardedLog::Ctlog, clock::SystemClock.now()) {
            Some(log) => environment.with_ctlog(log.public_url),
            None => environment,
        })
        .and_then(|environment| match &config.rekor_v1 {
            Some(section) => environment.with_rekor_v1(&layout, &section.public_url),
            None => Ok(environment),
        })
        .and_then(|environment| environment.with_registry(&layout, &registry.public_url))
        .and_then(|environment| environment.write(&layout.env()).map(|()| environment))
        .map_err(|error| Failure::because("lab_folder", format!("{} cannot be written", layout.env().display()), &error))?;
    screen.open(Opening { created, added: sockets.added, ..opening(&layout, &anchors, &config, registry, &issuer)? });

    // 3. Serve; the proof is a client like any other.
    let process = Process::new(services).grace(config.grace.as_std()).admin(sockets.of_services.admin, telemetry);
    let running = process.start();
    let stopped = async {
        running.readiness().ready().await;
        let outcome = prove(&layout, &environment, &issuer, &mut screen).await;
        if outcome.is_ok() {
            screen.ready(started.elapsed(), &environment.to_json());
        }
        outcome
    };
    let proved = tokio::select! {
        proved = stopped => Some(proved),
        () = shutdown.asked() => None,
    };
    if let Some(Err(failure)) = proved {
        shutdown.ask();
        running.until(shutdown).await;
        return Err(failure);
    }
    let ended = running.until(shutdown).await;
    output::tell(&format!("\n{ended}; start again to find everything as it was\n"));
    Ok(ExitCode::from(u8::from(ended.exit_code() != 0)))
}

/// `chancery env`
pub(crate) fn print_env(args: &EnvArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.lab.dir);
    let unreadable = |error: std::io::Error| {
        Failure::because("not_a_lab", format!("{} cannot be read", layout.env().display()), &error)
            .advise(format!("Start a lab there first: chancery lab --dir {}", layout.dir().display()))
    };
    let mut environment = Environment::parse(&std::fs::read_to_string(layout.env()).map_err(unreadable)?);
    if args.cosign2 {
        let anchors = completion::anchors(&layout)?;
        let key = |log: ShardedLog| {
            let number = shards::oldest_open(&anchors, log, clock::SystemClock.now()).map_or(1, |shard| shard.number);
            log.public_key(number)
        };
        let keys = (key(ShardedLog::Ctlog), key(ShardedLog::RekorV1));
        environment = environment.with_cosign2(&layout, &keys.0, &keys.1).map_err(unreadable)?.ok_or_else(|| {
            Failure::usage("config_no_service", "this lab has no Rekor v1 log, the only one that cosign 2 writes to")
                .advise(format!("Add it: chancery log add rekor-v1 --dir {}", layout.dir().display()))
        })?;
    }
    match out {
        Output::Text => output::print(&environment.to_shell()),
        Output::Json => output::print_json(&environment.to_json()),
    }
    Ok(())
}

/// Every socket of a lab.
struct LabSockets {
    of_services: Sockets,
    issuer: Listener,
    /// What the lab got just now, after it was created.
    added: Vec<ServiceName>,
}

/// Binds free or well-known ports, then creates the installation that names them for ever.
async fn create(layout: &Layout, ports: Option<Ports>) -> Outcome<LabSockets> {
    let port = |wanted: u16| if ports == Some(Ports::Auto) { 0 } else { wanted };
    let mut services = Vec::new();
    for service in ServiceName::ALL {
        services.push((service, serve::bind(service.section(), &ListenConfig::loopback(port(service.port()))).await?));
    }
    let issuer = serve::bind("issuer", &ListenConfig::loopback(port(ISSUER_PORT))).await?;
    let admin = serve::bind("admin", &ListenConfig::loopback(port(ADMIN_PORT))).await?;

    let url = |service: ServiceName, listener: &Listener| match service {
        ServiceName::Registry => add::lab_url(listener),
        _ => listener.url(),
    };
    let urls: Vec<PublicUrl> = services.iter().map(|(service, listener)| PublicUrl(*service, url(*service, listener))).collect();
    let plan = Plan {
        urls: PublicUrls::new(None, &urls).map_err(|error| Failure::new("name_invalid", error.to_string()))?,
        listen: services.iter().map(|(_, listener)| at(listener)).collect(),
        admin: at(&admin),
        organization: "Chancery lab".to_owned(),
        oidc_issuer: None,
        ghes: None,
        rekor_v2_key: LogKey::EcdsaP256,
        databases: init::Databases::default(),
        lab: Some(LabConfig { public_url: issuer.url(), http: at(&issuer) }),
    };
    init::create(layout.dir(), &plan).await?;
    services.sort_by_key(|(service, _)| serve::drain_position(*service));
    Ok(LabSockets { of_services: Sockets { services, shards: Vec::new(), admin }, issuer, added: Vec::new() })
}

/// Binds what the lab was created with: its ports are part of a signed trust root. What there was not when it was created, it gets here.
async fn reopen(layout: &Layout, ports: Option<Ports>) -> Outcome<LabSockets> {
    let config = Config::load(&layout.config())?;
    let Some(lab) = &config.lab else {
        return Err(Failure::new("not_a_lab", format!("{} is an installation, not a lab", layout.dir().display()))
            .advise(format!("Run it with: chancery serve --config {}", layout.config().display())));
    };
    let fixed = |failure: Failure| {
        failure.advise("The lab's trust root names this port, so it cannot move: stop what uses it, or start a new lab in another folder with --ports auto.")
    };
    let mut of_services = Sockets::bind(&config, &serve::wanted(&config, None)?).await.map_err(fixed)?;
    let issuer = serve::bind("issuer", &lab.http).await.map_err(fixed)?;

    let mut added = Vec::new();
    if config.rekor_v1.is_none() {
        let listener = bind_added(&config, ServiceName::RekorV1, log_add::published_port(layout)?, ports).await?;
        let addition = log_add::Addition::for_lab(layout, &listener);
        // Whoever took the key offline that this needs does not lose the lab by it.
        if addition.has_targets_key() {
            log_add::complete(layout, addition).await?;
            of_services.services.push((ServiceName::RekorV1, listener));
            added.push(ServiceName::RekorV1);
        }
    }
    if config.gateway.is_none() {
        let listener = bind_added(&config, ServiceName::Registry, None, ports).await?;
        add::complete(layout, Addition::for_lab(&config, &listener)?).await?;
        of_services.services.push((ServiceName::Registry, listener));
        added.push(ServiceName::Registry);
    }
    of_services.services.sort_by_key(|(service, _)| serve::drain_position(*service));
    Ok(LabSockets { of_services, issuer, added })
}

/// Binds a service that the lab is to get, on the port that clients know already if there is one.
async fn bind_added(config: &Config, service: ServiceName, known: Option<u16>, ports: Option<Ports>) -> Outcome<Listener> {
    let port = match (known, ports) {
        (Some(port), _) => port,
        (None, Some(Ports::Auto)) => 0,
        (None, Some(Ports::Default)) => service.port(),
        (None, None) => lab_port(config, service),
    };
    serve::bind(service.section(), &ListenConfig::loopback(port)).await.map_err(|failure| {
        failure.advise(format!(
            "This lab is to get a {}: stop what uses the port, or start it with --ports auto, and it takes a free one for good.",
            service.title()
        ))
    })
}

fn at(listener: &Listener) -> ListenConfig {
    ListenConfig::plain(listener.addresses())
}

/// Runs what has not been proved before.
async fn prove(layout: &Layout, environment: &Environment, issuer: &LabIssuer, screen: &mut Screen) -> Outcome {
    let proof = Proof::begin(layout.proof());
    if proof.is_complete() {
        return Ok(());
    }
    screen.begin_proof();
    let subject = Subject::Ghes("platform/hello".parse().expect("a plain name"), "refs/heads/main".to_owned());
    let claims = subject.claims(issuer.base(), clock::SystemClock.now(), Map::new());
    let token = issuer
        .mint(&claims)
        .await
        .map_err(|error| Failure::because("lab_issuer_key", "the lab issuer's key cannot sign", &error))?;
    let identity = proof::Identity { token, subject: PROVEN.to_owned(), issuer: Issuer::Ghes.url(issuer.base()) };
    proof.run(environment, identity, |step| screen.passed(step)).await
}

/// The facts of the screen, read from the files that clients get.
fn opening(
    layout: &Layout,
    anchors: &Anchors,
    config: &Config,
    registry: &gateway::Config,
    issuer: &LabIssuer,
) -> Outcome<Opening> {
    let chain = |name: &str| {
        let unreadable = |error: &(dyn std::error::Error + 'static)| {
            Failure::because("certificate_unusable", format!("{} cannot be read", layout.join(name).display()), error)
        };
        let text = std::fs::read_to_string(layout.join(name)).map_err(|error| unreadable(&error))?;
        pki::Certificate::chain_from_pem(&text).map_err(|error| unreadable(&error))
    };
    let root_until = chain(names::FULCIO_CHAIN)?.last().map(pki::Certificate::not_after);
    let tsa_until = chain(names::TSA_CHAIN)?.first().map(pki::Certificate::not_after);
    let root = std::fs::read(layout.join(names::ROOT_JSON)).ok();
    let root_expires = root.as_deref().and_then(expires);
    let row = |service: ServiceName, label: &'static str, digest: &str, until| Row {
        title: service.title(),
        url: anchors.public_urls.of(service).to_owned(),
        label: label.into(),
        digest: digest.to_owned(),
        until,
    };
    let log = |service: ServiceName, anchors: &LogAnchors| row(service, "log id", &anchors.key, None);
    let mut rows = vec![
        row(ServiceName::Fulcio, "root certificate", &anchors.fulcio.root_certificate, root_until),
        row(ServiceName::Ctlog, "log id", &anchors.ctlog.key, None),
        log(ServiceName::RekorV2, &anchors.rekor_v2),
    ];
    let rekor_v1 = anchors.rekor_v1.as_ref().filter(|_| config.rekor_v1.is_some());
    rows.extend(rekor_v1.map(|anchors| log(ServiceName::RekorV1, anchors)));
    rows.extend([
        row(ServiceName::Tsa, "certificate", &anchors.tsa.certificate, tsa_until),
        row(ServiceName::Tuf, "version 1", "", root_expires),
        Row {
            title: ServiceName::Registry.title(),
            url: host_of(&registry.public_url).to_owned(),
            label: wants(registry).into(),
            digest: String::new(),
            until: None,
        },
    ]);
    Ok(Opening {
        dir: layout.dir().display().to_string(),
        created: false,
        added: Vec::new(),
        lacks_rekor_v1: config.rekor_v1.is_none().then(|| log_command::add_to(layout)),
        root_json: layout.join(names::ROOT_JSON).display().to_string(),
        root_digest: anchors.tuf.root_json.clone(),
        rows,
        registry: host_of(&registry.public_url).to_owned(),
        issuer: issuer.base().to_owned(),
    })
}

/// What the registry's policies want, in a few words.
fn wants(registry: &gateway::Config) -> String {
    let policies: Vec<String> = registry.policies.iter().map(wanted_by).collect();
    if policies.is_empty() { "no policy: any image may go anywhere".to_owned() } else { policies.join("; ") }
}

fn wanted_by(policy: &gateway::PolicyConfig) -> String {
    let identity = policy.identities.first();
    let subject = identity.and_then(|identity| identity.subject.as_deref().or(identity.subject_pattern.as_deref()));
    // The URI of a workflow begins with its repository.
    let workflow = |uri: &str| {
        let (repository, _) = uri.strip_prefix("https://ghe.lab/")?.split_once("/.github/")?;
        Some(repository.to_owned())
    };
    let by = subject.map_or_else(|| "nobody".to_owned(), |subject| workflow(subject).unwrap_or_else(|| subject.to_owned()));
    let mut text = format!("{} wants a signature by {by}", policy.repositories);
    for predicate_type in &policy.attestations {
        let name = evidence::predicate::name(predicate_type);
        // As it is spoken: an SPDX SBOM, an OpenVEX document.
        let article = if name.starts_with(['S', 'O', 'i', 'a']) { "an" } else { "a" };
        text.push_str(&format!(" and {article} {name}"));
    }
    text
}

/// The expiry of a TUF document.
fn expires(document: &[u8]) -> Option<jiff::Timestamp> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    document["signed"]["expires"].as_str()?.parse().ok()
}
