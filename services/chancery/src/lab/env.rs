//! `D/env`: what a shell needs so that clients use this lab and nothing else.

use std::path::Path;

use crate::layout::{Layout, names};
use crate::names::{PublicUrls, ServiceName, host_of};

/// Where the registry is, as image names begin.
pub(crate) const REGISTRY: &str = "CHANCERY_REGISTRY";
/// The file with the token that promotes.
pub(crate) const TOKEN_FILE: &str = "CHANCERY_TOKEN_FILE";
/// Where the certificate authority is.
const FULCIO: &str = "CHANCERY_FULCIO_URL";
/// Where the certificate log is.
const CTLOG: &str = "CHANCERY_CTLOG_URL";
/// Where the Rekor v2 log is.
const REKOR_V2: &str = "CHANCERY_REKOR_URL";
/// Where the Rekor v1 log is.
const REKOR_V1: &str = "CHANCERY_REKOR_V1_URL";
/// The signing config with that log alone.
const SIGNING_CONFIG_V1: &str = "CHANCERY_SIGNING_CONFIG_V1";
/// The file that says whom to trust.
pub(crate) const TRUSTED_ROOT: &str = "CHANCERY_TRUSTED_ROOT";

/// The environment, in the order it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// The environment of the lab in `layout`, but for what labs were once made without; paths become absolute.
    ///
    /// # Errors
    /// The current folder is gone.
    pub(crate) fn new(layout: &Layout, urls: &PublicUrls, oidc_issuer: &str, admin_url: &str) -> std::io::Result<Self> {
        let path = |name: &str| absolute(layout, name);
        let url = |service| urls.of(service).to_owned();
        let pairs = [
            (FULCIO, url(ServiceName::Fulcio)),
            (CTLOG, url(ServiceName::Ctlog)),
            (REKOR_V2, url(ServiceName::RekorV2)),
            ("CHANCERY_TSA_URL", url(ServiceName::Tsa)),
            ("CHANCERY_TUF_URL", url(ServiceName::Tuf)),
            ("CHANCERY_OIDC_ISSUER", oidc_issuer.to_owned()),
            ("CHANCERY_ADMIN_URL", admin_url.to_owned()),
            ("CHANCERY_ROOT_JSON", path(names::ROOT_JSON)?),
            (TRUSTED_ROOT, path(names::TRUSTED_ROOT)?),
            ("CHANCERY_SIGNING_CONFIG", path(names::SIGNING_CONFIG)?),
            ("CHANCERY_CLIENT_TRUST_CONFIG", path(names::CLIENT_TRUST_CONFIG)?),
            // These three make cosign use the lab's trust root and a cache of the lab's own, without `initialize`.
            ("TUF_MIRROR", url(ServiceName::Tuf)),
            ("TUF_ROOT_JSON", path(names::ROOT_JSON)?),
            ("TUF_ROOT", path("tuf-cache")?),
        ];
        Ok(Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }

    /// With the registry at `public_url` and the token that promotes there.
    ///
    /// # Errors
    /// The current folder is gone.
    pub(crate) fn with_registry(mut self, layout: &Layout, public_url: &str) -> std::io::Result<Self> {
        self.set(REGISTRY, host_of(public_url).to_owned());
        self.set(TOKEN_FILE, absolute(layout, names::PROMOTION_TOKEN)?);
        Ok(self)
    }

    /// With the shard of the certificate log at `public_url`.
    pub(crate) fn with_ctlog(mut self, public_url: &str) -> Self {
        self.set(CTLOG, public_url.to_owned());
        self
    }

    /// With the shard of the Rekor v2 log at `public_url`.
    pub(crate) fn with_rekor_v2(mut self, public_url: &str) -> Self {
        self.set(REKOR_V2, public_url.to_owned());
        self
    }

    /// With the Rekor v1 log at `public_url`.
    ///
    /// # Errors
    /// The current folder is gone.
    pub(crate) fn with_rekor_v1(mut self, layout: &Layout, public_url: &str) -> std::io::Result<Self> {
        self.set(REKOR_V1, public_url.to_owned());
        self.set(SIGNING_CONFIG_V1, absolute(layout, names::SIGNING_CONFIG_V1)?);
        Ok(self)
    }

    /// With what clients from before bundles want to be told: URLs for signing, one file per key. Each of the four files makes cosign
    /// leave the trust root's server out, and cosign 3 then refuses bundles; hence never in `D/env`. `None` where there is no Rekor v1
    /// log. The keys are those of the certificate log's shard and of the tree that take entries: such a client believes one of each.
    ///
    /// # Errors
    /// The current folder is gone.
    pub(crate) fn with_cosign2(mut self, layout: &Layout, ctlog_key: &str, rekor_key: &str) -> std::io::Result<Option<Self>> {
        let (Some(fulcio), Some(rekor)) = (self.get(FULCIO).map(str::to_owned), self.get(REKOR_V1).map(str::to_owned)) else {
            return Ok(None);
        };
        // Any flag of cosign can be given by a variable of its name.
        self.set("COSIGN_FULCIO_URL", fulcio);
        self.set("COSIGN_REKOR_URL", rekor);
        for (name, file) in [
            ("SIGSTORE_ROOT_FILE", names::FULCIO_CHAIN),
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", ctlog_key),
            ("SIGSTORE_REKOR_PUBLIC_KEY", rekor_key),
            ("SIGSTORE_TSA_CERTIFICATE_FILE", names::TSA_CHAIN),
        ] {
            self.set(name, absolute(layout, file)?);
        }
        Ok(Some(self))
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Adds the registry to the `D/env` of a lab that runs no more or not yet. Says whether it was missing.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn add_registry(layout: &Layout, public_url: &str) -> std::io::Result<bool> {
        Self::change(layout, |before| before.with_registry(layout, public_url))
    }

    /// Adds the Rekor v1 log likewise.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn add_rekor_v1(layout: &Layout, public_url: &str) -> std::io::Result<bool> {
        Self::change(layout, |before| before.with_rekor_v1(layout, public_url))
    }

    fn change(layout: &Layout, change: impl FnOnce(Self) -> std::io::Result<Self>) -> std::io::Result<bool> {
        let before = Self::parse(&std::fs::read_to_string(layout.env())?);
        let after = change(before.clone())?;
        if after == before {
            return Ok(false);
        }
        after.write(&layout.env()).map(|()| true)
    }

    /// Reads what [`Environment::to_shell`] wrote.
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
            Some((name.to_owned(), value.replace(r"'\''", "'")))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    /// The value of one variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `export NAME='value'` lines for a POSIX shell.
    pub(crate) fn to_shell(&self) -> String {
        self.0.iter().map(|(name, value)| format!("export {name}={}\n", quote(value))).collect()
    }

    /// The same as one JSON object.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect::<serde_json::Map<_, _>>().into()
    }

    /// Writes `D/env` by rename, so that a reader sees all of it or none.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, self.to_shell().as_bytes())?;
        file.persist(path)?;
        Ok(())
    }
}

/// A path below `D/` for any working folder, without `.` components; the file need not exist.
fn absolute(layout: &Layout, name: &str) -> std::io::Result<String> {
    let path = std::path::absolute(layout.dir())?.join(name);
    let parts = path.components().filter(|part| !matches!(part, std::path::Component::CurDir));
    Ok(parts.collect::<std::path::PathBuf>().display().to_string())
}

/// Single quotes, safe for any value.
fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let urls = PublicUrls::new(Some("corp.example"), &[]).unwrap();
        let layout = Layout::new("./it's here");
        let env = Environment::new(&layout, &urls, "http://127.0.0.1:1", "http://127.0.0.1:2")
            .and_then(|env| env.with_registry(&layout, "http://localhost:5000"))
            .unwrap();
        assert_eq!(env.get(REGISTRY), Some("localhost:5000"));
        assert_eq!(Environment::parse(&env.to_shell()), env);
        assert!(env.get("TUF_ROOT").unwrap().starts_with('/') && !env.get("TUF_ROOT").unwrap().contains("/./"));
    }

    #[test]
    fn a_log_is_added_once_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        std::fs::write(layout.env(), "export A='1'\n").unwrap();
        assert!(Environment::add_rekor_v1(&layout, "http://127.0.0.1:3000").unwrap());
        assert!(!Environment::add_rekor_v1(&layout, "http://127.0.0.1:3000").unwrap());
        let env = Environment::parse(&std::fs::read_to_string(layout.env()).unwrap());
        assert_eq!((env.get("A"), env.get(REKOR_V1)), (Some("1"), Some("http://127.0.0.1:3000")));
        assert!(env.get(SIGNING_CONFIG_V1).unwrap().ends_with("trust/signing_config_rekor_v1.v0.2.json"));
    }

    #[test]
    fn cosign_2_is_told_more_where_there_is_a_log_for_it() {
        let urls = PublicUrls::new(Some("corp.example"), &[]).unwrap();
        let layout = Layout::new("/lab");
        let env = Environment::new(&layout, &urls, "http://127.0.0.1:1", "http://127.0.0.1:2").unwrap();
        assert_eq!(env.clone().with_cosign2(&layout, names::CTLOG_PUB, names::REKOR_V1_PUB).unwrap(), None);
        let env = env.with_rekor_v1(&layout, "http://127.0.0.1:3000").unwrap();
        let env = env.with_cosign2(&layout, names::CTLOG_PUB, names::REKOR_V1_PUB).unwrap().unwrap();
        assert_eq!(env.get("COSIGN_REKOR_URL"), Some("http://127.0.0.1:3000"));
        assert_eq!(env.get("COSIGN_FULCIO_URL"), env.get(FULCIO));
        assert_eq!(env.get("SIGSTORE_REKOR_PUBLIC_KEY"), Some("/lab/trust/rekor.pub"));
    }

    #[test]
    fn the_registry_is_added_once_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        std::fs::write(layout.env(), "export A='1'\n").unwrap();
        assert!(Environment::add_registry(&layout, "http://localhost:5000").unwrap());
        assert!(!Environment::add_registry(&layout, "http://localhost:5000").unwrap());
        let env = Environment::parse(&std::fs::read_to_string(layout.env()).unwrap());
        assert_eq!((env.get("A"), env.get(REGISTRY)), (Some("1"), Some("localhost:5000")));
        assert!(env.get(TOKEN_FILE).unwrap().ends_with("keys/promotion.token"));
    }

    #[test]
    fn values_survive_a_shell() {
        for value in ["plain", "with space", "it's", "$HOME `x` \"q\" \\", "a\nb"] {
            let script = format!("printf %s {}", quote(value));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }
}
