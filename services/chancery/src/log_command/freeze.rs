//! `chancery log freeze`: a shard takes no more entries for ever. What is in it is read and believed as before.
//!
//! To a certificate log nobody but the certificate authority submits: it is told of the successor first, in `chancery.yaml`, so that there
//! is never one that submits to a log which is frozen.

use std::path::PathBuf;
use std::sync::Arc;

use chassis::config::FilePath;
use clock::{Clock, SystemClock};
use face::Frozen;
use jiff::Timestamp;
use keys::{FileKey, Signer as _};
use pki::PublicKey;
use tuf::Target;

use super::CODE;
use super::shards::{self, Shard, no_section};
use super::trust::{Known, Telling, TufSigners, meanwhile, unfinished};
use crate::anchors::{Anchors, LogAnchors};
use crate::cli::ShardedLog;
use crate::completion::{self, Completion, Prepared};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::init::submission_url;
use crate::init::text::quoted;
use crate::init::trust::Documents;
use crate::layout::Layout;
use crate::{compare, serve};

/// What is to be frozen.
#[derive(Debug)]
pub(crate) struct Closure {
    /// Which log.
    pub log: ShardedLog,
    /// Which shard of it; the oldest that takes entries when none is named.
    pub shard: Option<u32>,
    /// Before all clients know of its successor, too.
    pub now: bool,
    /// Where the key is that signs TUF's targets.
    pub offline_keys: PathBuf,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The shard's number.
    pub number: u32,
    /// Whether that was done now.
    pub made: bool,
    /// As it is now.
    pub anchors: LogAnchors,
    /// Of a certificate log: where the certificate authority of this configuration submits from its next start on, if that was changed now.
    pub submits_to: Option<String>,
}

/// Freezes a shard. Run again after a crash, it makes the rest.
///
/// # Errors
/// Another run is under way, there is nothing that takes the entries instead, the log's database is in use, the key of TUF's targets is
/// not there, or something cannot be written.
pub(crate) async fn complete(layout: &Layout, closure: Closure) -> Outcome<Closed> {
    // 1. One run at a time; everything that is there must fit, and something else must take the entries.
    let completion = Completion::begin(layout, CODE)?;
    let config = Config::load(&layout.config())?;
    let anchors = completion::anchors(layout)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shards = shards::of(&anchors, closure.log);
    let shard = choose(&shards, &closure, &anchors)?;
    let command = format!("freeze {} --shard {}", closure.log.service(), shard.number);
    match &anchors.unfinished {
        Some(other) if *other != command => return Err(unfinished(CODE, other)),
        Some(_) => {}
        None if anchors.trusted_root_before.is_some() => return Err(unfinished(CODE, "add rekor-v1")),
        None if shard.anchors.frozen.is_some() => {
            return Ok(Closed { number: shard.number, made: false, anchors: shard.anchors.clone(), submits_to: None });
        }
        None => check_successor(&shards, &shard, closure.now, clock.now())?,
    }
    let known = Known::read(layout, &anchors, CODE)?;
    let signers = TufSigners::load(&config, &closure.offline_keys, CODE)?;

    let submission = submission(&completion, &config, &shards, &shard)?;

    // 2. The certificate authority submits to the successor from its next start on; clients know that one.
    let submits_to = match submission {
        Some((url, prepared)) => completion.publish(prepared).map(|()| Some(url))?,
        None => None,
    };

    // 3. The log itself: its last checkpoint. This cannot be undone; whatever crashes from here on, the command makes the rest.
    let (frozen, key) = freeze(&config, &shard, &clock).await?;
    shards::database_folder(&config, closure.log).map_or(Ok(()), |folder| completion.give_to_owner(folder))?;

    // 4. The anchors: a database in which the log is open would be an older one.
    let id = hex::decode(&shard.anchors.key).unwrap_or_default();
    let id = log_id(&known, &id, &key);
    let documents = Documents::with_frozen(known.trusted_root, known.signing_config, &id, frozen.since)
        .map_err(|error| Failure::because(CODE, "what clients are told cannot say that the log is frozen", &error))?;
    let closed = LogAnchors { checkpoint: frozen.checkpoint, frozen: Some(frozen.since), ..shard.anchors.clone() };
    let meanwhile = meanwhile(&anchors, entered(&anchors, &shard, &closed), &documents, &command)?;
    completion.replace(&layout.anchors(), meanwhile.to_json().as_bytes(), &layout.anchors())?;

    // 5. What clients are told.
    let target = closure.log.target(shard.number, &key, shard.public_url);
    let telling = Telling { layout, completion: &completion, signers: &signers, documents: &documents, anchors: meanwhile };
    telling.tell(target.map(Target::retired).into_iter().collect(), None, clock.as_ref()).await?;
    Ok(Closed { number: shard.number, made: true, anchors: closed, submits_to })
}

/// The shard that is meant: the one whose freezing was cut off, the one that was named, or the oldest that is not frozen.
fn choose<'a>(shards: &[Shard<'a>], closure: &Closure, anchors: &Anchors) -> Outcome<Shard<'a>> {
    let service = closure.log.service();
    let begun = anchors.unfinished.as_deref().and_then(|command| command.strip_prefix(&format!("freeze {service} --shard ")));
    let wanted = closure.shard.or_else(|| begun.and_then(|number| number.parse().ok()));
    let found = match wanted {
        Some(number) => shards.iter().find(|shard| shard.number == number),
        None => shards.iter().find(|shard| shard.anchors.frozen.is_none()).or(shards.last()),
    };
    let found = found.copied().ok_or_else(|| match wanted {
        Some(number) if !shards.is_empty() => {
            Failure::usage("log_shard_unknown", format!("{service} has no shard {number}, it has 1 to {}", shards.len()))
                .advise("`chancery log list` shows them.")
        }
        _ => no_section(closure.log),
    })?;
    Ok(found)
}

/// Something must take the entries that this shard does not take any more, and whoever signs and verifies must know of it.
fn check_successor(shards: &[Shard<'_>], shard: &Shard<'_>, now: bool, time: Timestamp) -> Outcome {
    let (service, number) = (shard.log.service(), shard.number);
    let open = shards.iter().filter(|other| other.anchors.frozen.is_none());
    let Some(next) = open.clone().find(|other| other.number > number) else {
        return Err(Failure::new("log_no_successor", format!("shard {number} of {service} is the only one that takes entries"))
            .advise(format!("Nothing was changed. Make its successor first: chancery log new-shard {service}")));
    };
    // The index that Rekor v1 promises counts over the trees in their order, so they are frozen in it.
    if let Some(older) = open.clone().find(|other| other.number < number) {
        return Err(Failure::new(
            "log_no_successor",
            format!("shard {} of {service} is older and takes entries still", older.number),
        )
        .advise("Nothing was changed. Freeze that one first."));
    }
    match next.anchors.from {
        Some(from) if from > time && !now => {
            Err(Failure::new("log_freeze_early", format!("not all clients know of shard {} of {service} yet", next.number))
                .detail(format!("they do from  {from}"))
                .advise(
                    "Nothing was changed. Wait until then; with --now signing or verifying fails at clients that do not know it.",
                ))
        }
        _ => Ok(()),
    }
}

/// The configuration in which the certificate authority submits to the successor of `shard`, and where that is; none when it does so
/// already, or is configured elsewhere.
fn submission(
    completion: &Completion<'_>,
    config: &Config,
    shards: &[Shard<'_>],
    shard: &Shard<'_>,
) -> Outcome<Option<(String, Prepared)>> {
    let (ShardedLog::Ctlog, Some(fulcio)) = (shard.log, &config.fulcio) else { return Ok(None) };
    let Some(next) = shards.iter().find(|other| other.number > shard.number && other.anchors.frozen.is_none()) else {
        return Ok(None);
    };
    let public_key = next.log.public_key(next.number);
    if compare::public_key("the certificate log's public key", &fulcio.ct_log.public_key)? == next.anchors.key {
        return Ok(None);
    }
    let (before, after) = (shards::ct(config, shard.number)?, shards::ct(config, next.number)?);
    // Straight to the listener, as far as it was so before.
    let direct = fulcio.ct_log.url == submission_url(&before.http, &before.public_url);
    let url = if direct { submission_url(&after.http, &after.public_url) } else { after.public_url };
    let prepared = completion.prepare_values(
        "fulcio",
        "ct_log",
        &[("url", quoted(&url)), ("public_key", quoted(&public_key))],
        |config| {
            let ct_log = config.fulcio.as_mut().map(|fulcio| &mut fulcio.ct_log);
            ct_log.into_iter().for_each(|ct_log| {
                ct_log.url.clone_from(&url);
                ct_log.public_key = FilePath::from(completion.join(&public_key));
            });
        },
    )?;
    Ok(Some((url, prepared)))
}

async fn freeze(config: &Config, shard: &Shard<'_>, clock: &Arc<dyn Clock>) -> Outcome<(Frozen, PublicKey)> {
    let number = shard.number;
    let public_key = |path: &std::path::Path| {
        let key = FileKey::load(path).map_err(|error| {
            Failure::because(
                "key_unusable",
                format!("the key of shard {number} of {} cannot be used", shard.log.service()),
                &error,
            )
            .advise("Restore it from the backup.")
        })?;
        let fingerprint = hex::encode(key.public_key().fingerprint());
        if fingerprint != shard.anchors.key {
            return Err(Failure::new(
                "anchor_mismatch",
                format!("the key of shard {number} of {} is not the one that was created", shard.log.service()),
            )
            .detail(format!("found     {fingerprint}"))
            .detail(format!("expected  {}", shard.anchors.key))
            .advise("Restore the key from the backup; clients believe no other."));
        }
        Ok(key.public_key().clone())
    };
    let published = serve::first_checkpoint(shard.anchors)?;
    match shard.log {
        ShardedLog::Ctlog => {
            let section = shards::ct(config, number)?;
            let key = public_key(&section.key)?;
            let frozen = ctlog::freeze(&section, number, clock.clone(), published).await;
            Ok((frozen.map_err(|error| Failure::explained(&error))?, key))
        }
        ShardedLog::RekorV2 => {
            let section = shards::v2(config, number)?;
            let key = public_key(&section.key)?;
            let frozen = rekor::v2::freeze(&section, number, clock.clone(), published).await;
            Ok((frozen.map_err(|error| Failure::explained(&error))?, key))
        }
        ShardedLog::RekorV1 => {
            let (section, path) = shards::v1(config, number)?;
            let key = public_key(path)?;
            let frozen = rekor::v1::freeze(section, number, path, clock.clone(), published).await;
            Ok((frozen.map_err(|error| Failure::explained(&error))?, key))
        }
    }
}

/// The id that the trusted root has for the log: of an Ed25519 key it covers the origin, and is found by the key itself.
fn log_id(known: &Known, fingerprint: &[u8], key: &PublicKey) -> Vec<u8> {
    let mut logs = known.trusted_root.tlogs.iter().chain(&known.trusted_root.ctlogs);
    let listed = logs.find(|log| *log.public_key.raw_bytes == *key.spki_der());
    listed.map_or_else(|| fingerprint.to_vec(), |log| log.log_id.key_id.to_vec())
}

/// The anchors with the shard as it is now.
fn entered(before: &Anchors, shard: &Shard<'_>, closed: &LogAnchors) -> Anchors {
    let mut after = before.clone();
    let place = match (shard.log, shard.number as usize) {
        (ShardedLog::Ctlog, 0 | 1) => Some(&mut after.ctlog),
        (ShardedLog::RekorV2, 0 | 1) => Some(&mut after.rekor_v2),
        (ShardedLog::RekorV1, 0 | 1) => after.rekor_v1.as_mut(),
        (ShardedLog::Ctlog, number) => after.ctlog_shards.get_mut(number - 2),
        (ShardedLog::RekorV2, number) => after.rekor_v2_shards.get_mut(number - 2),
        (ShardedLog::RekorV1, number) => after.rekor_v1_shards.get_mut(number - 2),
    };
    if let Some(place) = place {
        *place = closed.clone();
    }
    after
}
