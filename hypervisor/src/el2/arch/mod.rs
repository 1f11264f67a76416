//! The CPU: its registers by name, and what of them is saved and loaded. Knows no board, no VM and no vCPU.

pub mod controls;
pub mod cpu_interface;
pub mod debug;
pub mod el1_access;
pub mod el1_state;
pub mod fcse;
pub mod hcr;
pub mod meter;
pub mod page;
pub mod pmu;
pub mod register_file;
pub mod spsr;
pub mod sysreg;
pub mod timer;
pub mod visit;
pub mod wait;
