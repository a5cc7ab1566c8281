//! Who signs, and how a verifier names them.

use testkit::{Chancery, Client, Environment};

/// A person at the lab's e-mail issuer.
pub const EMAIL: &str = "dev@corp.example";

/// cosign with what `chancery env` prints and a token of the lab's issuer, as `lab.token` takes it; nothing else.
#[must_use]
pub fn cosign(lab: &Chancery, token: &[&str]) -> Client {
    Client::cosign().with_environment(lab.env()).with("SIGSTORE_ID_TOKEN", lab.token(token))
}

/// cosign 2 with what `chancery env --cosign2` prints and a token of the lab's issuer: URLs and files, no trust root's server.
///
/// # Panics
/// The command fails.
#[must_use]
pub fn cosign2(lab: &Chancery, token: &[&str]) -> Client {
    let client = Client::cosign2();
    let environment = env_cosign2(lab);
    let files = environment.iter().filter(|(name, _)| !name.starts_with("TUF_"));
    let client = files.fold(client, |client, (name, value)| client.with(name, value));
    client.with("SIGSTORE_ID_TOKEN", lab.token(token))
}

/// What `chancery env --cosign2` prints.
///
/// # Panics
/// The command fails.
#[must_use]
pub fn env_cosign2(lab: &Chancery) -> Environment {
    let printed = Chancery::run(Chancery::command().args(["env", "--cosign2", "--dir"]).arg(lab.dir())).ok();
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), printed.stdout).expect("a temporary file can be written");
    Environment::read(file.path())
}

/// cosign as a person at the e-mail issuer.
#[must_use]
pub fn developer(lab: &Chancery) -> Client {
    cosign(lab, &["--email", EMAIL])
}

/// The flags that name the person at the e-mail issuer.
#[must_use]
pub fn by_developer(lab: &Chancery) -> Vec<String> {
    by(EMAIL, lab.env().get("CHANCERY_OIDC_ISSUER"))
}

/// The workflow whose images the lab's policy takes.
pub const WORKFLOW: &str = "https://ghe.lab/platform/hello/.github/workflows/build.yml@refs/heads/main";

/// cosign as that workflow, on the lab's GitHub Enterprise Server.
#[must_use]
pub fn workflow(lab: &Chancery) -> Client {
    cosign(lab, &["--ghes", "platform/hello"])
}

/// The flags that name that workflow.
#[must_use]
pub fn by_workflow(lab: &Chancery) -> Vec<String> {
    by(WORKFLOW, &lab.env().url("CHANCERY_OIDC_ISSUER", "/ghe/_services/token"))
}

/// The flags that name a signer.
#[must_use]
pub fn by(identity: &str, issuer: &str) -> Vec<String> {
    ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer].map(str::to_owned).to_vec()
}

/// Arguments, some given one by one and some as a list.
#[must_use]
pub fn arguments(first: &[&str], list: &[String], last: &[&str]) -> Vec<String> {
    first
        .iter()
        .map(|word| (*word).to_owned())
        .chain(list.iter().cloned())
        .chain(last.iter().map(|word| (*word).to_owned()))
        .collect()
}
