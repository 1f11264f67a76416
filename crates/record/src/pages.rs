//! Decodes the pages of a column into numbers: the encodings that records have, and no others.

use bytes::Bytes;
use parquet::{
    basic::Encoding,
    column::page::{Page, PageReader},
    errors::{ParquetError, Result as ParquetResult},
};
use trapcast_trace::report::EXIT_NAMES;

use super::{chunk, column::NULL, delta::Delta, hybrid::Hybrid, reader::general, schema::Value};

/// A column's pages, and how far they are read.
pub(crate) struct Pages {
    name: &'static str,
    kind: Value,
    /// Whether values may be null.
    nullable: bool,
    limit: u64,
    pages: chunk::Pages,
    dictionary: Vec<u64>,
    /// Which values of the page are there, if some may be null.
    levels: Option<Hybrid>,
    values: Encoded,
    /// Values of the page that are left.
    left: usize,
}

/// The values of a page.
enum Encoded {
    None,
    /// One bit each, from a bit on.
    Bits(Bytes, usize),
    /// So many bytes each.
    Plain(Bytes, usize),
    /// Indices into the dictionary.
    Indices(Hybrid),
    /// Differences.
    Differences(Delta),
}

impl Pages {
    /// A column of values below `limit`.
    pub(crate) fn new(
        name: &'static str,
        kind: Value,
        nullable: bool,
        limit: u64,
        pages: chunk::Pages,
    ) -> Self {
        Self {
            name,
            kind,
            nullable,
            limit,
            pages,
            dictionary: Vec::new(),
            levels: None,
            values: Encoded::None,
            left: 0,
        }
    }

    /// Reads the next values, as many as there is room for.
    pub(crate) fn read(&mut self, values: &mut [u64]) -> ParquetResult<()> {
        let mut done = 0;
        while done < values.len() {
            while self.left == 0 {
                self.turn()?;
            }
            let count = self.left.min(values.len() - done);
            let some = &mut values[done..done + count];
            self.decode(some).ok_or_else(|| self.unusable())?;
            self.left -= count;
            done += count;
        }
        Ok(())
    }

    /// Reads values of the page that is under way. `None` where it ends before, or a value cannot be.
    fn decode(&mut self, values: &mut [u64]) -> Option<()> {
        let Some(levels) = &mut self.levels else {
            return self.decode_all(values);
        };
        let mut there = vec![0; values.len()];
        levels.read(&[0, 1], &mut there)?;
        let mut some = vec![0; there.iter().sum::<u64>() as usize];
        self.decode_all(&mut some)?;
        let mut some = some.into_iter();
        for (value, there) in values.iter_mut().zip(there) {
            *value = if there == 0 { NULL } else { some.next()? };
        }
        Some(())
    }

    /// Reads values none of which is null.
    fn decode_all(&mut self, values: &mut [u64]) -> Option<()> {
        match &mut self.values {
            Encoded::None => None,
            Encoded::Bits(bytes, bit) => {
                unpack_bits(bytes, *bit, values)?;
                *bit += values.len();
                Some(())
            }
            Encoded::Indices(indices) => indices.read(&self.dictionary, values),
            Encoded::Plain(bytes, size) => {
                for value in &mut *values {
                    *value = number(bytes.get(..*size)?);
                    *bytes = bytes.slice(*size..);
                }
                values.iter().all(|value| *value < self.limit).then_some(())
            }
            Encoded::Differences(delta) => delta.read(values),
        }
    }

    /// Goes on to the next page.
    fn turn(&mut self) -> ParquetResult<()> {
        match self.pages.get_next_page()? {
            Some(Page::DictionaryPage { buf, .. }) => {
                self.dictionary = self.words(&buf).ok_or_else(|| self.unusable())?;
                let largest = self.dictionary.iter().max().copied();
                self.within(largest.unwrap_or(0))
            }
            Some(Page::DataPage {
                buf,
                num_values,
                encoding,
                ..
            }) => {
                self.begin(buf, encoding).ok_or_else(|| self.unusable())?;
                self.left = num_values as usize;
                Ok(())
            }
            _ => Err(self.unusable()),
        }
    }

    /// Begins a page.
    fn begin(&mut self, mut page: Bytes, encoding: Encoding) -> Option<()> {
        if self.nullable {
            let length = u32::from_le_bytes(*page.first_chunk()?) as usize;
            let levels = page.get(4..)?.get(..length)?;
            self.levels = Some(Hybrid::with_width(page.slice_ref(levels), 1));
            page = page.slice(4 + length..);
        }
        self.values = match (encoding, self.kind) {
            (Encoding::PLAIN, Value::Bool(_) | Value::MaybeBool(_)) => Encoded::Bits(page, 0),
            (Encoding::PLAIN, Value::Number(..) | Value::MaybeNumber(..)) => {
                Encoded::Plain(page, 4)
            }
            (Encoding::PLAIN, Value::Long(_) | Value::MaybeLong(_)) => Encoded::Plain(page, 8),
            (Encoding::RLE_DICTIONARY, _) => Encoded::Indices(Hybrid::new(page)?),
            (Encoding::DELTA_BINARY_PACKED, Value::Long(_) | Value::MaybeLong(_)) => {
                Encoded::Differences(Delta::new(page)?)
            }
            _ => return None,
        };
        Some(())
    }

    /// Returns the values of a dictionary.
    fn words(&self, page: &[u8]) -> Option<Vec<u64>> {
        let size = match self.kind {
            Value::Bool(_) | Value::MaybeBool(_) => return None,
            Value::Number(..) | Value::MaybeNumber(..) => 4,
            Value::Long(_) | Value::MaybeLong(_) => 8,
            Value::Exit(_) | Value::MaybeExit(_) => return exits(page),
        };
        Some(page.chunks_exact(size).map(number).collect())
    }

    /// Refuses a number that the column cannot have.
    pub(crate) fn within(&self, number: u64) -> ParquetResult<()> {
        if number >= self.limit && self.limit != u64::MAX {
            let Self { name, limit, .. } = self;
            return Err(general(format!(
                "column {name} has {number}, and there are {limit}"
            )));
        }
        Ok(())
    }

    fn unusable(&self) -> ParquetError {
        let name = self.name;
        general(format!(
            "column {name} ends too early, or is laid out as no record's is"
        ))
    }
}

/// Returns the number that some bytes, at most eight, are in little-endian order.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Returns the kinds of exit that a dictionary names.
fn exits(mut page: &[u8]) -> Option<Vec<u64>> {
    let mut exits = Vec::new();
    while let Some((length, rest)) = page.split_first_chunk() {
        let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let exit = EXIT_NAMES
            .iter()
            .position(|known| known.as_bytes() == name)?;
        exits.push(exit as u64);
        page = rest;
    }
    page.is_empty().then_some(exits)
}

/// Reads single bits, from a bit of a page on; `None` where the page has fewer.
fn unpack_bits(page: &[u8], first: usize, values: &mut [u64]) -> Option<()> {
    // The bits before the next whole byte, and then eight at a time.
    let head = (first.next_multiple_of(8) - first).min(values.len());
    let (head, whole) = values.split_at_mut(head);
    for (value, place) in head.iter_mut().zip(first..) {
        *value = u64::from(page.get(place / 8)? >> (place % 8) & 1);
    }
    let page = page.get(first.div_ceil(8)..)?;
    if page.len() < whole.len().div_ceil(8) {
        return None;
    }
    for (values, byte) in whole.chunks_mut(8).zip(page) {
        for (bit, value) in values.iter_mut().enumerate() {
            *value = u64::from(byte >> bit & 1);
        }
    }
    Some(())
}
