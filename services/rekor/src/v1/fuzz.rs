//! The parsers of requests, each as a function that takes anything and must come back, and says whether it is one: for fuzzing, and for
//! tests of what that found.
//!
//! The entries that are proposed are parsed by crate `entry`, and fuzzed there.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use merkle::Hash;

use super::TreeId;
use super::entry_id::{EntryId, Named, parse};
use super::error::MAX_RETRIEVED;
use super::media::{JSON, json_in_json_out, read_query, takes};
use super::schema::number;
use super::write::location;
use super::{retrieve, search};

/// The body of `POST /api/v1/index/retrieve`.
///
/// # Panics
/// A query becomes more words than it has members.
pub fn search_query(body: &[u8]) -> bool {
    let Ok(query) = read_query("query", body) else { return false };
    let Ok((words, _)) = search::words(query) else { return false };
    assert!(words.len() <= 4, "{} words", words.len());
    true
}

/// The body of `POST /api/v1/log/entries/retrieve`.
///
/// # Panics
/// More is looked for than may be asked for.
pub fn retrieve_query(body: &[u8]) -> bool {
    let Ok(query) = read_query("entry", body) else { return false };
    let Ok(wanted) = retrieve::check(query) else { return false };
    let count = wanted.named.len() + wanted.leaves.len() + wanted.proposals.len() + wanted.indexes.len();
    assert!(count <= MAX_RETRIEVED, "{count} entries");
    wanted.proposals.into_iter().all(|proposal| proposal.locate().is_ok())
}

/// The name of an entry in a path.
///
/// # Panics
/// It is not written as it was read.
pub fn entry_name(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let written = match parse(text) {
        Ok(Named::Leaf(leaf)) => leaf.to_string(),
        Ok(Named::Entry(id)) => id.to_string(),
        Err(_) => return false,
    };
    assert_eq!(written, text.to_ascii_lowercase(), "there is one spelling");
    true
}

/// What every request has beside its body: a query, and the types that it brings and takes.
///
/// # Panics
/// A query that came in a URI is none that a header can bring back.
pub fn head(data: &[u8]) -> bool {
    if let Ok(uri) = Uri::try_from(data) {
        for name in ["logIndex", "firstSize", "lastSize", "treeID"] {
            let _ = number(uri.query(), name, 1);
        }
        let id = TreeId::new(1).map(|tree| EntryId { tree, leaf: Hash::new([0; Hash::LEN]) });
        assert!(id.is_some_and(|id| HeaderValue::try_from(location(&uri, id)).is_ok()), "a query comes back");
    }
    let Ok(value) = HeaderValue::from_bytes(data) else { return false };
    let headers: HeaderMap = [(header::CONTENT_TYPE, value.clone()), (header::ACCEPT, value)].into_iter().collect();
    json_in_json_out(&headers).is_ok() && takes(&headers, JSON).is_ok()
}
