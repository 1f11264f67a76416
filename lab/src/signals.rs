//! Ctrl-C and termination: remembered, so that whoever waits for a QEMU stops it and cleans up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes SIGINT, SIGTERM and SIGHUP over. To be called once, before any QEMU is started.
///
/// # Errors
/// Where the handler cannot be set.
pub fn take_over() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst))
        .map_err(|error| Error::run(format!("cannot handle Ctrl-C: {error}")))
}

/// Whether the user has asked to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
