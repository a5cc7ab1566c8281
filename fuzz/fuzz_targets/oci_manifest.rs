#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    parsers::formats::oci_manifest(data);
});
