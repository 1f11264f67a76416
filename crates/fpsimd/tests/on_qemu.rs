//! Runs `examples/fpsimd_check` at EL2 of QEMU's `virt` board: on cores with and without VHE, SVE and
//! SME, and at every vector length that QEMU has.
//!
//! Needs QEMU and `target/el2-cargo`, which `make setup` provides. The program is linked here, where
//! QEMU loads it.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(300);

/// Checks that every core has, that one with SVE has, and that one with SME has.
const CHECKS: [usize; 3] = [4, 10, 9];

/// A core, and what it must be found to have.
struct Core {
    /// QEMU's `-cpu`.
    cpu: &'static str,
    vhe: bool,
    /// Vector lengths: bit n means n + 1 times 128 bits.
    sve: u16,
    /// The same in streaming mode.
    streaming: u16,
    fa64: bool,
}

macro_rules! cores {
    ($($name:ident: $core:expr;)+) => {
        $(
            #[test]
            fn $name() {
                check(&$core);
            }
        )+
    };
}

/// Powers of two, which is what streaming mode has.
const POWERS: u16 = 0x808b;

const MAX: Core = Core {
    cpu: "max",
    vhe: true,
    sve: 0xffff,
    streaming: POWERS,
    fa64: true,
};

cores! {
    cortex_a57: Core { cpu: "cortex-a57", vhe: false, sve: 0, streaming: 0, fa64: false };
    neoverse_n1: Core { cpu: "neoverse-n1", sve: 0, streaming: 0, fa64: false, ..MAX };
    a64fx: Core { cpu: "a64fx", sve: 0x000b, streaming: 0, fa64: false, ..MAX };
    max: MAX;
    powers_of_two: Core {
        cpu: "max,sve128=on,sve256=on,sve512=on,sve1024=on,sve2048=on,sme_fa64=off",
        sve: POWERS,
        fa64: false,
        ..MAX
    };
    sve_without_sme: Core { cpu: "max,sme=off", streaming: 0, fa64: false, ..MAX };
    streaming_length_above_the_other: Core { cpu: "max,sve-max-vq=1", sve: 1, ..MAX };
    no_short_streaming_lengths: Core {
        cpu: "max,sve256=on,sme128=off,sme256=off,sme512=off",
        sve: 0x0003,
        streaming: 0x8080,
        ..MAX
    };
    one_streaming_length_below_the_other: Core { cpu: "max,sve512=on,sme128=on", sve: 0x000b, streaming: 1, ..MAX };
}

/// The program, linked where RAM is.
static IMAGE: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("TRAPCAST_TARGET").map_or_else(|| root.join("target"), PathBuf::from);
    let target = target.canonicalize().unwrap_or(target);
    let el2_cargo = target.join("el2-cargo");
    assert!(
        el2_cargo.exists(),
        "{} is missing: make setup",
        el2_cargo.display()
    );
    let output = Command::new(&el2_cargo)
        .current_dir(&root)
        .args([
            "rustc",
            "--release",
            "--package",
            "trapcast-fpsimd",
            "--example",
            "fpsimd_check",
        ])
        .arg("--target-dir")
        .arg(target.join("el2"))
        .args([
            "--",
            "-Clink-arg=--image-base=0x40200000",
            "-Clink-arg=--entry=check_entry",
        ])
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", el2_cargo.display()));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("el2/aarch64-unknown-none-softfloat/release/examples/fpsimd_check")
});

fn check(core: &Core) {
    let output = run(core.cpu);
    let console = String::from_utf8_lossy(&output.stdout);
    let shown = format!(
        "{}\n{console}\n{}",
        core.cpu,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "QEMU failed: {shown}");

    let found = format!(
        "core: vhe={} sve={:04x} streaming={:04x} fa64={} sme2=0",
        u8::from(core.vhe),
        core.sve,
        core.streaming,
        u8::from(core.fa64)
    );
    let rounds = 1 + usize::from(core.vhe);
    let lines = |start: &str| {
        console
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(
        lines(&found),
        rounds,
        "expected `{found}` once for each E2H: {shown}"
    );

    let has = [true, core.sve != 0, core.streaming != 0];
    let checks: usize = CHECKS
        .iter()
        .zip(has)
        .filter(|(_, has)| *has)
        .map(|(checks, _)| checks)
        .sum();
    let passed = rounds * checks;
    assert_eq!(lines("ok "), passed, "{shown}");
    assert_eq!(
        console.lines().last(),
        Some(format!("fpsimd_check: {passed} ok, 0 failed").as_str()),
        "{shown}"
    );
}

/// Runs the program until it powers the machine off.
fn run(cpu: &str) -> Output {
    let arguments = [
        "-machine",
        "virt,virtualization=on,gic-version=3",
        "-cpu",
        cpu,
        "-display",
        "none",
        "-nic",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-kernel",
    ];
    let mut qemu = Command::new("qemu-system-aarch64")
        .args(arguments.map(OsString::from))
        .arg(&*IMAGE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run qemu-system-aarch64: {error}"));
    // The console's output fits into the pipe, so it need not be read meanwhile.
    let started = Instant::now();
    let mut hangs = false;
    while !hangs && qemu.try_wait().expect("QEMU can be waited for").is_none() {
        thread::sleep(Duration::from_millis(20));
        hangs = started.elapsed() > LIMIT;
    }
    if hangs {
        qemu.kill().expect("QEMU can be stopped");
    }
    qemu.wait_with_output().expect("QEMU's console can be read")
}
