//! What is typed reaches the VM that it is typed to.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use trapcast::{
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Vm},
    paths::Paths,
    qemu,
};

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
    let machine = one_core(Cpu::NeoverseN1, false, vec![deaf, shell]);
    let prepared = machine.prepare(&paths.hypervisor()?, "stdio")?;
    let mut board = Command::new(qemu::PROGRAM)
        .args(&prepared.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keys = board.stdin.take().expect("a pipe");
    let console = read_in_background(board.stdout.take().expect("a pipe"));
    let answered = wait_for(&console, "A busybox shell.").and_then(|()| {
        // To VM 0, and more than waits for it; then Ctrl-] and the number of the other one.
        let keys = &mut keys;
        keys.write_all("word ".repeat(2000).as_bytes())?;
        keys.write_all(b"\x1d1echo $((6 * 7))\n")?;
        wait_for(&console, "[vm1] 42")
    });
    board.kill()?;
    board.wait()?;
    answered
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
