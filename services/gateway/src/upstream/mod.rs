//! Repositories of other registries, seen through this one: byte for byte, kept, and served on when the upstream is gone.
//!
//! # Where to read
//! - `setup.rs`: from the configuration to clients. Nothing is dialled before somebody asks.
//! - `tags.rs`, `manifests.rs`, `referrers.rs`: what is asked, what is kept, and what is answered when the upstream does not.
//! - `blobs.rs`, `downloads.rs`: one download for everybody who wants a blob, from its first byte on.
//! - `flights.rs`: one question for everybody who asks it.
//!
//! # What is promised
//! - What is given out has the digest that it is named by. Manifests are verified before their first byte goes out, blobs before their
//!   last: an upstream that lies is an aborted connection, never an answer that looks whole.
//! - What is here by digest never needs the upstream again. What it says about names, tags and referrers, is believed for
//!   `manifest_ttl`, and for as long as it is out of order.
//! - An upstream that is out of order never makes an empty list of referrers: that would say that nothing is signed.
//! - Nothing is ever written to an upstream.

mod blobs;
mod downloads;
mod error;
mod flights;
mod manifests;
mod metric;
mod referrers;
mod setup;
mod tags;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use oci::{Digest, RepositoryName, Tag};
use registry::{Registry, RegistryError};

pub(crate) use self::blobs::{Found, ProxiedBlob};
use self::downloads::Downloads;
pub(crate) use self::error::UpstreamError;
pub use self::error::UpstreamSetupError;
use self::flights::Flights;
pub(crate) use self::setup::UpstreamClients;
use crate::blobs::Blobs;
use crate::contents::Freshness;
use crate::store::{Behind, SeenReferrers, SeenTag, Store, StoredManifest};

/// How exact the database is about when something was seen: what is asked for often and does not change is not written as often.
const EXACT: SignedDuration = SignedDuration::from_hours(1);

/// The registries behind this one: a handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upstreams(Arc<[Arc<Upstream>]>);

/// One registry, and what is under way with it.
#[derive(Debug)]
struct Upstream {
    prefix: RepositoryName,
    /// Its base URL.
    origin: String,
    registry: Registry,
    /// Never call it.
    offline: bool,
    /// For how long it is believed what may change.
    ttl: SignedDuration,
    store: Store,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    /// What the store has of these, with the exact time: there it is kept to the hour.
    tags: Cache<Named<Tag>, SeenTag>,
    referrers: Cache<Named<Digest>, SeenReferrers>,
    /// What it did not have a moment ago.
    absent: Cache<Absent, ()>,
    sizes: Cache<Named<Digest>, u64>,
    asking: Asking,
    downloads: Downloads,
}

/// Something of a repository, by the repository's name here.
type Named<T> = (RepositoryName, T);

/// Where a tag points, and how that came here.
type Pointed = Option<(Digest, Freshness)>;

/// What an upstream may not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Absent {
    Tag(Named<Tag>),
    Manifest(Named<Digest>),
    Blob(Named<Digest>),
}

/// Questions under way.
#[derive(Debug, Default)]
struct Asking {
    tags: Flights<Named<Tag>, Result<Pointed, UpstreamError>>,
    manifests: Flights<Named<Digest>, Result<Option<Arc<StoredManifest>>, UpstreamError>>,
    referrers: Flights<Named<Digest>, Result<(SeenReferrers, Freshness), UpstreamError>>,
    sizes: Flights<Named<Digest>, Result<Option<u64>, UpstreamError>>,
}

/// A repository of an upstream. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Proxied {
    upstream: Arc<Upstream>,
    /// Its name here.
    local: RepositoryName,
    /// Its name there.
    remote: RepositoryName,
}

impl Upstreams {
    /// The upstream's repository that appears here as `repository`, if it lies below one's prefix. The longest wins.
    pub(crate) fn of(&self, repository: &RepositoryName) -> Option<Proxied> {
        self.0.iter().find_map(|upstream| {
            let remote = repository.below(&upstream.prefix)?;
            Some(Proxied { upstream: Arc::clone(upstream), local: repository.clone(), remote })
        })
    }
}

impl Proxied {
    fn behind(&self) -> Behind<'_> {
        Behind { repository: &self.local, origin: &self.upstream.origin }
    }

    fn named<T>(&self, of: T) -> Named<T> {
        (self.local.clone(), of)
    }

    /// How what was seen then may be answered now, without asking the upstream; nothing if it must be asked.
    fn without_asking(&self, seen: Timestamp) -> Option<Freshness> {
        let age = self.age(seen);
        if self.upstream.offline {
            Some(Freshness::Offline { age })
        } else {
            (age < self.upstream.ttl).then_some(Freshness::Hit { age })
        }
    }

    /// How what was seen then is answered while the upstream is out of order.
    fn stale(&self, since: Timestamp) -> Freshness {
        Freshness::Stale { since, age: self.age(since) }
    }

    fn age(&self, seen: Timestamp) -> SignedDuration {
        // A clock that stepped back makes nothing younger than new.
        self.upstream.clock.now().duration_since(seen).max(SignedDuration::ZERO)
    }

    /// Content that is here by its digest, which no answer of the upstream can change.
    fn kept(&self) -> Freshness {
        let age = SignedDuration::ZERO;
        if self.upstream.offline { Freshness::Offline { age } } else { Freshness::Hit { age } }
    }

    fn failed(&self, error: RegistryError) -> UpstreamError {
        let failed = UpstreamError::of(self.upstream.prefix.as_str(), error);
        tracing::warn!(
            upstream = %self.upstream.prefix,
            repository = %self.remote,
            error = chassis::reason::chain(&failed),
            "an upstream was of no use"
        );
        failed
    }

    /// Counts an answer on its way out.
    fn count(&self, freshness: Freshness) -> Freshness {
        metric::answered(self.upstream.prefix.as_str(), freshness);
        freshness
    }
}
