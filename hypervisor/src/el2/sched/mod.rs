//! Who runs, and who owns what of a core.

pub mod disturb;
pub mod effects;
pub mod fill;
pub mod host_simd;
pub mod ipi;
pub mod lifecycle;
pub mod residency;
pub mod scheduler;
pub mod whereabouts;
