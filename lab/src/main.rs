//! The `trapcast` command.

use std::process::ExitCode;

use clap::Parser;
use trapcast::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trapcast: error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
