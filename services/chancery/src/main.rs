//! The one binary: every service as a subcommand, init, lab, verify.
fn main() {}
