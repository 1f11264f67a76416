//! The files that commands write: links are followed, and devices and FIFOs stay what they are.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::{FileTypeExt, symlink},
    path::Path,
    process::Stdio,
    thread,
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::Value;
use trapcast_report::record::{Shape, generate};

mod outside;

use outside::{command, files, refused, trapcast};

/// A record of this many windows.
fn record(path: &Path, windows: u64) {
    let shape = Shape {
        windows,
        vcpus: 2,
        seed: 1,
        replay_only: false,
    };
    generate(path, shape).unwrap();
}

/// Makes a device, or returns false where this user must not make or open one.
fn device(path: &Path, minor: u32) -> bool {
    let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o666));
    mknodat(CWD, path, kind, mode, makedev(1, minor)).is_ok() && File::open(path).is_ok()
}

/// The command that writes the file `name`, given the record `in.parquet`.
fn writer(name: &str) -> [&str; 4] {
    ["timeline", "in.parquet", "-o", name]
}

#[test]
fn devices_stay_devices() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    record(&path.join("in.parquet"), 3000);
    let [null, full] = ["null", "full"].map(|name| path.join(name));
    if !device(&null, 3) || !device(&full, 7) {
        eprintln!("left out: this user cannot make devices here");
        return;
    }
    symlink(&null, path.join("link")).unwrap();
    for name in ["null", "link"] {
        let output = trapcast(path, &writer(name));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {told}");
    }
    let told = refused(path, &writer("full"));
    assert!(
        told.starts_with("cannot write full: No space left on device"),
        "{told}"
    );
    for device in [&null, &full] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device());
    }
    assert!(path.join("link").is_symlink());
    assert_eq!(files(path), ["full", "in.parquet", "link", "null"]);
}

#[test]
fn a_fifo_brings_its_reader_all_that_a_file_would_hold() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    record(&path.join("in.parquet"), 3000);
    mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    // The command is first, and has to wait for a reader.
    let mut waiting = command(path, &writer("fifo"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let fifo = path.join("fifo");
    let reader = thread::spawn(move || {
        let mut content = Vec::new();
        File::open(fifo).unwrap().read_to_end(&mut content).unwrap();
        content
    });
    let status = waiting.wait().unwrap();
    // Lets a reader without a writer continue.
    drop(
        File::options()
            .read(true)
            .write(true)
            .open(path.join("fifo")),
    );
    assert!(status.success());
    assert!(trapcast(path, &writer("file")).status.success());
    let content = reader.join().unwrap();
    assert!(content == fs::read(path.join("file")).unwrap());
    let kind = fs::metadata(path.join("fifo")).unwrap().file_type();
    assert!(kind.is_fifo());
}

#[test]
fn links_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    record(&path.join("in.parquet"), 3000);
    fs::create_dir(path.join("elsewhere")).unwrap();
    fs::write(path.join("elsewhere/old"), "old").unwrap();
    symlink("elsewhere/old", path.join("to_old")).unwrap();
    symlink("elsewhere/new", path.join("to_new")).unwrap();
    symlink("to_new", path.join("twice")).unwrap();
    symlink("circle", path.join("circle")).unwrap();
    for (link, target) in [
        ("to_old", "elsewhere/old"),
        ("to_new", "elsewhere/new"),
        ("twice", "elsewhere/new"),
    ] {
        for name in [link, "file"] {
            assert!(trapcast(path, &writer(name)).status.success());
        }
        assert!(path.join(link).is_symlink(), "{link}");
        let [target, file] = [target, "file"].map(|name| fs::read(path.join(name)).unwrap());
        assert!(target == file, "{link}");
    }
    let told = refused(path, &writer("circle"));
    assert!(told.contains("symbolic links"), "{told}");
    let left = [
        "circle",
        "elsewhere",
        "file",
        "in.parquet",
        "to_new",
        "to_old",
        "twice",
    ];
    assert_eq!(files(path), left);
    assert_eq!(files(&path.join("elsewhere")), ["new", "old"]);
}

/// Its own standard output is written at its offset, unlike a file that was opened anew.
#[test]
fn standard_output_is_a_place_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    record(&path.join("in.parquet"), 3000);
    let arguments = ["timeline", "in.parquet", "-o", "/dev/stdout"];
    let piped = trapcast(path, &arguments);
    let told = String::from_utf8(piped.stderr).unwrap();
    assert!(piped.status.success(), "{told}");
    let mut redirected = command(path, &arguments);
    redirected.stdout(File::create(path.join("out")).unwrap());
    assert!(redirected.status().unwrap().success());
    let file = fs::read(path.join("out")).unwrap();
    assert!(file == piped.stdout);
    let text = String::from_utf8(file).unwrap();
    let (trace, said) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(serde_json::from_str::<Value>(trace).is_ok());
    assert!(said.starts_with("/dev/stdout: "), "{said}");
}

/// Every command that writes looks at the place first, and says the same of one that it cannot have.
#[test]
fn a_place_that_cannot_be_had_is_told_at_once_by_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    record(&path.join("in.parquet"), 3000);
    let release = path.join("el2/aarch64-unknown-none-softfloat/release");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("trapcast-el2"), "no hypervisor").unwrap();
    // With something behind it, this is no directory, whoever looks.
    fs::write(path.join("file"), "text").unwrap();
    fs::create_dir_all(path.join("taken/results.json")).unwrap();
    fs::create_dir_all(path.join("taken/report.html")).unwrap();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/study/results.json");
    fs::create_dir(path.join("study")).unwrap();
    fs::copy(kept, path.join("study/results.json")).unwrap();
    for (arguments, wanted) in [
        (
            &["timeline", "in.parquet", "-o", "file/x"][..],
            "file/x: Not a directory",
        ),
        (
            &["report", "study", "-o", "file/x"],
            "file/x/report.html: Not a directory",
        ),
        (
            &["report", "study", "-o", "taken"],
            "taken/report.html: it is a directory",
        ),
        (&["record", "-o", "file/x"], "file/x: Not a directory"),
        (
            &["study", "-o", "file/x"],
            "file/x/results.json: Not a directory",
        ),
        (
            &["study", "-o", "taken"],
            "taken/results.json: it is a directory",
        ),
    ] {
        let told = refused(path, arguments);
        let wanted = format!("cannot write {wanted}");
        assert!(told.starts_with(&wanted), "{arguments:?}: {told}");
        // The name of a temporary file tells a user nothing.
        assert!(!told.contains(".tmp"), "{arguments:?}: {told}");
    }
}
