//! Where windows go: a file or a FIFO.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use trapcast_trace::observed::{ObservedHeader, ObservedWindow};
use zerocopy::IntoBytes;

/// Windows that are kept until they are written at once. A QEMU that is killed loses no more than these.
const KEPT: usize = 64;

/// Windows on their way to a file.
pub struct Output {
    file: File,
    kept: Vec<ObservedWindow>,
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
            kept: Vec::with_capacity(KEPT),
            has_failed: false,
        })
    }

    /// Adds a window.
    pub fn push(&mut self, window: ObservedWindow) {
        self.kept.push(window);
        if self.kept.len() == KEPT {
            self.flush();
        }
    }

    /// Writes what is kept.
    pub fn flush(&mut self) {
        if !self.has_failed
            && let Err(error) = self.file.write_all(self.kept.as_bytes())
        {
            self.has_failed = true;
            eprintln!("trapcast-observer: error: windows cannot be written: {error}");
        }
        self.kept.clear();
    }
}
