//! The command line from outside: what it refuses, what it says, and what it exits with.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use trapcast_trace::{
    MAILBOX_OFFSET,
    report::{self, Ending, Header, State, VMS_OFFSET},
};
use zerocopy::IntoBytes;

#[path = "outside/fake_qemu.rs"]
mod fake_qemu;

use fake_qemu::{VERSION, arguments_of_qemu, ended, refused, trapcast, with_fake_qemu};

#[test]
fn the_help_teaches_with_examples() {
    for (command, example) in [
        ("boot", "trapcast boot --vms 2 --scheme owner"),
        ("study", "trapcast study --full"),
    ] {
        let output = trapcast(Path::new("/"), &[command, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && help.contains(example), "{help}");
    }
}

#[test]
fn guests_are_listed() {
    let output = trapcast(Path::new("/"), &["guests", "--json"]);
    let guests: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = guests
        .as_array()
        .unwrap()
        .iter()
        .map(|guest| &guest["name"])
        .collect();
    assert!(names.iter().any(|name| *name == "linux-mix"), "{names:?}");
}

#[test]
fn an_unknown_scheme_is_answered_with_the_known_ones() {
    for command in ["boot", "study"] {
        let told = refused(&[command, "--scheme", "lazy"]);
        assert!(
            told.contains("lazy") && told.contains("until-put"),
            "{told}"
        );
    }
}

#[test]
fn an_unknown_workload_is_answered_with_the_known_ones() {
    let told = refused(&["study", "--workload", "windows"]);
    assert!(
        told.contains("windows") && told.contains("linux-mix"),
        "{told}"
    );
}

#[test]
fn an_unknown_core_and_vhe_without_it_are_refused() {
    assert!(refused(&["boot", "--cpu", "i486"]).contains("neoverse-n1"));
    let told = refused(&["study", "--cpu", "cortex-a57", "--vhe", "on"]);
    assert!(told.contains("has no VHE"), "{told}");
}

#[test]
fn what_was_not_built_or_downloaded_is_named_with_its_command() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["boot", "study"] {
        let output = trapcast(empty.path(), &[command]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("trapcast-el2: run make build"), "{told}");
    }
    assert!(refused(&["boot"]).contains("guest/Image: run scripts/guest.sh"));
}

#[test]
fn doctor_names_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let output = trapcast(empty.path(), &["doctor"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for command in ["scripts/setup.sh", "scripts/guest.sh", "make build"] {
        assert!(told.contains(&format!("to do: {command}")), "{told}");
    }
}

#[test]
fn no_qemu_or_one_that_is_too_old_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let script = "echo QEMU emulator version 5.2.0";
    let (code, told) = ended(with_fake_qemu(directory.path(), script));
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("version 5.2, which is too old"), "{told}");

    let mut command = with_fake_qemu(directory.path(), script);
    command.env("PATH", "/var/empty");
    let (code, told) = ended(command);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("apt-get install qemu-system-arm"), "{told}");
}

#[test]
fn every_vm_gets_the_registers_that_are_asked_for() {
    for (arguments, cpu, settings) in [
        (&[][..], "neoverse-n1", [""; 2]),
        (&["--fp", "on"], "neoverse-n1", [""; 2]),
        (
            &["--fp", "off"],
            "neoverse-n1",
            ["vm0.fp=off", "vm1.fp=off"],
        ),
        (&["--sve", "256"], "max,", ["vm0.sve=256", "vm1.sve=256"]),
    ] {
        let told = arguments_of_qemu(&[&["--vms", "2"], arguments].concat());
        assert!(
            told.contains(&format!("-cpu {cpu}")),
            "{arguments:?}: {told}"
        );
        let said = |setting| told.split(' ').any(|word| word == setting);
        if settings[0].is_empty() {
            assert!(!told.contains(".fp=") && !told.contains(".sve="), "{told}");
        } else {
            assert!(settings.into_iter().all(said), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn a_qemu_that_dies_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (code, told) = ended(with_fake_qemu(
        directory.path(),
        &format!("{VERSION}exit 3"),
    ));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("QEMU failed (exit status: 3)"), "{told}");
}

/// `boot` ends as its hypervisor did, as the mailbox in the board's RAM tells.
#[test]
fn boot_ends_as_its_hypervisor_did() {
    let off = Ending::PoweredOff as u32;
    let (halted, stopped) = (Ending::CpusOff as u32, Ending::Stopped as u32);
    for (state, version, endings, code, wanted) in [
        (State::Done, report::VERSION, [off, off, off], 0, ""),
        // The user has left.
        (State::Running, report::VERSION, [0, off, 0], 0, ""),
        (
            State::Refused,
            report::VERSION,
            [0; 3],
            2,
            "the hypervisor refused to start; the last line above says why",
        ),
        (
            State::Failed,
            report::VERSION,
            [off, halted, 0],
            1,
            "the hypervisor failed; the last lines above say where",
        ),
        (
            State::Done,
            report::VERSION + 1,
            [off; 3],
            2,
            "run make build",
        ),
        (
            State::Done,
            report::VERSION,
            [stopped, halted, stopped],
            1,
            "the hypervisor stopped vm0, vm2; a line above says why",
        ),
        (
            State::Running,
            report::VERSION,
            [off, stopped, 0],
            1,
            "the hypervisor stopped vm1;",
        ),
        (
            State::Done,
            report::VERSION,
            [off, halted, off],
            3,
            "vm1: all CPUs have turned themselves off",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let header = Header {
            magic: report::MAGIC,
            version,
            state: state as u32,
            cores: 1,
            vms: 3,
            vcpus: 3,
            vhe: 1,
            counter_frequency: 62_500_000,
            started: 1,
            finished: 2,
        };
        let file = directory.path().join("header");
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(VMS_OFFSET, 0);
        bytes.extend(endings.map(u32::to_le_bytes).as_flattened());
        std::fs::write(&file, bytes).unwrap();
        let script = format!(
            "{VERSION}ram=$(echo \"$@\" | sed 's/.*mem-path=\\([^,]*\\),.*/\\1/')\n\
             dd if={} of=$ram bs=4096 seek={} conv=notrunc status=none",
            file.display(),
            MAILBOX_OFFSET / 4096
        );
        let (status, told) = ended(with_fake_qemu(directory.path(), &script));
        assert_eq!(status, Some(code), "{told}");
        assert!(
            told.contains(wanted) && told.is_empty() == wanted.is_empty(),
            "{told}"
        );
    }
}

/// Waits until a condition holds; the test fails if it never does.
fn eventually<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        match condition() {
            Some(value) => return value,
            None if Instant::now() > limit => panic!("{what} did not come about in 20 s"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn a_signal_stops_qemu_even_one_that_does_not_listen() {
    for (signal, listens, code) in [
        (Signal::INT, true, 130),
        (Signal::TERM, true, 143),
        (Signal::HUP, true, 129),
        (Signal::INT, false, 130),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let ignore = if listens { "" } else { "trap '' TERM INT\n" };
        let script = format!(
            "{VERSION}{ignore}echo $$ >{0}.new; mv {0}.new {0}\nexec sleep 1000",
            file.display()
        );
        let mut trapcast = with_signals(&with_fake_qemu(directory.path(), &script), "default")
            .spawn()
            .unwrap();
        let qemu = eventually("QEMU's start", || std::fs::read_to_string(&file).ok());
        kill_process(Pid::from_child(&trapcast), signal).unwrap();
        assert_eq!(trapcast.wait().unwrap().code(), Some(code), "{signal:?}");
        let process = format!("/proc/{}", qemu.trim());
        assert!(!Path::new(&process).exists(), "QEMU still runs");
    }
}

/// The same command with SIGHUP at its default, or ignored, however the tests were started.
fn with_signals(command: &Command, how: &str) -> Command {
    let mut env = Command::new("/usr/bin/env");
    env.arg(format!("--{how}-signal=HUP"))
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    env
}

#[test]
fn under_nohup_a_closed_terminal_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!(
        "{VERSION}echo $$ >{0}.new; mv {0}.new {0}\nexec sleep 1000",
        file.display()
    );
    let mut trapcast = with_signals(&with_fake_qemu(directory.path(), &script), "ignore")
        .spawn()
        .unwrap();
    eventually("QEMU's start", || std::fs::read_to_string(&file).ok());
    kill_process(Pid::from_child(&trapcast), Signal::HUP).unwrap();
    // Several times as long as it takes to look for a signal.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(trapcast.try_wait().unwrap(), None);
    kill_process(Pid::from_child(&trapcast), Signal::TERM).unwrap();
    assert_eq!(trapcast.wait().unwrap().code(), Some(143));
}

#[test]
fn a_killed_trapcast_leaves_no_qemu() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script = format!(
        "{VERSION}echo $$ >{0}.new; mv {0}.new {0}\nexec sleep 1000",
        file.display()
    );
    let mut trapcast = with_fake_qemu(directory.path(), &script).spawn().unwrap();
    let qemu = eventually("QEMU's start", || std::fs::read_to_string(&file).ok());
    trapcast.kill().unwrap();
    trapcast.wait().unwrap();
    // A process that has not been waited for yet may still be listed: its command line is gone.
    let command_line = format!("/proc/{}/cmdline", qemu.trim());
    eventually("QEMU's end", || {
        let text = std::fs::read(&command_line).unwrap_or_default();
        text.is_empty().then_some(())
    });
}
