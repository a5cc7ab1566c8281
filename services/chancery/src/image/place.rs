//! Which registry a reference means, whom to trust about it, and which secret it may see.
//!
//! What says so is asked in this order: flags, the folder of `--dir`, the environment, and last the lab in `./.chancery-lab`. A
//! registry that a reference names is taken at its word. Each secret belongs to a registry and is sent to no other.

use std::path::{Path, PathBuf};

use oci::Reference;
use verify::Verifier;

use crate::cli::{DEFAULT_LAB_DIR, PlaceArgs};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::gateway_command;
use crate::lab::env;
use crate::layout::{Layout, names};
use crate::names::host_of;

/// Where a command goes, and with what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The registry's base URL, without a trailing slash.
    pub base: String,
    /// Who may promote there.
    pub promotion_token: Option<PathBuf>,
    /// Who may read there, where that takes a secret.
    pub pull_token: Option<PathBuf>,
    /// Whom to trust.
    pub trusted_root: Option<PathBuf>,
}

impl Place {
    /// As image names begin.
    pub(crate) fn host(&self) -> &str {
        host_of(&self.base)
    }

    /// The trusted root, which what is to be proven needs.
    ///
    /// # Errors
    /// Nobody said whom to trust.
    pub(crate) fn trusted_root(&self) -> Outcome<&Path> {
        self.trusted_root.as_deref().ok_or_else(nobody_to_trust)
    }
}

/// One who says where things are. What it does not know is left to the next.
#[derive(Debug, Default, Clone)]
pub(crate) struct Source {
    /// The registry, as a URL or as image names begin.
    registry: Option<String>,
    promotion_token: Option<PathBuf>,
    pull_token: Option<PathBuf>,
    trusted_root: Option<PathBuf>,
}

impl Source {
    /// What `chancery env` exported.
    fn environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            registry: given(env::REGISTRY),
            promotion_token: given(env::TOKEN_FILE).map(PathBuf::from),
            pull_token: None,
            trusted_root: given(env::TRUSTED_ROOT).map(PathBuf::from),
        }
    }

    /// An installation's folder.
    fn folder(dir: &Path) -> Outcome<Self> {
        let layout = Layout::new(dir);
        let config = Config::load(&layout.config())?;
        let Some(gateway) = config.gateway else {
            return Err(Failure::usage("config_no_service", format!("{} has no registry", dir.display()))
                .advise(format!("Make one with: {}", gateway_command::add_to(&layout))));
        };
        Ok(Self {
            registry: Some(gateway.public_url),
            promotion_token: gateway.promoters.first().map(|promoter| promoter.token_file.as_path().to_owned()),
            pull_token: gateway.push_token_file.filter(|_| !gateway.anonymous_pull).map(|file| file.as_path().to_owned()),
            trusted_root: Some(layout.join(names::TRUSTED_ROOT)),
        })
    }
}

/// Finds the place of a command about `references`, which the person wrote in this order.
///
/// # Errors
/// Two registries, none, or a folder that says nothing.
pub(crate) fn find(args: &PlaceArgs, trusted_root: Option<&Path>, references: &[&Reference]) -> Outcome<Place> {
    let mut sources = asked_first(args, trusted_root)?;
    let lab = Path::new(DEFAULT_LAB_DIR);
    if args.dir.is_none() && lab.is_dir() {
        match Source::folder(lab) {
            Ok(source) => sources.push(source),
            // A broken lab is no reason to fail where nothing of it is needed.
            Err(failure) if settle(&sources, references).is_err() => return Err(failure),
            Err(_) => {}
        }
    }
    settle(&sources, references)
}

/// Whom to trust about a file, which is in no registry.
///
/// # Errors
/// Nobody said.
pub(crate) fn trusted_root(args: &PlaceArgs, trusted_root: Option<&Path>) -> Outcome<PathBuf> {
    let said = asked_first(args, trusted_root)?.into_iter().find_map(|source| source.trusted_root);
    let lab = || Some(Layout::new(DEFAULT_LAB_DIR).join(names::TRUSTED_ROOT)).filter(|root| root.is_file());
    said.or_else(lab).ok_or_else(nobody_to_trust)
}

/// Flags, the folder of `--dir`, the environment.
fn asked_first(args: &PlaceArgs, trusted_root: Option<&Path>) -> Outcome<Vec<Source>> {
    let flags = Source {
        registry: args.registry.clone(),
        promotion_token: args.token_file.clone(),
        pull_token: args.token_file.clone(),
        trusted_root: trusted_root.map(Path::to_owned),
    };
    let mut sources = vec![flags];
    sources.extend(args.dir.as_deref().map(Source::folder).transpose()?);
    sources.push(Source::environment(|name| std::env::var(name).ok()));
    Ok(sources)
}

fn nobody_to_trust() -> Failure {
    Failure::usage("usage", "whom to trust? nothing names a trusted root")
        .advise("Give --trusted-root FILE, or --dir D of an installation, or set CHANCERY_TRUSTED_ROOT.")
}

fn settle(sources: &[Source], references: &[&Reference]) -> Outcome<Place> {
    let known = sources.iter().find_map(|source| source.registry.as_deref());
    let base = match named(references)? {
        None => base_url(known.ok_or_else(nowhere)?)?,
        Some(host) => {
            // The other reference, without a host, could mean another registry than this one.
            if let (Some(known), true) = (known, references.iter().any(|reference| reference.host.is_none()))
                && host_of(known) != host
            {
                return Err(Failure::usage("registry_ambiguous", "these references are of two registries")
                    .detail(format!("{host} in one reference"))
                    .detail(format!("{} for the other", host_of(known)))
                    .advise(format!(
                        "An image moves inside one registry. For what {0} proxies under the name {host}, write {0}/{host}/…",
                        host_of(known)
                    )));
            }
            let known = sources.iter().filter_map(|source| source.registry.as_deref()).find(|known| host_of(known) == host);
            base_url(known.unwrap_or(host))?
        }
    };
    // A secret goes to its own registry alone; one that came without a registry goes where the person points.
    let belongs = |source: &&Source| {
        source.registry.as_deref().is_none_or(|registry| host_of(registry).trim_end_matches('/') == host_of(&base))
    };
    let secret = |of: fn(&Source) -> Option<&PathBuf>| sources.iter().filter(belongs).find_map(of).cloned();
    Ok(Place {
        promotion_token: secret(|source| source.promotion_token.as_ref()),
        pull_token: secret(|source| source.pull_token.as_ref()),
        trusted_root: sources.iter().find_map(|source| source.trusted_root.clone()),
        base,
    })
}

/// The one registry that references name, if they name any.
fn named<'a>(references: &[&'a Reference]) -> Outcome<Option<&'a str>> {
    let mut hosts = references.iter().filter_map(|reference| reference.host.as_deref());
    let Some(first) = hosts.next() else { return Ok(None) };
    match hosts.find(|host| *host != first) {
        None => Ok(Some(first)),
        Some(other) => Err(Failure::usage("registry_ambiguous", "these references are of two registries")
            .detail(format!("{first} and {other}"))
            .advise("An image moves inside one registry; between two, copy it first, for example with oras cp -r.")),
    }
}

fn nowhere() -> Failure {
    Failure::usage("usage", "which registry? the reference names none, and nothing else does")
        .advise("Write HOST/REPOSITORY:TAG, or give --registry URL or --dir D, or set CHANCERY_REGISTRY.")
}

/// The base URL of a registry given as a URL or as image names begin. Without a scheme it is plain HTTP on this machine and HTTPS
/// elsewhere, as for every released client.
fn base_url(text: &str) -> Outcome<String> {
    let url = match text.contains("://") {
        true => text.to_owned(),
        false if is_loopback(text) => format!("http://{text}"),
        false => format!("https://{text}"),
    };
    let fits = url::Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/" && url.query().is_none()
    });
    if fits {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(Failure::usage("usage", format!("{text} is no registry"))
        .detail("expected something like registry.corp.example or http://localhost:5000"))
}

/// The secret in a file, for a registry at `base`.
///
/// # Errors
/// The file holds none, or it would be readable on its way.
pub(super) fn secret(file: &Path, base: &str) -> Outcome<String> {
    if base.starts_with("http://") && !is_loopback(host_of(base)) {
        return Err(Failure::usage("token_in_clear", format!("the token would cross the network in clear, to {base}"))
            .advise("Use https://."));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::because("file_unreadable", format!("the token in {} cannot be read", file.display()), &error)
    })?;
    let secret = text.trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("registry_token", format!("{} holds no token", file.display()))
            .detail("expected one line of printable characters without spaces"));
    }
    Ok(secret.to_owned())
}

/// Whoever trusts the root in a file.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn verifier(file: &Path) -> Outcome<Verifier> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::because("file_unreadable", format!("{} cannot be read", file.display()), &error))?;
    Verifier::from_trusted_root(&text)
        .map_err(|error| Failure::because(error.code(), format!("{} is not a trusted root", file.display()), &error))
}

/// Whether a host, perhaps with a port, is this machine.
fn is_loopback(host: &str) -> bool {
    match url::Url::parse(&format!("http://{host}")).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use chassis::report::Explain as _;

    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn source(registry: &str, token: &str, root: &str) -> Source {
        let file = |name: &str| (!name.is_empty()).then(|| PathBuf::from(name));
        Source {
            registry: (!registry.is_empty()).then(|| registry.to_owned()),
            promotion_token: file(token),
            pull_token: file(token),
            trusted_root: file(root),
        }
    }

    fn place(sources: &[Source], references: &[&str]) -> Place {
        let references: Vec<Reference> = references.iter().map(|text| reference(text)).collect();
        settle(sources, &references.iter().collect::<Vec<_>>()).unwrap()
    }

    fn refused(sources: &[Source], references: &[&str]) -> Failure {
        let references: Vec<Reference> = references.iter().map(|text| reference(text)).collect();
        settle(sources, &references.iter().collect::<Vec<_>>()).unwrap_err()
    }

    fn name(path: Option<&PathBuf>) -> &str {
        path.and_then(|path| path.to_str()).unwrap_or_default()
    }

    #[test]
    fn the_first_that_knows_is_believed() {
        let sources = [source("", "", ""), source("https://r.example", "a", ""), source("localhost:5000", "b", "root")];
        let found = place(&sources, &["staging/a:1", "prod/a:1"]);
        assert_eq!((found.base.as_str(), found.host()), ("https://r.example", "r.example"));
        assert_eq!((name(found.promotion_token.as_ref()), name(found.trusted_root.as_ref())), ("a", "root"));
        assert_eq!(refused(&[source("", "t", "r")], &["a:1"]).code(), "usage");
    }

    /// Whoever names another registry must not hand it the token of the first.
    #[test]
    fn a_secret_is_for_its_own_registry() {
        let lab = source("http://localhost:5000", "lab-token", "lab-root");
        let other = place(std::slice::from_ref(&lab), &["other.example/a:1"]);
        assert_eq!((other.base.as_str(), other.promotion_token, other.pull_token), ("https://other.example", None, None));
        assert_eq!(name(other.trusted_root.as_ref()), "lab-root", "whom to trust is no secret");
        assert_eq!(name(place(std::slice::from_ref(&lab), &["localhost:5000/a:1"]).promotion_token.as_ref()), "lab-token");
        let given = source("", "given", "");
        assert_eq!(name(place(&[given, lab], &["other.example/a:1"]).promotion_token.as_ref()), "given");
    }

    #[test]
    fn a_promotion_stays_inside_one_registry() {
        let lab = [source("localhost:5000", "t", "")];
        assert_eq!(refused(&lab, &["a.example/x:1", "b.example/x:1"]).code(), "registry_ambiguous");
        let proxied = refused(&lab, &["ghcr.io/org/app:1", "prod/app:1"]);
        assert!(proxied.advice().unwrap().contains("localhost:5000/ghcr.io/"), "{proxied:?}");
        assert_eq!(place(&lab, &["localhost:5000/ghcr.io/org/app:1", "prod/app:1"]).base, "http://localhost:5000");
        assert_eq!(place(&[], &["r.example/a:1", "b:1"]).base, "https://r.example");
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for (text, expected) in [
            ("localhost:5000", "http://localhost:5000"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("localhost.example", "https://localhost.example"),
            ("10.0.0.1:5000", "https://10.0.0.1:5000"),
            ("http://gw.example/", "http://gw.example"),
        ] {
            assert_eq!(base_url(text).unwrap(), expected);
        }
        for text in ["ftp://x", "https://x/y", "https://", "https://x?y"] {
            assert_eq!(base_url(text).unwrap_err().code(), "usage", "{text}");
        }
    }

    #[test]
    fn a_secret_is_one_word_and_never_in_clear() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str, base: &str| {
            std::fs::write(file.path(), text).unwrap();
            secret(file.path(), base).map_err(|failure| failure.code())
        };
        assert_eq!(read(" abc\n", "https://r.example"), Ok("abc".to_owned()));
        assert_eq!(read("abc", "http://localhost:5000"), Ok("abc".to_owned()));
        assert_eq!(read("abc", "http://r.example"), Err("token_in_clear"));
        for text in ["", "\n", "a b", "a\nb", "ä"] {
            assert_eq!(read(text, "https://r.example"), Err("registry_token"), "{text:?}");
        }
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        let said = Source::environment(|name| (name == env::REGISTRY).then(|| "localhost:5000".to_owned()));
        assert_eq!((said.registry.as_deref(), said.trusted_root), (Some("localhost:5000"), None));
        assert_eq!(Source::environment(|_| Some(String::new())).registry, None);
    }
}
