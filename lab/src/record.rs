//! Records of windows: taken from the hypervisor's rings, kept in Parquet files, looked at.
//!
//! `docs/records.md` has the files' layout.

mod buffer;
mod check;
mod chunk;
mod encoder;
mod events;
mod generate;
mod guard;
mod hybrid;
pub mod inspect;
mod mark;
mod metadata;
pub mod order;
mod reader;
mod reseal;
mod row;
pub mod schema;
mod seal;
#[cfg(test)]
mod tests;
mod windows;
mod writer;

pub use generate::{Shape, generate};
pub use metadata::{FORMAT_VERSION, Metadata, Vcpu};
pub use reader::{RecordFile, Values};
pub use reseal::reseal;
pub use windows::{Window, Windows};
pub use writer::{End, ROW_GROUP, RecordWriter};
