//! Why a record cannot be replayed.

use std::path::PathBuf;

/// Why a record cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] trapcast_record::Error),
    /// A vCPU runs on another core without having been put on the one before.
    #[error(
        "vCPU {vcpu} runs on core {core}, and was not put on core {before} where it ran before: no hypervisor \
         does so, and a replay cannot; record it anew"
    )]
    NotPut {
        /// The vCPU, by its number over all VMs.
        vcpu: u16,
        /// The core where it runs.
        core: u8,
        /// The core where it ran before.
        before: u8,
    },
    /// At no time are all VMs of the record at work.
    #[error(
        "{} has no windows in which all VMs are at work: one had ended before another marked the begin of its work",
        path.display()
    )]
    NoWork {
        /// The file.
        path: PathBuf,
    },
    /// Of a window is not known whether it used the registers, nor is any before it in the same load known to have.
    #[error(
        "vCPU {vcpu} has a window on core {core} of which is not known whether it used the registers, and none is known to \
         have used them before it in the same load: what a replay counts has no bounds"
    )]
    Unbounded {
        /// The vCPU, by its number over all VMs.
        vcpu: u16,
        /// The core.
        core: u8,
    },
    /// The caller said to stop.
    #[error("stopped")]
    Cancelled,
}

/// What a replay has found out, or why it has not.
pub type Result<T> = std::result::Result<T, Error>;
