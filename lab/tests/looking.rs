//! The commands that show runs, `timeline` and `top`, from outside: what they write, show and refuse.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use trapcast::top::share::Announced;
use trapcast_machine::memory::MemoryFile;
use trapcast_report::record::{self, Shape};
use trapcast_tool::paths::Paths;
use trapcast_trace::{
    MAILBOX_OFFSET, MAILBOX_SIZE,
    report::{self, Header, State, VCPUS_OFFSET, VcpuReport},
};
use zerocopy::{FromZeros, IntoBytes};

mod outside;

use outside::{command, files, refused, trapcast};

/// Runs a command that must succeed, and returns what it printed and what it said besides.
fn told(directory: &Path, arguments: &[&str]) -> (String, String) {
    let output = trapcast(directory, arguments);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{arguments:?}: {err}");
    (out, err)
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

#[test]
fn the_help_teaches() {
    for (command, wanted) in [
        (
            "timeline",
            ["ui.perfetto.dev", "docs/timeline.md", "--from 120.5"],
        ),
        (
            "top",
            ["q leaves", "--once --json", "trapcast boot --observe"],
        ),
    ] {
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
    let before = files(path);
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
        assert_eq!(files(path), before, "{arguments:?}");
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
    while files(path).len() == 1 && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(files(path), ["a.parquet"]);
}

/// A board's RAM with the mailbox of one VM that has been entered so often.
fn board(state: State, entries: u64) -> MemoryFile {
    let ram = MemoryFile::zeroed(MAILBOX_OFFSET + MAILBOX_SIZE).unwrap();
    let header = Header {
        magic: report::MAGIC,
        version: report::VERSION,
        state: state as u32,
        cores: 1,
        vms: 1,
        vcpus: 1,
        ..Header::new_zeroed()
    };
    ram.write_at(header.as_bytes(), MAILBOX_OFFSET).unwrap();
    count(&ram, entries);
    ram
}

fn count(ram: &MemoryFile, entries: u64) {
    let vcpu = VcpuReport {
        scheme: trapcast_forecast::Scheme::Owner as u32,
        entries,
        ..VcpuReport::new_zeroed()
    };
    ram.write_at(vcpu.as_bytes(), MAILBOX_OFFSET + VCPUS_OFFSET as u64)
        .unwrap();
}

fn announce(directory: &Path, ram: &MemoryFile) -> Announced {
    let paths = Paths::find(Some(directory.to_path_buf())).unwrap();
    Announced::new(&paths, "max", "VMs: 1", ram).unwrap()
}

#[test]
fn top_prints_a_snapshot_of_the_only_hypervisor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(refused(path, &["top"]).contains("no hypervisor runs"));
    let output = trapcast(path, &["top", "--interval", "0"]);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("from 0.1 to 3600"), "{sentence}");

    let ram = board(State::Running, 5);
    let _announced = announce(path, &ram);
    let top = command(path, &["top", "--json", "--interval", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    count(&ram, 105);
    let output = top.wait_with_output().unwrap();
    let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(snapshot["pid"], std::process::id());
    assert_eq!(
        (&snapshot["state"], &snapshot["cpu"]),
        (&"running".into(), &"max".into())
    );
    let vcpu = &snapshot["vcpus"][0];
    assert_eq!(vcpu["counters"]["entries"], 105);
    assert!(
        vcpu["rates"]["entries"].as_f64().unwrap() <= 100.0,
        "{vcpu}"
    );
    assert_eq!(vcpu["hit_share"], Value::Null);

    let pid = std::process::id().to_string();
    let (text, _) = told(path, &["top", &pid, "--interval", "0.1"]);
    assert!(
        text.contains("entries/s") && text.contains("owner"),
        "{text}"
    );
    assert!(refused(path, &["top", "1"]).contains("process 1 runs no hypervisor"));
}

#[test]
fn top_says_why_there_is_nothing_to_see() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let ram = board(State::Running, 5);
    let header = Header {
        magic: report::MAGIC,
        version: report::VERSION + 1,
        ..Header::new_zeroed()
    };
    ram.write_at(header.as_bytes(), MAILBOX_OFFSET).unwrap();
    let _announced = announce(path, &ram);
    let output = trapcast(path, &["top", "--once"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("run make build"), "{told}");
}

/// Runs `trapcast top` on a terminal of its own, types `keys` once it shows its table, and returns what reached
/// the terminal: the screen, the exit status, and the terminal's settings after that.
fn on_a_terminal(directory: &Path, keys: &[u8]) -> String {
    let program = env!("CARGO_BIN_EXE_trapcast");
    let line = format!(
        "stty rows 30 cols 120; {program} --target {} top --interval 0.1; echo status=$?; stty -a",
        directory.display()
    );
    let mut script = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = script.stdout.take().unwrap();
    let mut input = script.stdin.take().unwrap();
    let mut is_typed = keys.is_empty();
    let mut shown = String::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut chunk) {
        shown += &String::from_utf8_lossy(&chunk[..length]);
        // A terminal that is still in its own mode would take Ctrl-C for itself.
        if !is_typed && shown.contains("entries/s") {
            input.write_all(keys).unwrap();
            is_typed = true;
        }
    }
    script.wait().unwrap();
    shown
}

#[test]
fn top_gives_the_terminal_back() {
    let directory = tempfile::tempdir().unwrap();
    let ram = board(State::Running, 5);
    let _announced = announce(directory.path(), &ram);
    for key in [&b"q"[..], b"\x03"] {
        let shown = on_a_terminal(directory.path(), key);
        let (enter, leave) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
        let after = shown
            .split(leave)
            .nth(1)
            .unwrap_or_else(|| panic!("{shown}"));
        assert!(
            shown.contains(enter) && shown.contains("entries/s"),
            "{shown}"
        );
        assert!(after.contains("status=0"), "{shown}");
        assert!(
            after.contains(" icanon") && after.contains(" echo "),
            "{shown}"
        );
    }
}

#[test]
fn top_ends_with_the_hypervisor() {
    let directory = tempfile::tempdir().unwrap();
    let ram = board(State::Done, 5);
    let _announced = announce(directory.path(), &ram);
    let shown = on_a_terminal(directory.path(), b"");
    assert!(
        shown.contains("has ended") && shown.contains("status=0"),
        "{shown}"
    );
}
