//! What can be wrong with a record, or with writing one.

use std::{io, path::PathBuf};

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a FIFO or the like.
    #[error("{} {why}", path.display())]
    NotRegular {
        /// What it is.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// Its footer is not that of a whole record of a format that this version reads.
    #[error("{} {why}", path.display())]
    NotARecord {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the end of a sentence that begins with the file.
        why: String,
    },
    /// Some of its windows cannot be decoded.
    #[error("{} is damaged in windows {first} to {last}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first window of the row group, from 0.
        first: usize,
        /// Its last window.
        last: usize,
        /// What is wrong there.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It lacks a column that is asked for.
    #[error("{} has no column {column}: it was made for replays only", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// It has no windows.
    #[error("{} has no windows: nothing was recorded", path.display())]
    NoWindows {
        /// The file.
        path: PathBuf,
    },
    /// Of some of its windows is not known whether they used the registers.
    #[error(
        "{} has windows of which is not known whether they used the registers, and this needs each: \
         `trapcast inspect` shows the others",
        path.display()
    )]
    Unseen {
        /// The file.
        path: PathBuf,
    },
    /// A record is to be made of no vCPU.
    #[error("a record cannot be made of no vCPU")]
    NoVcpu,
    /// A hypervisor of this version writes no such record of a window.
    #[error(
        "a record has {what}: this hypervisor writes no such record; its image and the reader do not match, or \
         its ring was damaged"
    )]
    Impossible {
        /// What it has.
        what: String,
    },
    /// The output cannot be written.
    #[error("a record cannot be written")]
    Unwritable {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller said to stop.
    #[error("stopped")]
    Cancelled,
}

impl Error {
    /// An output that cannot be written.
    pub(crate) fn unwritable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unwritable { source: why.into() }
    }
}

/// Something of a record, or why there is none.
pub type Result<T> = std::result::Result<T, Error>;
