//! The OCI distribution specification.

mod path;
mod query;
mod range;
