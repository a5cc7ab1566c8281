//! What is attached to an image: read, verified, named.
//!
//! [`Attachment::of`] says what an attached manifest claims to be, [`Claim::all_of`] what in it claims to be signed; nothing is
//! proven by that. [`examine_claim`] verifies a claim for one digest and says what it proves: who signed, when, where it was logged,
//! and whether it is a signature or an attestation of something; [`examine`] does so for a bundle. Nobody's name is compared here:
//! whoever reads [`Evidence`] decides whose word counts.
//!
//! A *signature* is a bundle over the manifest itself, one whose statement has the predicate type [`predicate::SIGNATURE`], or, in
//! the form of cosign 2, a signed document that names the manifest. Nothing else is one. An SBOM says what is inside, not that somebody stands behind it; a verifier that lets any attestation
//! pass for a signature accepts an image that was scanned and never released.

mod attachment;
mod evidence;
pub mod predicate;

pub use attachment::{Attachment, Claim, Form};
pub use evidence::{Evidence, Kind, Refused, Sbom, examine, examine_claim};
