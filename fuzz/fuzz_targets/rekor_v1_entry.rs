#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    parsers::formats::rekor_v1_entry(data);
});
