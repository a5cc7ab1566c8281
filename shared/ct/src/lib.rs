//! RFC 6962 structures: submissions, leaves, SCTs, tree heads. Pure.
