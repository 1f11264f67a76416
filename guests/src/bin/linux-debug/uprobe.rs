//! A uprobe: the kernel replaces an instruction of this program by a breakpoint, and steps over it elsewhere.
//!
//! Needs tracefs at /sys/kernel/tracing, and this program at /bin/linux-debug.
//!
//! Source: Linux, Documentation/trace/uprobetracer.rst.

use core::ffi::CStr;

use trapcast_guests::linux::call;

use crate::child::probed;

const OPENAT: u64 = 56;
const CLOSE: u64 = 57;
const READ: u64 = 63;
const WRITE: u64 = 64;
const AT_FDCWD: u64 = -100i64 as u64;
const O_RDONLY: u64 = 0;
const O_WRONLY: u64 = 1;

/// The linker aligns segments to this; a byte's place in the file and its address differ by a multiple, and the
/// file is smaller.
const PAGE: usize = 64 << 10;

/// The error number of a system call.
type Result<T> = core::result::Result<T, i64>;

fn checked(result: i64) -> Result<u64> {
    u64::try_from(result).map_err(|_| -result)
}

fn address(text: &CStr) -> u64 {
    text.as_ptr().expose_provenance() as u64
}

/// Writes `content` to a file.
fn write(path: &CStr, content: &[u8]) -> Result<()> {
    let content = (
        content.as_ptr().expose_provenance() as u64,
        content.len() as u64,
    );
    // SAFETY: the strings are readable.
    unsafe {
        let file = checked(call(OPENAT, [AT_FDCWD, address(path), O_WRONLY, 0]))?;
        let written = checked(call(WRITE, [file, content.0, content.1, 0]));
        call(CLOSE, [file, 0, 0, 0]);
        written.map(|_| ())
    }
}

/// Reads the beginning of a file.
fn read<'a>(path: &CStr, buffer: &'a mut [u8; 256]) -> Result<&'a [u8]> {
    let place = buffer.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: the buffer is writable, and as long.
    let length = unsafe {
        let file = checked(call(OPENAT, [AT_FDCWD, address(path), O_RDONLY, 0]))?;
        let length = checked(call(READ, [file, place, buffer.len() as u64, 0]));
        call(CLOSE, [file, 0, 0, 0]);
        length?
    };
    Ok(&buffer[..length as usize])
}

/// Calls [`probed`] `calls` times with a uprobe on its second instruction. Returns how often the probe was
/// hit, and how often the function returned what it should.
pub fn count(calls: u64) -> Result<(u64, u64)> {
    let offset = (probed as *const () as usize + 4) % PAGE;
    let mut line = *b"p:probed /bin/linux-debug:0x00000000\n";
    let digits = line.len() - 9;
    for (place, digit) in line[digits..digits + 8].iter_mut().zip((0..8).rev()) {
        *place = b"0123456789abcdef"[offset >> (4 * digit) & 0xf];
    }
    write(c"/sys/kernel/tracing/uprobe_events", &line)?;
    let enable = c"/sys/kernel/tracing/events/uprobes/probed/enable";
    write(enable, b"1")?;
    let right = (0..calls).filter(|_| probed() == 5).count() as u64;
    let mut buffer = [0; 256];
    let profile = read(c"/sys/kernel/tracing/uprobe_profile", &mut buffer)?;
    let hits = profile
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
        .nth(2)
        .and_then(|word| core::str::from_utf8(word).ok()?.parse().ok());
    write(enable, b"0")?;
    write(c"/sys/kernel/tracing/uprobe_events", b"-:probed\n")?;
    Ok((hits.unwrap_or(0), right))
}
