//! What only developers of Trapcast run: measurements of EL2's paths, long checks, how good the
//! forecast is, documents from results.

pub mod bench;
pub mod cli;
pub mod commands;
pub mod document;
pub mod fpcheck;
pub mod hostile;
pub mod hypervisors;
pub mod judge;
pub mod kvm;
pub mod torture;
