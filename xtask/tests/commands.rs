//! The developers' command line from outside: what it refuses, what it says, and what it exits with.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::CommandFactory;
use rustix::process::{Pid, Signal, kill_process};
use trapcast_results::{FORMAT, Integrity, Scale, Timing, Versions};
use xtask::cli::Cli;

#[path = "../../lab/tests/outside/mod.rs"]
mod outside;

use outside::{blame_their_input, command, files, refused, trapcast};

/// What a command that must do its work prints.
fn text(directory: &Path, arguments: &[&str]) -> String {
    let output = trapcast(directory, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_teaches() {
    for (command, wanted) in [
        ("agreement", ["[RESULTS]", "target/study/results.json"]),
        ("bench", ["cargo xtask bench --json", "target/bench"]),
        ("generate", ["--windows", "the same seed makes the same"]),
        (
            "judge",
            ["cargo xtask judge new/*.parquet", "docs/forecast.md"],
        ),
        ("hypervisors", ["make hypervisors", "--workload openssl"]),
        ("torture", ["--part fp --scheme owner", "target/torture"]),
    ] {
        let help = text(Path::new("/"), &[command, "--help"]);
        for wanted in wanted {
            assert!(help.contains(wanted), "{command}: {wanted}: {help}");
        }
    }
}

/// Every command exits with 2 where its input, or what it needs, is not there.
#[test]
fn every_command_blames_its_input_alike() {
    let lines = [
        "document missing",
        "document text",
        "document --check",
        "judge missing",
        "judge text",
        "agreement missing",
        "agreement text",
        "generate text/under",
        "generate .",
        "bench",
        "hypervisors --workload weather --output x",
        "hypervisors --workload pair --output x",
        "torture",
        "check-image missing",
        "check-image text",
    ];
    blame_their_input(&Cli::command(), &lines);
}

#[test]
fn where_results_cannot_go_is_told_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let release = path.join("el2/aarch64-unknown-none-softfloat/release");
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("trapcast-el2"), "no hypervisor").unwrap();
    fs::write(path.join("file"), "text").unwrap();
    fs::create_dir_all(path.join("taken/results.json")).unwrap();
    for command in ["bench", "torture"] {
        for (output, wanted) in [
            ("file/x", "file/x/results.json: Not a directory"),
            ("taken", "taken/results.json: it is a directory"),
        ] {
            let told = refused(path, &[command, "-o", output]);
            assert!(
                told.starts_with(&format!("cannot write {wanted}")),
                "{told}"
            );
        }
    }
}

#[test]
fn an_image_to_check_must_be_one() {
    let told = refused(
        Path::new("/"),
        &["check-image", env!("CARGO_BIN_EXE_xtask")],
    );
    assert!(told.contains("AArch64"), "{told}");
    assert!(refused(Path::new("/"), &["check-image", "/no/such/file"]).contains("/no/such/file"));
}

#[test]
fn the_same_seed_makes_the_same_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shape = ["--windows", "5000", "--vcpus", "2", "--seed", "9"];
    for name in ["one.parquet", "deep/two.parquet"] {
        let told = text(path, &[&["generate", name], &shape[..]].concat());
        assert!(told.contains("5000 windows"), "{told}");
    }
    let bytes = |name| fs::read(path.join(name)).unwrap();
    assert!(bytes("one.parquet") == bytes("deep/two.parquet"));
}

#[test]
fn a_file_that_cannot_be_written_is_refused_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("file"), "kept").unwrap();
    fs::create_dir(path.join("directory")).unwrap();
    for output in ["file/a.parquet", "directory", "/proc/a.parquet"] {
        let told = refused(path, &["generate", output]);
        assert!(
            told.starts_with(&format!("cannot write {output}: ")),
            "{told}"
        );
    }
    assert_eq!(files(path), ["directory", "file"]);
    assert_eq!(files(&path.join("directory")), [""; 0]);
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
}

/// Waits for a command that works in this directory to have begun to write there.
fn begun(mut child: Child, directory: &Path) -> Child {
    let limit = Instant::now() + Duration::from_secs(20);
    while files(directory).is_empty() {
        assert!(Instant::now() < limit && child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn signals_stop_a_command_with_a_status_of_their_own_and_nothing_left() {
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let endless = command(path, &["generate", "--windows", "100000000000", "long"]);
        // Whatever the tests were started with, the signal is not ignored.
        let mut env = Command::new("/usr/bin/env");
        env.arg("--default-signal=HUP")
            .arg(endless.get_program())
            .args(endless.get_args());
        env.current_dir(path).stderr(Stdio::null());
        let mut child = begun(env.spawn().unwrap(), path);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal:?}");
        assert_eq!(files(path), [""; 0]);
    }
}

/// A record is written by seeking, which no FIFO can do.
#[test]
fn a_fifo_gets_the_record_that_a_file_gets() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let generate = |name| command(path, &["generate", "--windows", "5000", name]);
    let fifo = path.join("fifo");
    let reader = thread::spawn(move || fs::read(fifo).unwrap());
    assert!(
        generate("fifo")
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert!(
        generate("file")
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert!(reader.join().unwrap() == fs::read(path.join("file")).unwrap());
}

#[test]
fn an_agreement_is_shown_from_results_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let moved = |traps: u64| serde_json::json!({"traps": traps, "probes": 0, "loads": 10, "saves": 9, "wasted_loads": 0});
    let row = serde_json::json!({"workload": "pair", "scheme": "owner", "agreement": {
        "live": moved(200), "recorded": moved(201), "own": moved(201),
        "reference": "owner", "replayed": moved(201),
    }, "integrity": Integrity::default()});
    let results = serde_json::json!({
        "format": FORMAT, "versions": Versions::default(), "cpu": "max", "vhe": true,
        "scale": Scale::QUICK, "results": [row], "replays": [], "failures": [], "timing": Timing::default(),
    })
    .to_string();
    fs::write(path.join("results.json"), &results).unwrap();
    let shown = text(path, &["agreement", "results.json"]);
    assert!(shown.contains("exact") && shown.contains("0.50"), "{shown}");

    fs::write(path.join("cut.json"), &results[..results.len() - 5]).unwrap();
    fs::write(path.join("other.json"), "{}").unwrap();
    for (name, wanted) in [
        ("cut.json", "no results of this version's study"),
        ("other.json", "no results of this version's study"),
        ("none.json", "cannot read results none.json: No such file"),
        (".", "cannot read results .: Is a directory"),
    ] {
        let told = refused(path, &["agreement", name]);
        assert!(
            told.contains(wanted) && told.contains("run trapcast study"),
            "{told}"
        );
    }
    let told = refused(path, &["agreement"]);
    assert!(told.contains("study/results.json") && told.contains("run trapcast study"));
}
