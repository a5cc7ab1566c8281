#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::rekor_v1_entry(data));
