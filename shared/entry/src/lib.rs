//! Rekor entry kinds: parse, verify, canonicalise. Pure.
