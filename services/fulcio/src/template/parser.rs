//! From a template's text to its tree: recursive descent over the bytes, depth bounded.

use super::{Expression, Function, Node, TemplateError};

/// How deep `if` and parentheses may be nested; bounds the recursion.
const MAX_DEPTH: usize = 32;

/// What ended a block.
pub(super) enum Ending {
    Source,
    End,
    Else,
    ElseIf(Expression),
}

pub(super) struct Parser<'s> {
    source: &'s str,
    at: usize,
    /// The last action ended in ` -}}`.
    trim_next: bool,
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, at: 0, trim_next: false }
    }

    /// Nodes up to the end of the text, an `end` or an `else`.
    pub(super) fn block(&mut self, depth: usize) -> Result<(Vec<Node>, Ending), TemplateError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let mut nodes = Vec::new();
        loop {
            if !self.text(&mut nodes) {
                return Ok((nodes, Ending::Source));
            }
            if self.comment()? {
                continue;
            }
            self.skip_space();
            match self.word() {
                "end" => {
                    self.close()?;
                    return Ok((nodes, Ending::End));
                }
                "else" => {
                    let ending = self.else_ending(depth)?;
                    return Ok((nodes, ending));
                }
                "if" => nodes.push(self.if_node(depth)?),
                name => {
                    self.at -= name.len();
                    let expression = self.command(depth)?;
                    self.close()?;
                    nodes.push(Node::Print(expression));
                }
            }
        }
    }

    /// Takes the text up to and including the next `{{`; false when there is none.
    fn text(&mut self, nodes: &mut Vec<Node>) -> bool {
        let rest = &self.source[self.at..];
        let (mut text, found) = match rest.find("{{") {
            Some(length) => (&rest[..length], true),
            None => (rest, false),
        };
        self.at += text.len() + if found { 2 } else { 0 };
        if std::mem::take(&mut self.trim_next) {
            text = text.trim_start_matches(SPACE);
        }
        let after = &self.source[self.at..];
        if found && after.starts_with('-') && after[1..].starts_with(SPACE) {
            text = text.trim_end_matches(SPACE);
            self.at += 2;
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_owned()));
        }
        found
    }

    fn comment(&mut self) -> Result<bool, TemplateError> {
        if !self.source[self.at..].starts_with("/*") {
            return Ok(false);
        }
        let Some(length) = self.source[self.at..].find("*/") else {
            return Err(self.error("a comment without its end"));
        };
        self.at += length + 2;
        if self.source[self.at..].starts_with("}}") || self.source[self.at..].trim_start_matches(SPACE).starts_with("-}}") {
            self.close()?;
            return Ok(true);
        }
        Err(self.error("expected }} right after the comment"))
    }

    fn else_ending(&mut self, depth: usize) -> Result<Ending, TemplateError> {
        let spaced = self.skip_space();
        let word = self.word();
        if word == "if" && spaced {
            let condition = self.condition(depth)?;
            return Ok(Ending::ElseIf(condition));
        }
        self.at -= word.len();
        self.close()?;
        Ok(Ending::Else)
    }

    fn condition(&mut self, depth: usize) -> Result<Expression, TemplateError> {
        self.skip_space();
        let condition = self.command(depth)?;
        self.close()?;
        Ok(condition)
    }

    fn if_node(&mut self, depth: usize) -> Result<Node, TemplateError> {
        let condition = self.condition(depth)?;
        self.branches(condition, depth)
    }

    /// What follows a condition: the block, and whatever `else` brings.
    fn branches(&mut self, condition: Expression, depth: usize) -> Result<Node, TemplateError> {
        let (then, ending) = self.block(depth + 1)?;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Source => return Err(self.error("an if without its end")),
            Ending::ElseIf(condition) => vec![self.branches(condition, depth + 1)?],
            Ending::Else => match self.block(depth + 1)? {
                (nodes, Ending::End) => nodes,
                (_, Ending::Source) => return Err(self.error("an else without its end")),
                (_, Ending::Else | Ending::ElseIf(_)) => return Err(self.error("a second else")),
            },
        };
        Ok(Node::If { condition, then, otherwise })
    }

    /// A function with its arguments, or one operand.
    fn command(&mut self, depth: usize) -> Result<Expression, TemplateError> {
        let start = self.at;
        match self.word() {
            "" => self.operand(depth),
            "index" => self.index(),
            name => match Function::named(name) {
                Some(function) => self.call(function, depth),
                None => {
                    self.at = start;
                    Err(self.error("only .name, index, eq, ne, and, or, not, if, else, end and quoted text are known here"))
                }
            },
        }
    }

    fn call(&mut self, function: Function, depth: usize) -> Result<Expression, TemplateError> {
        let mut arguments = Vec::new();
        while self.skip_space() && !self.at_close() {
            arguments.push(self.operand(depth)?);
        }
        match function.refuses(&arguments) {
            Some(complaint) => Err(self.error(complaint)),
            None => Ok(Expression::Call(function, arguments)),
        }
    }

    fn index(&mut self) -> Result<Expression, TemplateError> {
        let form = "index is written: index . \"name\"";
        let dot = self.skip_space() && self.take(".");
        if !dot || !self.skip_space() {
            return Err(self.error(form));
        }
        match self.quoted()? {
            Some(name) => Ok(Expression::Index(name)),
            None => Err(self.error(form)),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, TemplateError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        if self.take("(") {
            self.skip_space();
            let inner = self.command(depth + 1)?;
            self.skip_space();
            return if self.take(")") { Ok(inner) } else { Err(self.error("expected )")) };
        }
        if let Some(text) = self.quoted()? {
            return Ok(Expression::Literal(text));
        }
        if self.take(".") {
            let name = self.word();
            return if name.is_empty() || name.starts_with(char::is_numeric) {
                Err(self.error("expected a name after the dot"))
            } else {
                Ok(Expression::Field(name.into()))
            };
        }
        Err(self.error("expected .name, quoted text or (…)"))
    }

    /// Text in double quotes or back quotes, if there is one.
    fn quoted(&mut self) -> Result<Option<String>, TemplateError> {
        if self.take("`") {
            let Some(length) = self.source[self.at..].find('`') else {
                return Err(self.error("text without its closing quote"));
            };
            let text = self.source[self.at..self.at + length].to_owned();
            self.at += length + 1;
            return Ok(Some(text));
        }
        if !self.take("\"") {
            return Ok(None);
        }
        let mut text = String::new();
        let mut characters = self.source[self.at..].chars();
        loop {
            let Some(c) = characters.next() else { return Err(self.error("text without its closing quote")) };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(Some(text)),
                '\n' => return Err(self.error("a line break inside quotes")),
                '\\' => {
                    let Some((escaped, length)) = characters.next().and_then(unescaped) else {
                        return Err(self.error("after a backslash only \\, \" , n, t and r are known"));
                    };
                    self.at += length;
                    text.push(escaped);
                }
                other => text.push(other),
            }
        }
    }

    /// Letters, digits and underscores from here; may be empty.
    fn word(&mut self) -> &'s str {
        let rest = &self.source[self.at..];
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.source[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Whether there was any.
    fn skip_space(&mut self) -> bool {
        let before = self.at;
        let rest = &self.source[self.at..];
        self.at += rest.len() - rest.trim_start_matches(SPACE).len();
        self.at > before
    }

    /// At `}}`, at `-}}` after a space, or at `)`.
    fn at_close(&self) -> bool {
        let rest = &self.source[self.at..];
        rest.starts_with("}}") || rest.starts_with("-}}") || rest.starts_with(')')
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        let spaced = self.source[..self.at].ends_with(SPACE) | self.skip_space();
        if spaced && self.take("-}}") {
            self.trim_next = true;
            return Ok(());
        }
        if self.take("}}") {
            Ok(())
        } else {
            Err(self.error("expected }}; pipes, variables and further arguments are not known here"))
        }
    }

    pub(super) fn error(&self, reason: &str) -> TemplateError {
        TemplateError { at: self.at, reason: reason.to_owned() }
    }
}

/// The character that a backslash and `c` stand for, and the length of `c`.
fn unescaped(c: char) -> Option<(char, usize)> {
    let escaped = match c {
        '\\' | '"' => c,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        _ => return None,
    };
    Some((escaped, 1))
}
