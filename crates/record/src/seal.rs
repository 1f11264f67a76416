//! The seal of a record file: checksums by which damage is told from data.
//!
//! Parquet's own page checksums are optional, leave page headers and the footer out, and are not
//! written by the library in use. A file of ours has in its footer the XXH64 of every column of every
//! row group, and of the footer itself: no damaged byte reaches a decoder.

use std::{
    hash::Hasher,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

use twox_hash::XxHash64;

/// Key of the columns' checksums, in hexadecimal, by row group and then by column.
pub const COLUMNS_KEY: &str = "trapcast.checksums";

/// Key of the footer's checksum: that of the footer with zeroes in its place.
pub const FOOTER_KEY: &str = "trapcast.footer_checksum";

/// The keys of the seal and what they say: what `docs/records.md` lists.
#[cfg(test)]
pub const KEYS: [(&str, &str); 2] = [
    (
        COLUMNS_KEY,
        "XXH64 of every column chunk, 16 hexadecimal digits each, by row group and then by column",
    ),
    (
        FOOTER_KEY,
        "XXH64 of the footer, computed with 16 zeroes in its place",
    ),
];

/// Digits of a checksum.
pub const DIGITS: usize = 16;

/// What stands in the place of the footer's checksum while it is computed.
pub const BLANK: &str = "0000000000000000";

/// First and last bytes of every Parquet file.
const MAGIC: &[u8] = b"PAR1";

/// Bytes at a file's end: the footer's length, and the magic.
pub const TAIL: u64 = 8;

/// Returns the checksum of bytes, as it is written.
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:0DIGITS$x}", XxHash64::oneshot(0, bytes))
}

/// A sum over what went through a [`Summing`] since it was last taken.
#[derive(Clone, Debug)]
pub struct Sum(Arc<Mutex<XxHash64>>);

impl Sum {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(XxHash64::with_seed(0))))
    }

    /// Returns the checksum and begins anew.
    pub fn take(&self) -> String {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = std::mem::replace(&mut *sum, XxHash64::with_seed(0));
        format!("{:0DIGITS$x}", sum.finish())
    }
}

/// A writer that sums what it is given.
#[derive(Debug)]
pub struct Summing<W> {
    /// Where it goes.
    pub inner: W,
    /// The sum.
    pub sum: Sum,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let mut sum = self.sum.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.write(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns the length of the footer that a file's last bytes announce, if they are those of a
/// Parquet file.
pub fn footer_length(tail: [u8; TAIL as usize]) -> Option<u64> {
    let [a, b, c, d, magic @ ..] = tail;
    (magic == MAGIC).then_some(u32::from_le_bytes([a, b, c, d]).into())
}

/// Whether a file begins as Parquet files do.
pub fn begins_well(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// Returns where in a footer its checksum stands, if it has one.
///
/// In Thrift's compact protocol a pair is the key's bytes, the header of the next field (0x18: one
/// further, binary), the value's length, and the value's bytes.
pub fn footer_sum(footer: &[u8]) -> Option<std::ops::Range<usize>> {
    let marker = [FOOTER_KEY.as_bytes(), &[0x18, DIGITS as u8]].concat();
    let found = footer
        .windows(marker.len() + DIGITS)
        .rposition(|window| window.starts_with(&marker))?;
    let start = found + marker.len();
    Some(start..start + DIGITS)
}

/// Whether a footer is as it was written; `None` where it has no checksum.
pub fn footer_is_whole(footer: &[u8]) -> Option<bool> {
    let place = footer_sum(footer)?;
    let mut blank = footer.to_vec();
    blank[place.clone()].copy_from_slice(BLANK.as_bytes());
    Some(checksum(&blank).as_bytes() == &footer[place])
}

/// Writes the footer's checksum into a file that is complete but for it.
///
/// # Errors
/// Those of the file.
pub fn seal(file: &mut (impl Read + Write + Seek)) -> io::Result<()> {
    let damaged = || io::Error::other("the footer just written cannot be found");
    let end = file.seek(SeekFrom::End(-(TAIL as i64)))?;
    let mut tail = [0; TAIL as usize];
    file.read_exact(&mut tail)?;
    let length = footer_length(tail).ok_or_else(damaged)?;
    let start = end.checked_sub(length).ok_or_else(damaged)?;
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut footer)?;
    let place = footer_sum(&footer).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(start + place.start as u64))?;
    file.write_all(checksum(&footer).as_bytes())?;
    file.flush()
}
