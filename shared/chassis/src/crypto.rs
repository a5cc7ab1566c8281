//! The one TLS crypto provider.

/// Installs aws-lc as the process's TLS provider. Calling it again does nothing.
///
/// The first thing in `main` and in every test that speaks TLS or builds an HTTP client.
pub fn install() {
    // An error means that a provider is already there; it is the same one, since deny.toml admits no other.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
