//! The command that shows runs, `timeline`, from outside: what it writes and refuses.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use trapcast::record::{self, Shape};

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .current_dir(directory)
        .arg("--target")
        .arg(directory)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn trapcast(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

/// Runs a command that must succeed, and returns what it printed and what it said besides.
fn told(directory: &Path, arguments: &[&str]) -> (String, String) {
    let output = trapcast(directory, arguments);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{arguments:?}: {err}");
    (out, err)
}

/// Runs a command that must be refused with one sentence and exit status 2, and returns it.
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = trapcast(directory, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    let sentence = told.strip_prefix("trapcast: error: ").unwrap_or(&told);
    assert_eq!(sentence.lines().count(), 1, "{arguments:?}: {told}");
    sentence.trim_end().to_string()
}

fn generate(directory: &Path, name: &str, windows: u64, replay_only: bool) {
    let shape = Shape {
        windows,
        vcpus: 2,
        seed: 3,
        replay_only,
    };
    record::generate(&directory.join(name), shape).unwrap();
}

fn trace(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

#[test]
fn the_help_teaches() {
    for (command, wanted) in [(
        "timeline",
        ["ui.perfetto.dev", "docs/timeline.md", "--from 120.5"],
    )] {
        let (help, _) = told(Path::new("/"), &[command, "--help"]);
        for wanted in wanted {
            assert!(help.contains(wanted), "{command}: {wanted}: {help}");
        }
    }
}

#[test]
fn a_trace_has_the_switches_that_a_replay_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    generate(path, "a.parquet", 4000, false);
    let (replay, _) = told(path, &["replay", "a.parquet", "--json"]);
    let replay: Value = serde_json::from_str(&replay).unwrap();
    for (arguments, file, scheme) in [
        (vec![], "a.trace.json", "owner"),
        (
            vec!["--scheme", "credit", "-o", "deep/c.json"],
            "deep/c.json",
            "credit",
        ),
    ] {
        let (out, err) = told(path, &[&["timeline", "a.parquet"], &arguments[..]].concat());
        assert!(out.contains(&format!("{file}: 4000 windows")), "{out}");
        assert_eq!(err, "");
        let trace = trace(&path.join(file));
        let events = trace["traceEvents"].as_array().unwrap();
        let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
        let rows = replay[0]["schemes"].as_array().unwrap();
        let row = rows.iter().find(|row| row["scheme"] == scheme).unwrap();
        assert!(count("trap") > 0);
        assert_eq!(row["counts"]["traps"], count("trap"));
        assert_eq!(row["counts"]["eager_loads"], count("load at entry"));
        assert_eq!(row["loads"], count("load at entry") + count("load in trap"));
    }
    // Twice the same, to the last byte.
    let before = fs::read(path.join("a.trace.json")).unwrap();
    told(path, &["timeline", "a.parquet"]);
    assert!(before == fs::read(path.join("a.trace.json")).unwrap());
}

#[test]
fn a_long_record_is_cut_and_says_how_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    generate(path, "a.parquet", 100_010, false);
    let (out, err) = told(path, &["timeline", "a.parquet", "-o", "first.json"]);
    assert!(out.contains("100000 windows"), "{out}");
    let next = err
        .split("--from ")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let next = next.unwrap_or_else(|| panic!("{err}"));
    let (out, err) = told(
        path,
        &["timeline", "a.parquet", "-o", "rest.json", "--from", next],
    );
    assert!(out.contains(": 10 windows") && err.is_empty(), "{out}{err}");
    let (out, err) = told(path, &["timeline", "a.parquet", "--windows", "7"]);
    assert!(out.contains(": 7 windows") && err.is_empty(), "{out}{err}");
}

#[test]
fn what_cannot_be_shown_is_refused_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    generate(path, "a.parquet", 100, false);
    generate(path, "replays.parquet", 100, true);
    fs::write(path.join("text.parquet"), "text").unwrap();
    let mut damaged = fs::read(path.join("a.parquet")).unwrap();
    damaged[100] ^= 1;
    fs::write(path.join("damaged.parquet"), damaged).unwrap();
    fs::create_dir(path.join("place")).unwrap();
    let before = names(path);
    for (arguments, wanted) in [
        (&["replays.parquet"][..], "made for replays only"),
        (&["text.parquet"], "text.parquet"),
        (&["damaged.parquet"], "checksum"),
        (&["none.parquet"], "none.parquet"),
        (&["a.parquet", "-o", "a.parquet"], "the record itself"),
        (&["a.parquet", "-o", "place"], "is a directory"),
        (
            &["a.parquet", "--from", "3600000"],
            "no window of a.parquet begins in that time",
        ),
        (
            &["a.parquet", "--from", "2", "--to", "1"],
            "--to must be later",
        ),
    ] {
        let sentence = refused(path, &[&["timeline"], arguments].concat());
        assert!(sentence.contains(wanted), "{wanted}: {sentence}");
        assert_eq!(names(path), before, "{arguments:?}");
    }
    let output = trapcast(path, &["timeline", "a.parquet", "--scheme", "lazy"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && told.contains("until-put"),
        "{told}"
    );
}

#[test]
fn an_interrupt_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    generate(path, "a.parquet", 300_000, false);
    let mut child = command(path, &["timeline", "a.parquet", "--all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    // The unfinished file has another name.
    while names(path).len() == 1 && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(path), ["a.parquet"]);
}
