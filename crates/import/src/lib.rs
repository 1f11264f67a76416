//! Windows of KVM/arm64 guests from the text that ftrace, `trace-cmd report`, `perf script` or bpftrace print on a
//! running host.

mod event;
mod host;
mod import;
mod line;
#[cfg(test)]
mod tests;

pub use host::{Tally, Window};
pub use import::{Error, Imported, import};

/// A script for the host that records what [`import()`] reads: sh and tracefs.
pub const RECORDER: &str = include_str!("../scripts/kvm-ftrace.sh");
