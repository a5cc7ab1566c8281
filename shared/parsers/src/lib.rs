//! Every parser of bytes from outside, each as a function that takes anything and must come back.
//!
//! `fuzz/` runs them with inputs that a fuzzer finds, and keeps what it found in `fuzz/corpus`; the tests here run that corpus. Each also
//! asserts what its specification promises of whatever is accepted, above all that there is one spelling: written again, it is the same.
//!
//! - [`formats`] are those of the crates that hold a specification each, and of whoever reads what they wrote.
//! - [`requests`] are those that services have for themselves, in their modules `fuzz`.
//!
//! `fuzz/README.md` says which of them stands at which door.

pub mod formats;
pub mod requests;

/// A parser under a name: that of its fuzz target and of the folder of its corpus. It says whether it takes what it was given.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("note", formats::note),
    ("checkpoint", formats::checkpoint),
    ("vkey", formats::vkey),
    ("witness_policy", formats::witness_policy),
    ("add_checkpoint", formats::add_checkpoint),
    ("tile_path", formats::tile_path),
    ("entry_bundle", formats::entry_bundle),
    ("rekor_v2_entry", formats::rekor_v2_entry),
    ("rekor_v1_entry", formats::rekor_v1_entry),
    ("ct_chain", formats::ct_chain),
    ("ct_leaf", formats::ct_leaf),
    ("sct_list", formats::sct_list),
    ("timestamp_request", formats::timestamp_request),
    ("timestamp_json", formats::timestamp_json),
    ("timestamp_response", formats::timestamp_response),
    ("certificate", formats::certificate),
    ("certificate_request", formats::certificate_request),
    ("public_key", formats::public_key),
    ("oci_manifest", formats::oci_manifest),
    ("oci_reference", formats::oci_reference),
    ("trusted_root", formats::trusted_root),
    ("signing_config", formats::signing_config),
    ("chassis_headers", requests::chassis_headers),
    ("ctlog_add_chain", requests::ctlog_add_chain),
    ("ctlog_query", requests::ctlog_query),
    ("fulcio_grpc", requests::fulcio_grpc),
    ("fulcio_head", requests::fulcio_head),
    ("fulcio_signing", requests::fulcio_signing),
    ("fulcio_signing_v1", requests::fulcio_signing_v1),
    ("fulcio_token", requests::fulcio_token),
    ("gateway_headers", requests::gateway_headers),
    ("gateway_path", requests::gateway_path),
    ("gateway_promotion", requests::gateway_promotion),
    ("gateway_query", requests::gateway_query),
    ("gateway_range", requests::gateway_range),
    ("rekor_v1_head", requests::rekor_v1_head),
    ("rekor_v1_name", requests::rekor_v1_name),
    ("rekor_v1_retrieve", requests::rekor_v1_retrieve),
    ("rekor_v1_search", requests::rekor_v1_search),
    ("tuf_path", requests::tuf_path),
];
