//! The trust root: builds, signs and serves the TUF repository that clients take their trust from.
//!
//! Read in this order:
//!
//! 1. [`FileName`]: the files there are, in the order they are published;
//! 2. `metadata`: the four signed documents, as narrow as the strictest client;
//! 3. `repository`: the whole as a client walks it, from `1.root.json` to the last target;
//! 4. `marks`: which versions were ever used, remembered elsewhere;
//! 5. `release`: take versions, sign (`edition`), check, publish ([`create_repository`], [`publish_targets`], [`renew`]);
//! 6. [`Tuf`]: the running service, which serves files and signs snapshot and timestamp anew at a seventh of their life.
//!
//! The protocol spine is `Session::release`.

mod config;
mod edition;
mod error;
mod marks;
mod metadata;
mod names;
mod release;
mod repository;
mod serve;
mod service;
mod store;
mod target;

#[cfg(test)]
mod tests;

pub use config::{Config, LONGEST_LIFE, SHORTEST_LIFE};
pub use error::TufError;
pub use marks::MarksError;
pub use metadata::{EnvelopeError, Expires, KeyId, NotCanonical, NotP256, Role, SigningFailed};
pub use names::{BadName, Digest, FileName, TargetName, Version};
pub use release::{CreationKeys, Lifetimes, Place, Published, TargetsKeys, create_repository, publish_targets, renew};
pub use repository::{Difference, Invalid, RootRule};
pub use service::{Freshness, Tuf};
pub use target::{Legacy, SIGNING_CONFIG, TRUSTED_ROOT, Target, TargetError};
