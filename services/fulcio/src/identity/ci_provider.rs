//! `ci-provider` issuers: every field of the certificate is a template over the token's claims.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::extension::ExtensionField;
use super::principal::PrincipalError;
use super::token::{VerifiedClaims, kind};
use super::uri::AbsoluteUri;
use crate::template::{RenderError, Template, TemplateError, Values};

/// The compiled templates of one kind of CI system.
#[derive(Debug, Clone)]
pub(crate) struct CiProvider {
    defaults: BTreeMap<String, String>,
    name: Template,
    extensions: Vec<(ExtensionField, Template)>,
}

/// A configured template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CiProviderError {
    /// A template does not parse.
    #[error("the template of {field} is refused")]
    Template {
        /// The configured field.
        field: String,
        /// Why.
        #[source]
        reason: TemplateError,
    },
    /// There is no template for the name.
    #[error("subject_alternative_name is missing; every certificate needs a name")]
    NoName,
}

const NAME_FIELD: &str = "subject_alternative_name";

impl CiProvider {
    /// Compiles the templates. Empty ones are left out, as upstream does.
    pub(crate) fn compile(
        defaults: &BTreeMap<String, String>,
        name: &str,
        extensions: &BTreeMap<ExtensionField, String>,
    ) -> Result<Self, CiProviderError> {
        let refused = |field: String| move |reason| CiProviderError::Template { field, reason };
        if name.trim().is_empty() {
            return Err(CiProviderError::NoName);
        }
        let name = Template::parse(name).map_err(refused(NAME_FIELD.into()))?;
        let given = extensions.iter().filter(|(_, template)| !template.trim().is_empty());
        let compiled = given.map(|(field, template)| {
            Template::parse(template).map(|parsed| (*field, parsed)).map_err(refused(field_name(*field)))
        });
        Ok(Self { defaults: defaults.clone(), name, extensions: compiled.collect::<Result<_, _>>()? })
    }

    /// Name and extensions for a token. Fields that come out empty are left out.
    pub(crate) fn render(&self, claims: &VerifiedClaims) -> Result<(String, BTreeMap<ExtensionField, String>), PrincipalError> {
        let issuer = || claims.issuer().to_owned();
        self.check_fixed(claims)?;
        let values = Claims { claims, defaults: &self.defaults };
        let failed = |field: String| move |reason| PrincipalError::Template { field, issuer: issuer(), reason };
        let name = self.name.render(&values).map_err(failed(NAME_FIELD.into()))?;
        let name = AbsoluteUri::parse(&name, &["https"]).map_err(|reason| PrincipalError::Name { issuer: issuer(), reason })?;
        let mut extensions = BTreeMap::new();
        for (field, template) in &self.extensions {
            let text = template.render(&values).map_err(failed(field_name(*field)))?;
            if !text.is_empty() {
                extensions.insert(*field, text);
            }
        }
        Ok((name.to_string(), extensions))
    }

    /// A default that is not empty belongs to the operator. Upstream lets a claim of that name replace it, so that whoever can
    /// add claims (GitLab and Buildkite let users) could choose the `url` that the certificate's name begins with.
    fn check_fixed(&self, claims: &VerifiedClaims) -> Result<(), PrincipalError> {
        for (name, expected) in self.defaults.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(value) = claims.claim(name) else { continue };
            let found = text(value).map_or_else(|kind| kind.to_owned(), Cow::into_owned);
            if found != *expected {
                return Err(PrincipalError::Fixed {
                    name: name.clone(),
                    found,
                    expected: expected.clone(),
                    issuer: claims.issuer().into(),
                });
            }
        }
        Ok(())
    }
}

struct Claims<'a> {
    claims: &'a VerifiedClaims,
    defaults: &'a BTreeMap<String, String>,
}

impl Values for Claims<'_> {
    fn value(&self, name: &str) -> Result<Option<Cow<'_, str>>, RenderError> {
        match self.claims.claim(name) {
            Some(value) => text(value).map(Some).map_err(|kind| RenderError::NotText { name: name.to_owned(), kind }),
            None => Ok(self.defaults.get(name).map(|value| Cow::Borrowed(value.as_str()))),
        }
    }
}

/// A claim as text. Whole numbers are written in full, without exponent and without loss.
fn text(value: &Value) -> Result<Cow<'_, str>, &'static str> {
    match value {
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Bool(truth) => Ok(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Number(number) if number.is_f64() => Ok(Cow::Owned(number.as_f64().unwrap_or_default().to_string())),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        other => Err(kind(Some(other))),
    }
}

/// The field as configuration spells it.
fn field_name(field: ExtensionField) -> String {
    let name = serde_json::to_value(field).ok().and_then(|value| value.as_str().map(|name| format!("extensions.{name}")));
    name.unwrap_or_else(|| format!("extensions .{}", field.arc()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(name: &str) -> CiProvider {
        let defaults = BTreeMap::from([("url".into(), "https://ghe.corp".into()), ("environment".into(), String::new())]);
        let extensions = BTreeMap::from([
            (ExtensionField::RunnerEnvironment, "runner".into()),
            (ExtensionField::DeploymentEnvironment, "environment".into()),
            (ExtensionField::BuildTrigger, " ".into()),
        ]);
        CiProvider::compile(&defaults, name, &extensions).unwrap()
    }

    fn render(name: &str, extra: &Value) -> Result<(String, BTreeMap<ExtensionField, String>), PrincipalError> {
        let mut claims =
            json!({ "iss": "https://issuer", "sub": "me", "runner": 12_345_678_901_234_567_u64, "ref": "o/r@refs/heads/x" });
        claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        provider(name).render(&VerifiedClaims::of(claims))
    }

    const NAME: &str = "{{ .url }}/{{ .ref }}";

    #[test]
    fn claims_and_defaults_make_name_and_extensions() {
        let (name, extensions) = render(NAME, &json!({})).unwrap();
        assert_eq!(name, "https://ghe.corp/o/r@refs/heads/x");
        assert_eq!(extensions, BTreeMap::from([(ExtensionField::RunnerEnvironment, "12345678901234567".into())]));
        let (_, extensions) = render(NAME, &json!({ "environment": "prod", "runner": true })).unwrap();
        assert_eq!(extensions[&ExtensionField::DeploymentEnvironment], "prod");
        assert_eq!(extensions[&ExtensionField::RunnerEnvironment], "true");
    }

    #[test]
    fn numbers_have_no_exponent() {
        for (number, expected) in
            [(json!(1e21), "1000000000000000000000"), (json!(1.5), "1.5"), (json!(-7), "-7"), (json!(3.0), "3")]
        {
            assert_eq!(text(&number).unwrap(), expected);
        }
    }

    #[test]
    fn a_missing_claim_is_named_and_null_is_missing() {
        for extra in [json!({ "runner": null }), json!({ "ref": null })] {
            let error = render(NAME, &extra).unwrap_err();
            assert!(matches!(&error, PrincipalError::Template { reason: RenderError::Missing { .. }, .. }), "{error}");
        }
        let error = render(NAME, &json!({ "runner": ["a"] })).unwrap_err();
        assert!(error.to_string().contains("field extensions.runner_environment"), "{error}");
    }

    #[test]
    fn a_claim_may_not_replace_what_the_operator_fixed() {
        for found in [json!("https://evil"), json!(7), json!(["https://ghe.corp"])] {
            assert!(matches!(render(NAME, &json!({ "url": found })), Err(PrincipalError::Fixed { .. })));
        }
        assert!(render(NAME, &json!({ "url": "https://ghe.corp" })).is_ok());
        assert!(render(NAME, &json!({ "url": null })).is_ok());
    }

    #[test]
    fn names_are_absolute_and_spelled_as_upstream() {
        assert_eq!(render(NAME, &json!({ "ref": "x/fix #1 é" })).unwrap().0, "https://ghe.corp/x/fix%20#1%20%C3%A9");
        assert!(matches!(render(NAME, &json!({ "ref": "100%" })), Err(PrincipalError::Name { .. })));
        assert!(matches!(render("ref", &json!({})), Err(PrincipalError::Name { .. })));
        assert!(matches!(render("http://h/{{ .ref }}", &json!({})), Err(PrincipalError::Name { .. })));
    }

    #[test]
    fn what_cannot_work_is_refused_at_load() {
        let none = BTreeMap::new();
        assert_eq!(CiProvider::compile(&none, " ", &BTreeMap::new()).unwrap_err(), CiProviderError::NoName);
        let extensions = BTreeMap::from([(ExtensionField::BuildSignerUri, "{{ printf .x }}".into())]);
        let error = CiProvider::compile(&none, "x", &extensions).unwrap_err();
        let text = chassis::reason::chain(&error);
        assert!(text.starts_with("the template of extensions.build_signer_uri is refused: only .name"), "{text}");
    }
}
