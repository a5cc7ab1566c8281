#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::rekor_v2_entry(data));
