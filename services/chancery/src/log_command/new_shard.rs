//! `chancery log new-shard`: a log that follows another, with an origin and a key of its own.
//!
//! Whoever verifies must know the new key before anything is signed under it, so this only makes the shard and tells of it. A Rekor v2
//! shard is a log at another host: those who sign are told to write to it from a time on. A Rekor v1 tree is at the URL of the one before
//! it, and takes entries when that one is frozen (`freeze.rs`). A shard of the certificate log is at another URL, and the certificate
//! authority submits to it when the one before it is frozen.

use std::path::PathBuf;
use std::sync::Arc;

use chassis::config::ListenConfig;
use clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};
use pki::PublicKey;

use super::CODE;
use super::shards::{self, Shard, no_section};
use super::trust::{Known, Telling, TufSigners, create_key, meanwhile, unfinished};
use crate::anchors::{Anchors, LogAnchors};
use crate::cli::ShardedLog;
use crate::completion::{self, Completion, Prepared};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::init::distinct_keys;
use crate::init::text::{listen, quoted};
use crate::init::trust::{Documents, NewLog, NewShard};
use crate::layout::Layout;

/// What is to follow what.
#[derive(Debug)]
pub(crate) struct Succession {
    /// Which log gets a shard.
    pub log: ShardedLog,
    /// Of a shard that has its own; below the installation's domain when none is given.
    pub public_url: Option<String>,
    /// How long clients get to learn of it; as long as they may keep an old trust root when none is given.
    pub wait: Option<SignedDuration>,
    /// Where the key is that signs TUF's targets.
    pub offline_keys: PathBuf,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Succeeded {
    /// Its number.
    pub number: u32,
    /// What it was created with.
    pub anchors: LogAnchors,
    /// Where clients find it.
    pub public_url: String,
    /// Its private key, below `D/`.
    pub key: String,
    /// Its public key, below `D/`.
    pub public_key: String,
}

/// The shard that is about to be, or was begun by a run that was cut off.
struct Next {
    log: ShardedLog,
    number: u32,
    public_url: String,
    from: Timestamp,
    begun: Option<LogAnchors>,
}

/// A shard that is in the database.
struct Created {
    anchors: LogAnchors,
    key: PublicKey,
    id: [u8; 32],
    since: Timestamp,
}

/// What the engine made of it.
struct Made {
    origin: String,
    key: PublicKey,
    id: [u8; 32],
    checkpoint: String,
    since: Timestamp,
}

/// Makes the shard. Run again after a crash, it keeps what is there and makes the rest.
///
/// # Errors
/// Another run is under way, another shard waits still, the log's database is in use, the host has a log already, the key of TUF's
/// targets is not there, or something cannot be written.
pub(crate) async fn complete(layout: &Layout, succession: Succession) -> Outcome<Succeeded> {
    // 1. One run at a time; everything that is there must fit, and be able to take what comes. Nothing is made before.
    let completion = Completion::begin(layout, CODE)?;
    let config = Config::load(&layout.config())?;
    let anchors = completion::anchors(layout)?;
    let known = Known::read(layout, &anchors, CODE)?;
    let signers = TufSigners::load(&config, &succession.offline_keys, CODE)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let wait = succession.wait.unwrap_or_else(|| SignedDuration::try_from(signers.lifetimes.timestamp).unwrap_or_default());
    let next = Next::of(&anchors, &succession, clock.now(), wait)?;
    let (prepared, config) = next.configure(&completion, config)?;

    // 2. Its key; 3. its log. Nobody knows of them.
    let (key, public_key) = (next.log.key(next.number), next.log.public_key(next.number));
    let path = layout.join(&key);
    create_key(&path).map_err(|error| completion.unwritable(&path, &*error))?;
    let created = next.create(&config, &clock).await?;
    completion.give_to_owner(&path)?;
    shards::database_folder(&config, next.log).map_or(Ok(()), |folder| completion.give_to_owner(folder))?;

    // 4. The anchors: the shard is one of this installation, whether or not a start finds it in the configuration yet.
    let log = NewLog { url: &next.public_url, key: &created.key, since: created.since };
    let write_from = (next.log == ShardedLog::RekorV2).then_some(next.from);
    let documents = match next.log {
        ShardedLog::Ctlog => Documents::with_ct_shard(known.trusted_root, known.signing_config, log),
        ShardedLog::RekorV2 | ShardedLog::RekorV1 => {
            Documents::with_shard(known.trusted_root, known.signing_config, &NewShard { log, id: created.id, write_from })
        }
    };
    let documents = documents.map_err(|error| Failure::because(CODE, "what clients are told cannot name the shard", &error))?;
    let meanwhile = meanwhile(&anchors, next.enter(&anchors, &created), &documents, &next.command())?;
    distinct_keys(&meanwhile)?;
    completion.replace(&layout.anchors(), meanwhile.to_json().as_bytes(), &layout.anchors())?;

    // 5. The configuration: from the next start on the shard is served. It is before anybody is told of it.
    if let Some(prepared) = prepared {
        completion.publish(prepared)?;
    }

    // 6. What clients are told.
    let target = next.log.target(next.number, &created.key, &next.public_url);
    let telling = Telling { layout, completion: &completion, signers: &signers, documents: &documents, anchors: meanwhile };
    let pem = Some((public_key.clone(), created.key.to_pem()));
    telling.tell(target.into_iter().collect(), pem, clock.as_ref()).await?;
    Ok(Succeeded { number: next.number, anchors: created.anchors, public_url: next.public_url, key, public_key })
}

impl Next {
    fn of(anchors: &Anchors, succession: &Succession, now: Timestamp, wait: SignedDuration) -> Outcome<Self> {
        let log = succession.log;
        let shards = shards::of(anchors, log);
        let newest = shards.last().ok_or_else(|| no_section(log))?;
        if let Some(command) = &anchors.unfinished {
            let next = Self::begun(newest);
            if *command != next.command() {
                return Err(unfinished(CODE, command));
            }
            return same_url(&next, succession).map(|()| next);
        }
        if anchors.trusted_root_before.is_some() {
            return Err(unfinished(CODE, "add rekor-v1"));
        }
        if let Some(older) = shards[..shards.len() - 1].iter().find(|shard| shard.anchors.frozen.is_none()) {
            let what = format!("shard {} of {} has a successor already, shard {}", older.number, log.service(), newest.number);
            return Err(Failure::new("log_shard_waits", what)
                .advise(format!("Nothing was changed. Freeze it first: chancery log freeze {}", log.service())));
        }
        let number = newest.number + 1;
        let public_url = match log {
            ShardedLog::RekorV2 | ShardedLog::Ctlog => free_url(anchors, succession, number)?,
            ShardedLog::RekorV1 if succession.public_url.is_none() => newest.public_url.to_owned(),
            ShardedLog::RekorV1 => {
                return Err(Failure::usage("usage", "a tree of Rekor v1 has the URL of the one before it")
                    .advise("Leave --public-url away."));
            }
        };
        let from = now.checked_add(wait).unwrap_or(now);
        let from = Timestamp::from_second(from.as_second()).unwrap_or(from);
        Ok(Self { log, number, public_url, from, begun: None })
    }

    fn begun(shard: &Shard<'_>) -> Self {
        Self {
            log: shard.log,
            number: shard.number,
            public_url: shard.public_url.to_owned(),
            from: shard.anchors.from.unwrap_or_default(),
            begun: Some(shard.anchors.clone()),
        }
    }

    /// What the anchors call it while it is not done.
    fn command(&self) -> String {
        let Self { log, number, public_url, .. } = self;
        match log {
            ShardedLog::RekorV2 | ShardedLog::Ctlog if *number > 1 => {
                format!("new-shard {log} --public-url {log}={public_url}", log = log.service())
            }
            _ => format!("new-shard {}", log.service()),
        }
    }

    /// The configuration with the shard in it: to be published, unless it is there.
    fn configure(&self, completion: &Completion<'_>, config: Config) -> Outcome<(Option<Prepared>, Config)> {
        if self.log.configured(&config) + 1 >= self.number as usize {
            return Ok((None, config));
        }
        let key = quoted(&self.log.key(self.number));
        let item = match self.log {
            ShardedLog::RekorV1 => format!("{{ key: {key} }}"),
            ShardedLog::RekorV2 | ShardedLog::Ctlog => {
                let http = listen_of(&self.public_url, self.log.service().port(), self.number);
                let (url, http) = (quoted(&self.public_url), listen(&http));
                format!("{{ public_url: {url}, http: {http}, key: {key} }}")
            }
        };
        let prepared = completion.prepare_item(&self.log.list(), &item)?;
        let config = prepared.config.clone();
        Ok((Some(prepared), config))
    }

    async fn create(&self, config: &Config, clock: &Arc<dyn Clock>) -> Outcome<Created> {
        let made = self.make(config, clock).await?;
        // What a run has entered that was cut off stays: the log may have grown since, or signed a younger head.
        if let Some(begun) = &self.begun {
            return Ok(Created { anchors: begun.clone(), key: made.key, id: made.id, since: begun.since.unwrap_or(made.since) });
        }
        let fingerprint = hex::encode(made.key.fingerprint());
        let anchors = match self.log {
            // It begins with no entry, so there is no tree that it must contain.
            ShardedLog::Ctlog => {
                LogAnchors { since: Some(made.since), ..LogAnchors::new(made.origin, fingerprint, String::new()) }
            }
            ShardedLog::RekorV2 | ShardedLog::RekorV1 => LogAnchors::new(made.origin, fingerprint, made.checkpoint),
        };
        let public_url = (self.log != ShardedLog::RekorV1).then(|| self.public_url.clone());
        Ok(Created {
            anchors: LogAnchors { public_url, from: Some(self.from), ..anchors },
            key: made.key,
            id: made.id,
            since: made.since,
        })
    }

    async fn make(&self, config: &Config, clock: &Arc<dyn Clock>) -> Outcome<Made> {
        let (number, clock) = (self.number, clock.clone());
        Ok(match self.log {
            ShardedLog::Ctlog => {
                let made = ctlog::complete_shard(&shards::ct(config, number)?, number, clock).await;
                let ctlog::Created { identity, checkpoint, since } = made.map_err(|error| Failure::explained(&error))?;
                Made { origin: identity.origin, key: identity.public_key, id: *identity.log_id.as_bytes(), checkpoint, since }
            }
            ShardedLog::RekorV2 => {
                let made = rekor::v2::complete_shard(&shards::v2(config, number)?, number, clock).await;
                let rekor::v2::Created { identity, checkpoint, since, .. } = made.map_err(|error| Failure::explained(&error))?;
                Made { origin: identity.origin, key: identity.public_key, id: *identity.log_id.as_bytes(), checkpoint, since }
            }
            ShardedLog::RekorV1 => {
                let (section, key) = shards::v1(config, number)?;
                let made = rekor::v1::complete_shard(section, number, key, clock).await;
                let rekor::v1::Created { identity, checkpoint, since, .. } = made.map_err(|error| Failure::explained(&error))?;
                Made { origin: identity.origin, key: identity.public_key, id: *identity.log_id.as_bytes(), checkpoint, since }
            }
        })
    }

    /// The anchors with the shard.
    fn enter(&self, before: &Anchors, created: &Created) -> Anchors {
        let mut after = before.clone();
        if self.begun.is_none() {
            match self.log {
                ShardedLog::Ctlog => after.ctlog_shards.push(created.anchors.clone()),
                ShardedLog::RekorV2 => after.rekor_v2_shards.push(created.anchors.clone()),
                ShardedLog::RekorV1 => after.rekor_v1_shards.push(created.anchors.clone()),
            }
        }
        after
    }
}

/// A Rekor v2 log is known by its host, a certificate log by its URL, so the shard needs one that no log of this installation ever had.
fn free_url(anchors: &Anchors, succession: &Succession, number: u32) -> Outcome<String> {
    let service = succession.log.service();
    let below = || {
        let domain = anchors.public_urls.domain()?;
        Some(match succession.log {
            ShardedLog::RekorV2 => format!("https://log{number}.rekor.{domain}"),
            ShardedLog::Ctlog | ShardedLog::RekorV1 => format!("https://{service}{number}.{domain}"),
        })
    };
    let url = succession.public_url.clone().or_else(below).ok_or_else(|| {
        Failure::usage("name_invalid", "the shard has no public URL: this installation's services are not below one domain")
            .advise(format!("Give --public-url {service}=URL, one that no log has."))
    })?;
    let invalid = |error: &dyn std::error::Error| Failure::usage("name_invalid", error.to_string());
    let origin = match succession.log {
        ShardedLog::Ctlog => ctlog::origin_of(&url).map_err(|error| invalid(&error))?,
        ShardedLog::RekorV2 | ShardedLog::RekorV1 => rekor::v2::origin_of(&url).map_err(|error| invalid(&error))?,
    };
    let logs = [ShardedLog::Ctlog, ShardedLog::RekorV2].map(|log| shards::of(anchors, log));
    if logs.iter().flatten().any(|shard| shard.anchors.origin == origin) {
        let known_by = if succession.log == ShardedLog::Ctlog {
            "A certificate log is known by its URL"
        } else {
            "A Rekor v2 log is known by its host"
        };
        return Err(Failure::usage("origin_shared", "two logs would have the same origin")
            .detail(format!("already a log  {origin}"))
            .advise(format!("{known_by} for ever. Give the shard another one with --public-url {service}=URL.")));
    }
    Ok(url)
}

/// Where the shard listens until somebody changes that: at its address when its URL has one of loopback, else beside the first shard.
fn listen_of(public_url: &str, first: u16, number: u32) -> ListenConfig {
    let url = url::Url::parse(public_url).ok();
    let address = url.as_ref().and_then(|url| {
        let ip: std::net::IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
        ip.is_loopback().then_some(std::net::SocketAddr::new(ip, url.port_or_known_default()?))
    });
    match address {
        Some(address) => ListenConfig { listen: vec![address], ..ListenConfig::loopback(address.port()) },
        None => {
            let apart = u16::try_from(number - 1).unwrap_or(u16::MAX).saturating_mul(100);
            ListenConfig::loopback(first.saturating_add(apart))
        }
    }
}

/// A shard that was begun keeps its name.
fn same_url(next: &Next, succession: &Succession) -> Outcome {
    match &succession.public_url {
        Some(url) if *url != next.public_url => Err(unfinished(CODE, &next.command())),
        _ => Ok(()),
    }
}
