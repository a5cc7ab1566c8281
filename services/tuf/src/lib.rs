//! The trust root: builds, signs and serves the TUF repository.
