//! The certificate transparency log: the CT face of the log engine.
