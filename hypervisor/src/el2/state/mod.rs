//! What there is: cores, vCPUs and VMs. Data, and what keeps it consistent; no policy.

pub mod core;
pub mod id_registers;
pub mod recorder;
pub mod shared;
pub mod vcpu;
pub mod vm;
