//! The certificate authority: proven identity in, logged certificate out.

pub mod config;
pub mod identity;
mod template;
