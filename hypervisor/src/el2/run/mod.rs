//! In and out of guests.

pub mod enter;
