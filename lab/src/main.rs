//! The `trapcast` command.

use std::process::ExitCode;

use clap::Parser;
use trapcast::{cli::Cli, commands};
use trapcast_tool::print::exit;

fn main() -> ExitCode {
    exit("trapcast", commands::run(Cli::parse()))
}
