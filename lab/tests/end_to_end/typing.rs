//! What is typed reaches the VM that it is typed to.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use libtest_mimic::Failed;
use trapcast_machine::{
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Prepared, Vm},
    qemu,
};
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    runs::{linux_vm, one_core},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add(
        "boot/from_the_command_line".into(),
        Box::new(boot_from_outside),
    );
    add(
        "boot/as_distributions_ship_it".into(),
        Box::new(as_distributions_ship_it),
    );
    add(
        "boot/one_who_does_not_read".into(),
        Box::new(beside_one_who_does_not_read),
    );
    for fifos in ["", "no-fifos"] {
        let reads = move |paths: &Paths| slow_reader(paths, fifos);
        add(
            format!(
                "boot/slow_reader{}{fifos}",
                if fifos.is_empty() { "" } else { "/" }
            ),
            Box::new(reads),
        );
    }
    add(
        "boot/paste_beside_a_flood".into(),
        Box::new(paste_beside_a_flood),
    );
}

/// `trapcast boot` as a user starts it, with keys from a pipe.
fn boot_from_outside(paths: &Paths) -> Outcomes {
    let mut trapcast = Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(paths.target())
        .args(["boot", "--scheme", "owner", "--memory", "128M"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keys = trapcast.stdin.take().expect("a pipe");
    let console = read_in_background(trapcast.stdout.take().expect("a pipe"));
    // Longer than any FIFO on its way, as if it were pasted.
    let line = format!("echo {}; echo $((6 * 7))\n", "word ".repeat(20));
    let dialogue = [("/ # ", line.as_str()), ("\n42", "poweroff -f\n")];
    let answered = dialogue.into_iter().try_for_each(|(expected, typed)| {
        wait_for(&console, expected)?;
        Ok(keys.write_all(typed.as_bytes())?)
    });
    if answered.is_err() {
        trapcast.kill()?;
    }
    let status = trapcast.wait()?;
    answered.and_then(|()| check(status.success(), || format!("it ended with {status}")))
}

/// A kernel in the forms of Ubuntu (gzip) and of Fedora (an EFI zboot image with zstd), the second from a pipe.
fn as_distributions_ship_it(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let image = fs::read(paths.guest("Image")?)?;
    let initrd = directory.path().join("initrd");
    fs::write(
        &initrd,
        initrd::build(&paths.guest("busybox")?, Task::PowerOff)?,
    )?;
    let vmlinuz = directory.path().join("vmlinuz");
    let mut gzip = GzEncoder::new(File::create(&vmlinuz)?, Compression::fast());
    gzip.write_all(&image)?;
    gzip.finish()?;
    let payload = zstd::encode_all(&image[..], 1)?;
    let mut zboot = vec![0; 0x80];
    zboot[..8].copy_from_slice(b"MZ\0\0zimg");
    zboot[8..12].copy_from_slice(&0x80_u32.to_le_bytes());
    zboot[12..16].copy_from_slice(&u32::try_from(payload.len())?.to_le_bytes());
    zboot[24..28].copy_from_slice(b"zstd");
    zboot.extend(payload);
    zboot.extend(u32::try_from(image.len())?.to_le_bytes());
    for (kernel, piped) in [
        (vmlinuz.as_path(), None),
        (Path::new("/dev/stdin"), Some(zboot)),
    ] {
        let mut boot = Command::new(env!("CARGO_BIN_EXE_trapcast"))
            .arg("--target")
            .arg(paths.target())
            .args(["boot", "--memory", "128M", "--kernel"])
            .arg(kernel)
            .arg("--initrd")
            .arg(&initrd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = boot.stdin.take().expect("a pipe");
        if let Some(kernel) = piped {
            stdin.write_all(&kernel)?;
        }
        drop(stdin);
        let output = boot.wait_with_output()?;
        let console = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        check(
            output.status.success() && console.contains(initrd::DONE_MARKER),
            || format!("{}: {console}{said}", output.status),
        )?;
    }
    Ok(())
}

/// A VM that never reads holds nothing back from another one, whatever is typed to it.
fn beside_one_who_does_not_read(paths: &Paths) -> Outcomes {
    let shell = linux_vm(paths, Task::Shell)?;
    let deaf = Vm {
        kernel: Image::open(&paths.built("checker")?)?,
        initrd: None,
        initrd_size: 0,
        // For longer than the trial takes.
        bootargs: "workload=never windows=4000000000".to_string(),
        memory: 16 << 20,
        ..shell.clone()
    };
    let board = Board::start(paths, 1, vec![deaf, shell])?;
    board.talk(&[
        // To VM 0, and more than its UART holds; then Ctrl-] and the number of the other one.
        ("A busybox shell.", &"word ".repeat(2000)),
        ("", "\x1d1echo $((6 * 7))\n"),
        ("[vm1] 42", ""),
    ])
}

/// A guest that reads slowly gets every byte, of more than waits for it in memory.
fn slow_reader(paths: &Paths, fifos: &str) -> Outcomes {
    const BYTES: usize = 60_000;
    let bare = |program: &str, bootargs: String| -> Result<Vm, Failed> {
        Ok(Vm {
            kernel: Image::open(&paths.built(program)?)?,
            initrd: None,
            initrd_size: 0,
            bootargs,
            memory: 16 << 20,
            ..linux_vm(paths, Task::PowerOff)?
        })
    };
    // The other one has half of the core.
    let vms = vec![
        bare(
            "checker",
            "workload=never windows=4000000000 exits=0".into(),
        )?,
        bare("reader", format!("bytes={BYTES} {fifos}"))?,
    ];
    let board = Board::start(paths, 1, vms)?;
    let text: String = (0..BYTES / 10).map(|n| format!("{n:09}\n")).collect();
    board.talk(&[
        ("[vm1] reader: start", "\x1d1"),
        ("", text.as_str()),
        ("[vm1] reader: done ", ""),
    ])?;
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    wait_for(&board.console, &format!("done bytes={BYTES} fnv={hash:#x}"))
}

/// No byte of a paste is lost beside a VM that floods the terminal, whose lines stay whole.
fn paste_beside_a_flood(paths: &Paths) -> Outcomes {
    const FLOOD: &str = "a line of the flood that VM 0 sends";
    let shell = linux_vm(paths, Task::Shell)?;
    let board = Board::start(paths, 2, vec![shell.clone(), shell])?;
    let flood = format!("yes {FLOOD}\n");
    board.talk(&[("[vm0] / # ", ""), ("[vm1] / # ", flood.as_str())])?;
    board.talk(&[(&format!("\n[vm0] {FLOOD}\r\n[vm0] {FLOOD}"), "\x1d1")])?;
    board.paste(1)?;
    let console = board.console.lock().expect("no reader panics");
    let flood = console
        .lines()
        .filter_map(|line| line.strip_prefix("[vm0] "));
    let mut flood = flood.skip_while(|line| *line != FLOOD);
    let broken = flood.find(|line| *line != FLOOD && !FLOOD.starts_with(line));
    check(broken.is_none(), || format!("{broken:?} is in the flood"))
}

/// A board with VMs, at whose terminal the trial sits.
struct Board {
    qemu: Child,
    keys: RefCell<ChildStdin>,
    console: Arc<Mutex<String>>,
    /// The files that QEMU opens.
    _files: (Machine, Prepared),
}

impl Board {
    fn start(paths: &Paths, cores: u32, vms: Vec<Vm>) -> Result<Self, Failed> {
        let machine = Machine {
            cores,
            ..one_core(Cpu::NeoverseN1, false, vms)
        };
        let prepared = machine.prepare(&paths.hypervisor()?, "stdio")?;
        let mut qemu = Command::new(qemu::PROGRAM)
            .args(&prepared.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let keys = qemu.stdin.take().expect("a pipe");
        let console = read_in_background(qemu.stdout.take().expect("a pipe"));
        Ok(Self {
            qemu,
            keys: keys.into(),
            console,
            _files: (machine, prepared),
        })
    }

    /// Waits for each of these, and types the text beside it.
    fn talk(&self, dialogue: &[(&str, &str)]) -> Outcomes {
        for (expected, typed) in dialogue {
            wait_for(&self.console, expected)?;
            self.keys.borrow_mut().write_all(typed.as_bytes())?;
        }
        Ok(())
    }

    /// Pastes 10 kB into a file of VM `vm`, whose shell waits and then makes the same text to compare.
    fn paste(&self, vm: usize) -> Outcomes {
        let words = "text ".repeat(12);
        let text: String = (0..125)
            .map(|n| format!("line {n} of a paste, {words}\n"))
            .collect();
        check(text.len() >= 10_000, || text.len().to_string())?;
        let compare = format!(
            "n=0; while [ $n -lt 125 ]; do echo \"line $n of a paste, {words}\"; n=$((n + 1)); done |
             cmp - paste && echo sa''me; echo do''ne\n"
        );
        // Ctrl-D ends the file. The quotes keep the echo of what is typed from being taken for the answer.
        let typed = format!("cat >paste\n{text}\x04{compare}");
        self.talk(&[("", typed.as_str())])?;
        wait_for(&self.console, &format!("[vm{vm}] done"))?;
        let console = self.console.lock().expect("no reader panics");
        let answer = format!("[vm{vm}] same");
        let others = if vm == 0 { "[vm1" } else { "[vm0" };
        check(console.lines().any(|line| line == answer), || {
            let lines = console.lines().filter(|line| !line.starts_with(others));
            format!("{answer} did not come: {:#?}", lines.collect::<Vec<_>>())
        })
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// What a pipe brings, collected by a thread of its own.
pub fn read_in_background(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&collected);
    thread::spawn(move || {
        let mut chunk = [0; 256];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..length]);
            into.lock().expect("no reader panics").push_str(&text);
        }
    });
    collected
}

pub fn wait_for(console: &Mutex<String>, expected: &str) -> Outcomes {
    let limit = Instant::now() + Duration::from_secs(60);
    while Instant::now() < limit {
        if console.lock().expect("no reader panics").contains(expected) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let console = console.lock().expect("no reader panics");
    Err(format!("{expected:?} did not come: {console}").into())
}
