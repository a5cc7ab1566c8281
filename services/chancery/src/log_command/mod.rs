//! `chancery log`: looking after transparency logs.

pub(crate) mod add;
pub(crate) mod fsck;
pub(crate) mod rollback;
mod source;

use serde_json::json;

use crate::cli::{AddedLog, LogAddArgs, Output};
use crate::failure::Outcome;
use crate::layout::{Layout, names};
use crate::names::ServiceName;
use crate::output;
use add::{Added, Addition, Step};

/// The command that completes the installation in `layout`.
pub(crate) fn add_to(layout: &Layout) -> String {
    format!("chancery log add {} --dir {}", ServiceName::RekorV1, layout.dir().display())
}

/// `chancery log add`
pub(crate) async fn run_add(args: &LogAddArgs, out: Output) -> Outcome {
    let AddedLog::RekorV1 = args.log;
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
    for done in &added.steps {
        let (what, note) = match done.step {
            Step::Key => ("key", "the log's own"),
            Step::Log => ("log", "with the two entries that every log begins with"),
            Step::TrustRoot => ("trust root", "signed anew: it names the new log beside everything that it named before"),
            Step::Anchors => ("anchors", "what start-up compares all of it with"),
            Step::Documents => ("documents", "the same for clients without TUF; the log's public key"),
            Step::Environment => ("environment", "CHANCERY_REKOR_V1_URL and CHANCERY_SIGNING_CONFIG_V1"),
            Step::Configuration => ("configuration", "section rekor_v1 appended, all else byte for byte as it was"),
        };
        let verb = if done.made { "made" } else { "kept" };
        text.push_str(&format!("  {verb}  {what:<14} {}   {note}\n", layout.join(done.path).display()));
    }
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
