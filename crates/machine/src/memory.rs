//! Files that live in memory only and have no name, so that nothing can be left behind.
//!
//! QEMU opens them through `/proc/PID/fd`. The board's RAM is one of them: the hypervisor's mailbox
//! can be read from it while QEMU runs and after it has ended.

use std::{
    fs::File,
    io::Write,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};
use trapcast_trace::{MAILBOX_OFFSET, MAILBOX_SIZE};
use zerocopy::IntoBytes;

use trapcast_tool::error::{Error, Result};

/// A file in memory. It is gone when this value and every process that opened it are.
#[derive(Debug)]
pub struct MemoryFile {
    file: File,
}

impl MemoryFile {
    /// Makes a file of `size` zero bytes, which take memory only once they are written.
    ///
    /// # Errors
    /// Where the machine gives no memory file.
    pub fn zeroed(size: u64) -> Result<Self> {
        let new = Self::empty()?;
        new.file.set_len(size).map_err(cannot_make)?;
        Ok(new)
    }

    /// Makes a file with this content.
    ///
    /// # Errors
    /// Where the machine gives no memory file, or has no memory for the content.
    pub fn with_content(content: &[u8]) -> Result<Self> {
        let mut new = Self::empty()?;
        new.file.write_all(content).map_err(cannot_make)?;
        Ok(new)
    }

    fn empty() -> Result<Self> {
        let fd = memfd_create("trapcast", MemfdFlags::CLOEXEC)
            .map_err(|error| cannot_make(error.into()))?;
        Ok(Self { file: fd.into() })
    }

    /// Opens a memory file by the [`path`](Self::path) that another process has told.
    ///
    /// # Errors
    /// Where that process has ended, is another user's, or has another file there.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let is_one = std::fs::read_link(path)?
            .to_string_lossy()
            .starts_with("/memfd:trapcast");
        if !is_one {
            return Err(std::io::Error::other("the board's RAM is gone"));
        }
        let file = File::open(path)?;
        Ok(Self { file })
    }

    /// The path by which other processes of the same user open the file, as long as it exists.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// A copy of the mailbox, taken from a file that is a board's RAM.
    ///
    /// # Errors
    /// Where the file is too short to hold one.
    pub fn mailbox(&self) -> Result<Mailbox> {
        let mut words = vec![0u64; MAILBOX_SIZE as usize / size_of::<u64>()];
        self.read_at(words.as_mut_slice().as_mut_bytes(), MAILBOX_OFFSET)?;
        Ok(Mailbox { words })
    }

    /// Reads from a file that is a board's RAM, which the machine may be writing.
    ///
    /// # Errors
    /// Where the file is too short.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|error| Error::run(format!("cannot read the board's RAM: {error}")))
    }

    /// Writes to a file that is a board's RAM.
    ///
    /// # Errors
    /// Where the machine has no memory for it.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| Error::run(format!("cannot write to the board's RAM: {error}")))
    }
}

fn cannot_make(error: std::io::Error) -> Error {
    Error::input(format!("cannot make a file in memory for QEMU: {error}"))
}

/// A copy of a mailbox, aligned as its records want it.
#[derive(Clone, Debug)]
pub struct Mailbox {
    words: Vec<u64>,
}

impl Mailbox {
    /// The mailbox's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.words.as_slice().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_opening_sees_the_content_through_the_path() {
        let file = MemoryFile::with_content(b"content").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"content");
        let path = file.path();
        drop(file);
        assert!(std::fs::read(path).is_err());
    }

    #[test]
    fn the_mailbox_is_read_from_its_place() {
        let ram = MemoryFile::zeroed(MAILBOX_OFFSET + MAILBOX_SIZE).unwrap();
        ram.write_at(b"TRAPCAST", MAILBOX_OFFSET).unwrap();
        assert_eq!(&ram.mailbox().unwrap().bytes()[..9], b"TRAPCAST\0");
        assert!(
            MemoryFile::zeroed(MAILBOX_OFFSET)
                .unwrap()
                .mailbox()
                .is_err()
        );
    }
}
