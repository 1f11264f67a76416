//! The FP/SIMD, SVE and SME registers of an AArch64 PE, for hypervisors: their layout in memory, save
//! and load, and the gates that trap a guest's use of them, with and without the Virtualization Host
//! Extensions.
//!
//! The crate knows registers and nothing else: no vCPU, no scheme, no allocator. All code that
//! executes an FP/SIMD, SVE or SME instruction is in assembly functions whose names begin with
//! `trapcast_fpsimd_`, so that a build for a soft-float target can be checked to have it nowhere
//! else.
//!
//! # Use
//! With FP/SIMD alone:
//! 1. Compute the two values of CPTR_EL2 once: [`Cptr::new`].
//! 2. Before a move, [`Cptr::unlock`]; then [`FpSimd::exchange`], or [`FpSimd::save`] and
//!    [`FpSimd::load`].
//! 3. Before the guest, [`Cptr::set`]. The exception return synchronizes it.
//!
//! With SVE and SME, [`Gates`] replaces [`Cptr`], and [`RegisterFile`] replaces [`FpSimd`]; it is made of
//! [`SveArea`] and [`SmeArea`], which can be moved without it. Which gates may be open when, and in
//! which order SME's registers move, the README tells.
//!
//! `examples/lazy_switch.rs` is a whole lazy switch in one type, `examples/any_guest.rs` one for guests
//! of every kind. The build must be soft-float (`aarch64-unknown-none-softfloat`): else the compiler
//! uses these registers itself. On bare metal, a build with the target feature `neon` is refused.
//!
//! What touches registers exists on AArch64 only, the rest everywhere, so that it can be tested
//! anywhere.

#![no_std]

// A program of an operating system has no EL2 to spoil: there the crate is only tested.
#[cfg(all(
    target_arch = "aarch64",
    target_feature = "neon",
    not(any(unix, windows, doc))
))]
compile_error!(
    "trapcast-fpsimd moves registers that the compiler uses itself on a hard-float target: build for \
     aarch64-unknown-none-softfloat, or with the target feature neon off"
);

mod cptr;
mod file;
mod fpexc;
mod gates;
mod layout;
#[cfg(any(target_arch = "aarch64", doc))]
mod moves;
mod sme;
#[cfg(any(target_arch = "aarch64", doc))]
mod sme_moves;
mod sve;
#[cfg(any(target_arch = "aarch64", doc))]
mod sve_moves;
mod vector_length;

pub use cptr::{Cptr, Opening};
pub use file::RegisterFile;
pub use fpexc::{Fpexc, FpexcRegister};
pub use gates::Gates;
pub use layout::FpSimd;
pub use sme::{SmeArea, SmeConfig, SmeFile, Svcr, ZT0_BYTES};
pub use sve::{Granule, SveArea, SveFile};
pub use vector_length::{VectorLength, VectorLengths};

/// Bytes that one save or load of the register file moves: V0 to V31, FPSR and FPCR.
pub const FPSIMD_BYTES: usize = 32 * 16 + 4 + 4;
