//! The vectors, and which handler an exception goes to.

pub mod dispatch;
pub mod vectors;
