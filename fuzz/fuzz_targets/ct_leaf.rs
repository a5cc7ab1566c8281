#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::ct_leaf(data));
