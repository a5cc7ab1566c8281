//! What the contract's published schema refuses: 422 with a number of its own in the body.

/// The first thing about a request that the schema does not allow. `Display` is what upstream's server says of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct SchemaError {
    /// 601 and up.
    pub(super) code: u16,
    message: String,
}

impl SchemaError {
    fn new(code: u16, message: String) -> Self {
        Self { code, message }
    }

    /// 601: `place` is `query`, `path` or `body`.
    pub(super) fn of_type(name: &str, place: &str, kind: &str) -> Self {
        Self::new(601, format!("{name} in {place} must be of type {kind}"))
    }

    /// 602.
    pub(super) fn required(name: &str, place: &str) -> Self {
        Self::new(602, format!("{name} in {place} is required"))
    }

    /// 603.
    pub(super) fn too_long(name: &str, place: &str, most: usize) -> Self {
        Self::new(603, format!("{name} in {place} should be at most {most} chars long"))
    }

    /// 605.
    pub(super) fn pattern(name: &str, place: &str, pattern: &str) -> Self {
        Self::new(605, format!("{name} in {place} should match '{pattern}'"))
    }

    /// 606.
    pub(super) fn one_of(name: &str, place: &str, values: &str) -> Self {
        Self::new(606, format!("{name} in {place} should be one of [{values}]"))
    }

    /// 609.
    pub(super) fn minimum(name: &str, place: &str, least: u64) -> Self {
        Self::new(609, format!("{name} in {place} should be greater than or equal to {least}"))
    }

    /// 611.
    pub(super) fn too_many(name: &str, most: usize) -> Self {
        Self::new(611, format!("{name} in body should have at most {most} items"))
    }

    /// 612.
    pub(super) fn too_few(name: &str, least: usize) -> Self {
        Self::new(612, format!("{name} in body should have at least {least} items"))
    }
}

/// The first value of a query parameter, decoded. An empty one counts as absent.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

/// A number that clients keep in a signed integer, at least `least`; none when it is absent.
pub(super) fn number(query: Option<&str>, name: &str, least: u64) -> Result<Option<u64>, SchemaError> {
    let Some(text) = parameter(query, name) else { return Ok(None) };
    let number: i64 = text.parse().map_err(|_| SchemaError::of_type(name, "query", "int64"))?;
    match u64::try_from(number) {
        Ok(number) if number >= least => Ok(Some(number)),
        _ => Err(SchemaError::minimum(name, "query", least)),
    }
}
