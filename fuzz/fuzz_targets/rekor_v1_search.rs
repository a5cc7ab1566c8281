#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    parsers::requests::rekor_v1_search(data);
});
