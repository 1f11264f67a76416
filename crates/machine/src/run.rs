//! One run: a machine from its start to its power-off, and what it left in the mailbox.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use trapcast_trace::{
    bins::Bins,
    record::Record,
    report::{CoreReport, Header, ReadError, Report, State, VcpuReport},
};

use crate::{
    machine::{Machine, Prepared},
    memory::{Mailbox, MemoryFile},
    qemu::{Console, Finished, PROGRAM, Qemu, last_lines},
    ring::RingReader,
};
use trapcast_tool::error::{Error, Result};

/// What a run left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The mailbox's header.
    pub header: Header,
    /// One per core.
    pub cores: Vec<CoreReport>,
    /// One per vCPU.
    pub vcpus: Vec<VcpuReport>,
    /// Per core, the IRQs-off sections, if the hypervisor was told to keep them.
    pub masked: Vec<Bins>,
    /// All that was printed.
    pub console: String,
    /// From QEMU's start to its end.
    pub wall: Duration,
}

/// The QEMU that runs a machine.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What to run, if not this machine's own.
    pub path: Option<PathBuf>,
    /// Its arguments before those of the machine, such as a plugin.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// Starts it with a machine's arguments, too.
    fn start(&self, prepared: &Prepared) -> Result<Qemu<'static>> {
        let arguments = [&self.arguments[..], &prepared.arguments].concat();
        let program = self.path.as_deref().unwrap_or(Path::new(PROGRAM));
        Qemu::start_program(program, &arguments, Console::Captured)
    }
}

/// How a machine is run, where not as any other.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// The QEMU.
    pub program: Program,
    /// Settings of the hypervisor besides the machine's.
    pub settings: &'a str,
    /// Whether guests may start their VMs again; without it that ends the run.
    pub resets: bool,
}

impl<'a> Options<'a> {
    /// With this QEMU.
    pub fn program(program: Program) -> Self {
        Self {
            program,
            ..Self::default()
        }
    }

    /// With these settings of the hypervisor.
    pub fn settings(settings: &'a str) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// With guests that may start their VMs again.
    pub fn resets() -> Self {
        Self {
            resets: true,
            ..Self::default()
        }
    }
}

/// Runs a machine to its power-off.
///
/// # Errors
/// [`Error::Run`] where QEMU or the hypervisor fails or hangs, or a guest starts its VM again, with the
/// console's last lines;
/// [`Error::Input`] where the machine cannot be started.
pub fn run(machine: &Machine, hypervisor: &Path, limit: Duration) -> Result<Outcome> {
    run_with(&Options::default(), machine, hypervisor, limit)
}

/// Runs a machine to its power-off, with these options.
///
/// # Errors
/// Those of [`run`].
pub fn run_with(
    options: &Options,
    machine: &Machine,
    hypervisor: &Path,
    limit: Duration,
) -> Result<Outcome> {
    let prepared = machine.prepare_with(options.settings, hypervisor, "stdio")?;
    let mut qemu = options.program.start(&prepared)?.asking(&prepared.ram);
    if !options.resets {
        qemu = qemu.without_resets();
    }
    outcome(qemu.wait(Some(limit))?, &prepared.ram.mailbox()?)
}

/// How long a run of a study, a record or a bench may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(240);

/// How long to leave a ring alone that was empty: it fills in several hundred times that.
const REST: Duration = Duration::from_millis(1);

/// Runs a machine that records to its power-off, and hands its records to `sink` meanwhile. Returns
/// also how often the hypervisor found a ring full and waited.
///
/// # Errors
/// Those of [`run`], and of `sink`.
pub fn record(
    machine: &Machine,
    hypervisor: &Path,
    limit: Duration,
    sink: impl FnMut(u8, &[Record]) -> Result<()> + Send,
) -> Result<(Outcome, u64)> {
    record_on(&Program::default(), machine, hypervisor, limit, sink)
}

/// The same on a QEMU of one's own.
///
/// # Errors
/// Those of [`record`].
pub fn record_on(
    program: &Program,
    machine: &Machine,
    hypervisor: &Path,
    limit: Duration,
    sink: impl FnMut(u8, &[Record]) -> Result<()> + Send,
) -> Result<(Outcome, u64)> {
    let prepared = machine.prepare(hypervisor, "stdio")?;
    let over = AtomicBool::new(false);
    let cores = machine.cores as u8;
    let (finished, waits) = thread::scope(|scope| {
        let reader = scope.spawn(|| take_records(&prepared.ram, cores, &over, sink));
        let finished = program
            .start(&prepared)
            .map(|qemu| qemu.asking(&prepared.ram).without_resets())
            .and_then(|qemu| qemu.wait_while(Some(limit), || !reader.is_finished()));
        over.store(true, Ordering::Release);
        (finished, reader.join().expect("the reader does not panic"))
    });
    // A record that cannot be kept ends the run, so its reason is the first one.
    let waits = waits?;
    Ok((outcome(finished?, &prepared.ram.mailbox()?)?, waits))
}

/// Empties the rings of all cores until the machine is over. Returns how often one was full.
fn take_records(
    ram: &MemoryFile,
    cores: u8,
    over: &AtomicBool,
    mut sink: impl FnMut(u8, &[Record]) -> Result<()>,
) -> Result<u64> {
    let mut rings: Vec<_> = (0..cores).map(|core| RingReader::new(ram, core)).collect();
    loop {
        let last = over.load(Ordering::Acquire);
        let mut taken = 0;
        for ring in &mut rings {
            taken += ring.drain(&mut sink)?;
        }
        if taken == 0 {
            if last {
                return Ok(rings.iter().map(RingReader::waits).sum());
            }
            thread::sleep(REST);
        }
    }
}

fn outcome(finished: Finished, mailbox: &Mailbox) -> Result<Outcome> {
    let failed = |reason: &str| {
        let lines = last_lines(&finished.console, &finished.errors);
        Err(Error::run(format!("{reason}.{lines}")))
    };
    if !finished.status.success() {
        return failed(&format!("QEMU failed ({})", finished.status));
    }
    let report = match Report::read(mailbox.bytes()) {
        Ok(report) => report,
        Err(error) => {
            return match unreadable(error) {
                Error::Run(reason) => failed(&reason),
                other => Err(other),
            };
        }
    };
    if report.header.state == State::Refused as u32 {
        let lines = finished.console.lines().rev();
        let said = lines
            .filter_map(|line| line.strip_prefix("trapcast: error: "))
            .next();
        let reason = said.unwrap_or("its console does not say why");
        return Err(Error::input(format!(
            "the hypervisor refused to start: {reason}"
        )));
    }
    if report.header.state != State::Done as u32 {
        return failed("the hypervisor stopped before its VMs were done");
    }
    Ok(Outcome {
        header: *report.header,
        cores: report.cores.to_vec(),
        vcpus: report.vcpus.to_vec(),
        masked: report.masked.to_vec(),
        console: finished.console,
        wall: finished.wall,
    })
}

/// Why a mailbox cannot be read: [`Error::Input`] of a hypervisor that is not this lab's.
pub fn unreadable(error: ReadError) -> Error {
    match error {
        ReadError::NoMagic => Error::run("the hypervisor did not start"),
        ReadError::Version(version) => Error::input(format!(
            "the hypervisor writes version {version} of the report and this lab reads version {}: \
             run make build",
            trapcast_trace::report::VERSION
        )),
        ReadError::Truncated | ReadError::Counts => {
            Error::run("the report in the mailbox is damaged")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use trapcast_trace::{MAILBOX_OFFSET, MAILBOX_SIZE, report};
    use zerocopy::IntoBytes;

    use super::*;
    use crate::memory::MemoryFile;

    fn finished(code: i32) -> Finished {
        Finished {
            status: std::process::ExitStatus::from_raw(code << 8),
            console: "trapcast: up\n".to_string(),
            errors: String::new(),
            wall: Duration::ZERO,
        }
    }

    /// A mailbox as a hypervisor of one core and one vCPU would leave it.
    fn mailbox(state: u32, version: u32) -> Mailbox {
        let ram = MemoryFile::zeroed(MAILBOX_OFFSET + MAILBOX_SIZE).unwrap();
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
        ram.write_at(header.as_bytes(), MAILBOX_OFFSET).unwrap();
        ram.mailbox().unwrap()
    }

    #[test]
    fn a_finished_mailbox_is_read() {
        let done = outcome(finished(0), &mailbox(State::Done as u32, report::VERSION)).unwrap();
        assert_eq!((done.cores.len(), done.vcpus.len()), (1, 1));
        assert_eq!(done.header.finished, 2);
    }

    #[test]
    fn each_way_to_fail_has_its_sentence() {
        let error = |code, mailbox| outcome(finished(code), &mailbox).unwrap_err();
        let sentence = |code, mailbox| error(code, mailbox).to_string();
        let done = State::Done as u32;
        let cases = [
            (
                sentence(1, mailbox(done, report::VERSION)),
                "QEMU failed (exit status: 1)",
            ),
            (
                sentence(0, mailbox(State::Running as u32, report::VERSION)),
                "before its VMs were done",
            ),
            (
                sentence(0, MemoryFile::zeroed(4 << 20).unwrap().mailbox().unwrap()),
                "did not start",
            ),
        ];
        for (sentence, wanted) in cases {
            assert!(sentence.contains(wanted), "{sentence}");
            assert!(sentence.contains("trapcast: up"), "{sentence}");
        }
        let Error::Input(sentence) = error(0, mailbox(done, 999)) else {
            panic!("it is the input's fault");
        };
        assert!(sentence.contains("version 999"), "{sentence}");
    }

    #[test]
    fn a_refusal_is_the_inputs_fault_and_quotes_the_hypervisor() {
        let refused = mailbox(State::Refused as u32, report::VERSION);
        let console = "trapcast: error: vm0: no\n".to_string();
        let finished = Finished {
            console,
            ..finished(0)
        };
        let told = outcome(finished, &refused).unwrap_err();
        let wanted = "the hypervisor refused to start: vm0: no";
        assert_eq!(told, Error::input(wanted));
    }
}
