//! PEM as clients really send it.
//!
//! Go and the `pem` crate take what strict readers do not: text before the block, one unwrapped base64 line, no final newline
//! (that is how sigstore-java sends its key).

/// There is no usable PEM block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No `-----BEGIN …-----` with its `-----END …-----`.
    #[error("no PEM block found; expected -----BEGIN …----- and -----END …-----")]
    Missing,
    /// A block, but not base64 inside, or its ends do not match.
    #[error("the PEM block is damaged: its content is not base64, or its first and last lines do not match")]
    Damaged,
}

/// The first block anywhere in `text`: its label and its bytes.
pub(crate) fn first_block(text: &str) -> Result<(String, Vec<u8>), PemError> {
    let block = pem::parse(text).map_err(|error| reason(&error))?;
    Ok((block.tag().to_owned(), block.into_contents()))
}

/// All blocks of `text`, in order, each as its label and its bytes; at least one. Text around them is skipped.
///
/// # Errors
/// [`PemError`].
pub fn pem_blocks(text: &str) -> Result<Vec<(String, Vec<u8>)>, PemError> {
    let blocks = pem::parse_many(text).map_err(|error| reason(&error))?;
    // A reader that stops at the first unterminated block must not silently shorten a chain.
    if blocks.len() != text.matches("-----BEGIN ").count() {
        return Err(PemError::Damaged);
    }
    if blocks.is_empty() {
        return Err(PemError::Missing);
    }
    Ok(blocks.into_iter().map(|block| (block.tag().to_owned(), block.into_contents())).collect())
}

/// One block, lines of 64 characters, a final newline.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

fn reason(error: &pem::PemError) -> PemError {
    match error {
        pem::PemError::MalformedFraming | pem::PemError::MissingBeginTag | pem::PemError::MissingEndTag => PemError::Missing,
        _ => PemError::Damaged,
    }
}
