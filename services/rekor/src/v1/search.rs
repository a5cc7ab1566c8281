//! `POST /api/v1/index/retrieve`: the ids of entries by a name in a certificate, a key, or a hash.
//!
//! The index is written with the entries, so what was answered is found at once. There is no limit and no paging in this contract: ids
//! are sent as they are read, a page at a time, and a search for everything costs its reader more than us.

mod merge;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use entry::v1::{MAX_INDEX_KEY, PemVerifier, index_key};
use futures_util::stream;
use serde::Deserialize;
use tlog::{Log, StoreError};

use super::entry_id::EntryId;
use super::error::ApiError;
use super::media::{JSON, json_in_json_out, read_query};
use super::schema::SchemaError;
use super::{App, TreeId};
use merge::{Merge, Operator, Page};

/// What is asked for. Absent, null and empty are one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Query {
    email: Option<String>,
    subject: Option<String>,
    public_key: Option<PublicKey>,
    hash: Option<String>,
    operator: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PublicKey {
    format: Option<String>,
    content: Option<String>,
}

/// The ids of the entries found, in the order of the log, each once.
pub(super) async fn search(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    json_in_json_out(&headers)?;
    if body.is_empty() {
        return Err(SchemaError::required("query", "body").into());
    }
    let query = read_query("query", &body)?;
    let (keys, operator) = words(query)?;
    let trees = app.view().trees().iter().map(|tree| (tree.shard.tree, tree.shard.log.clone())).collect();
    let mut pages = Pages { trees, keys, operator, list: None, read: None, before: "[", done: false };
    // Read before the answer begins: a failure here is still an error. Later the body breaks off, which no JSON reader takes for an
    // answer.
    pages.read = Some(pages.piece().await?);
    let body = Body::from_stream(stream::try_unfold(pages, Pages::step));
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], body).into_response())
}

/// The search keys that a query asks for, and how they go together.
pub(super) fn words(query: Query) -> Result<(Vec<String>, Operator), ApiError> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut keys = Vec::new();
    if let Some(email) = filled(query.email) {
        if !is_email(&email) {
            return Err(SchemaError::of_type("email", "body", "email").into());
        }
        keys.push(index_key(&email));
    }
    if let Some(hash) = filled(query.hash) {
        keys.push(hash_key(&hash).ok_or_else(|| SchemaError::pattern("hash", "body", HASH))?);
    }
    let operator = match filled(query.operator).as_deref() {
        None | Some("or") => Operator::Or,
        Some("and") => Operator::And,
        Some(_) => return Err(SchemaError::one_of("operator", "body", "and or").into()),
    };
    if let Some(key) = query.public_key {
        keys.push(public_key(key.format.as_deref(), &key.content.unwrap_or_default())?);
    }
    if let Some(subject) = filled(query.subject) {
        if subject.chars().count() > MAX_INDEX_KEY {
            return Err(SchemaError::too_long("subject", "body", MAX_INDEX_KEY).into());
        }
        keys.push(index_key(&subject));
    }
    Ok((keys, operator))
}

const HASH: &str = "^(sha512:)?[0-9a-fA-F]{128}$|^(sha256:)?[0-9a-fA-F]{64}$|^(sha1:)?[0-9a-fA-F]{40}$";

/// The algorithm by the number of digits, and before them.
fn hash_key(text: &str) -> Option<String> {
    [("sha1:", 40), ("sha256:", 64), ("sha512:", 128)].into_iter().find_map(|(prefix, length)| {
        let digits = text.strip_prefix(prefix).unwrap_or(text);
        let fits = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| format!("{prefix}{}", digits.to_ascii_lowercase()))
    })
}

fn public_key(format: Option<&str>, content: &str) -> Result<String, ApiError> {
    match format {
        Some("x509") => {}
        Some("pgp" | "minisign" | "ssh" | "tuf") => return Err(ApiError::KeyFormat),
        Some(_) => return Err(SchemaError::one_of("publicKey.format", "body", "pgp x509 minisign ssh tuf").into()),
        None => return Err(SchemaError::required("publicKey.format", "body").into()),
    }
    // What is no base64 is no key either: one refusal for both.
    let pem = BASE64_STANDARD.decode(content).unwrap_or_default();
    Ok(PemVerifier::from_pem(&pem).map_err(ApiError::Key)?.index_key())
}

/// Something at something, without spaces: what is none cannot be in a certificate.
fn is_email(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// An answer on its way out.
struct Pages {
    /// Those not yet read, oldest first.
    trees: VecDeque<(TreeId, Log)>,
    keys: Vec<String>,
    operator: Operator,
    /// What is read of one of them.
    list: Option<(TreeId, Merge<Log>)>,
    /// The first piece, read before the answer began.
    read: Option<Bytes>,
    /// What comes before the next id.
    before: &'static str,
    done: bool,
}

impl Pages {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let piece = match self.read.take() {
            Some(piece) => piece,
            None if self.done => return Ok(None),
            None => self.piece().await?,
        };
        Ok(Some((piece, self)))
    }

    /// The next piece of `["…","…"]`, never empty.
    async fn piece(&mut self) -> Result<Bytes, StoreError> {
        let mut text = String::new();
        while text.is_empty() {
            let next = || self.trees.pop_front().map(|(tree, log)| (tree, Merge::new(log, self.keys.clone(), self.operator)));
            let Some((tree, mut merge)) = self.list.take().or_else(next) else {
                text.push_str(if self.before == "[" { "[]\n" } else { "]\n" });
                self.done = true;
                break;
            };
            let Page { leaves, last } = merge.page().await?;
            for leaf in leaves {
                text.push_str(&format!("{}\"{}\"", self.before, EntryId { tree, leaf }));
                self.before = ",";
            }
            self.list = (!last).then_some((tree, merge));
        }
        Ok(text.into())
    }
}
