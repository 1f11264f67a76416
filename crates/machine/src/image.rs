//! Kernels as files: what the hypervisor will say of one, before QEMU is started.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use trapcast_hypervisor::guest_image::Image as Header;

use crate::{memory::MemoryFile, unpack};
use trapcast_tool::{
    error::{Error, Result},
    input,
};

/// The most bytes of a kernel's file, and of what it unpacks to.
const MOST_BYTES: u64 = 512 << 20;

/// A kernel that was looked at and can be booted.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it was read from.
    pub path: PathBuf,
    /// The file that QEMU loads: whatever the path is, and whatever becomes of what is there.
    pub file: Arc<MemoryFile>,
    /// Bytes of that file, which is not compressed.
    pub file_size: u64,
    /// What its header says.
    pub header: Header,
}

impl Image {
    /// Reads a kernel, unpacks it if it is compressed, and looks at it as the hypervisor does.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read or unpacked, is no arm64 Image or zImage, or is cut short.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(path, input::read("kernel", path, MOST_BYTES)?, MOST_BYTES)
    }

    /// Takes the content of a file, which is unpacked into `limit` bytes at most.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(path: &Path, content: Vec<u8>, limit: u64) -> Result<Self> {
        let failed =
            |why: &dyn std::fmt::Display| Error::input(format!("{}: {why}", path.display()));
        let bytes = unpack::unpack(content, limit).map_err(|why| failed(&why))?;
        let header = Header::parse(&bytes).map_err(|error| failed(&error))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: Arc::new(MemoryFile::with_content(&bytes)?),
            file_size: bytes.len() as u64,
            header,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_kernel_is_named_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vmlinux");
        std::fs::write(&path, b"\x7fELF".repeat(50)).unwrap();
        let told = Image::open(&path).unwrap_err().to_string();
        assert!(
            told.contains("vmlinux: the kernel is not an arm64 Image") && told.contains("ELF"),
            "{told}"
        );
    }
}
