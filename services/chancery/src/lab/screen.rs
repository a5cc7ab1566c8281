//! What a person sees while a lab starts.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use super::proof::Passed;
use crate::cli::Output;
use crate::layout::names;
use crate::names::ServiceName;
use crate::output::{Style, date, duration, print, print_json, short};

/// One service on the screen.
#[derive(Debug)]
pub(crate) struct Row {
    /// What it is.
    pub title: &'static str,
    /// Where it is.
    pub url: String,
    /// What identifies it, for example `log id`, or what else there is to know of it.
    pub label: Cow<'static, str>,
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
    /// Whether this start found nothing and created the lab.
    pub created: bool,
    /// What the lab was created without and has got by this start.
    pub added: Vec<ServiceName>,
    /// The command that gives the lab its Rekor v1 log, when this start could not.
    pub lacks_rekor_v1: Option<String>,
    /// The trust root people hand out.
    pub root_json: String,
    /// Its SHA-256.
    pub root_digest: String,
    /// The services.
    pub rows: Vec<Row>,
    /// The registry, as image names begin.
    pub registry: String,
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
            (Output::Text, Some(opening)) => print(&ready_text(took, opening)),
            (Output::Json, Some(opening)) => print_json(&json!({
                "dir": opening.dir,
                "created": opening.created,
                "registry_added": opening.added.contains(&ServiceName::Registry),
                "rekor_v1_added": opening.added.contains(&ServiceName::RekorV1),
                "trust_root": { "path": opening.root_json, "sha256": opening.root_digest },
                "services": opening.rows.iter().map(row_json).collect::<Vec<_>>(),
                "registry": opening.registry,
                "issuer": opening.issuer,
                "proof": self.steps,
                "environment": environment,
                "ready_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            })),
            (_, None) => {}
        }
    }
}

fn opening_text(opening: &Opening, style: Style) -> String {
    let Opening { dir, root_json, root_digest, .. } = opening;
    let age = if opening.created { "created now" } else { "kept from an earlier start" };
    let mut text = format!(
        "{}   a private Sigstore and registry on this machine, for trying things out\n\
         data           {dir}   {age}; keys lie there unencrypted; delete the folder to start over\n\
         trust root     {root_json}   sha256 {}…   the one value to hand to clients\n",
        style.strong("Chancery lab"),
        short(root_digest),
    );
    for service in &opening.added {
        text.push_str(&format!("added          {}\n", added(*service, dir)));
    }
    if let Some(command) = &opening.lacks_rekor_v1 {
        text.push_str(&format!(
            "not there      a {}: the key of TUF's targets was taken offline; stop the lab, then {command} --offline-keys DIR\n",
            ServiceName::RekorV1.title(),
        ));
    }
    text.push('\n');
    let width = opening.rows.iter().map(|row| row.url.len()).max().unwrap_or(0).max(opening.issuer.len());
    for row in &opening.rows {
        let identity =
            if row.digest.is_empty() { row.label.to_string() } else { format!("{:<16} {}", row.label, short(&row.digest)) };
        let until = row.until.map(|until| format!("until {}", date(until))).unwrap_or_default();
        let line = format!("  {:<23} {:<width$}   {identity:<31} {until}", row.title, row.url);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("  {:<23} {:<width$}   mints test identities, in the lab only\n", "lab issuer", opening.issuer));
    text
}

/// What a lab that was created without a service has got with it.
fn added(service: ServiceName, dir: &str) -> String {
    let made = match service {
        ServiceName::RekorV1 => format!("{dir}/{}, targets of the trust root signed anew", names::REKOR_V1_KEY),
        _ => format!("{dir}/{}, {dir}/{}, {dir}/{}", names::GATEWAY_DB, names::BLOBS, names::PROMOTION_TOKEN),
    };
    format!("a {}, which this lab was created without: {made}, section {}", service.title(), service.section())
}

fn ready_text(took: Duration, opening: &Opening) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "chancery".to_owned());
    let Opening { dir, registry, .. } = opening;
    let dir = if dir == crate::cli::DEFAULT_LAB_DIR { String::new() } else { format!(" --dir {dir}") };
    let commands = [
        (format!("alias chancery={program}"), ""),
        (format!("eval \"$(chancery env{dir})\""), ""),
        (format!("export SIGSTORE_ID_TOKEN=$(chancery lab token{dir} --ghes platform/hello)"), "valid 10 minutes"),
        (format!("cosign sign --yes --recursive {registry}/staging/mine@sha256:…"), "an image you pushed"),
        (format!("chancery promote{dir} staging/mine:1 prod/mine:1"), "refused: says what is missing"),
    ];
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let mut text = format!("\nready in {:.1} s. In another shell:\n", took.as_secs_f64());
    for (command, remark) in &commands {
        let remark = if remark.is_empty() { String::new() } else { format!("   # {remark}") };
        text.push_str(format!("  {command:<width$}{remark}").trim_end());
        text.push('\n');
    }
    text
}

fn row_json(row: &Row) -> Value {
    json!({
        "service": row.title,
        "url": row.url,
        "fingerprint": if row.digest.is_empty() { Value::Null } else { row.digest.clone().into() },
        "until": row.until.map(|until| until.to_string()),
    })
}
