//! The registry gateway: an OCI registry that holds repositories, proxies others, and promotes an image together with everything
//! attached to it, under policy. What its compromise would cost is in the README.
//!
//! - [`create`] makes the database and the folder of blobs, once; [`open`] makes nothing and refuses what does not fit.
//! - [`Gateway::router`] serves the OCI distribution specification.
//! - [`fuzz`] has the parsers of requests, to be fuzzed.

mod access;
mod api;
mod blobs;
mod config;
mod contents;
mod error;
mod faults;
mod policy;
mod promotion;
mod start;
mod store;
mod upstream;
mod writes;

use std::sync::Arc;

use clock::Clock;

pub use access::SecretError;
pub use api::fuzz;
pub use blobs::BlobFolderError;
pub use config::{Config, IdentityConfig, Mode, PolicyConfig, PromoterConfig, Require, UpstreamConfig};
pub use error::StartError;
pub use policy::{Clause, Place, PolicyError, PolicyReport, PolicyResult, Reason, Requirement, TrustError};
pub use promotion::{AttestationCount, Destination, Promotion, PromotionRequest, PromotionState, Source, Unverified};
pub use start::{Gateway, check, create, open};
pub use upstream::UpstreamSetupError;

/// What the handlers share.
#[derive(Debug)]
struct App {
    access: access::Access,
    contents: contents::Contents,
    writes: writes::Writes,
    promoter: Arc<promotion::Promoter>,
    clock: Arc<dyn Clock>,
    /// The longest name of a repository, in characters: clients put the host before it and take no more than 255 of both.
    longest_name: usize,
}
