#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cairn_integration_tests::fuzzed::filter(data));
