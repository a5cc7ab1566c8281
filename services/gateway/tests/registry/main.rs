//! The distribution specification, row by row, through the router that a process serves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod access;
mod behind;
mod blobs;
mod deletes;
mod guarded;
mod limits;
mod listings;
mod manifests;
mod names;
mod promotions;
mod proxied_blobs;
mod proxied_manifests;
mod proxied_promotion;
mod proxied_referrers;
mod referrers;
mod start;
mod support;
mod uploads;
