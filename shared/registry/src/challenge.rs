//! `WWW-Authenticate` (RFC 9110 §11.6.1): several challenges in several headers.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One way to say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case.
    pub scheme: String,
    /// Keys in lower case.
    pub parameters: BTreeMap<String, String>,
}

/// Every challenge of an answer, in order. What does not parse is passed over.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(parse).collect()
}

/// A word followed by `=` and a value belongs to the challenge before it; any other word begins a challenge.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',', '=', '"']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let value = after.trim_start().strip_prefix('=').map(|after| value(after.trim_start()));
        rest = match value {
            Some((value, after)) => {
                if let Some(challenge) = found.last_mut() {
                    challenge.parameters.insert(word.to_ascii_lowercase(), value);
                }
                after
            }
            None => {
                found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: BTreeMap::new() });
                after
            }
        };
    }
}

/// A quoted string or a token, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (token.to_owned(), after);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Challenge { scheme: scheme.to_owned(), parameters }
    }

    #[test]
    fn what_registries_send() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push""#;
        let parameters = [
            ("realm", "https://auth.docker.io/token"),
            ("service", "registry.docker.io"),
            ("scope", "repository:library/alpine:pull,push"),
        ];
        assert_eq!(parse(docker), [challenge("bearer", &parameters)]);
        assert_eq!(parse("Basic realm=\"Registry Realm\""), [challenge("basic", &[("realm", "Registry Realm")])]);
        assert_eq!(parse("BASIC"), [challenge("basic", &[])]);
    }

    #[test]
    fn several_challenges_in_one_header() {
        let text = r#"Negotiate, Basic realm=a , Bearer Realm = "b\"c" ,error="x", charset=UTF-8"#;
        let bearer = challenge("bearer", &[("realm", "b\"c"), ("error", "x"), ("charset", "UTF-8")]);
        assert_eq!(parse(text), [challenge("negotiate", &[]), challenge("basic", &[("realm", "a")]), bearer]);
    }

    #[test]
    fn an_open_quote_ends_with_the_header() {
        assert_eq!(parse("Bearer realm=\"x, service=y"), [challenge("bearer", &[("realm", "x, service=y")])]);
        assert_eq!(parse("realm=x"), [], "a parameter of nothing");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[a-z=\", \\\\\t]{0,40}|\\PC*") {
            let _ = parse(&text);
        }
    }
}
