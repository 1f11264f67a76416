//! The command as users run it, for the tests that look at it from outside.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

/// The command of the package whose tests these are, and its name.
const COMMAND: (&str, &str) = match (
    option_env!("CARGO_BIN_EXE_trapcast"),
    option_env!("CARGO_BIN_EXE_xtask"),
) {
    (Some(trapcast), _) => (trapcast, "trapcast"),
    (None, Some(xtask)) => (xtask, "xtask"),
    (None, None) => panic!("these are no tests of a command"),
};

/// Returns a command line in this directory, which is its target directory, too.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(COMMAND.0);
    command
        .current_dir(directory)
        .arg("--target")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs it.
pub fn trapcast(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

/// Checks that each command line exits with 2 where its input, or what it needs, is not there, prints nothing but why,
/// and leaves no file; and that there is a line for each subcommand. `text` is a file that no command takes.
#[allow(dead_code, reason = "one group of tests does")]
pub fn blame_their_input(commands: &clap::Command, lines: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("text"), "text").unwrap();
    let before = files(path);
    for line in lines {
        let output = trapcast(path, &line.split(' ').collect::<Vec<_>>());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {told}");
        assert!(
            !told.is_empty() && output.stdout.is_empty(),
            "{line}: {told}"
        );
    }
    assert_eq!(files(path), before);
    for command in commands.get_subcommands().map(clap::Command::get_name) {
        let mut tried = lines.iter().filter_map(|line| line.split(' ').next());
        assert!(tried.any(|tried| tried == command), "{command}");
    }
}

/// Runs a command that must be refused with one sentence and exit status 2, and returns it.
#[allow(dead_code, reason = "not every group of tests has such")]
pub fn refused(directory: &Path, arguments: &[&str]) -> String {
    refusal(&trapcast(directory, arguments), arguments)
}

/// The sentence of a command that must have been refused.
#[allow(dead_code, reason = "as above")]
pub fn refusal(output: &Output, arguments: &[&str]) -> String {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    let sentence = told
        .strip_prefix(&format!("{}: error: ", COMMAND.1))
        .unwrap_or(&told);
    assert_eq!(sentence.lines().count(), 1, "{arguments:?}: {told}");
    sentence.trim_end().to_string()
}

/// The names of what is in a directory, in order.
#[allow(dead_code, reason = "not every group of tests looks")]
pub fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}
