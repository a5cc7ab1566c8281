//! `chancery log new-shard`: a log that follows another, with an origin and a key of its own.
//!
//! Whoever verifies must know the new key before anything is signed under it, so this only makes the shard and tells of it. A Rekor v2
//! shard is a log at another host: those who sign are told to write to it from a time on. A Rekor v1 tree is at the URL of the one before
//! it, and takes entries when that one is frozen (`freeze.rs`).

use std::path::PathBuf;
use std::sync::Arc;

use chassis::config::ListenConfig;
use clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};
use pki::PublicKey;
use tuf::Target;

use super::CODE;
use super::shards::{self, Shard, no_section};
use super::trust::{Known, Telling, TufSigners, create_key, meanwhile, unfinished};
use crate::anchors::{Anchors, RekorAnchors};
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
    /// Of a Rekor v2 shard; below the installation's domain when none is given.
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
    pub anchors: RekorAnchors,
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
    begun: Option<RekorAnchors>,
}

/// A shard that is in the database.
struct Created {
    anchors: RekorAnchors,
    key: PublicKey,
    id: [u8; 32],
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
    let shard = NewShard {
        log: NewLog { url: &next.public_url, key: &created.key, since: created.since },
        id: created.id,
        write_from: (next.log == ShardedLog::RekorV2).then_some(next.from),
    };
    let documents = Documents::with_shard(known.trusted_root, known.signing_config, &shard)
        .map_err(|error| Failure::because(CODE, "what clients are told cannot name the shard", &error))?;
    let meanwhile = meanwhile(&anchors, next.enter(&anchors, &created), &documents, &next.command())?;
    distinct_keys(&meanwhile)?;
    completion.replace(&layout.anchors(), meanwhile.to_json().as_bytes(), &layout.anchors())?;

    // 5. The configuration: from the next start on the shard is served. It is before anybody is told of it.
    if let Some(prepared) = prepared {
        completion.publish(prepared)?;
    }

    // 6. What clients are told.
    let target =
        (next.log == ShardedLog::RekorV1).then(|| Target::rekor_shard(next.number, created.key.to_pem(), &*next.public_url));
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
            ShardedLog::RekorV2 => free_url(anchors, succession, number)?,
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
            ShardedLog::RekorV2 if *number > 1 => format!("new-shard rekor-v2 --public-url rekor-v2={public_url}"),
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
            ShardedLog::RekorV2 => {
                let (url, http) = (quoted(&self.public_url), listen(&listen_of(&self.public_url, self.number)));
                format!("{{ public_url: {url}, http: {http}, key: {key} }}")
            }
        };
        let prepared = completion.prepare_item(&self.log.list(), &item)?;
        let config = prepared.config.clone();
        Ok((Some(prepared), config))
    }

    async fn create(&self, config: &Config, clock: &Arc<dyn Clock>) -> Outcome<Created> {
        let anchors = |origin: &str, key: &PublicKey, checkpoint: &str| {
            let made = RekorAnchors::new(origin.to_owned(), hex::encode(key.fingerprint()), checkpoint.to_owned());
            let public_url = (self.log == ShardedLog::RekorV2).then(|| self.public_url.clone());
            // What a run has entered that was cut off stays: the log may have grown since.
            self.begun.clone().unwrap_or(RekorAnchors { public_url, from: Some(self.from), ..made })
        };
        match self.log {
            ShardedLog::RekorV2 => {
                let made = rekor::v2::complete_shard(&shards::v2(config, self.number)?, self.number, clock.clone()).await;
                let made = made.map_err(|error| Failure::explained(&error))?;
                let (identity, since) = (made.identity, made.since);
                let anchors = anchors(&identity.origin, &identity.public_key, &made.checkpoint);
                Ok(Created { anchors, id: *identity.log_id.as_bytes(), key: identity.public_key, since })
            }
            ShardedLog::RekorV1 => {
                let (section, key) = shards::v1(config, self.number)?;
                let made = rekor::v1::complete_shard(section, self.number, key, clock.clone()).await;
                let made = made.map_err(|error| Failure::explained(&error))?;
                let (identity, since) = (made.identity, made.since);
                let anchors = anchors(&identity.origin, &identity.public_key, &made.checkpoint);
                Ok(Created { anchors, id: *identity.log_id.as_bytes(), key: identity.public_key, since })
            }
        }
    }

    /// The anchors with the shard.
    fn enter(&self, before: &Anchors, created: &Created) -> Anchors {
        let mut after = before.clone();
        if self.begun.is_none() {
            match self.log {
                ShardedLog::RekorV2 => after.rekor_v2_shards.push(created.anchors.clone()),
                ShardedLog::RekorV1 => after.rekor_v1_shards.push(created.anchors.clone()),
            }
        }
        after
    }
}

/// A Rekor v2 log is known by its host, so the shard needs one that no log of this installation ever had.
fn free_url(anchors: &Anchors, succession: &Succession, number: u32) -> Outcome<String> {
    let below = || anchors.public_urls.domain().map(|domain| format!("https://log{number}.rekor.{domain}"));
    let url = succession.public_url.clone().or_else(below).ok_or_else(|| {
        Failure::usage("name_invalid", "the shard has no public URL: this installation's services are not below one domain")
            .advise("Give --public-url rekor-v2=URL, with a host name that no log has.")
    })?;
    let origin = rekor::v2::origin_of(&url).map_err(|error| Failure::usage("name_invalid", error.to_string()))?;
    let mut taken =
        shards::of(anchors, ShardedLog::RekorV2).into_iter().map(|shard| &shard.anchors.origin).chain([&anchors.ctlog.origin]);
    if taken.any(|known| *known == origin) {
        return Err(Failure::usage("origin_shared", "two logs would have the same origin")
            .detail(format!("already a log  {origin}"))
            .advise(
                "A Rekor v2 log is known by its host for ever. Give the shard another host with --public-url rekor-v2=URL.",
            ));
    }
    Ok(url)
}

/// Where the shard listens until somebody changes that: at its address when its URL has one of loopback, else beside the first shard.
fn listen_of(public_url: &str, number: u32) -> ListenConfig {
    let url = url::Url::parse(public_url).ok();
    let address = url.as_ref().and_then(|url| {
        let ip: std::net::IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
        ip.is_loopback().then_some(std::net::SocketAddr::new(ip, url.port_or_known_default()?))
    });
    match address {
        Some(address) => ListenConfig { listen: vec![address], ..ListenConfig::loopback(address.port()) },
        None => {
            ListenConfig::loopback(3003_u16.saturating_add(u16::try_from(number - 1).unwrap_or(u16::MAX).saturating_mul(100)))
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
