//! What is typed reaches the VM that it is typed to.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use trapcast::paths::Paths;

use crate::{
    Add,
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add(
        "boot/from_the_command_line".into(),
        Box::new(boot_from_outside),
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

/// What a pipe brings, collected by a thread of its own.
fn read_in_background(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
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

fn wait_for(console: &Mutex<String>, expected: &str) -> Outcomes {
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
