//! The only code that holds a private key.
