//! What there is: cores, vCPUs and VMs. Data, and what keeps it consistent; no policy.

pub mod core;
pub mod recorder;
pub mod vcpu;
pub mod vm;
