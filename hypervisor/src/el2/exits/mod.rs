//! What a guest sees when it comes to EL2: one handler for each kind of reason.

pub mod aarch32;
pub mod fpsimd_trap;
pub mod inject;
pub mod inject_aarch32;
pub mod mmio;
pub mod psci;
pub mod sysregs;
pub mod wfx;
