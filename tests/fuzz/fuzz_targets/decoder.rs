#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pingpong_fuzz::decoder(data));
