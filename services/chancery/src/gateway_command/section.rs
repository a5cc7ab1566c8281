//! The section `gateway` of `chancery.yaml`, as `init`, `lab` and `gateway add` write it.

use std::fmt::Write as _;

use chassis::config::ListenConfig;

use crate::init::text::{listen, quoted};
use crate::lab::identity::{Issuer, PROVEN};
use crate::layout::names;

/// The predicate type of SPDX documents.
const SPDX: &str = "https://spdx.dev/Document";

/// The section, beginning with its name. A lab, whose issuer is at `lab`, gets the policy that its proof is about; a real
/// installation gets an example to fill in.
pub(crate) fn text(public_url: &str, http: &ListenConfig, lab: Option<&str>) -> String {
    let mut text = format!(
        "gateway:\n  public_url: {}\n  http: {}\n  database: {}\n  blobs: {}\n  trusted_root: {}\n  promoters:\n    \
         - {{ name: operator, token_file: {} }}\n",
        quoted(public_url),
        listen(http),
        names::GATEWAY_DB,
        names::BLOBS,
        names::TRUSTED_ROOT,
        names::PROMOTION_TOKEN,
    );
    if lab.is_none() {
        text.push_str(
            "  # Beyond this machine, and behind a proxy, pushing needs a secret: `docker login` with any name and it as password.\n  \
             #   push_token_file: keys/push.token\n  #   anonymous_pull: true\n",
        );
    }
    text.push_str("  # A repository under a policy takes tags by promotion only, of images that carry what the policy wants.\n");
    match lab {
        Some(base) => policy(&mut text, &Issuer::Ghes.url(base)),
        None => text.push_str(EXAMPLE),
    }
    text
}

fn policy(text: &mut String, issuer: &str) {
    let _ = write!(
        text,
        "  policies:\n    - name: prod\n      repositories: prod/*\n      mode: enforce\n      identities:\n        \
         - issuer: {}\n          subject: {}\n      attestations: [{}]\n",
        quoted(issuer),
        quoted(PROVEN),
        quoted(SPDX),
    );
}

const EXAMPLE: &str = "  \
  #   - name: prod
  #     repositories: prod/*
  #     mode: enforce
  #     identities:
  #       - issuer: https://ghe.corp.example/_services/token
  #         subject_pattern: https://ghe\\.corp\\.example/platform/.+/\\.github/workflows/build\\.yml@refs/heads/main
  #     attestations: [https://spdx.dev/Document]
  policies: []
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(section: &str) -> gateway::Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chancery.yaml");
        std::fs::write(&file, format!("admin:\n  http: {{ listen: [\"127.0.0.1:1\"] }}\n\n{section}")).unwrap();
        chassis::config::load::<Config>(&file, &chassis::config::Environment::empty()).unwrap().gateway.unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let http = ListenConfig::loopback(5000);
        let lab = read(&text("http://localhost:5000", &http, Some("http://127.0.0.1:8888")));
        assert_eq!((lab.http, lab.policies.len(), lab.promoters.len()), (http.clone(), 1, 1));
        assert_eq!(lab.policies[0].identities[0].issuer.as_deref(), Some("http://127.0.0.1:8888/ghe/_services/token"));
        let real = read(&text("https://registry.corp.example", &http, None));
        assert_eq!((real.policies, real.push_token_file), (Vec::new(), None));
        assert!(real.trusted_root.unwrap().ends_with("trust/trusted_root.json"));
    }

    /// Whoever takes the comment signs away gets what the example promises.
    #[test]
    fn the_example_is_valid_too() {
        let section = text("https://registry.corp.example", &ListenConfig::loopback(5000), None).replace("  policies: []\n", "");
        let (before, example) = section.split_once("policy wants.\n").unwrap();
        let example: String = example.lines().map(|line| line.replacen('#', " ", 1) + "\n").collect();
        let policies = read(&format!("{before}policy wants.\n  policies:\n{example}")).policies;
        assert_eq!(policies[0].repositories, "prod/*");
        assert!(policies[0].identities[0].subject_pattern.as_ref().unwrap().contains("platform/.+/"));
    }
}
