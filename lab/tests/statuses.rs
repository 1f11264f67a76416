//! What commands exit with: one table for all of them, in the help, in the documents, and in truth.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use clap::CommandFactory;
use rustix::process::{Pid, Signal, kill_process};
use trapcast::cli::Cli;
use trapcast_tool::error::EXIT_STATUSES;

mod outside;

use outside::{blame_their_input, command, trapcast};

#[test]
fn the_help_and_the_documents_have_the_table() {
    let help = trapcast(Path::new("/"), &["--help"]).stdout;
    let help = String::from_utf8(help).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
    let document = fs::read_to_string(document).unwrap();
    for (status, meaning) in EXIT_STATUSES {
        let line = format!("{status} {meaning}");
        assert!(words(&help).contains(&words(&line)), "{line}: {help}");
        let row = format!("| {status} | {meaning} |\n");
        assert!(document.contains(&row), "docs/commands.md has no {row}");
    }
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| 1") || line.starts_with("| 0"));
    assert!(rows.count() <= EXIT_STATUSES.len());
}

/// Every command exits with 2 where its input, or what it needs, is not there.
#[test]
fn every_command_blames_its_input_alike() {
    let lines = [
        "boot --kernel missing",
        "boot --kernel text",
        "boot --initrd missing",
        "top",
        "guests --bogus",
        "doctor --bogus",
        "study",
        "study --verify missing",
        "study --verify text",
        "report missing",
        "record",
        "record -o text",
        "host-recorder --bogus",
        "import missing -o out",
        "import text -o out",
        "inspect missing",
        "inspect text",
        "replay missing",
        "replay text",
        "merge missing",
        "merge text",
        "plane missing",
        "plane text",
        "timeline missing",
        "timeline text",
        "observe trapcast",
        "observe kvm",
        "observe --budget missing -- true",
        "profiles --bogus",
    ];
    blame_their_input(&Cli::command(), &lines);
}

#[test]
fn what_is_missing_or_was_found_is_no_fault_of_the_input() {
    let directory = tempfile::tempdir().unwrap();
    let output = trapcast(directory.path(), &["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    for command in ["guests", "profiles"] {
        assert_eq!(
            trapcast(directory.path(), &[command]).status.code(),
            Some(0)
        );
    }
}

/// A FIFO without a reader keeps a command waiting, but not from being stopped.
#[test]
fn a_command_that_waits_for_a_fifo_can_be_stopped() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let release = path.join("el2/aarch64-unknown-none-softfloat/release");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("trapcast-el2"), "no hypervisor").unwrap();
    let mut boot = command(path, &["boot", "--kernel", "fifo"]);
    let mut child = boot.stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut profiles = command(directory.path(), &["profiles"]);
    let child = profiles.stdout(full).stderr(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("cannot write to standard output: No space left"),
        "{told}"
    );
}
