//! What this face counts, under the names that dashboards for Rekor v2 know. Requests are counted by the layers, the tree by the engine.

use metrics::{counter, gauge};

const NEW_ENTRIES: &str = "rekor_v2_new_hashedrekord_entries";
const PROOF_FAILURES: &str = "rekor_v2_inclusion_proof_failure_total";
const BUILD_INFO: &str = "rekor_v2_build_info";

/// Makes every series visible from the start: an alarm on the first failure needs the zero before it.
pub(super) fn announce() {
    counter!(NEW_ENTRIES).increment(0);
    counter!(PROOF_FAILURES).increment(0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// An entry that was not there before.
pub(super) fn new_entry() {
    counter!(NEW_ENTRIES).increment(1);
}

/// A proof that did not lead to the root it was made for; must stay 0.
pub(super) fn proof_failure() {
    counter!(PROOF_FAILURES).increment(1);
}
