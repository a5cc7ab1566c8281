//! `chancery config print`, and `chancery config check`: what a start would refuse, but for what only an open database, a bound port or
//! another machine can tell.

use std::path::Path;
use std::sync::Arc;

use chassis::Explain;
use chassis::listen::Listener;
use clock::{Clock, SystemClock};
use keys::FileKey;

use crate::cli::{Output, ShardedLog};
use crate::config::Config;
use crate::failure::{Exit, Failure, Outcome};
use crate::layout::Layout;
use crate::log_command::shards;
use crate::names::ServiceName;
use crate::{compare, completion, output, serve};

/// Checks the configuration at `config_path`. Nothing is opened for writing, bound, served or fetched.
pub(crate) async fn run(config_path: &Path, out: Output) -> Outcome {
    let config = Config::load(config_path)?;
    let services = serve::wanted(&config, None)?;
    let layout = Layout::new(serve::folder_of(config_path));
    all(&config, &layout, &services).await.map_err(|mut failure| {
        failure.set_exit(Exit::Usage);
        failure
    })?;
    let names: Vec<&str> = services.iter().map(|service| service.section()).collect();
    match out {
        Output::Text => output::print(&format!("{} is valid: {}\n", config_path.display(), names.join(", "))),
        Output::Json => output::print_json(&serde_json::json!({ "valid": true, "services": names })),
    }
    Ok(())
}

/// `chancery config print`: what a start would go by, as JSON, which is YAML too.
pub(crate) fn print(config_path: &Path) -> Outcome {
    let config = serde_json::to_value(Config::load(config_path)?)
        .map_err(|error| Failure::because("config_invalid", "the configuration cannot be shown", &error))?;
    output::print_json(&config);
    Ok(())
}

/// Each service, then whether it is the one that `init` created, where that is known.
async fn all(config: &Config, layout: &Layout, services: &[ServiceName]) -> Outcome {
    Listener::check("admin", &config.admin.http).map_err(explained)?;
    let anchors = layout.anchors().exists().then(|| completion::anchors(layout)).transpose()?;
    for service in services {
        let http = serve::listen_config(config, *service).expect("only services with a section are wanted");
        Listener::check(service.section(), http).map_err(explained)?;
        for (_, section, http) in serve::shard_listeners(config).filter(|(of, ..)| of == service) {
            Listener::check(section, http).map_err(explained)?;
        }
        one(config, *service).await?;
        if let Some(anchors) = &anchors {
            compare::with_anchors(config, layout, *service, anchors)?;
        }
    }
    Ok(())
}

/// What a service reads before its database: keys, certificates, roots, policies. The trust root reads its keys alone, which are compared
/// with the anchors.
async fn one(config: &Config, service: ServiceName) -> Outcome {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match service {
        ServiceName::Fulcio => {
            let section = config.fulcio.as_ref().expect("only services with a section are wanted");
            let key = FileKey::load(&section.key)
                .map_err(|error| Failure::because("fulcio_key", "the certificate authority's key cannot be used", &error))?;
            fulcio::check(section, Arc::new(key), &clock).map_err(explained)
        }
        ServiceName::Tsa => {
            let section = config.tsa.as_ref().expect("only services with a section are wanted");
            tsa::open(section, clock).await.map(drop).map_err(explained)
        }
        ServiceName::Registry => {
            let section = config.gateway.as_ref().expect("only services with a section are wanted");
            gateway::check(section).map_err(explained)
        }
        ServiceName::Witness => {
            let section = config.witness.as_ref().expect("only services with a section are wanted");
            witness::check(section).map_err(explained)
        }
        ServiceName::Ctlog => {
            for number in shards::numbers(config, ShardedLog::Ctlog) {
                ctlog::check_files(&shards::ct(config, number)?).await.map_err(explained)?;
            }
            Ok(())
        }
        ServiceName::RekorV2 => {
            for number in shards::numbers(config, ShardedLog::RekorV2) {
                rekor::v2::check_files(&shards::v2(config, number)?).await.map_err(explained)?;
            }
            Ok(())
        }
        ServiceName::RekorV1 => {
            let section = config.rekor_v1.as_ref().expect("only services with a section are wanted");
            rekor::v1::check_files(section, &config.rekor_v1_shards).map_err(explained)
        }
        ServiceName::Tuf => Ok(()),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it takes what map_err gives")]
fn explained(error: impl Explain) -> Failure {
    Failure::explained(&error)
}
