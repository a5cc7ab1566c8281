//! RFC 6962 hashing, compact ranges, proofs, and C2SP tile coordinates. Pure.
