//! Rust sources as far as this needs to read them: words, text and signs; comments and what is only compiled for tests left out.

/// A piece of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// An identifier, keyword or number.
    Word(&'s str),
    /// What stands between the quotes of a string literal, escapes as they are written.
    Text(&'s str),
    /// Any other character.
    Sign(char),
}

/// The tokens of a source that compiles; of anything else, some.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, length) = next(rest, first);
        found.extend(token);
        rest = &rest[length..];
    }
    without_tests(&found)
}

/// The token at the start of `rest`, if there is one, and the bytes to skip.
fn next(rest: &str, first: char) -> (Option<Token<'_>>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some((text, length)) = text(rest) {
        return (Some(Token::Text(text)), length);
    }
    if first == '\'' {
        return (None, quoted_character(rest));
    }
    if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        return (Some(Token::Word(&rest[..length])), length);
    }
    ((!first.is_whitespace()).then_some(Token::Sign(first)), first.len_utf8())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        match (tail.starts_with(b"/*"), tail.starts_with(b"*/")) {
            (true, _) => (depth, at) = (depth + 1, at + 2),
            (_, true) if depth == 1 => return at + 2,
            (_, true) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// A string literal of any kind: its content and the length of the whole.
fn text(rest: &str) -> Option<(&str, usize)> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|length| *length <= 2)?;
    let raw = rest[..prefix].ends_with('r');
    let fences = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let open = prefix + fences;
    if !rest[open..].starts_with('"') || (fences > 0 && !raw) {
        return None;
    }
    let content = &rest[open + 1..];
    let closing = format!("\"{}", "#".repeat(fences));
    let length = if raw { content.find(&closing) } else { unescaped_quote(content) }.unwrap_or(content.len());
    Some((&content[..length], (open + 1 + length + closing.len()).min(rest.len())))
}

fn unescaped_quote(content: &str) -> Option<usize> {
    let mut escaped = false;
    content.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The length of a character literal, or of the mark alone where it begins a lifetime.
fn quoted_character(rest: &str) -> usize {
    let mut inside = rest[1..].char_indices();
    match (inside.next(), inside.next()) {
        // The character after the backslash may be a quote itself.
        (Some((_, '\\')), Some((_, escaped))) => {
            let from = 2 + escaped.len_utf8();
            rest[from..].find('\'').map_or(rest.len(), |end| from + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 2,
        _ => 1,
    }
}

/// Drops each item under `#[cfg(test)]`.
fn without_tests<'s>(tokens: &[Token<'s>]) -> Vec<Token<'s>> {
    const CFG_TEST: &[Token<'static>] = &[
        Token::Sign('#'),
        Token::Sign('['),
        Token::Word("cfg"),
        Token::Sign('('),
        Token::Word("test"),
        Token::Sign(')'),
        Token::Sign(']'),
    ];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(CFG_TEST) {
            at += CFG_TEST.len() + item(&tokens[at + CFG_TEST.len()..]);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// The number of tokens of an item: to its semicolon, or to the end of its braces.
fn item(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') if depth <= 1 => return at + 1 + usize::from(tokens.get(at + 1) == Some(&Token::Sign(';'))),
            Token::Sign('}') => depth -= 1,
            Token::Sign(';') if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_text_and_signs() {
        let found = tokens(r#"let a = f("b\"c", 'd', '\'', b"e") /* "f" /* */ */; // "g""#);
        let texts: Vec<_> = found.iter().filter(|token| matches!(token, Token::Text(_))).collect();
        assert_eq!(texts, [&Token::Text(r#"b\"c"#), &Token::Text("e")]);
        assert_eq!(found[..4], [Token::Word("let"), Token::Word("a"), Token::Sign('='), Token::Word("f")]);
        assert_eq!(found.last(), Some(&Token::Sign(';')));
    }

    #[test]
    fn raw_text_lifetimes_and_other_alphabets() {
        let found = tokens("r#\"a\"b\"# 'static r\"\\\" broken 'ß' \"…\"");
        assert_eq!(
            found,
            [Token::Text("a\"b"), Token::Word("static"), Token::Text("\\"), Token::Word("broken"), Token::Text("…"),]
        );
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let found = tokens("#[cfg(test)] mod tests; a #[cfg(test)] mod t { fn f() { { } } } b #[cfg(test)] use c::{d}; e");
        assert_eq!(found, [Token::Word("a"), Token::Word("b"), Token::Word("e")]);
    }

    #[test]
    fn sources_that_break_off_are_read_to_their_end() {
        for source in ["\"a", "r#\"a\"", "/* a", "'", "'\\", "#[cfg(test)] mod a {", "b", "r#"] {
            tokens(source);
        }
    }
}
