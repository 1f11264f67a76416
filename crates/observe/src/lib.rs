//! What a hypervisor does, from the windows that `trapcast-observer`, a plugin of QEMU, saw of it from outside.
//!
//! [`rows::read`] reads what the plugin wrote, [`Observed`] tells vCPUs, loads and exits, [`Observed::record`] writes
//! them as a record that every other command takes, and [`Summary`] says what they cost and which policy moves
//! the FP/SIMD registers. [`Budget`] compares them with limits.

mod budget;
mod policy;
pub mod rows;
mod summary;
mod table;
mod windows;
mod write;

pub use budget::Budget;
pub use policy::{Gaps, Policy, Verdict};
pub use summary::{ExitCost, FpTraps, Quantiles, Summary, Usage};
pub use table::render;
pub use windows::{LoadMark, Observed, Window};
