//! What the guests share: patterns for the registers, plans of windows, bootargs, statistics, and
//! the board.
//!
//! The modules that only compute run on the host too, where their tests are. `board` is the
//! part that touches hardware; it exists for bare-metal targets only.

#![cfg_attr(not(test), no_std)]

pub mod access;
#[cfg(target_os = "none")]
pub mod board;
pub mod bootargs;
pub mod classes;
pub mod features;
pub mod hostile;
pub mod identification;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub mod linux;
pub mod memory;
pub mod pattern;
pub mod pattern32;
pub mod plan;
pub mod rng;
pub mod rounds;
pub mod scan;
pub mod statistics;
#[cfg(target_os = "none")]
pub mod timers;
pub mod vectors;

/// The configuration of all property tests: the same cases in every run.
#[cfg(test)]
fn fixed_seed() -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    }
}
