//! Where windows go: a file or a FIFO.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use trapcast_trace::observed::{ObservedHeader, ObservedWindow};
use zerocopy::IntoBytes;

/// Windows on their way to a file. Each is written at once, which takes no time beside what a window takes to run, so
/// that a QEMU that is killed loses none.
pub struct Output {
    file: File,
    /// Whether it could not be written: nothing more is.
    has_failed: bool,
}

impl Output {
    /// Opens a file, or waits for a FIFO's reader, and begins it.
    ///
    /// # Errors
    /// Those of the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(ObservedHeader::new().as_bytes())?;
        Ok(Self {
            file,
            has_failed: false,
        })
    }

    /// Writes a window.
    pub fn push(&mut self, window: &ObservedWindow) {
        if !self.has_failed
            && let Err(error) = self.file.write_all(window.as_bytes())
        {
            self.has_failed = true;
            eprintln!("trapcast-observer: error: windows cannot be written: {error}");
        }
    }
}
