//! What a person sees while a lab starts.

use std::time::Duration;

use serde_json::{Value, json};

use super::proof::{self, Passed};
use crate::cli::Output;
use crate::output::{Style, date, duration, print, print_json, short};

/// One service on the screen.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is.
    pub title: &'static str,
    /// Where it is.
    pub url: String,
    /// What identifies it, for example `log id`; empty when nothing does.
    pub label: &'static str,
    /// The fingerprint behind the label, in full.
    pub digest: String,
    /// When it ends, if it does.
    pub until: Option<jiff::Timestamp>,
}

/// What the opening lines tell.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The lab's folder, as it was given.
    pub dir: String,
    /// Whether this start created it.
    pub created: bool,
    /// The trust root people hand out.
    pub root_json: String,
    /// Its SHA-256.
    pub root_digest: String,
    /// The services.
    pub rows: Vec<Row>,
    /// The issuer's URL.
    pub issuer: String,
}

/// The lab's screen: lines as they become true for a person, one document at the end for a program.
#[derive(Debug)]
pub(crate) struct Screen {
    output: Output,
    style: Style,
    opening: Option<Opening>,
    steps: Vec<Passed>,
}

impl Screen {
    /// A screen on stdout.
    pub(crate) fn new(output: Output) -> Self {
        Self { output, style: Style::of_stdout(), opening: None, steps: Vec::new() }
    }

    /// The first paragraph and the table of services.
    pub(crate) fn open(&mut self, opening: Opening) {
        if self.output == Output::Text {
            print(&opening_text(&opening, self.style));
        }
        self.opening = Some(opening);
    }

    /// Called once before the first step of the proof.
    pub(crate) fn begin_proof(&self) {
        if self.output == Output::Text {
            print("\nproof, with the services above\n");
        }
    }

    /// A step of the proof passed.
    pub(crate) fn passed(&mut self, step: Passed) {
        if self.output == Output::Text {
            let verb = self.style.ok(&format!("{:<11}", step.step.verb()));
            print(&format!("  {verb} {:<88} {:>7}\n", step.what, duration(step.took)));
        }
        self.steps.push(step);
    }

    /// The last lines: it is ready, and what now.
    pub(crate) fn ready(&self, took: Duration, environment: &Value) {
        match (self.output, &self.opening) {
            (Output::Text, Some(opening)) => print(&ready_text(took, &opening.dir)),
            (Output::Json, Some(opening)) => print_json(&json!({
                "dir": opening.dir,
                "created": opening.created,
                "trust_root": { "path": opening.root_json, "sha256": opening.root_digest },
                "services": opening.rows.iter().map(row_json).collect::<Vec<_>>(),
                "issuer": opening.issuer,
                "proof": proof::to_json(&self.steps),
                "environment": environment,
                "ready_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })),
            (_, None) => {}
        }
    }
}

fn opening_text(opening: &Opening, style: Style) -> String {
    let Opening { dir, root_json, root_digest, .. } = opening;
    let age = if opening.created {
        "created now; keys lie there unencrypted; delete the folder to start over"
    } else {
        "kept from an earlier start; keys lie there unencrypted; delete the folder to start over"
    };
    let mut text = format!(
        "{}   a private Sigstore on this machine, for trying things out\n\
         data           {dir}   {age}\n\
         trust root     {root_json}   sha256 {}…   the one value to hand to clients\n\n",
        style.strong("Chancery lab"),
        short(root_digest),
    );
    let width = opening.rows.iter().map(|row| row.url.len()).max().unwrap_or(0).max(opening.issuer.len());
    for row in &opening.rows {
        let identity =
            if row.digest.is_empty() { row.label.to_owned() } else { format!("{:<16} {}", row.label, short(&row.digest)) };
        let until = row.until.map(|until| format!("until {}", date(until))).unwrap_or_default();
        let line = format!("  {:<23} {:<width$}   {identity:<31} {until}", row.title, row.url);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("  {:<23} {:<width$}   mints test identities, in the lab only\n", "lab issuer", opening.issuer));
    text
}

fn ready_text(took: Duration, dir: &str) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "chancery".to_owned());
    let dir = if dir == crate::cli::DEFAULT_LAB_DIR { String::new() } else { format!(" --dir {dir}") };
    format!(
        "\nready in {:.1} s. In another shell:\n  \
           alias chancery={program}\n  \
           eval \"$(chancery env{dir})\"\n  \
           export SIGSTORE_ID_TOKEN=$(chancery lab token{dir} --ghes platform/hello)        # valid 10 minutes\n  \
           cosign sign-blob --yes --bundle b.json FILE\n",
        took.as_secs_f64()
    )
}

fn row_json(row: &Row) -> Value {
    json!({
        "service": row.title,
        "url": row.url,
        "fingerprint": if row.digest.is_empty() { Value::Null } else { row.digest.clone().into() },
        "until": row.until.map(|until| until.to_string()),
    })
}
