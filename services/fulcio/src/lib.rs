//! The certificate authority: proven identity in, logged certificate out.
