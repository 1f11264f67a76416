//! Kernels, compressed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    trapcast::fuzzing::kernel(bytes);
});
