//! The parsers of requests, each as a function that takes anything and must come back, and says whether it is one: for fuzzing, and for
//! tests of what that found.

use std::path::Path;

use ct::AddChainRequest;
use http::Uri;

use crate::chain::{Kind, accept};
use crate::parameters::Parameters;
use crate::roots::Accepted;

/// The body of `POST /ct/v1/add-chain` and `POST /ct/v1/add-pre-chain`, sent to a log that accepts these roots, PEM: read, and then
/// accepted or refused.
///
/// # Panics
/// A chain is both a certificate's and a precertificate's.
pub fn add_chain(roots: &str, body: &[u8]) -> bool {
    let Ok(request) = AddChainRequest::from_json(body) else { return false };
    let Ok(accepted) = Accepted::parse(Path::new("roots.pem"), roots.to_owned()) else { return false };
    let [certificate, precertificate] =
        [Kind::Certificate, Kind::Precertificate].map(|kind| accept(kind, &request, &accepted, true).is_ok());
    assert!(!(certificate && precertificate), "a poison is there or not");
    certificate || precertificate
}

/// The query of a read.
pub fn query(data: &[u8]) -> bool {
    let Ok(uri) = Uri::try_from(data) else { return false };
    let Ok(parameters) = Parameters::of(&uri) else { return false };
    let names = ["start", "end", "first", "second", "tree_size", "leaf_index"];
    let numbers = names.into_iter().filter(|name| parameters.number(name).is_ok()).count();
    numbers > 0 || parameters.hash().is_ok()
}
