//! The timestamp authority: digest in, RFC 3161 token out.
