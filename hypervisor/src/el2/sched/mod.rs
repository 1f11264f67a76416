//! Who runs, and who owns what of a core.

pub mod disturb;
pub mod host_simd;
pub mod ipi;
pub mod scheduler;
pub mod whereabouts;
