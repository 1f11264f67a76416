//! The commands that start guests: how they end, and what they leave.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use trapcast_forecast::Scheme;
use trapcast_machine::{initrd::Task, machine::Cpu, run};
use trapcast_report::{inspect, record::RecordFile, replaying};
use trapcast_results::WindowFigures;
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    runs::{linux_vm, one_core},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add(
        "hang/is_stopped_with_its_last_lines".into(),
        Box::new(hang_is_stopped),
    );
    add(
        "record/from_the_command_line".into(),
        Box::new(record_from_outside),
    );
    add(
        "record/vms_of_the_mix_differ".into(),
        Box::new(vms_of_the_mix),
    );
    add(
        "record/interrupt_leaves_no_file".into(),
        Box::new(record_interrupted),
    );
}

/// A shell that waits for keys never ends by itself.
fn hang_is_stopped(paths: &Paths) -> Outcomes {
    let machine = one_core(Cpu::NeoverseN1, false, vec![linux_vm(paths, Task::Shell)?]);
    let began = Instant::now();
    let error = match run::run(&machine, &paths.hypervisor()?, Duration::from_secs(12)) {
        Ok(outcome) => return Err(format!("it ended\n{}", outcome.console).into()),
        Err(error) => error.to_string(),
    };
    check(began.elapsed() < Duration::from_secs(20), || {
        "it was not stopped in time".to_string()
    })?;
    check(
        error.contains("did not end within 12 s") && error.contains("A busybox shell."),
        || error,
    )
}

/// `trapcast record` of these arguments, which writes into a directory.
fn recorder(paths: &Paths, arguments: &[&str], output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .arg("--target")
        .arg(paths.target())
        .arg("record")
        .args(arguments)
        .arg("-o")
        .arg(output)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What was recorded can be inspected and replayed.
fn record_from_outside(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let output = recorder(paths, &["bursts"], directory.path()).output()?;
    let told = String::from_utf8(output.stderr)?;
    check(output.status.success(), || told)?;
    let file = directory.path().join("bursts.parquet");
    let windows = RecordFile::open(&file)?.windows();
    let expected = format!("{}: {windows} windows, ", file.display());
    let printed = String::from_utf8(output.stdout)?;
    check(windows > 0 && printed.starts_with(&expected), || printed)?;
    let summary = inspect::inspect(&file)?;
    check(summary.metadata.workload == "bursts", || {
        format!("{:?}", summary.metadata)
    })?;
    let schemes = [Scheme::PerEntry];
    let replayed = replaying::replay_file(
        &file,
        replaying::Counted::All,
        &schemes,
        trapcast_profile::built_in(),
    )?;
    check(
        replayed.figures.schemes[0].counts.traps == summary.entry_windows.used,
        || format!("{replayed:?}"),
    )
}

/// What docs/study.md says of the VMs of `linux-mix`: how probable a use is after a use and after none, in percent. The
/// checker makes it look as if a use did not follow a use in all of them.
fn vms_of_the_mix(paths: &Paths) -> Outcomes {
    const SAID: [(f64, f64); 3] = [(90.0, 0.3), (82.0, 3.0), (0.0, 32.0)];
    let directory = tempfile::tempdir()?;
    let output = recorder(paths, &["--full", "linux-mix"], directory.path()).output()?;
    let told = String::from_utf8(output.stderr)?;
    check(output.status.success(), || told)?;
    let summary = inspect::inspect(&directory.path().join("linux-mix.parquet"))?;
    let found = summary.vcpus.iter().map(|vcpu| {
        let WindowFigures {
            use_after_use,
            use_after_none,
            ..
        } = vcpu.entry_windows;
        use_after_use.zip(use_after_none)
    });
    let near = |said: f64, found: f64| (said - 100.0 * found).abs() < 3.0;
    let is_so = found.len() == SAID.len()
        && found.zip(SAID).all(|(found, said)| {
            found.is_some_and(|found| near(said.0, found.0) && near(said.1, found.1))
        });
    check(is_so, || inspect::render(&summary))
}

/// Ctrl-C while a guest runs and its windows come in.
fn record_interrupted(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let output = directory.path();
    let mut recorder = recorder(paths, &["linux-mix"], output).spawn()?;
    let limit = Instant::now() + Duration::from_secs(60);
    while fs::read_dir(output)?.count() == 0 {
        check(Instant::now() < limit, || "no file was begun".to_string())?;
        thread::sleep(Duration::from_millis(20));
    }
    // Time for QEMU to start, and much less than the guests need.
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(&recorder), Signal::INT)?;
    let status = recorder.wait()?;
    check(status.code() == Some(130), || {
        format!("it ended with {status}")
    })?;
    let left: Vec<_> = fs::read_dir(output)?.collect();
    check(left.is_empty(), || format!("{left:?} is left"))
}
