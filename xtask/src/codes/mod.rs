//! `docs/errors.md` has one section for every stable error code of the product, and none for a code that does not exist.
//!
//! Sections are the third-level headings of that file. A code is a string literal of lower-case words joined by underscores, in
//! `services/*/src` or `shared/*/src` outside tests, that stands
//!
//! 1. in the body of a function called `code`, or `…_code`, or in a constant called `CODE` or `CODES`;
//! 2. as the first argument of `coded`, or of one of `Failure`'s constructors ([`CONSTRUCTORS`]);
//! 3. in a file with such a call also in a match arm's result, if it has two words or more: there the tables from errors to
//!    answers have statuses beside their codes. Arguments of macros do not count.
//!
//! Whoever writes a code in another form makes it one of these instead of teaching this module a fourth.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::layout;
use tokens::{Token, tokens};

/// What makes a `Failure` of a code and more.
const CONSTRUCTORS: &[&str] = &["new", "because", "usage", "refused"];

/// Compares sources and documentation.
///
/// # Errors
/// One line per code without a section, and per section without a code.
pub(crate) fn check() -> Result<String> {
    let reference =
        fs::read_to_string(layout::repository().join(REFERENCE)).with_context(|| format!("cannot read {REFERENCE}"))?;
    let found = in_sources(&layout::repository())?;
    let wrong = differences(&found, &sections(&reference));
    if wrong.is_empty() {
        return Ok(format!("{} error codes", found.len()));
    }
    bail!("{}\nWhat counts as a code is said in xtask/src/codes/mod.rs.", wrong.join("\n"))
}

const REFERENCE: &str = "docs/errors.md";

/// Codes, each with one file that has it.
fn in_sources(repository: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = Vec::new();
    for folder in ["services", "shared"] {
        rust_files(&repository.join(folder), &mut files)?;
    }
    let in_src = |file: &PathBuf| file.strip_prefix(repository).is_ok_and(|path| path.iter().any(|part| part == "src"));
    files.retain(in_src);
    let mut found = BTreeMap::new();
    for file in files {
        let source = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for code in codes(&source) {
            found.entry(code).or_insert_with(|| file.clone());
        }
    }
    Ok(found)
}

/// Sources below, without files and folders that hold tests alone.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    const TESTS: &[&str] = &["tests", "tests.rs", "testkit", "examples"];
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if TESTS.iter().any(|tests| name == *tests) {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn differences(found: &BTreeMap<String, PathBuf>, sections: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let undocumented = found
        .iter()
        .filter(|(code, _)| !sections.contains(code))
        .map(|(code, file)| format!("{REFERENCE} has no section for {code}, which is in {}", layout::shown(file)));
    let mut wrong: Vec<String> = undocumented.collect();
    for section in sections {
        if !found.contains_key(section) {
            wrong.push(format!("{REFERENCE} has a section for {section}, which no source has"));
        }
        if !seen.insert(section) {
            wrong.push(format!("{REFERENCE} has two sections for {section}"));
        }
    }
    wrong
}

fn sections(reference: &str) -> Vec<String> {
    reference.lines().filter_map(|line| line.strip_prefix("### ")).map(|heading| heading.trim().to_owned()).collect()
}

/// The codes in one source, by the three rules of the module.
fn codes(source: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    let mut answers = false;
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        if let Some(body) = of_codes_alone(rest) {
            found.extend(texts(body));
        }
        if let Some(argument) = first_argument(&tokens, at) {
            answers = true;
            found.extend(texts(argument));
        }
    }
    if answers {
        let tokens = without_macros(&tokens);
        let arms = (0..tokens.len()).filter(|at| tokens[*at..].starts_with(&[Token::Sign('='), Token::Sign('>')]));
        let results = arms.flat_map(|at| texts(arm(&tokens[at + 2..])).collect::<Vec<_>>());
        found.extend(results.filter(|text| text.contains('_')));
    }
    found.into_iter().map(str::to_owned).collect()
}

/// Rule 1: the body of a function, or the items of a list, that holds codes and nothing else.
fn of_codes_alone<'t, 's>(tokens: &'t [Token<'s>]) -> Option<&'t [Token<'s>]> {
    match tokens {
        [Token::Word("fn"), Token::Word(name), rest @ ..] if *name == "code" || name.ends_with("_code") => {
            let opens = rest.iter().position(|token| matches!(token, Token::Sign('{' | ';')))?;
            (rest[opens] == Token::Sign('{')).then(|| group(&rest[opens..]))
        }
        [Token::Word("const"), Token::Word("CODE" | "CODES"), rest @ ..] => {
            let value = rest.iter().position(|token| *token == Token::Sign('='))?;
            rest[value..].split(|token| *token == Token::Sign(';')).next()
        }
        _ => None,
    }
}

/// Rule 2: the first argument of the call that begins here, or nothing if it is no literal.
fn first_argument<'t, 's>(tokens: &'t [Token<'s>], at: usize) -> Option<&'t [Token<'s>]> {
    let called = match tokens[at..] {
        [Token::Word("coded"), Token::Sign('('), ..] => {
            at.checked_sub(1).is_none_or(|before| tokens[before] != Token::Word("fn"))
        }
        [Token::Word(name), Token::Sign('('), ..] => {
            const PATH: &[Token<'static>] = &[Token::Word("Failure"), Token::Sign(':'), Token::Sign(':')];
            CONSTRUCTORS.contains(&name) && tokens[..at].ends_with(PATH)
        }
        _ => false,
    };
    called.then(|| tokens.get(at + 2..at + 3).unwrap_or_default())
}

/// Rule 3: what follows an arrow, to the end of the arm.
fn arm<'t, 's>(tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    if tokens.first() == Some(&Token::Sign('{')) {
        return group(tokens);
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(',') if depth == 0 => return &tokens[..at],
            Token::Sign(')' | ']' | '}') if depth == 0 => return &tokens[..at],
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
    }
    tokens
}

/// From an opening bracket to its closing one.
fn group<'t, 's>(tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') if depth == 1 => return &tokens[..=at],
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens
}

fn without_macros<'s>(mut tokens: &[Token<'s>]) -> Vec<Token<'s>> {
    let mut kept = Vec::with_capacity(tokens.len());
    while let [token, rest @ ..] = tokens {
        tokens = match rest {
            [Token::Sign('!'), Token::Sign('(' | '[' | '{'), ..] if matches!(token, Token::Word(_)) => {
                &rest[1 + group(&rest[1..]).len()..]
            }
            _ => rest,
        };
        kept.push(*token);
    }
    kept
}

/// The literals that have the form of a code.
fn texts<'s>(tokens: &[Token<'s>]) -> impl Iterator<Item = &'s str> {
    tokens.iter().filter_map(|token| match token {
        Token::Text(text) if has_the_form(text) => Some(*text),
        _ => None,
    })
}

fn has_the_form(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.split('_').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_codes(source: &str, expected: &[&str]) {
        assert_eq!(codes(source), expected.iter().map(|code| (*code).to_owned()).collect(), "{source}");
    }

    #[test]
    fn functions_and_lists_of_codes_count_whole() {
        assert_codes(
            r#"pub const fn code(&self) -> &'static str { match self { Self::A { .. } => "internal", Self::B(b) => b.code() } }"#,
            &["internal"],
        );
        assert_codes(
            r#"fn token_code(e: &E) -> &'static str { if e.x { "token_x" } else { "token_y" } } fn f() { "z_z" }"#,
            &["token_x", "token_y"],
        );
        assert_codes(r#"trait T { fn code(&self) -> &'static str; fn name() -> &'static str { "a_b" } }"#, &[]);
        assert_codes(
            r#"pub const CODES: &[&str] = &["one", "two_three"]; const OTHER: &str = "four_five";"#,
            &["one", "two_three"],
        );
        assert_codes(r#"const CODE: &str = "two_three"; const ENCODE: &str = "four_five";"#, &["two_three"]);
    }

    #[test]
    fn first_arguments_count() {
        assert_codes(r#"reason::coded("not_found", &format!("{} was not_found", "x_y"))"#, &["not_found"]);
        assert_codes("Failure::usage(\n    \"usage\", // see\n    \"what_now\")", &["usage"]);
        assert_codes(r#"Failure::because(code, "no_code", &e); Other::new("x_y"); pub fn coded(code: &str)"#, &[]);
    }

    #[test]
    fn results_of_arms_count_where_requests_are_answered() {
        let table = r#"match self {
            Self::A => (Code::Unavailable, "a_b"),
            Self::B(_) => { (Status::BAD, "c_d", "single") }
            Self::C => Verdict::Failed("e_f"),
            Self::D => match x { 1 => "g_h", _ => "i_j" },
            Self::E => { counter!("k_l", "m_n" => "o_p").increment(1); "q_r" }
            "s_t" => other,
        }; let x = "u_v";"#;
        assert_codes(table, &[]);
        let answered = format!("fn f() {{ {table} coded(code, text) }}");
        assert_codes(&answered, &["a_b", "c_d", "e_f", "g_h", "i_j", "q_r"]);
    }

    #[test]
    fn tests_and_comments_do_not_count() {
        assert_codes(
            r#"// coded("a_b")
            #[cfg(test)] mod tests { fn f() { coded("c_d") } }
            fn g() { coded("e_f") }"#,
            &["e_f"],
        );
    }

    #[test]
    fn a_code_is_lower_case_words() {
        for good in ["internal", "ct_sct_invalid", "h2_x"] {
            assert!(has_the_form(good), "{good}");
        }
        for bad in ["", "_a", "a_", "a__b", "A_b", "a b", "a-b", "2_a", "[a]"] {
            assert!(!has_the_form(bad), "{bad}");
        }
    }

    #[test]
    fn both_directions_are_reported_and_doubles_too() {
        let found = BTreeMap::from([("a_b".to_owned(), PathBuf::from("f.rs")), ("c_d".to_owned(), PathBuf::from("g.rs"))]);
        let documented = sections("# Errors\n## Group\n### c_d\ntext\n#### no\n### e_f\n### c_d\n");
        assert_eq!(
            differences(&found, &documented),
            [
                "docs/errors.md has no section for a_b, which is in f.rs",
                "docs/errors.md has a section for e_f, which no source has",
                "docs/errors.md has two sections for c_d",
            ]
        );
    }
}
