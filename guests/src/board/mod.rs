//! The board that a guest runs on: QEMU's `virt` with a GICv3, at EL1, without FP in any Rust
//! code.
//!
//! [`entry!`](crate::entry) turns a function into an arm64 Image that sets the board up and calls
//! it. QEMU models no caches, so nothing here maintains them.
//!
//! For AArch32 the modules in `aarch32` stand for those of the same names, and the image is a zImage.

#[cfg(target_arch = "aarch64")]
pub mod access;
#[cfg(target_arch = "arm")]
#[path = "aarch32/checks.rs"]
pub mod checks;
pub mod console;
#[cfg_attr(target_arch = "arm", path = "aarch32/cpus.rs")]
pub mod cpus;
#[cfg_attr(target_arch = "arm", path = "aarch32/debug.rs")]
pub mod debug;
pub mod delays;
pub mod entry;
#[cfg_attr(target_arch = "arm", path = "aarch32/exceptions.rs")]
pub mod exceptions;
pub mod fdt;
#[cfg(target_arch = "aarch64")]
pub mod fp;
pub mod gic;
#[cfg(target_arch = "arm")]
#[path = "aarch32/entry.rs"]
mod header;
#[cfg(target_arch = "aarch64")]
pub mod instructions;
pub mod mismatches;
pub mod mmio;
#[cfg_attr(target_arch = "arm", path = "aarch32/mmu.rs")]
pub mod mmu;
#[cfg(target_arch = "arm")]
#[path = "aarch32/modes.rs"]
pub mod modes;
#[cfg(target_arch = "aarch64")]
pub mod pmu;
pub mod ppi;
#[cfg_attr(target_arch = "arm", path = "aarch32/psci.rs")]
pub mod psci;
#[cfg(target_arch = "aarch64")]
pub mod second;
#[cfg(target_arch = "aarch64")]
pub mod storm;
#[cfg(target_arch = "aarch64")]
pub mod sve;
#[cfg_attr(target_arch = "arm", path = "aarch32/sysreg.rs")]
pub mod sysreg;
pub mod timer;
#[cfg(target_arch = "aarch64")]
pub mod vectors;
#[cfg(target_arch = "aarch64")]
pub mod wide;
#[cfg_attr(target_arch = "arm", path = "aarch32/window.rs")]
pub mod window;
