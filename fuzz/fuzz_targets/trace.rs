//! Traces of KVM hosts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    trapcast::fuzzing::trace(bytes);
});
