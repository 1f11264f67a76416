//! Kernels as files: what the hypervisor will say of one, before QEMU is started.

use std::path::{Path, PathBuf};

use trapcast_hypervisor::guest_image::{self, ExecutionState};

use crate::error::{Error, Result};

/// A kernel that was looked at and can be booted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of the file.
    pub file_size: u64,
    /// Bytes of memory that it takes, zeroed data included.
    pub memory_size: u64,
    /// Where it goes above what the hypervisor keeps at the start of RAM, in bytes.
    pub text_offset: u64,
    /// The state that it runs in at EL1.
    pub execution_state: ExecutionState,
}

impl Image {
    /// Looks at a file, as the hypervisor does.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, is no arm64 Image or zImage, or is cut short.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| {
            Error::input(format!("cannot read kernel {}: {error}", path.display()))
        })?;
        let image = guest_image::Image::parse(&bytes)
            .map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        Ok(Self {
            path: path.to_path_buf(),
            file_size: bytes.len() as u64,
            memory_size: image.memory_size,
            text_offset: image.text_offset,
            execution_state: image.execution_state,
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
