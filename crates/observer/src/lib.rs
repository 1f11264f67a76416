//! A plugin of QEMU's TCG that sees each entry into a guest and each exit from it, in any AArch64 hypervisor,
//! without its symbols and without a change of it.
//!
//! `qemu-system-aarch64 -plugin libtrapcast_observer.so,out=FILE ...` writes a
//! [`trapcast_trace::observed::ObservedWindow`] per window to FILE, which may be a FIFO. `docs/observe.md` of the
//! repository says what is seen and what is not.
//!
//! [`instruction`], [`state`] and [`window`] only compute, and are tested without QEMU.

pub mod instruction;
#[cfg(not(test))]
mod output;
#[cfg(not(test))]
mod plugin;
#[cfg(not(test))]
mod qemu;
pub mod state;
pub mod window;

#[cfg(not(test))]
use plugin::plugin;
