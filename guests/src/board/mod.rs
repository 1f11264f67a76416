//! The board that a guest runs on: QEMU's `virt` with a GICv3, at EL1, without FP in any Rust
//! code.
//!
//! [`entry!`](crate::entry) turns a function into an arm64 Image that sets the board up and calls
//! it. QEMU models no caches, so nothing here maintains them.

pub mod console;
pub mod cpus;
pub mod entry;
pub mod exceptions;
pub mod fdt;
pub mod fp;
pub mod gic;
pub mod instructions;
pub mod mmu;
pub mod pmu;
pub mod psci;
pub mod second;
pub mod sve;
pub mod sysreg;
pub mod timer;
pub mod vectors;
pub mod wide;
pub mod window;
