//! Records of windows: what guests did between each entry and its exit, in Parquet files.
//!
//! A [`RecordFile`] is read by columns ([`RecordFile::columns`]), by [`Window`]s with all that a record
//! says of them, or by [`Event`]s with what a replay needs. A [`RecordWriter`] makes one of what a
//! hypervisor wrote. `docs/records.md` of the repository has the layout.
//!
//! No function here prints, and those that take long are told by their caller whether to go on.

mod buffer;
mod check;
mod chunk;
mod column;
mod delta;
mod encoder;
mod error;
mod event;
mod generate;
mod guard;
mod hybrid;
mod mark;
mod metadata;
pub mod order;
mod pages;
mod reader;
mod reseal;
mod row;
pub mod schema;
mod seal;
#[cfg(test)]
mod tests;
mod windows;
mod writer;

pub use column::{Columns, NULL};
pub use error::{Error, Result};
pub use event::Event;
pub use generate::{Shape, generate};
pub use metadata::{FORMAT_VERSION, Metadata, Recorder, Vcpu};
pub use reader::RecordFile;
pub use reseal::reseal;
pub use row::{CORES, Outside, Traced};
pub use windows::{Window, Windows};
pub use writer::{End, Output, ROW_GROUP, RecordWriter};

/// Asked now and then by what takes long: whether to give up.
pub type Cancel<'a> = &'a (dyn Fn() -> bool + Sync);

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
