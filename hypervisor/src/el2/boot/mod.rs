//! From reset to the first guest.

pub mod create;
pub mod start;
