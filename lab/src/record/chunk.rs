//! The bytes of one column of one row group, as the Parquet library wants to read them.

use std::io::Cursor;

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// Bytes that stand somewhere in a file.
#[derive(Debug)]
pub struct Chunk {
    /// Where they stand.
    pub start: u64,
    /// The bytes.
    pub bytes: Bytes,
}

impl Chunk {
    /// The bytes from an offset in the file on.
    fn from(&self, start: u64) -> Result<Bytes> {
        start
            .checked_sub(self.start)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| *start <= self.bytes.len())
            .map(|start| self.bytes.slice(start..))
            .ok_or_else(outside)
    }
}

fn outside() -> ParquetError {
    ParquetError::General("a page lies outside its column".to_string())
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.from(start).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(outside());
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
