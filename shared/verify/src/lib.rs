//! Sigstore bundles against a trusted root, offline, under our policy.
