//! The transparency log: the Rekor faces of the log engine.
