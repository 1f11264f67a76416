//! What a command prints, and what it exits with.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::error::{Error, Result};

/// Ends a command: says on standard error what went wrong, if anything did.
pub fn exit(command: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{command}: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints to standard output. A reader that has gone away, such as `head`, is no error.
///
/// # Errors
/// [`Error::Input`] where it cannot be written to.
pub fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::input(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`print()`], and [`Error::Run`] where the value has no JSON form.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Error::run)?;
    print(&format!("{text}\n"))
}
