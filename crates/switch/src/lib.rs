//! Whose FP/SIMD registers are in the CPU, and what has to move at each event.
//!
//! A [`Core`] knows who owns the registers of one physical core: the host or a guest. A [`Guest`] is
//! one vCPU with its forecaster. The hypervisor reports events and carries out what they answer:
//!
//! | event | reported by | answer |
//! |---|---|---|
//! | the vCPU becomes the core's current one | nobody: the first entry opens the window | |
//! | it is about to enter the guest | [`Core::enter`] | what to move, how to set the gate |
//! | the guest hit the armed trap | [`Core::trap`] | what to move; the gate is to be opened |
//! | the guest came out, for any other reason | [`Core::exit`] | what to move |
//! | the vCPU stops being the current one | [`Core::put`] | what to move |
//! | the host is about to use the registers itself | [`Core::host_begin`] | whose to save |
//! | it has done so | [`Core::host_end`] | whose to load |
//! | a guest's registers are wanted in memory | [`Core::evict`] | what to move |
//!
//! A [`GateRegister`] remembers how the core's gate stands, and says when it has to be written.
//!
//! The crate decides nothing: that is `trapcast-forecast`. It touches no hardware: a context `C`
//! stands for a place in memory that holds one register file, such as a pointer or an index, and an
//! [`Exchange`] is carried out by the caller. So the code that runs at EL2 is the code that tests,
//! replays and model checkers run.
//!
//! # Invariants
//! 1. The registers hold the values of [`Core::owner`]'s context; that context's memory is stale, and
//!    every other context's memory is current.
//! 2. The gate stands open only for a guest that owns the registers.
//! 3. The host owns the registers whenever its own code may use them.
//!
//! [`Scheme::None`](trapcast_forecast::Scheme::None) breaks the second one on purpose.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod core;
mod counts;
mod gate;
mod guest;

pub use self::core::{Core, Entry, Exchange};
pub use counts::{Counts, Tally};
pub use gate::{Gate, GateRegister};
pub use guest::Guest;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
