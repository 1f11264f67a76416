//! The rings that EL2 leaves in the board's RAM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    trapcast::fuzzing::ring(bytes);
});
