//! The command line from outside: what it refuses, what it says, and what it exits with.

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use trapcast_trace::{
    MAILBOX_OFFSET,
    report::{self, Header, State},
};
use zerocopy::IntoBytes;

/// A directory with a built hypervisor that is none, so that commands get as far as their input.
fn target() -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let release = target
        .path()
        .join("el2/aarch64-unknown-none-softfloat/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::write(release.join("trapcast-el2"), b"no hypervisor").unwrap();
    target
}

fn trapcast(target: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(target)
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command that must be refused with exit status 2, and returns its sentence.
fn refused(arguments: &[&str]) -> String {
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
fn image(directory: &Path, length: usize) -> String {
    let mut bytes = vec![0; length];
    bytes[16..24].copy_from_slice(&(1u64 << 20).to_le_bytes());
    bytes[56..60].copy_from_slice(b"ARM\x64");
    let path = directory.join("Image");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn the_help_teaches_with_examples() {
    for (command, example) in [
        ("boot", "trapcast boot --vms 2 --scheme owner"),
        ("study", "trapcast study --quick"),
        ("bench", "trapcast bench --json"),
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
fn a_kernel_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "x".repeat(1000)).unwrap();
    let told = refused(&["boot", "--kernel", text.to_str().unwrap()]);
    assert!(
        told.contains("not an arm64 Image") && told.contains("text"),
        "{told}"
    );

    std::fs::write(&text, "x").unwrap();
    let told = refused(&["boot", "--kernel", text.to_str().unwrap()]);
    assert!(told.contains("truncated"), "{told}");

    let told = refused(&["boot", "--kernel", "/no/such/file"]);
    assert!(told.contains("/no/such/file"), "{told}");
}

#[test]
fn an_initrd_that_is_missing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    let told = refused(&["boot", "--kernel", &kernel, "--initrd", "/no/such/initrd"]);
    assert!(
        told.contains("cannot read initrd /no/such/initrd"),
        "{told}"
    );
}

#[test]
fn what_does_not_fit_into_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    let initrd = directory.path().join("initrd");
    std::fs::write(&initrd, vec![0; 8 << 20]).unwrap();
    let initrd = initrd.to_str().unwrap();
    let told = refused(&[
        "boot", "--kernel", &kernel, "--initrd", initrd, "--memory", "8M",
    ]);
    assert!(told.contains("give a larger --memory"), "{told}");
    let told = refused(&[
        "boot", "--kernel", &kernel, "--memory", "500G", "--vms", "64",
    ]);
    assert!(told.contains("fewer --vms"), "{told}");
    let told = refused(&["boot", "--kernel", &kernel, "--memory", "lots"]);
    assert!(told.contains("is not a size"), "{told}");
}

#[test]
fn what_was_not_built_or_downloaded_is_named_with_its_command() {
    let empty = tempfile::tempdir().unwrap();
    for command in ["boot", "study", "bench"] {
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

/// `trapcast boot` with a `qemu-system-aarch64` that is this shell script, in this directory.
fn with_fake_qemu(directory: &Path, script: &str) -> Command {
    let kernel = image(directory, 4096);
    booting(directory, OsStr::new(&kernel), script)
}

/// The same with this kernel.
fn booting(directory: &Path, kernel: &OsStr, script: &str) -> Command {
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
const VERSION: &str = "[ \"$1\" = --version ] && echo QEMU emulator version 7.2.0 && exit\n";

fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
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

/// QEMU's arguments for `trapcast boot` with these arguments.
fn arguments_of_qemu(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = with_fake_qemu(directory.path(), &format!("{VERSION}echo \"$@\""));
    let output = command.args(arguments).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
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

/// Passes for a QEMU that keeps the kernel that it is given as the file `loaded` beside itself.
fn keeping(directory: &Path) -> String {
    let word = "kernel=\\([^,]*\\),.*";
    format!(
        "{VERSION}for word; do\n\
         path=$(echo \"$word\" | sed -n 's/guest-loader,addr=[^,]*,{word}/\\1/p')\n\
         [ -z \"$path\" ] || cat \"$path\" >{}/loaded\ndone",
        directory.display()
    )
}

#[test]
fn a_kernel_may_have_any_name_and_come_from_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let image = std::fs::read(image(path, 5000)).unwrap();
    let odd = path.join(OsStr::from_bytes(b"a, b=\xff"));
    std::fs::write(&odd, &image).unwrap();
    let fifo = path.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for kernel in [&odd, &fifo] {
        let mut command = booting(path, kernel.as_os_str(), &keeping(path));
        command.args(["--vms", "2"]);
        let trapcast = command.spawn().unwrap();
        if *kernel == fifo {
            std::fs::write(&fifo, &image).unwrap();
        }
        let output = trapcast.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{kernel:?}: {told}");
        let loaded = path.join("loaded");
        assert!(std::fs::read(&loaded).unwrap() == image, "{kernel:?}");
        std::fs::remove_file(loaded).unwrap();
    }
}

/// What fuzzers begin with: one kernel in every form that is unpacked, made by the tools that Linux is built with.
fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/kernel")
}

#[test]
fn a_kernel_may_be_compressed_as_distributions_do_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let plain = std::fs::read(corpus().join("good_plain")).unwrap();
    let mut forms = 0;
    for entry in std::fs::read_dir(corpus()).unwrap() {
        let kernel = entry.unwrap().path();
        if !kernel.file_name().unwrap().as_bytes().starts_with(b"good") {
            continue;
        }
        let (code, told) = ended(booting(path, kernel.as_os_str(), &keeping(path)));
        assert_eq!(code, Some(0), "{kernel:?}: {told}");
        assert!(
            std::fs::read(path.join("loaded")).unwrap() == plain,
            "{kernel:?}"
        );
        forms += 1;
    }
    assert!(forms >= 11, "{forms}");
}

#[test]
fn a_kernel_that_cannot_be_unpacked_is_told_with_the_reason() {
    for (name, wanted) in [
        (
            "bad_cut_gzip",
            "compressed by gzip and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_zstd",
            "compressed by zstd and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_xz",
            "compressed by xz and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_lzma",
            "compressed by lzma and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_cut_lz4",
            "compressed by lz4 and cannot be unpacked, as its end is missing",
        ),
        (
            "bad_dictionary_lzma",
            "its dictionary is larger than any of Linux's",
        ),
        (
            "bad_zboot_cut",
            "an EFI zboot image of which a part is missing",
        ),
        (
            "bad_zboot_lzo",
            "compressed by \"lzo\", which is not unpacked here, but gzip",
        ),
        ("bad_gzip_text", "the kernel is not an arm64 Image"),
    ] {
        let file = corpus().join(name);
        let told = refused(&["boot", "--kernel", file.to_str().unwrap()]);
        assert!(told.contains(wanted), "{name}: {told}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut damaged = std::fs::read(corpus().join("good_gzip")).unwrap();
    damaged[1000] ^= 0x10;
    let file = directory.path().join("damaged");
    std::fs::write(&file, damaged).unwrap();
    let told = refused(&["boot", "--kernel", file.to_str().unwrap()]);
    assert!(told.contains("as it is damaged ("), "{told}");
}

/// Four gibibytes of zeroes, in 128 KiB: a machine that has not that much must not try to unpack them.
#[test]
fn a_kernel_that_unpacks_to_more_than_any_is_refused_in_bounded_memory() {
    // A frame of RFC 8878: its magic, no size, checksum or dictionary, a window of 128 KiB; then blocks of one
    // repeated byte.
    let mut bomb = b"\x28\xb5\x2f\xfd\x00\x38".to_vec();
    const BLOCKS: u32 = 1 << 15;
    for block in 1..=BLOCKS {
        let header = u32::from(block == BLOCKS) | 1 << 1 | (128 << 10) << 3;
        bomb.extend_from_slice(&header.to_le_bytes()[..3]);
        bomb.push(0);
    }
    let directory = target();
    let file = directory.path().join("bomb");
    std::fs::write(&file, bomb).unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -v 2500000; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(directory.path())
        .args(["boot", "--kernel"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("compressed by zstd and unpacks to more than 512 MiB"),
        "{told}"
    );
}

#[test]
fn what_is_read_whole_is_read_up_to_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = image(directory.path(), 4096);
    for (arguments, wanted) in [
        (
            &["boot", "--kernel", "/dev/zero"][..],
            "cannot read kernel /dev/zero: it is longer than 512 MiB",
        ),
        (
            &["boot", "--kernel", &kernel, "--initrd", "/dev/zero"],
            "cannot read initrd /dev/zero: it is longer than 256 MiB",
        ),
        (
            &["replay", "--profile", "/dev/zero", "x"],
            "cannot read the profile /dev/zero: it is longer than 1 MiB",
        ),
        (&["inspect", "/dev/zero"], "/dev/zero is no regular file"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(wanted), "{told}");
    }
}

#[test]
fn what_the_hypervisor_or_linux_would_not_take_is_refused_before() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let refused = |arguments: &[&str]| {
        // With a QEMU that serves, lest one that runs keep the test waiting.
        let mut boot = with_fake_qemu(directory.path(), VERSION);
        boot.args(arguments);
        let (code, told) = ended(boot);
        assert_eq!(code, Some(2), "{arguments:?}: {told}");
        told
    };
    let told = refused(&["--initrd", empty.to_str().unwrap()]);
    assert!(told.contains("VM 0 has an initrd of no bytes"), "{told}");

    let (long, longest) = ("x".repeat(2048), "x".repeat(2047));
    let told = refused(&["--append", &long]);
    assert!(
        told.contains("2048 bytes, of which Linux takes 2047"),
        "{told}"
    );
    assert!(arguments_of_qemu(&["--append", &longest]).contains(&longest));

    // Flags: bits 2:1, 2 for pages of 16 KiB.
    let kernel = image(directory.path(), 4096);
    let mut bytes = std::fs::read(&kernel).unwrap();
    bytes[24] = 2 << 1;
    std::fs::write(&kernel, bytes).unwrap();
    let mut boot = booting(directory.path(), OsStr::new(&kernel), VERSION);
    boot.args(["--cpu", "cortex-a57"]);
    let (code, told) = ended(boot);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("pages of 16 KiB, which cortex-a57 does not have: take --cpu neoverse-n1"),
        "{told}"
    );
}

/// `boot` ends as its hypervisor did, as the mailbox in the board's RAM tells.
#[test]
fn boot_ends_as_its_hypervisor_did() {
    for (state, version, code, wanted) in [
        (State::Done as u32, report::VERSION, 0, ""),
        // The user has left.
        (State::Running as u32, report::VERSION, 0, ""),
        (
            State::Refused as u32,
            report::VERSION,
            2,
            "the hypervisor refused to start; the last line above says why",
        ),
        (
            State::Failed as u32,
            report::VERSION,
            1,
            "the hypervisor failed; the last lines above say where",
        ),
        (State::Done as u32, report::VERSION + 1, 2, "run make build"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let header = Header {
            magic: report::MAGIC,
            version,
            state,
            cores: 1,
            vms: 1,
            vcpus: 1,
            vhe: 1,
            counter_frequency: 62_500_000,
            started: 1,
            finished: 2,
        };
        let file = directory.path().join("header");
        std::fs::write(&file, header.as_bytes()).unwrap();
        let script = format!(
            "{VERSION}ram=$(echo \"$@\" | sed 's/.*mem-path=\\([^,]*\\),.*/\\1/')\n\
             dd if={} of=$ram bs=4096 seek={} conv=notrunc status=none",
            file.display(),
            MAILBOX_OFFSET / 4096
        );
        let (ended, told) = ended(with_fake_qemu(directory.path(), &script));
        assert_eq!(ended, Some(code), "{told}");
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
    // A process that nobody has waited for yet may still be listed: what it runs is gone.
    let command_line = format!("/proc/{}/cmdline", qemu.trim());
    eventually("QEMU's end", || {
        let text = std::fs::read(&command_line).unwrap_or_default();
        text.is_empty().then_some(())
    });
}

#[test]
fn an_image_to_check_must_be_one() {
    let told = refused(&["check-image", env!("CARGO_BIN_EXE_trapcast")]);
    assert!(told.contains("AArch64"), "{told}");
    assert!(refused(&["check-image", "/no/such/file"]).contains("/no/such/file"));
}
