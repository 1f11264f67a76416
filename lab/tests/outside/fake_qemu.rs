//! `trapcast` with a hypervisor that is none, and with a QEMU that is a shell script.

#![allow(dead_code, reason = "not every group of tests needs all of it")]

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};

/// A directory with a built hypervisor that is none, so that commands get as far as their input.
pub fn target() -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let release = target
        .path()
        .join("el2/aarch64-unknown-none-softfloat/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::write(release.join("trapcast-el2"), b"no hypervisor").unwrap();
    target
}

pub fn trapcast(target: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(target)
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must be refused with exit status 2, and returns its sentence.
pub fn refused(arguments: &[&str]) -> String {
    let target = target();
    let output = trapcast(target.path(), arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "",
        "{arguments:?}"
    );
    told
}

/// An arm64 Image that consists of its header and zeroes.
pub fn image(directory: &Path, length: usize) -> String {
    let mut bytes = vec![0; length];
    bytes[16..24].copy_from_slice(&(1u64 << 20).to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    let path = directory.join("Image");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

/// `trapcast boot` with a `qemu-system-aarch64` that is this shell script, in this directory.
pub fn with_fake_qemu(directory: &Path, script: &str) -> Command {
    let kernel = image(directory, 4096);
    booting(directory, OsStr::new(&kernel), script)
}

/// The same with this kernel.
pub fn booting(directory: &Path, kernel: &OsStr, script: &str) -> Command {
    let qemu = directory.join("qemu-system-aarch64");
    std::fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&qemu, PermissionsExt::from_mode(0o755)).unwrap();
    let release = directory.join("el2/aarch64-unknown-none-softfloat/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::write(release.join("trapcast-el2"), b"no hypervisor").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .arg("--target")
        .arg(directory)
        .args(["boot", "--kernel"])
        .arg(kernel)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Passes for a QEMU that serves.
pub const VERSION: &str = "[ \"$1\" = --version ] && echo QEMU emulator version 7.2.0 && exit\n";

pub fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// QEMU's arguments for `trapcast boot` with these arguments.
pub fn arguments_of_qemu(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = with_fake_qemu(directory.path(), &format!("{VERSION}echo \"$@\""));
    let output = command.args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}
