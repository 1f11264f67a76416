//! The FP/SIMD registers of an AArch64 PE, for hypervisors: their layout in memory, save and load,
//! and the gate that traps a guest's use of them, with and without the Virtualization Host
//! Extensions.
//!
//! The crate knows registers and nothing else: no vCPU, no scheme, no allocator. All code that
//! executes an FP/SIMD instruction stands in assembly functions whose names begin with
//! `trapcast_fpsimd_`, so that a build for a soft-float target can be checked to have it nowhere
//! else.
//!
//! # Use
//! 1. Compute the two values of CPTR_EL2 once: [`Cptr::new`].
//! 2. Before a move, [`Cptr::unlock`]; then [`FpSimd::exchange`], or [`FpSimd::save`] and
//!    [`FpSimd::load`].
//! 3. Before the guest, [`Cptr::set`]. The exception return synchronizes it.
//!
//! `examples/lazy_switch.rs` is a whole lazy switch in one type. The build must be soft-float
//! (`aarch64-unknown-none-softfloat`): else the compiler uses these registers itself.
//!
//! The gates know SVE and SME; the moves are those of FP/SIMD alone. What touches registers exists
//! on AArch64 only, the rest everywhere, so that it can be tested anywhere.

#![no_std]

mod cptr;
mod layout;
#[cfg(any(target_arch = "aarch64", doc))]
mod moves;
#[cfg(any(target_arch = "aarch64", doc))]
mod pages;

pub use cptr::{Cptr, Opening};
pub use layout::FpSimd;
#[cfg(any(target_arch = "aarch64", doc))]
pub use pages::{copy, zero};

/// Bytes that one save or load of the register file moves: V0 to V31, FPSR and FPCR.
pub const FPSIMD_BYTES: usize = 32 * 16 + 4 + 4;
