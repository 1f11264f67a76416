//! Files that are written: they take their name only when they are whole, and what is no regular file
//! stays what it is.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::{event::PollFlags, fs::OFlags, io::Errno, pipe::PIPE_BUF};
use serde::Serialize;
use tempfile::TempPath;

use crate::{
    error::{Error, Result},
    input::is_ready,
    signals,
};

/// How often to look whether a FIFO has a reader.
const POLL: Duration = Duration::from_millis(20);

/// The most links that a path may lead through, as in Linux.
const MOST_LINKS: usize = 40;

/// A file that is being written. What was written is gone if it is dropped.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    /// The temporary file, while the output is incomplete.
    file: File,
    target: Target,
}

/// Its outcome.
#[derive(Debug)]
enum Target {
    /// It takes the place of this file, which need not be there: of the one that a link leads to.
    Regular(TempPath, PathBuf),
    /// It is copied into this device, FIFO or other file that is not a regular one, or into standard output.
    Other(File),
}

/// Begins a file that is to become `path`, whose directory is made if need be.
///
/// # Errors
/// [`Error::Input`] where `path` is a directory, or cannot be made or written to; [`Error::Stopped`] while a
/// FIFO has no reader.
pub fn begin(path: &Path) -> Result<Output> {
    let failed = |error: io::Error| cannot_write(path, &error);
    let other = match fs::metadata(path) {
        Ok(there) if there.is_dir() => {
            return Err(cannot_write(path, &"it is a directory"));
        }
        Ok(there) => match standard_output_if(&there) {
            None if there.is_file() => None,
            None => Some(open(path, there.file_type().is_fifo())?),
            standard_output => standard_output,
        },
        Err(_) => None,
    };
    let (file, target) = match other {
        Some(other) => {
            let (file, _) = temporary_in(&env::temp_dir()).map_err(failed)?;
            (file, Target::Other(other))
        }
        None => {
            let target = followed(path).map_err(failed)?;
            let (file, temporary) = temporary_in(parent(&target)).map_err(failed)?;
            (file, Target::Regular(temporary, target))
        }
    };
    Ok(Output {
        path: path.to_path_buf(),
        file,
        target,
    })
}

/// Writes a file at once: it is the old one or the new one, never a half.
///
/// # Errors
/// As [`begin`], and [`Error::Input`] where it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    begin(path)?.put(content)
}

/// A value as JSON, as files have it.
///
/// # Errors
/// Where it has no JSON form.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(Error::run)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes JSON to a file at once.
///
/// # Errors
/// Those of [`write()`] and [`json`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write(path, &json(value)?)
}

/// Makes a directory that files are to be written into, if need be.
///
/// # Errors
/// [`Error::Input`] where it cannot be made or written to.
pub fn directory(path: &Path) -> Result<()> {
    temporary_in(path)
        .map(drop)
        .map_err(|error| cannot_write(path, &error))
}

/// The message about a file that cannot be written, of any command.
pub fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::input(format!(
        "cannot write {}: {error}; name another place",
        path.display()
    ))
}

impl Output {
    /// What is written, without a name so far.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Writes all of it and gives it its name.
    ///
    /// # Errors
    /// [`Error::Input`] where that cannot be done.
    pub fn put(mut self, content: &[u8]) -> Result<()> {
        let written = self.file.write_all(content);
        written.map_err(|error| cannot_write(&self.path, &error))?;
        self.finish().map(drop)
    }

    /// Gives the file its name. Returns its bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where that cannot be done.
    pub fn finish(mut self) -> Result<u64> {
        let failed = |error: io::Error| cannot_write(&self.path, &error);
        let bytes = self.file.metadata().map_err(failed)?.len();
        match self.target {
            Target::Regular(temporary, target) => temporary
                .persist(target)
                .map_err(|error| failed(error.error))?,
            Target::Other(mut other) => {
                self.file.rewind().map_err(failed)?;
                copy(&mut self.file, &mut other, failed)?;
            }
        }
        Ok(bytes)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for Output {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Standard output, if that is the file: opened anew, it would be written from its start on.
fn standard_output_if(file: &fs::Metadata) -> Option<File> {
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    let is_it = output
        .metadata()
        .is_ok_and(|output| (output.dev(), output.ino()) == (file.dev(), file.ino()));
    is_it.then_some(output)
}

/// Opens what is no regular file, a FIFO as soon as it has a reader.
fn open(path: &Path, is_fifo: bool) -> Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits() as i32;
    loop {
        signals::check()?;
        match OpenOptions::new()
            .write(true)
            .custom_flags(nonblocking)
            .open(path)
        {
            Err(error) if is_fifo && Errno::from_io_error(&error) == Some(Errno::NXIO) => {
                thread::sleep(POLL);
            }
            Err(error) => return Err(cannot_write(path, &error)),
            Ok(file) => return Ok(file),
        }
    }
}

/// Copies a file from its place on into one that may have to wait for a reader.
fn copy(from: &mut File, to: &mut File, failed: impl Fn(io::Error) -> Error) -> Result<()> {
    // A pipe that is ready takes as much without waiting.
    let mut chunk = [0; PIPE_BUF];
    loop {
        let length = from.read(&mut chunk).map_err(&failed)?;
        let mut left = &chunk[..length];
        if left.is_empty() {
            return Ok(());
        }
        while !left.is_empty() {
            signals::check()?;
            if !is_ready(to, PollFlags::OUT).map_err(&failed)? {
                continue;
            }
            match to.write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

/// Where a path leads, the last link to nothing included.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = parent(&path).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}

/// Makes a temporary file. No error shows its name.
fn temporary_in(directory: &Path) -> io::Result<(File, TempPath)> {
    fs::create_dir_all(directory).map_err(|error| match error.kind() {
        // What is there is something else.
        ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
        _ => error,
    })?;
    // What the umask leaves of it: such a file is for others to read, too.
    let create = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o666)
            .open(path)
    };
    let made = tempfile::Builder::new().make_in(directory, create)?;
    Ok(made.into_parts())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_at_once_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/results.json");
        write_json(&path, &1).unwrap();
        write_json(&path, &2).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        let files = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1);
    }
}
