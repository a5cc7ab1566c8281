//! Images in a registry, from the command line: `promote`, `tree` and `verify`.
//!
//! [`place`] finds out which registry is meant and whom to trust; [`reader`] fetches an image and all that is attached to it, and
//! verifies it here, offline: what a registry says about a signature counts for nothing.

pub(crate) mod place;
pub(crate) mod promote;
mod reader;
pub(crate) mod tree;
pub(crate) mod verify;

use oci::Reference;

use crate::failure::{Failure, Outcome};

/// Reads a reference from the command line.
fn parse(text: &str) -> Outcome<Reference> {
    text.parse().map_err(|error: oci::ReferenceError| {
        Failure::usage("reference_invalid", format!("{text} names no image"))
            .detail(error.to_string())
            .advise("Expected [REGISTRY/]REPOSITORY:TAG or [REGISTRY/]REPOSITORY@sha256:HEX, for example prod/app:2.1.")
    })
}
