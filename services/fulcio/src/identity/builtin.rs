//! Ready-made templates for CI systems, with the values of upstream's public configuration.

use std::collections::BTreeMap;

use super::extension::ExtensionField as F;
use crate::config::CiProviderConfig;

/// A ready-made template cannot be used as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuiltinError {
    /// There is none of that name.
    #[error("ci_provider template {name} does not exist; expected one of github, ghes, gitlab")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The server's address is missing or not usable.
    #[error(
        "ci_provider template {name} needs url, the server as people browse it, without a trailing slash, such as https://{name}.corp.example; found {found}"
    )]
    Url {
        /// The template.
        name: String,
        /// What is configured.
        found: String,
    },
    /// `url` without `template`: own templates find it nowhere, but would find a claim of that name.
    #[error("url belongs to template; own templates find fixed values under defaults: write defaults: {{ url: {url} }}")]
    UrlAlone {
        /// As configured.
        url: String,
    },
    /// It brings its own name and extensions.
    #[error("ci_provider template {name} brings its own {field}; remove it, or remove template")]
    Overridden {
        /// The template.
        name: String,
        /// The field.
        field: &'static str,
    },
}

/// `config` with its `template` replaced by what it stands for; unchanged when it has none.
pub(crate) fn expand(config: &CiProviderConfig) -> Result<CiProviderConfig, BuiltinError> {
    let Some(name) = &config.template else {
        return match &config.url {
            Some(url) => Err(BuiltinError::UrlAlone { url: url.clone() }),
            None => Ok(config.clone()),
        };
    };
    for (field, given) in
        [("subject_alternative_name", config.subject_alternative_name.is_some()), ("extensions", !config.extensions.is_empty())]
    {
        if given {
            return Err(BuiltinError::Overridden { name: name.clone(), field });
        }
    }
    let (fixed_url, san, extensions, optional): (_, _, _, &[&str]) = match name.as_str() {
        "github" => (Some("https://github.com"), GITHUB_NAME, GITHUB, &["environment"]),
        "ghes" => (None, GITHUB_NAME, GITHUB, &["environment"]),
        "gitlab" => (None, GITLAB_NAME, GITLAB, &["environment", "ci_config_sha", "project_visibility"]),
        _ => return Err(BuiltinError::Unknown { name: name.clone() }),
    };
    let url = server(name, config.url.as_deref().or(fixed_url))?;
    let mut defaults: BTreeMap<_, _> = optional.iter().map(|claim| ((*claim).to_owned(), String::new())).collect();
    defaults.extend(config.defaults.clone());
    defaults.insert("url".into(), url);
    Ok(CiProviderConfig {
        template: None,
        url: None,
        defaults,
        subject_alternative_name: Some(san.into()),
        extensions: extensions.iter().map(|(field, template)| (*field, (*template).to_owned())).collect(),
    })
}

fn server(name: &str, url: Option<&str>) -> Result<String, BuiltinError> {
    let refused = || BuiltinError::Url { name: name.to_owned(), found: url.unwrap_or("nothing").to_owned() };
    let given = url.filter(|url| url.starts_with("https://") && !url.ends_with('/')).ok_or_else(refused)?;
    Ok(given.to_owned())
}

type Fields = &'static [(F, &'static str)];

const GITHUB_NAME: &str = "{{ .url }}/{{ .job_workflow_ref }}";

/// github.com and GitHub Enterprise Server have the same claims; the server's URL tells them apart. Taking github.com's URL for
/// an enterprise server would let its organisations obtain the names of their namesakes on github.com.
const GITHUB: Fields = &[
    (F::GithubWorkflowTrigger, "event_name"),
    (F::GithubWorkflowSha, "sha"),
    (F::GithubWorkflowName, "workflow"),
    (F::GithubWorkflowRepository, "repository"),
    (F::GithubWorkflowRef, "ref"),
    (F::BuildSignerUri, "{{ .url }}/{{ .job_workflow_ref }}"),
    (F::BuildSignerDigest, "job_workflow_sha"),
    (F::RunnerEnvironment, "runner_environment"),
    (F::SourceRepositoryUri, "{{ .url }}/{{ .repository }}"),
    (F::SourceRepositoryDigest, "sha"),
    (F::SourceRepositoryRef, "ref"),
    (F::SourceRepositoryIdentifier, "repository_id"),
    (F::SourceRepositoryOwnerUri, "{{ .url }}/{{ .repository_owner }}"),
    (F::SourceRepositoryOwnerIdentifier, "repository_owner_id"),
    (F::BuildConfigUri, "{{ .url }}/{{ .workflow_ref }}"),
    (F::BuildConfigDigest, "workflow_sha"),
    (F::BuildTrigger, "event_name"),
    (F::RunInvocationUri, "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}"),
    (F::SourceRepositoryVisibilityAtSigning, "repository_visibility"),
    (F::DeploymentEnvironment, "environment"),
];

/// `ci_config_ref_uri` begins with the server's host, and its port if it has one.
const GITLAB_NAME: &str = "https://{{ .ci_config_ref_uri }}";

const GITLAB: Fields = &[
    (F::BuildSignerUri, "https://{{ .ci_config_ref_uri }}"),
    (F::BuildSignerDigest, "ci_config_sha"),
    (F::RunnerEnvironment, "runner_environment"),
    (F::SourceRepositoryUri, "{{ .url }}/{{ .project_path }}"),
    (F::SourceRepositoryDigest, "sha"),
    (F::SourceRepositoryRef, "refs/{{ if eq .ref_type \"branch\" }}heads/{{ else }}tags/{{ end }}{{ .ref }}"),
    (F::SourceRepositoryIdentifier, "project_id"),
    (F::SourceRepositoryOwnerUri, "{{ .url }}/{{ .namespace_path }}"),
    (F::SourceRepositoryOwnerIdentifier, "namespace_id"),
    (F::BuildConfigUri, "https://{{ .ci_config_ref_uri }}"),
    (F::BuildConfigDigest, "ci_config_sha"),
    (F::BuildTrigger, "pipeline_source"),
    (F::RunInvocationUri, "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}"),
    (F::SourceRepositoryVisibilityAtSigning, "project_visibility"),
    (F::DeploymentEnvironment, "environment"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ci_provider::CiProvider;

    fn template(name: &str, url: Option<&str>) -> CiProviderConfig {
        CiProviderConfig { template: Some(name.into()), url: url.map(Into::into), ..CiProviderConfig::default() }
    }

    #[test]
    fn all_compile() {
        for (name, url) in [("github", None), ("ghes", Some("https://ghe.corp")), ("gitlab", Some("https://git.corp:8443"))] {
            let expanded = expand(&template(name, url)).unwrap();
            CiProvider::compile(&expanded.defaults, expanded.subject_alternative_name.as_deref().unwrap(), &expanded.extensions)
                .unwrap();
            assert_eq!(expanded.defaults["url"], url.unwrap_or("https://github.com"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for url in [None, Some("ghe.corp"), Some("http://ghe.corp"), Some("https://ghe.corp/")] {
            assert!(matches!(expand(&template("ghes", url)), Err(BuiltinError::Url { .. })), "{url:?}");
        }
        assert!(matches!(expand(&template("jenkins", None)), Err(BuiltinError::Unknown { .. })));
        let alone = CiProviderConfig { url: Some("https://ghe.corp".into()), ..CiProviderConfig::default() };
        assert!(matches!(expand(&alone), Err(BuiltinError::UrlAlone { .. })));
        let mut own = template("github", None);
        own.subject_alternative_name = Some("x".into());
        assert!(matches!(expand(&own), Err(BuiltinError::Overridden { .. })));
    }

    #[test]
    fn defaults_may_be_added_for_servers_that_lack_a_claim() {
        let mut config = template("ghes", Some("https://ghe.corp"));
        config.defaults.insert("job_workflow_sha".into(), String::new());
        let defaults = expand(&config).unwrap().defaults;
        assert_eq!(defaults.len(), 3);
    }
}
