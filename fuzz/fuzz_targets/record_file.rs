//! Record files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    trapcast::fuzzing::record_file(bytes);
});
