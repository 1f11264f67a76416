//! One QEMU process: started, watched, read, and never left behind.

mod installed;

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use trapcast_trace::{MAILBOX_OFFSET, report::ASKED_OFFSET};

use crate::memory::MemoryFile;
use trapcast_tool::{
    error::{Error, Result},
    signals,
};

pub use installed::{Installed, OLDEST, OLDEST_WITH_PLUGINS, PROGRAM, version};

/// The most bytes of console that are kept; of more, the last.
const CONSOLE_LIMIT: usize = 16 << 20;

/// How many lines of a console an error shows.
const LAST_LINES: usize = 12;

/// An error shows a line that contains one of these, wherever it is: Linux's, before a trace, and the hostile
/// guest's.
const WHY: [&str; 2] = ["Kernel panic", "VIOLATION"];

/// How often a wait looks whether the user wants to stop.
const POLL: Duration = Duration::from_millis(50);

/// How long the hypervisor may take to say where its vCPUs are, of a run that does not end.
const ANSWER: Duration = Duration::from_secs(3);

/// What begins a line in which it says that.
const WHERE: &str = "trapcast: where: ";

/// How long QEMU may take to leave a terminal as it found it.
const POLITENESS: Duration = Duration::from_secs(2);

/// Where the guest's console goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Console {
    /// Into memory, for the lab to read.
    Captured,
    /// To the user's terminal, keys and all.
    Terminal,
}

/// A QEMU that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Qemu<'a> {
    child: Child,
    console: Console,
    /// What is typed; none with [`Console::Terminal`].
    keys: Option<ChildStdin>,
    output: Arc<Mutex<Vec<u8>>>,
    errors: Arc<Mutex<Vec<u8>>>,
    /// Disconnected once both pipes are at their ends.
    ended: Receiver<()>,
    started: Instant,
    /// Whether a VM may start again.
    may_reset: bool,
    /// The board's RAM, if a hypervisor is there that can be asked.
    ram: Option<&'a MemoryFile>,
}

/// What a QEMU that ended by itself left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// What the guest printed; empty with [`Console::Terminal`].
    pub console: String,
    /// What QEMU itself complained about; empty with [`Console::Terminal`].
    pub errors: String,
    /// From start to end.
    pub wall: Duration,
}

impl<'a> Qemu<'a> {
    /// Starts this machine's own QEMU with these arguments.
    ///
    /// # Errors
    /// Where there is no QEMU, or it cannot be started.
    pub fn start(arguments: &[OsString], console: Console) -> Result<Self> {
        Self::start_program(PROGRAM, arguments, console)
    }

    /// Starts this QEMU with these arguments.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_program(
        program: impl AsRef<OsStr>,
        arguments: &[OsString],
        console: Console,
    ) -> Result<Self> {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.args(arguments);
        if console == Console::Captured {
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // Ctrl-C is the lab's to handle: QEMU would die of it as if it had failed.
                .process_group(0);
        }
        die_with_parent(&mut command);
        let started = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|error| installed::cannot_start(program, &error))?;
        let (sender, ended) = channel();
        let keys = child.stdin.take();
        let output = collect(child.stdout.take(), &sender);
        let errors = collect(child.stderr.take(), &sender);
        Ok(Self {
            child,
            console,
            keys,
            output,
            errors,
            ended,
            started,
            may_reset: true,
            ram: None,
        })
    }

    /// Should the limit pass, has the hypervisor on the board with this RAM say where each vCPU is.
    pub fn asking(mut self, ram: &'a MemoryFile) -> Self {
        self.ram = Some(ram);
        self
    }

    /// Ends QEMU as soon as the hypervisor says that a VM starts again: a guest that panics would do so
    /// for ever.
    pub fn without_resets(mut self) -> Self {
        self.may_reset = false;
        self
    }

    /// Waits until QEMU ends by itself; ends it when `limit` has passed or the user wants to stop.
    ///
    /// # Errors
    /// [`Error::Stopped`], or [`Error::Run`] with the last lines of the console where the limit
    /// has passed or a VM that must not has started again.
    pub fn wait(self, limit: Option<Duration>) -> Result<Finished> {
        self.wait_while(limit, || true)
    }

    /// As [`wait`](Self::wait), and ends QEMU when it is not `wanted` any more.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and [`Error::Run`] where it was not wanted.
    pub fn wait_while(
        mut self,
        limit: Option<Duration>,
        wanted: impl Fn() -> bool,
    ) -> Result<Finished> {
        loop {
            signals::check()?;
            if !wanted() {
                return Err(Error::run(
                    "QEMU was stopped, as what it does is of no use any more",
                ));
            }
            if limit.is_some_and(|limit| self.started.elapsed() > limit) {
                let places = self.where_vcpus_are();
                return self.stopped(&format!(
                    "QEMU did not end within {} s and was stopped.{places}",
                    limit.unwrap_or_default().as_secs()
                ));
            }
            if !self.may_reset && self.has_reset() {
                return self.stopped("a guest gave up and started its VM again, and was stopped.");
            }
            if let Some(status) = self.ended_within(POLL)? {
                return Ok(self.finished(status));
            }
        }
    }

    /// Waits until QEMU ends by itself, or its console says that it is `over`: then it is asked to end, and
    /// finishes what its plugins do at the end.
    ///
    /// # Errors
    /// [`Error::Stopped`], and where QEMU is lost.
    pub fn wait_until(mut self, over: impl Fn(&str) -> bool) -> Result<Finished> {
        let mut asked = false;
        loop {
            signals::check()?;
            if let Some(status) = self.ended_within(POLL)? {
                return Ok(self.finished(status));
            }
            if !asked && over(&self.text(&self.output)) {
                // What was printed last is followed by a few instructions, such as a power-off.
                thread::sleep(POLL);
                let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
                asked = true;
            }
        }
    }

    fn finished(&self, status: ExitStatus) -> Finished {
        Finished {
            status,
            wall: self.started.elapsed(),
            console: self.text(&self.output),
            errors: self.text(&self.errors),
        }
    }

    fn ended_within(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let lost = |error| Error::run(format!("lost sight of QEMU: {error}"));
        match self.console {
            Console::Captured => match self.ended.recv_timeout(time) {
                Err(RecvTimeoutError::Disconnected) => self.child.wait().map(Some).map_err(lost),
                _ => Ok(None),
            },
            Console::Terminal => {
                let status = self.child.try_wait().map_err(lost)?;
                if status.is_none() {
                    thread::sleep(time);
                }
                Ok(status)
            }
        }
    }

    /// Asks the hypervisor where its vCPUs are, and returns its answer, to follow a sentence. It
    /// checks for the request when a byte is typed.
    fn where_vcpus_are(&mut self) -> String {
        let (Some(ram), Some(mut keys)) = (self.ram, self.keys.take()) else {
            return String::new();
        };
        let place = MAILBOX_OFFSET + ASKED_OFFSET as u64;
        let asked = ram.write_at(&1u32.to_le_bytes(), place).is_ok();
        if !asked || keys.write_all(b"\n").and_then(|()| keys.flush()).is_err() {
            return String::new();
        }
        let limit = Instant::now() + ANSWER;
        let mut told = String::new();
        loop {
            thread::sleep(4 * POLL);
            let before = told.len();
            told = self
                .text(&self.output)
                .lines()
                .filter_map(|line| line.strip_prefix(WHERE))
                .map(|line| format!("\n  | {line}"))
                .collect();
            if !told.is_empty() && told.len() == before {
                return format!(" The hypervisor says where its vCPUs are:{told}");
            }
            if Instant::now() > limit {
                return " The hypervisor does not say where its vCPUs are: no core takes the \
                        interrupt of its UART."
                    .to_string();
            }
        }
    }

    /// Whether the hypervisor has said that a VM starts again.
    fn has_reset(&self) -> bool {
        let console = self.text(&self.output);
        let mut said = console
            .lines()
            .filter_map(|line| line.strip_prefix("trapcast: vm"));
        said.any(|said| said.ends_with(": reset"))
    }

    /// The report about a QEMU that is stopped.
    fn stopped(&self, why: &str) -> Result<Finished> {
        let lines = last_lines(&self.text(&self.output), &self.text(&self.errors));
        Err(Error::run(format!("{why}{lines}")))
    }

    fn text(&self, bytes: &Mutex<Vec<u8>>) -> String {
        let bytes = bytes.lock().expect("no reader panics");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }
}

impl Drop for Qemu<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.console == Console::Terminal {
            // QEMU has set the terminal to raw mode, and sets it back if it is asked to end.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let limit = Instant::now() + POLITENESS;
            while Instant::now() < limit && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(POLL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes the kernel end the child should the lab itself be killed.
fn die_with_parent(command: &mut Command) {
    let setting = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: between fork and exec the closure makes one system call (prctl) and neither
    // allocates nor takes a lock, which is all that the child of a threaded process may do there.
    unsafe { command.pre_exec(setting) };
}

/// Reads a pipe to its end in a thread of its own, which holds a sender as long as it reads.
fn collect(pipe: Option<impl Read + Send + 'static>, sender: &Sender<()>) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    if let Some(mut pipe) = pipe {
        let (into, sender) = (Arc::clone(&collected), sender.clone());
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                let mut collected = into.lock().expect("no thread panics while reading");
                collected.extend_from_slice(&chunk[..length]);
                if collected.len() > CONSOLE_LIMIT {
                    collected.drain(..CONSOLE_LIMIT / 2);
                }
            }
            drop(sender);
        });
    }
    collected
}

/// The last lines of a console and of QEMU's own complaints, indented, to follow a sentence.
pub fn last_lines(console: &str, errors: &str) -> String {
    let tail = |text: &str, count: usize| -> Vec<String> {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let (before, last) = lines.split_at(lines.len().saturating_sub(count));
        // What says why may have more behind it than is shown.
        let is_why = |line: &&&str| WHY.iter().any(|why| line.contains(why));
        let why = before.iter().rfind(is_why);
        why.into_iter()
            .chain(last)
            .map(|line| format!("\n  | {line}"))
            .collect()
    };
    let mut told = String::new();
    for (name, lines) in [
        ("QEMU said", tail(errors, 4)),
        ("The console's last lines", tail(console, LAST_LINES)),
    ] {
        if !lines.is_empty() {
            told += &format!(" {name}:{}", lines.concat());
        }
    }
    if told.is_empty() {
        told += " Nothing was printed.";
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_console_are_shown() {
        let console: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let told = last_lines(&console, "bad option\n");
        assert!(told.starts_with(" QEMU said:\n  | bad option The console's last lines:"));
        assert!(told.contains("line 88") && told.ends_with("line 99"));
        assert!(!told.contains("line 87"));
        let told = last_lines(&format!("Kernel panic - no init\n{console}"), "");
        assert!(
            told.contains("  | Kernel panic - no init\n  | line 88\n"),
            "{told}"
        );
        let told = last_lines(&format!("[vm0] hostile: VIOLATION x\n{console}"), "");
        assert!(told.contains("VIOLATION x\n  | line 88\n"), "{told}");
        assert_eq!(last_lines("", "\n"), " Nothing was printed.");
    }
}
