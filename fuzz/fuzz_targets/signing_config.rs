#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    parsers::formats::signing_config(data);
});
