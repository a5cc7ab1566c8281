use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

impl Values for BTreeMap<&str, &str> {
    fn value(&self, name: &str) -> Result<Option<Cow<'_, str>>, RenderError> {
        Ok(self.get(name).map(|text| Cow::Borrowed(*text)))
    }
}

fn values() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("url", "https://ghe.corp"),
        ("ref_type", "branch"),
        ("ref", "main"),
        ("empty", ""),
        ("other", "main"),
        ("oidc.example/ssh-rerun", "true"),
        ("job", "o/r/.github/workflows/w.yml@refs/heads/ä b"),
    ])
}

fn render(source: &str) -> Result<String, RenderError> {
    Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error}")).render(&values())
}

#[test]
fn renders_what_the_public_templates_use() {
    for (source, expected) in [
        ("url", "https://ghe.corp"),
        ("{{ .url }}/{{ .job }}", "https://ghe.corp/o/r/.github/workflows/w.yml@refs/heads/ä b"),
        ("refs/{{if eq .ref_type \"branch\"}}heads/{{ else }}tags/{{end}}{{ .ref }}", "refs/heads/main"),
        ("{{if eq .ref_type `tag`}}a{{else if eq .ref_type \"x\" \"branch\"}}b{{else}}c{{end}}", "b"),
        ("{{ if eq (index . \"oidc.example/ssh-rerun\") \"true\" }}ssh{{ else }}no{{ end }}", "ssh"),
        ("[{{ index . \"absent\" }}]", "[]"),
        ("{{ if .empty }}x{{ end }}.", "."),
        ("{{ if and .url .empty }}x{{ else }}y{{ end }}", "y"),
        ("{{ or .empty .ref }}", "main"),
        ("{{ or .ref .absent }}", "main"),
        ("{{ and .empty .absent }}", ""),
        ("{{ not .empty }} {{ ne .ref \"x\" }} {{ eq (eq .ref .other) (not .url) }}", "true true false"),
        ("a \n{{- .ref -}}\n b", "amainb"),
        ("a {{- /* note */ -}} b{{/* */}}", "ab"),
        ("{{ \"quote\\\" back\\\\ }}\" }}", "quote\" back\\ }}"),
        ("{{.ref}}}}", "main}}"),
    ] {
        assert_eq!(render(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn absent_values_are_errors_except_through_index() {
    for source in ["absent", "{{ .absent }}", "{{ if .absent }}x{{ end }}", "{{ eq .absent \"x\" }}", "{{ and .ref .absent }}"] {
        assert_eq!(render(source), Err(RenderError::Missing { name: "absent".into() }), "{source}");
    }
}

#[test]
fn what_is_not_in_the_subset_is_refused_when_parsed() {
    for source in [
        "{{ .ref | printf }}",
        "{{ $x := .ref }}",
        "{{ range . }}{{ end }}",
        "{{ with .ref }}{{ end }}",
        "{{ . }}",
        "{{ .a.b }}",
        "{{ printf \"%s\" .ref }}",
        "{{ if .ref }}",
        "{{ end }}",
        "{{ else }}",
        "{{ if .a }}{{ else }}{{ else }}{{ end }}",
        "{{",
        "{{ }}",
        "{{ .ref",
        "{{ \"open }}",
        "{{ `open }}",
        "{{/* open }}",
        "{{ eq .a }}",
        "{{ eq .a 1 }}",
        "{{ ne .a }}",
        "{{ ne .a .b .c }}",
        "{{ not }}",
        "{{ not .a .b }}",
        "{{ and }}",
        "{{ index .x \"a\" }}",
        "{{ index . .a }}",
        "{{ index . \"a\" \"b\" }}",
        "{{ eq .a (not .b) }}",
        "{{ eq .a (or .b (not .c)) }}",
        "{{ (eq .a .b }}",
        "{{ .a .b }}",
        "{{ .a\"b\" }}",
        "{{ \"\\x41\" }}",
        "{{ true }}",
        "{{ template \"x\" }}",
        "{{ .1 }}",
        "{{ \"a\nb\" }}",
        "{{ .ref -}",
        "{{ .ref-}}",
    ] {
        assert!(Template::parse(source).is_err(), "{source}");
    }
    let deep = format!("{{{{ {}.a{} }}}}", "(".repeat(200), ")".repeat(200));
    assert_eq!(Template::parse(&deep).unwrap_err().to_string(), "nested too deeply (at byte 36 of the template)");
    let deep = "{{ if .a }}".repeat(200);
    assert!(Template::parse(&deep).unwrap_err().to_string().starts_with("nested too deeply"));
    assert!(Template::parse(&"x".repeat(5000)).is_err());
}

#[test]
fn output_is_bounded() {
    let source = "{{ .job }}".repeat(400);
    assert_eq!(render(&source), Err(RenderError::TooLong));
}

/// Expressions of both kinds, spelled in Go.
fn expression() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just(".url".to_owned()),
        Just(".ref".to_owned()),
        Just(".other".to_owned()),
        Just(".empty".to_owned()),
        Just(".absent".to_owned()),
        Just("(index . \"oidc.example/ssh-rerun\")".to_owned()),
        "[a-z ]{0,3}".prop_map(|text| format!("\"{text}\"")),
        "[a-z\\\\\"]{0,3}".prop_map(|text| format!("`{text}`")),
    ];
    text.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(eq {a} {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("(eq {a} {b} {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(ne {a} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(and {a} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(or {a} {b})")),
            inner.prop_map(|a| format!("(not {a})")),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z \n{}-]{0,4}".prop_filter("no delimiters by chance", |text| !text.contains("{{") && !text.ends_with('{')),
        (expression(), any::<(bool, bool)>()).prop_map(|(inner, (left, right))| {
            format!("{{{{{} {inner} {}}}}}", if left { "-" } else { "" }, if right { "-" } else { "" })
        }),
        Just("{{/* c */}}".to_owned()),
    ];
    piece.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|parts| parts.concat()),
            (expression(), inner.clone(), inner.clone())
                .prop_map(|(condition, a, b)| format!("{{{{if {condition}}}}}{a}{{{{else}}}}{b}{{{{ end }}}}")),
            (expression(), expression(), inner.clone(), inner)
                .prop_map(|(c, d, a, b)| format!("{{{{if {c} }}}}{a}{{{{ else if {d} -}}}} {b}{{{{end}}}}")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(source in ".{0,200}") {
        if let Ok(template) = Template::parse(&source) {
            let _ = template.render(&values());
        }
    }

    #[test]
    fn no_soup_of_tokens_makes_the_parser_panic(tokens in proptest::collection::vec(
        prop::sample::select(vec!["{{", "}}", "{{-", "-}}", " ", ".a", ".", "index", "eq", "if", "else", "end", "(", ")", "\"x\"", "`", "\"", "\\", "/*", "*/", "é"]),
        0..40,
    )) {
        if let Ok(template) = Template::parse(&tokens.concat()) {
            let _ = template.render(&values());
        }
    }

    /// The oracle is a port of Go's own package. It knows more than we do, so only what we accept is compared.
    #[test]
    fn means_what_go_means(source in document()) {
        prop_assume!(source.contains("{{"));
        let go = gotmpl::Template::new("t").missing_key(gotmpl::MissingKey::Error).parse(&source);
        let Ok(ours) = Template::parse(&source) else { return Ok(()) };
        let go = go.map_err(|error| TestCaseError::fail(format!("we accept what Go does not: {error}: {source}")))?;
        let theirs = go.execute_to_string(&gotmpl::to_value(&values()).unwrap());
        prop_assert_eq!(ours.render(&values()).ok(), theirs.ok(), "{}", source);
    }
}
