//! The bytes of one column of one row group, as the Parquet library wants to read them, and its pages.

use std::io::Cursor;

use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result},
    file::{
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
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

/// The pages of a column of `rows` rows. Those that would have the library's decoders panic, or ask for
/// memory by a number that the page's bytes do not bear out, are errors.
pub struct Pages {
    /// The pages as they come.
    pub pages: SerializedPageReader<Chunk>,
    /// Rows of the row group.
    pub rows: usize,
    /// Whether there was a dictionary.
    pub has_dictionary: bool,
}

impl Pages {
    fn check(&mut self, page: &Page) -> Result<()> {
        let values = page.num_values() as usize;
        let is_sound = match page {
            // No value takes less than a byte.
            Page::DictionaryPage { buf, .. } => {
                let is_first = !self.has_dictionary;
                self.has_dictionary = true;
                is_first && values <= buf.len()
            }
            _ => {
                values <= self.rows
                    && match page.encoding() {
                        Encoding::RLE_DICTIONARY => self.has_dictionary,
                        // No other is written. The library's decoder of byte streams panics on a
                        // page that ends early.
                        encoding => {
                            matches!(encoding, Encoding::PLAIN | Encoding::DELTA_BINARY_PACKED)
                        }
                    }
            }
        };
        match is_sound {
            true => Ok(()),
            false => Err(ParquetError::General(
                "a page does not fit its row group".to_string(),
            )),
        }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}
