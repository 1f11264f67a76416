//! `cargo xtask`.

use std::process::ExitCode;

use clap::Parser;
use trapcast_tool::print::exit;
use xtask::{cli::Cli, commands};

fn main() -> ExitCode {
    exit("xtask", commands::run(Cli::parse()))
}
