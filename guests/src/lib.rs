//! What the guests share: patterns for the registers, plans of windows, bootargs, statistics, and
//! the board.
//!
//! The modules that only compute run on the host too, where their tests are. [`board`] is the
//! part that touches hardware; it exists for bare-metal targets only.

#![cfg_attr(not(test), no_std)]

#[cfg(target_os = "none")]
pub mod board;
pub mod bootargs;
pub mod memory;
pub mod pattern;
pub mod plan;
pub mod rng;
pub mod statistics;
