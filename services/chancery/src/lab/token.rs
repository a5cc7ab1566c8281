//! `chancery lab token`.

use std::path::Path;

use clock::Clock as _;
use keys::FileKey;
use serde_json::{Map, Value, json};

use super::identity::Subject;
use super::issuer::LabIssuer;
use crate::cli::{Output, TokenArgs};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layout::{Layout, names};
use crate::output;

/// Prints a token; without a final newline unless stdout is a terminal, since some clients use what they read as it is.
pub(crate) async fn run(args: TokenArgs, out: Output) -> Outcome {
    let claims = args.claims.as_deref().map(read_claims).transpose()?;
    let subject = subject(&args, claims.is_some())?;
    let issuer = open_issuer(&Layout::new(&args.dir))?;
    let claims = subject.claims(issuer.base(), clock::SystemClock.now(), claims.unwrap_or_default());
    let sign = |error: keys::SignError| Failure::because("lab_issuer_key", "the lab issuer's key cannot sign", &error);
    let token = issuer.mint(&claims).await.map_err(sign)?;
    match out {
        Output::Json => output::print_json(&json!({ "token": token, "claims": claims })),
        Output::Text if std::io::IsTerminal::is_terminal(&std::io::stdout()) => output::print(&format!("{token}\n")),
        Output::Text => output::print(&token),
    }
    Ok(())
}

/// The issuer of the lab in `layout`.
pub(crate) fn open_issuer(layout: &Layout) -> Outcome<LabIssuer> {
    let config = Config::load(&layout.config())
        .map_err(|failure| failure.advise(format!("Start a lab in {} first: chancery lab --dir {0}", layout.dir().display())))?;
    let Some(lab) = config.lab else {
        return Err(Failure::new("not_a_lab", format!("{} is not a lab", layout.dir().display()))
            .advise("Test identities exist in labs only; a real installation takes tokens of its own providers."));
    };
    let key = FileKey::load(&layout.join(names::LAB_ISSUER_KEY))
        .map_err(|error| Failure::because("lab_issuer_key", "the lab issuer's key cannot be used", &error))?;
    Ok(LabIssuer::new(lab.public_url, key))
}

fn subject(args: &TokenArgs, has_claims: bool) -> Outcome<Subject> {
    match (&args.email, &args.github, &args.ghes) {
        (Some(address), None, None) if address.contains('@') => Ok(Subject::Email(address.clone())),
        (Some(address), None, None) => {
            Err(Failure::usage("usage", format!("{address} is not an e-mail address; expected something like dev@corp.example")))
        }
        (None, Some(repository), None) => Ok(Subject::Github(repository.clone(), args.git_ref.clone())),
        (None, None, Some(repository)) => Ok(Subject::Ghes(repository.clone(), args.git_ref.clone())),
        _ if has_claims => Ok(Subject::Claims),
        _ => Err(Failure::usage("usage", "whose token? give one of --email, --github, --ghes or --claims")
            .advise("For example: chancery lab token --ghes platform/hello")),
    }
}

fn read_claims(path: &Path) -> Outcome<Map<String, Value>> {
    let what = || format!("the claims in {} cannot be used", path.display());
    let text = std::fs::read(path).map_err(|error| Failure::because("claims_unreadable", what(), &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::because("claims_unreadable", what(), &error).advise("Expected one JSON object, like {\"sub\":\"…\"}.")
    })
}
