//! Entry bundles: the leaf data of up to 256 entries, each behind its length in two bytes.

use axum::body::Bytes;
use merkle::TILE_WIDTH;
use moka::future::Cache;
use tlog::{Log, StoreError};

/// Builds bundles and keeps full ones, which never change.
#[derive(Debug, Clone)]
pub(super) struct Bundles {
    full: Cache<u64, Bytes>,
}

impl Bundles {
    /// A cache of at most `bytes` of bundles.
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |_: &u64, bundle: &Bytes| u32::try_from(bundle.len()).unwrap_or(u32::MAX);
        Self { full: Cache::builder().max_capacity(bytes).weigher(weigh).build() }
    }

    /// The first `width` entries of bundle `index`; the caller has checked that the log reaches that far.
    pub(super) async fn read(&self, log: &Log, index: u64, width: u16) -> Result<Bytes, StoreError> {
        if let Some(full) = self.full.get(&index).await {
            return Ok(prefix(&full, width));
        }
        let first = index * TILE_WIDTH;
        let entries = log.entries(first..first + u64::from(width)).await?;
        let bundle = encode(entries.iter().map(|entry| entry.data.as_slice()));
        if u64::from(width) == TILE_WIDTH {
            self.full.insert(index, bundle.clone()).await;
        }
        Ok(bundle)
    }
}

/// u16 big-endian length ‖ body, for each.
fn encode<'a>(bodies: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut bundle = Vec::with_capacity(bodies.clone().map(|body| 2 + body.len()).sum());
    for body in bodies {
        let length = u16::try_from(body.len()).expect("the entry parser admits no body longer than 65,535 bytes");
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(body);
    }
    bundle.into()
}

/// The first `width` entries of a full bundle.
fn prefix(full: &Bytes, width: u16) -> Bytes {
    let mut end = 0;
    for _ in 0..width {
        let length = u16::from_be_bytes([full[end], full[end + 1]]);
        end += 2 + usize::from(length);
    }
    full.slice(..end)
}
