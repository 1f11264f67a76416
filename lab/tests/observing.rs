//! `trapcast observe` where something is not as it should be: what it refuses, and what it keeps of a run that does
//! not come to its end.
//!
//! Needs what `make build guest` leaves.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use support::{Outcomes, check};
use trapcast_tool::paths::Paths;

/// How long a run may take to be where a trial wants it: many times what it does take.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let trial = |name: &str, test: fn(&Paths) -> Outcomes| {
        let paths = Arc::clone(paths);
        Trial::test(name, move || test(&paths))
    };
    vec![
        trial("an_old_qemu_is_refused", old_qemu),
        trial("a_qemu_without_plugins_is_refused", without_plugins),
        trial("a_board_without_el2_shows_no_guest", no_el2),
        trial("a_killed_qemu_leaves_what_was_seen", killed),
        trial("a_stopped_command_leaves_what_was_seen", stopped),
    ]
}

fn observe(paths: &Paths, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .arg("--target")
        .arg(paths.target())
        .arg("observe")
        .args(arguments)
        .current_dir(directory)
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Checks how a command ended, and what it said.
fn expect(output: &Output, code: i32, wanted: &[&str]) -> Outcomes {
    let told = String::from_utf8_lossy(&output.stderr);
    let is_expected = output.status.code() == Some(code);
    check(is_expected, || format!("{}: {told}", output.status))?;
    for wanted in wanted {
        check(told.contains(wanted), || {
            format!("no {wanted:?} in: {told}")
        })?;
    }
    Ok(())
}

/// A QEMU that is this shell script.
fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("qemu-system-aarch64");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn old_qemu(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    script(directory.path(), "echo QEMU emulator version 7.2.22");
    let command = ["-o", "seen", "--", "./qemu-system-aarch64"];
    let output = observe(paths, directory.path(), &command).output()?;
    expect(&output, 2, &["version 7.2", "need 10.0 or later"])?;
    nothing_is_left(directory.path())
}

fn without_plugins(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    // It knows no option that there is none for.
    let text = "[ $1 = --version ] && echo QEMU emulator version 10.0.2 && exit\nexit 1";
    script(directory.path(), text);
    let command = ["-o", "seen", "--", "./qemu-system-aarch64"];
    let output = observe(paths, directory.path(), &command).output()?;
    expect(&output, 2, &["built without plugins", "--enable-plugins"])?;
    nothing_is_left(directory.path())
}

fn no_el2(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let guest = paths.built("checker")?.display().to_string();
    let machine = [
        "qemu-system-aarch64",
        "-machine",
        "virt,gic-version=3",
        "-cpu",
        "cortex-a57",
        "-m",
        "64M",
        "-nographic",
        "-nic",
        "none",
        "-kernel",
        &guest,
        "-append",
        "workload=never windows=10",
    ];
    let command = [&["-o", "seen", "--"], &machine[..]].concat();
    let output = observe(paths, directory.path(), &command).output()?;
    expect(
        &output,
        1,
        &["no guest was ever entered", "virtualization=on"],
    )?;
    nothing_is_left(directory.path())
}

/// Nothing but a fake QEMU.
fn nothing_is_left(directory: &Path) -> Outcomes {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        check(name == "qemu-system-aarch64", || {
            format!("{name:?} is left")
        })?;
    }
    Ok(())
}

/// Observes two Linux VMs until some windows were written; the directory is the command's for temporary files.
fn running(paths: &Paths, directory: &Path) -> Result<Child, libtest_mimic::Failed> {
    let child = observe(paths, directory, &["trapcast", "-o", "seen"]).spawn()?;
    let limit = Instant::now() + LIMIT;
    while !has_windows(directory) {
        check(Instant::now() < limit, || "nothing is seen".to_string())?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

fn has_windows(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).unwrap();
    let mut files = entries.map(|entry| entry.unwrap().path().join("windows"));
    files.any(|file| fs::metadata(file).is_ok_and(|file| file.len() > 1 << 16))
}

/// The QEMU that a command runs.
fn qemu_of(command: &Child) -> Option<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", command.id())).ok()?;
    let mut children = tasks.flat_map(|task| {
        let children = fs::read_to_string(task.unwrap().path().join("children"));
        let children = children.unwrap_or_default();
        let numbers = children.split_whitespace().map(str::parse);
        numbers.collect::<Vec<Result<i32, _>>>()
    });
    Pid::from_raw(children.next()?.ok()?)
}

fn killed(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let child = running(paths, directory.path())?;
    kill_process(qemu_of(&child).expect("it runs QEMU"), Signal::KILL)?;
    let output = child.wait_with_output()?;
    expect(&output, 1, &["seen: ", "signal: 9"])?;
    keeps(paths, directory.path())
}

fn stopped(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let child = running(paths, directory.path())?;
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let output = child.wait_with_output()?;
    expect(&output, 130, &["seen: "])?;
    keeps(paths, directory.path())
}

/// The record is there, whole, and nothing else is.
fn keeps(paths: &Paths, directory: &Path) -> Outcomes {
    let names: Vec<_> = fs::read_dir(directory)?
        .map(|entry| entry.unwrap().file_name())
        .collect();
    check(names == ["seen"], || format!("{names:?} are left"))?;
    let inspected = Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(paths.target())
        .arg("inspect")
        .arg(directory.join("seen"))
        .output()?;
    let told = String::from_utf8_lossy(&inspected.stdout);
    check(
        inspected.status.success() && told.contains("recorded by an observer"),
        || format!("{told}{}", String::from_utf8_lossy(&inspected.stderr)),
    )
}
