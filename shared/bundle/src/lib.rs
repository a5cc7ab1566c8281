//! Public Sigstore documents: bundle, trusted root, signing config. Pure.
