//! Templates of `ci-provider` issuers: the part of Go's `text/template` that Fulcio's public configuration uses.
//!
//! ```text
//! {{ .name }}  {{ index . "any/name" }}  {{ if eq .a "x" }} … {{ else if … }} … {{ else }} … {{ end }}
//! eq ne and or not   "text"   `text`   ( … )   {{- … -}}   {{/* comment */}}
//! ```
//!
//! Whatever else Go knows (pipes, variables, `range`, `printf`, …) is refused when the configuration is loaded, never while a
//! certificate is made. What remains means exactly what it means in Go, with `missingkey=error`: `.name` of an absent value fails,
//! even inside `if`; `index . "name"` of an absent value is empty. A text without `{{` is the name of a value.

mod parser;

use std::borrow::Cow;

use self::parser::{Ending, Parser};

/// The longest template, in bytes.
const MAX_SOURCE: usize = 4 << 10;
/// The longest rendered text, in bytes.
const MAX_RENDERED: usize = 8 << 10;

/// Where a template takes its values from.
pub(crate) trait Values {
    /// The value called `name`; `None` when there is none.
    ///
    /// # Errors
    /// [`RenderError::NotText`] when there is one that has no text form.
    fn value(&self, name: &str) -> Result<Option<Cow<'_, str>>, RenderError>;
}

/// A parsed template: rendering it can fail only for want of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Node>);

impl Template {
    /// Parses `source`.
    ///
    /// # Errors
    /// [`TemplateError`] with the position and what may stand there.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError { at: MAX_SOURCE, reason: format!("longer than {MAX_SOURCE} bytes") });
        }
        if !source.contains("{{") {
            return Ok(Self(vec![Node::Print(Expression::Field(source.to_owned()))]));
        }
        let mut parser = Parser::new(source);
        match parser.block(0)? {
            (nodes, Ending::Source) => Ok(Self(nodes)),
            (_, Ending::End) => Err(parser.error("end without an if")),
            (_, Ending::Else | Ending::ElseIf(_)) => Err(parser.error("else without an if")),
        }
    }

    /// The text that `values` give.
    ///
    /// # Errors
    /// [`RenderError`], naming the value.
    pub(crate) fn render(&self, values: &dyn Values) -> Result<String, RenderError> {
        let mut text = String::new();
        write_all(&self.0, values, &mut text)?;
        Ok(text)
    }
}

/// A template that is not in the subset: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (at byte {at} of the template)")]
pub struct TemplateError {
    at: usize,
    reason: String,
}

/// A token did not hold what a template needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Neither the token nor the defaults have it.
    #[error("claim {name} is absent from the token, and the configuration has no default for it")]
    Missing {
        /// The claim.
        name: String,
    },
    /// A list or an object.
    #[error("claim {name} is {kind}, expected text, a number or a truth value")]
    NotText {
        /// The claim.
        name: String,
        /// `a list` or `an object`.
        kind: &'static str,
    },
    /// The values are too long to be put into a certificate.
    #[error("a certificate field would be longer than {MAX_RENDERED} bytes")]
    TooLong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Print(Expression),
    If { condition: Expression, then: Vec<Node>, otherwise: Vec<Node> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    /// `.name`: an error when absent.
    Field(String),
    /// `index . "name"`: empty when absent.
    Index(String),
    Literal(String),
    Call(Function, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Eq,
    Ne,
    And,
    Or,
    Not,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Truth(bool),
}

impl Value<'_> {
    /// Go's notion: empty text is false.
    fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Truth(truth) => *truth,
        }
    }
}

fn write_all(nodes: &[Node], values: &dyn Values, out: &mut String) -> Result<(), RenderError> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Print(expression) => match expression.value(values)? {
                Value::Text(text) => out.push_str(&text),
                Value::Truth(truth) => out.push_str(if truth { "true" } else { "false" }),
            },
            Node::If { condition, then, otherwise } => {
                let branch = if condition.value(values)?.holds() { then } else { otherwise };
                write_all(branch, values, out)?;
            }
        }
        if out.len() > MAX_RENDERED {
            return Err(RenderError::TooLong);
        }
    }
    Ok(())
}

impl Expression {
    fn value<'a>(&'a self, values: &'a dyn Values) -> Result<Value<'a>, RenderError> {
        match self {
            Self::Field(name) => match values.value(name)? {
                Some(text) => Ok(Value::Text(text)),
                None => Err(RenderError::Missing { name: name.clone() }),
            },
            Self::Index(name) => Ok(Value::Text(values.value(name)?.unwrap_or_default())),
            Self::Literal(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Self::Call(function, arguments) => function.call(arguments, values),
        }
    }

    /// Which kinds of value this can be; `eq` is allowed only where both sides are surely of one kind.
    fn kind(&self) -> Kind {
        match self {
            Self::Field(_) | Self::Index(_) | Self::Literal(_) => Kind::Text,
            Self::Call(Function::Eq | Function::Ne | Function::Not, _) => Kind::Truth,
            Self::Call(Function::And | Function::Or, arguments) => common_kind(arguments),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Truth,
    Either,
}

fn common_kind(arguments: &[Expression]) -> Kind {
    let mut kinds = arguments.iter().map(Expression::kind);
    let first = kinds.next().unwrap_or(Kind::Either);
    if kinds.all(|kind| kind == first) { first } else { Kind::Either }
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            _ => return None,
        })
    }

    /// The complaint about `arguments`, if there is one.
    fn refuses(self, arguments: &[Expression]) -> Option<&'static str> {
        match (self, arguments.len()) {
            (Self::Eq, 0 | 1) => Some("eq takes two arguments or more"),
            (Self::Ne, count) if count != 2 => Some("ne takes two arguments"),
            (Self::Not, count) if count != 1 => Some("not takes one argument"),
            (Self::And | Self::Or, 0) => Some("and and or take one argument or more"),
            (Self::Eq | Self::Ne, _) if common_kind(arguments) == Kind::Either => {
                Some("eq and ne compare text with text, or conditions with conditions")
            }
            _ => None,
        }
    }

    fn call<'a>(self, arguments: &'a [Expression], values: &'a dyn Values) -> Result<Value<'a>, RenderError> {
        match self {
            Self::Eq | Self::Ne => {
                let evaluated: Vec<_> = arguments.iter().map(|argument| argument.value(values)).collect::<Result<_, _>>()?;
                let equal = evaluated.split_first().is_some_and(|(first, rest)| rest.contains(first));
                Ok(Value::Truth(equal == (self == Self::Eq)))
            }
            Self::Not => Ok(Value::Truth(!arguments[0].value(values)?.holds())),
            // The first argument that decides is the value; those after it are not looked at.
            Self::And | Self::Or => {
                let (last, before) = arguments.split_last().expect("`refuses` let no empty list through");
                for argument in before {
                    let value = argument.value(values)?;
                    if value.holds() == (self == Self::Or) {
                        return Ok(value);
                    }
                }
                last.value(values)
            }
        }
    }
}

#[cfg(test)]
mod tests;
