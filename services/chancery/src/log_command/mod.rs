//! `chancery log`: which transparency logs there are, whether they are in order, one for an installation that was made without it, and
//! shards that follow each other.

pub(crate) mod add;
mod freeze;
pub(crate) mod fsck;
mod new_shard;
pub(crate) mod rollback;
pub(crate) mod shards;
mod source;
#[cfg(test)]
mod tests;
mod trust;

use clock::{Clock as _, SystemClock};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cli::{AddedLog, DirArgs, LogAddArgs, LogFreezeArgs, NewShardArgs, Output, ShardedLog};
use crate::completion;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layout::{Layout, names};
use crate::names::{PublicUrl, ServiceName};
use crate::output;
use add::{Added, Addition, Step};
use freeze::{Closed, Closure};
use new_shard::{Succeeded, Succession};
use shards::{Shard, State};

/// Whatever keeps a shard from being made or frozen.
const CODE: &str = "log_shard_failed";

/// The command that completes the installation in `layout`.
pub(crate) fn add_to(layout: &Layout) -> String {
    format!("chancery log add {} --dir {}", ServiceName::RekorV1, layout.dir().display())
}

/// `chancery log add`
pub(crate) async fn run_add(args: &LogAddArgs, out: Output) -> Outcome {
    let AddedLog::RekorV1 = args.which;
    let layout = Layout::new(&args.dir);
    let addition = Addition::of(&layout, args.public_url.as_ref(), args.offline_keys.as_deref()).await?;
    let added = add::complete(&layout, addition).await?;
    match out {
        Output::Text => output::print(&text(&layout, &added)),
        Output::Json => output::print_json(&json!({
            "dir": layout.dir().display().to_string(),
            "added": !added.was_complete(),
            "rekor_v1": added.public_url,
            "steps": added.steps,
        })),
    }
    Ok(())
}

fn text(layout: &Layout, added: &Added) -> String {
    let dir = layout.dir().display();
    if added.was_complete() {
        return format!("{dir} has this log already, {}; nothing was changed\n", added.public_url);
    }
    let mut text = format!("added the {} to {dir}\n", ServiceName::RekorV1.title());
    text.push_str(&added.lines(layout, |step| match step {
        Step::Key => ("key", "the log's own"),
        Step::Log => ("log", "with the two entries that every log begins with"),
        Step::TrustRoot => ("trust root", "signed anew: it names the new log beside everything that it named before"),
        Step::Anchors => ("anchors", "what start-up compares all of it with"),
        Step::Documents => ("documents", "the same for clients without TUF; the log's public key"),
        Step::Environment => ("environment", "CHANCERY_REKOR_V1_URL and CHANCERY_SIGNING_CONFIG_V1"),
        Step::Configuration => ("configuration", "section rekor_v1 appended, all else byte for byte as it was"),
    }));
    text.push_str(&format!(
        "  Back up {}, {} and {} again. Clients that have the trust root find the log in it by themselves.\n  \
         Hand to clients without TUF: {} and {}\n  \
         It is {}; the section says how to change where it listens.\n\
         Start it with: chancery serve --config {}\n",
        layout.join(names::KEYS).display(),
        layout.join("db").display(),
        layout.anchors().display(),
        layout.join(names::TRUSTED_ROOT).display(),
        layout.join(names::SIGNING_CONFIG_V1).display(),
        added.public_url,
        layout.config().display(),
    ));
    text
}

/// `chancery log list`
pub(crate) async fn run_list(args: &DirArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.dir);
    let anchors = completion::anchors(&layout)?;
    let now = SystemClock.now();
    let logs = [ShardedLog::Ctlog, ShardedLog::RekorV2, ShardedLog::RekorV1];
    let shards = logs.map(|log| shards::states(&shards::of(&anchors, log), now));
    // What the anchors say is true without it.
    let config = Config::load(&layout.config()).ok();
    let mut moved = Vec::new();
    for (shard, _) in shards.iter().flatten() {
        moved.push(shards::moved(config.as_ref(), shard).await);
    }
    let shards = shards.iter().flatten().zip(moved);
    match out {
        Output::Text => {
            let mut text = String::new();
            for ((shard, state), moved) in shards {
                let Shard { log, number, anchors, public_url } = shard;
                text.push_str(&row(
                    log.service(),
                    &number.to_string(),
                    &describe(state),
                    public_url,
                    &anchors.origin,
                    &anchors.key,
                    moved,
                ));
            }
            text.extend(
                anchors.unfinished.iter().map(|command| format!("\nwas cut off, to be run again: chancery log {command}\n")),
            );
            output::print(&text);
        }
        Output::Json => {
            let logs: Vec<_> = shards.map(|((shard, state), moved)| shard_json(shard, state, moved)).collect();
            output::print_json(&json!({ "dir": args.dir.display().to_string(), "logs": logs, "unfinished": anchors.unfinished }));
        }
    }
    Ok(())
}

fn row(service: ServiceName, number: &str, state: &str, url: &str, origin: &str, key: &str, moved: Option<u64>) -> String {
    let moved = moved.map(|moved| format!("   {moved} entries moved")).unwrap_or_default();
    format!("{service:<9} {number:<3} {state:<36} {url}   {origin}   log id {}{moved}\n", output::short(key))
}

fn describe(state: &State) -> String {
    match state {
        State::Open => "takes entries".to_owned(),
        State::Waiting { from: Some(from) } => format!("known to clients from {from}"),
        State::Waiting { from: None } => "waits for the one before it".to_owned(),
        State::Frozen { since } => format!("frozen {since:.0}"),
    }
}

fn shard_json(shard: &Shard<'_>, state: &State, moved: Option<u64>) -> Value {
    let Shard { log, number, anchors, public_url } = shard;
    let mut value = json!({
        "log": log.service(), "shard": number, "public_url": public_url, "origin": anchors.origin, "key": anchors.key,
    });
    if let (Some(moved), Some(value)) = (moved, value.as_object_mut()) {
        value.insert("moved".to_owned(), moved.into());
    }
    if let (Some(value), Ok(Value::Object(state))) = (value.as_object_mut(), serde_json::to_value(state)) {
        value.extend(state);
    }
    value
}

/// `chancery log new-shard`
pub(crate) async fn run_new_shard(args: &NewShardArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.dir);
    let public_url = match &args.public_url {
        Some(PublicUrl(named, url)) if *named == args.which.service() => Some(url.clone()),
        Some(PublicUrl(named, _)) => {
            return Err(Failure::usage(
                "usage",
                format!("{named} gets no shard here; expected --public-url {}=URL", args.which.service()),
            ));
        }
        None => None,
    };
    let wait = args.starts_in.map(|wait| SignedDuration::try_from(wait.as_std()).unwrap_or(SignedDuration::MAX));
    let offline_keys = args.offline_keys.clone().unwrap_or_else(|| layout.join(names::OFFLINE));
    let made = new_shard::complete(&layout, Succession { log: args.which, public_url, wait, offline_keys }).await?;
    match out {
        Output::Text => output::print(&new_shard_text(&layout, args.which, &made)),
        Output::Json => output::print_json(&json!({
            "dir": layout.dir().display().to_string(),
            "log": args.which.service(),
            "shard": made.number,
            "public_url": made.public_url,
            "origin": made.anchors.origin,
            "from": made.anchors.from,
        })),
    }
    Ok(())
}

fn new_shard_text(layout: &Layout, log: ShardedLog, made: &Succeeded) -> String {
    let (service, dir) = (log.service(), layout.dir().display());
    let from = made.anchors.from.map(|from| from.to_string()).unwrap_or_default();
    let next = match log {
        ShardedLog::RekorV2 => format!(
            "Clients that sign write to it from {from} on, as the signing configs say. Its section in the list {} says where it listens.\n\
             When that time has come: stop the transparency log, then chancery log freeze {service} --dir {dir}",
            log.list()
        ),
        ShardedLog::Ctlog => format!(
            "Clients that verify know its key from {from} on, whatever they keep. Its section in the list {} says where it listens.\n\
             When that time has come: stop certificate log and authority, then chancery log freeze {service} --dir {dir}",
            log.list()
        ),
        ShardedLog::RekorV1 => format!(
            "Clients that verify know its key from {from} on, whatever they keep. It takes entries when the one before it is frozen.\n\
             When that time has come: stop the transparency log, then chancery log freeze {service} --dir {dir}"
        ),
    };
    format!(
        "made shard {} of {service} in {dir}\n  origin      {}\n  log id      {}\n  URL         {}\n  key         {}   back it up now\n  \
         public key  {}\n{next}\nStart it with: chancery serve --config {}\n",
        made.number,
        made.anchors.origin,
        made.anchors.key,
        made.public_url,
        layout.join(&made.key).display(),
        layout.join(&made.public_key).display(),
        layout.config().display(),
    )
}

/// `chancery log freeze`
pub(crate) async fn run_freeze(args: &LogFreezeArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.dir);
    let offline_keys = args.offline_keys.clone().unwrap_or_else(|| layout.join(names::OFFLINE));
    let closed = freeze::complete(&layout, Closure { log: args.which, shard: args.shard, now: args.now, offline_keys }).await?;
    match out {
        Output::Text => output::print(&freeze_text(&layout, args.which, &closed)),
        Output::Json => output::print_json(&json!({
            "dir": layout.dir().display().to_string(),
            "log": args.which.service(),
            "shard": closed.number,
            "frozen": closed.made,
            "since": closed.anchors.frozen,
            "checkpoint": closed.anchors.checkpoint,
            "submits_to": closed.submits_to,
        })),
    }
    Ok(())
}

fn freeze_text(layout: &Layout, log: ShardedLog, closed: &Closed) -> String {
    let (service, number) = (log.service(), closed.number);
    if !closed.made {
        return format!("shard {number} of {service} was frozen before; nothing was changed\n");
    }
    let next = match (&closed.submits_to, log) {
        (Some(url), _) => {
            format!("The certificate authority submits to {url} from its next start on, as fulcio.ct_log says now.\n")
        }
        (None, ShardedLog::Ctlog) => {
            "A certificate authority that is configured elsewhere needs another fulcio.ct_log now, and a restart.\n".to_owned()
        }
        (None, _) => String::new(),
    };
    format!(
        "froze shard {number} of {service}: it takes no more entries, and is read and believed as before\n\n{}\n{next}\
         Keep that checkpoint, and back up {} and {} again.\nStart it with: chancery serve --config {}\n",
        closed.anchors.checkpoint,
        layout.join("db").display(),
        layout.anchors().display(),
        layout.config().display(),
    )
}
