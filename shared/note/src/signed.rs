use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::KeyHint;
use crate::origin::allowed_in_name;

/// How long a note may be, in bytes: far above any checkpoint with all its cosignatures.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// How many signature lines a note may have. The specification asks readers for at least 16.
pub const MAX_SIGNATURES: usize = 64;

/// An em dash and a space begin each signature line.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A text and signatures over it (C2SP `signed-note`), parsed but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line: `— <name> <base64(key hint ‖ signature)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key; for a log its origin.
    pub name: String,
    /// First four bytes of the key id.
    pub hint: KeyHint,
    /// What follows the hint: a signature over the text, in the encoding that the kind of key has.
    pub signature: Vec<u8>,
}

impl SignedNote {
    /// A note, its log's own signature first: some readers look at no other.
    ///
    /// # Errors
    /// [`NoteError`] when the text or a name could not be read back.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_text(&text)?;
        check_count(signatures.len())?;
        for signature in &signatures {
            signature.check()?;
        }
        let note = Self { text, signatures };
        let length = note.to_string().len();
        if length > MAX_NOTE_BYTES { Err(NoteError::TooLong { length }) } else { Ok(note) }
    }

    /// The bytes that are signed: up to and including the newline before the blank line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The signatures that say to be by the key of this name and id.
    ///
    /// When the key is known to the reader and one of them does not verify, the whole note is to be refused.
    pub fn signatures_by<'a>(&'a self, name: &'a str, hint: KeyHint) -> impl Iterator<Item = &'a NoteSignature> {
        self.signatures.iter().filter(move |signature| signature.name == name && signature.hint == hint)
    }
}

impl NoteSignature {
    fn check(&self) -> Result<(), NoteError> {
        let named = !self.name.is_empty() && self.name.chars().all(allowed_in_name);
        if named && !self.signature.is_empty() { Ok(()) } else { Err(NoteError::SignatureLine) }
    }

    /// Reads one signature line, without its newline.
    ///
    /// # Errors
    /// [`NoteError::SignatureLine`] when it is none.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, encoded) =
            line.strip_prefix(SIGNATURE_PREFIX).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::SignatureLine)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| NoteError::SignatureLine)?;
        let (hint, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::SignatureLine)?;
        let parsed = Self { name: name.to_owned(), hint: KeyHint(*hint), signature: signature.to_vec() };
        parsed.check()?;
        Ok(parsed)
    }
}

impl fmt::Display for NoteSignature {
    /// The line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [&self.hint.0[..], &self.signature].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, BASE64_STANDARD.encode(payload))
    }
}

impl fmt::Display for SignedNote {
    /// The note as it is published.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { length: note.len() });
        }
        // One blank line, no more: some readers split at the first, others at the last, and all must see the same text.
        let (text, lines) = note.split_once("\n\n").ok_or(NoteError::BlankLine)?;
        if lines.contains("\n\n") || lines.starts_with('\n') {
            return Err(NoteError::BlankLine);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::LastNewline)?;
        check_count(lines.split('\n').count())?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        let text = format!("{text}\n");
        check_text(&text)?;
        Ok(Self { text, signatures })
    }
}

/// Bytes that are no signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Over [`MAX_NOTE_BYTES`].
    #[error("the note has {length} bytes, expected at most {MAX_NOTE_BYTES}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// Not exactly one blank line.
    #[error("the note has not exactly one blank line, between its text and its signatures")]
    BlankLine,
    /// The end is cut off.
    #[error("the note does not end in a newline")]
    LastNewline,
    /// Text without a line, or with a control character.
    #[error("the text of the note is not lines of printable UTF-8")]
    Text,
    /// A line below the blank one that is no signature.
    #[error("a signature line is not an em dash, a name without spaces or plus, and base64 of a key hint and a signature")]
    SignatureLine,
    /// None, or over [`MAX_SIGNATURES`].
    #[error("the note has {found} signatures, expected 1 to {MAX_SIGNATURES}")]
    SignatureCount {
        /// How many there are.
        found: usize,
    },
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.contains("\n\n") || text.starts_with('\n') {
        return Err(NoteError::BlankLine);
    }
    let printable = text.chars().all(|c| c >= ' ' || c == '\n');
    if printable && text.ends_with('\n') { Ok(()) } else { Err(NoteError::Text) }
}

fn check_count(found: usize) -> Result<(), NoteError> {
    if (1..=MAX_SIGNATURES).contains(&found) { Ok(()) } else { Err(NoteError::SignatureCount { found }) }
}
