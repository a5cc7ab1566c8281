//! Keyless signing as a client: token, certificate, signature, timestamp, log entry, bundle.
