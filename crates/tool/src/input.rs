//! Files that are read whole, of whatever kind: a FIFO or a device, too, up to a limit.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::Errno,
};

use crate::{
    error::{Error, Result},
    signals,
};

/// How long to wait for a file before a look whether the user wants to stop.
const PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// Reads a file of `limit` bytes at most. `what` it is comes before its name in errors.
///
/// # Errors
/// [`Error::Input`] where it cannot be read or is longer; [`Error::Stopped`] while a FIFO has nothing.
pub fn read(what: &str, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::input(format!("cannot read {what} {}: {error}", path.display()))
    };
    // Without this flag the system call would wait for a writer of a FIFO, and for ever.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut file = opened.map_err(|error| failed(&error))?;
    let mut content = Vec::new();
    loop {
        signals::check()?;
        if content.len() as u64 > limit {
            let limit = limit >> 20;
            return Err(failed(&format_args!("it is longer than {limit} MiB")));
        }
        match is_ready(&file, PollFlags::IN).and_then(|ready| {
            if ready {
                more(&mut file, &mut content)
            } else {
                Ok(None)
            }
        }) {
            Ok(Some(0)) => return Ok(content),
            Ok(_) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// Waits a little until a file can be read or written.
pub fn is_ready(file: &File, events: PollFlags) -> io::Result<bool> {
    match poll(&mut [PollFd::new(file, events)], Some(&PATIENCE)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads the available bytes. Returns how many, if that is known yet.
fn more(file: &mut File, content: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let length = content.len();
    content.resize(length + CHUNK, 0);
    let read = file.read(&mut content[length..]);
    content.truncate(length + *read.as_ref().unwrap_or(&0));
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
