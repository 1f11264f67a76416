//! The signals that ask the command to stop: remembered, so that code that waits for a QEMU stops it and cleans up.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::error::{Error, Result};

/// The last one that came, or 0.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Takes SIGHUP, SIGINT and SIGTERM over. To be called once, before any QEMU is started.
///
/// SIGHUP is left alone where it is ignored, as under `nohup`.
///
/// # Errors
/// Where a handler cannot be set.
pub fn take_over() -> Result<()> {
    let signals = [SIGHUP, SIGINT, SIGTERM].into_iter();
    for signal in signals.filter(|&signal| signal != SIGHUP || !is_ignored(signal)) {
        flag::register_usize(signal, Arc::clone(&RECEIVED), signal as usize)
            .map_err(|error| Error::run(format!("cannot handle signal {signal}: {error}")))?;
    }
    Ok(())
}

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 != 0)
}

/// Goes on unless a signal has asked to stop.
///
/// # Errors
/// [`Error::Stopped`] if one has.
pub fn check() -> Result<()> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => Ok(()),
        signal => Err(Error::Stopped(signal as u8)),
    }
}
