//! The store as its users see it, on files.

mod cached;
mod conditions;
mod deleting;
mod faults;
mod listing;
mod proxied;
mod pushing;
mod support;
