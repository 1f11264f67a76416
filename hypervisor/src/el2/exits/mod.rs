//! What a guest sees when it comes to EL2: one handler for each kind of reason.

pub mod aarch32;
pub mod inject;
pub mod mmio;
pub mod psci;
pub mod sysregs;
