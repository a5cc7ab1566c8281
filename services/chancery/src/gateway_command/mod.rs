//! `chancery gateway`: the registry alone, and the registry for an installation that was made without one.

pub(crate) mod add;
pub(crate) mod section;
pub(crate) mod token;

use serde_json::json;

use crate::cli::{AddArgs, Output};
use crate::failure::Outcome;
use crate::layout::{Layout, names};
use crate::output;
use add::{Added, Addition, Step};

/// The command that completes the installation in `layout`.
pub(crate) fn add_to(layout: &Layout) -> String {
    format!("chancery gateway add --dir {}", layout.dir().display())
}

/// `chancery gateway add`
pub(crate) async fn run_add(args: &AddArgs, out: Output) -> Outcome {
    let layout = Layout::new(&args.dir);
    let addition = Addition::of(&layout, args.public_url.as_ref()).await?;
    let added = add::complete(&layout, addition).await?;
    match out {
        Output::Text => output::print(&text(&layout, &added)),
        Output::Json => output::print_json(&json!({
            "dir": layout.dir().display().to_string(),
            "added": !added.was_complete(),
            "registry": added.public_url,
            "steps": added.steps,
        })),
    }
    Ok(())
}

fn text(layout: &Layout, added: &Added) -> String {
    let dir = layout.dir().display();
    if added.was_complete() {
        return format!("{dir} has its registry already, {}; nothing was changed\n", added.public_url);
    }
    let mut text = format!("added a registry to {dir}\n");
    text.push_str(&added.lines(layout, |step| match step {
        Step::Token => ("promotion token", "whoever has it may promote images"),
        Step::Blobs => ("blobs", "the bytes it will hold"),
        Step::Database => ("database", "manifests, tags, promotions"),
        Step::Environment => ("environment", "CHANCERY_REGISTRY and CHANCERY_TOKEN_FILE"),
        Step::Configuration => ("configuration", "section gateway appended, all else byte for byte as it was"),
    }));
    text.push_str(&format!(
        "  Back up {} and {} together.\n  It is {}; the section says how to change where it listens and what it wants of an image.\n\
         Start it with: chancery serve --config {}\n",
        layout.join(names::GATEWAY_DB).display(),
        layout.join(names::BLOBS).display(),
        added.public_url,
        layout.config().display(),
    ));
    text
}
