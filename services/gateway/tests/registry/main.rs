//! The distribution specification, row by row, through the router that a process serves.

mod access;
mod blobs;
mod deletes;
mod guarded;
mod limits;
mod listings;
mod manifests;
mod names;
mod promotions;
mod referrers;
mod start;
mod support;
mod uploads;
