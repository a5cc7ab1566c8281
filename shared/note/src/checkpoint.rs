use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use merkle::Hash;

/// The text of a signed tree head (C2SP `tlog-checkpoint`): what a log claims about its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: one line, not empty.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Lines after the root, each not empty. Their use is discouraged.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    #[must_use]
    pub fn new(origin: impl Into<String>, size: u64, root: Hash) -> Self {
        Self { origin: origin.into(), size, root, extensions: Vec::new() }
    }

    /// The bytes to sign: each line with its newline.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64_STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Parses the text of a note. There is one spelling of each checkpoint; any other is refused.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let mut next = || lines.next().filter(|line| is_line(line)).ok_or(CheckpointError::Lines);
        let (origin, size, root) = (next()?, next()?, next()?);
        let extensions = lines.map(|line| if is_line(line) { Ok(line.to_owned()) } else { Err(CheckpointError::Lines) });
        Ok(Self {
            origin: origin.to_owned(),
            size: parse_size(size).ok_or(CheckpointError::Size)?,
            root: parse_root(root).ok_or(CheckpointError::Root)?,
            extensions: extensions.collect::<Result<_, _>>()?,
        })
    }
}

/// A text that is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Too few lines, an empty one, a control character, or no newline at the end.
    #[error("the checkpoint is not three or more lines (origin, size, root), each printable, not empty and with its newline")]
    Lines,
    /// The second line is no size.
    #[error("the size of the checkpoint is not a decimal number below 2^64 without leading zeros")]
    Size,
    /// The third line is no root.
    #[error("the root of the checkpoint is not 32 bytes in base64 with padding")]
    Root,
}

fn is_line(line: &str) -> bool {
    !line.is_empty() && line.chars().all(|c| c >= ' ')
}

pub(crate) fn parse_size(line: &str) -> Option<u64> {
    let canonical = line.bytes().all(|byte| byte.is_ascii_digit()) && (line == "0" || !line.starts_with('0'));
    if canonical { line.parse().ok() } else { None }
}

fn parse_root(line: &str) -> Option<Hash> {
    Hash::try_from(&BASE64_STANDARD.decode(line).ok()?[..]).ok()
}
