//! In and out of guests.

pub mod enter;
pub mod interrupt;
pub mod schedule;
