//! Black-box tests and benchmarks: released clients against the built binary.
//!
//! Everything here sees what a client sees: URLs, files that were handed out, and the command line. It depends on no service
//! crate (`cargo xtask check-deps` looks), only on formats to read what comes over the wire. What goes wrong panics with the
//! reason, because a test is the only caller.
//!
//! - [`ca`] asks for certificates and [`leaf`] reads them.
//! - [`rekor`] writes to the transparency log and audits it, [`rekor_v1`] to the one of older clients; [`ctlog`] reads the
//!   certificate log.
//! - [`audit`] remembers all of a log; [`bundle`] alters bundles.
//! - [`dex`] is a released identity provider, and a person who logs in there.
//! - [`engine`] is Debian's Docker engine.
//! - [`installation`] is a Chancery that was set up by `init` rather than `lab`.
//! - [`gateway`] is the registry as a process of its own, and who promotes there.
//! - [`image`] makes images, and [`registry`] pushes and reads them.
//! - [`load`] sends many requests and measures.
//! - [`people`] says who signs.
//! - [`store`] looks at, and damages, what lies on disk.
//! - [`supply`] signs and attests images.
//! - [`trace`] reads what `strace` saw.
//! - [`mod@witness`] has logs watched, by each other and by a released witness.

pub mod audit;
pub mod bundle;
pub mod ca;
pub mod ctlog;
pub mod dex;
pub mod engine;
pub mod gateway;
pub mod image;
pub mod installation;
pub mod leaf;
pub mod load;
pub mod people;
pub mod registry;
pub mod rekor;
pub mod rekor_v1;
pub mod store;
pub mod supply;
pub mod trace;
pub mod witness;

/// Whether long runs are wanted: `cargo xtask ci --all` says so.
#[must_use]
pub fn long_runs() -> bool {
    std::env::var_os("CHANCERY_TESTS").is_some_and(|tier| tier == "all")
}
