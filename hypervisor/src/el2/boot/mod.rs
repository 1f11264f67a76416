//! From reset to the first guest.

pub mod create;
pub mod set_up;
pub mod smp;
pub mod start;
