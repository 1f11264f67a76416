//! `trapcast boot`: Linux guests with a live console on the user's terminal.

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
    sync::Arc,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use trapcast_forecast::Scheme;
use trapcast_trace::report::{Ending, ReadError, Report, State, VmReport};

use crate::top::share::Announced;
use trapcast_machine::{
    arch::Arch,
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    qemu::{Console, Qemu},
    run,
    vectors::RegisterFiles,
};
use trapcast_tool::{
    error::{Error, Result},
    input,
    paths::Paths,
};

/// What to boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The architecture of what was downloaded.
    pub arch: Arch,
    /// The kernel; without one, the downloaded Debian kernel.
    pub kernel: Option<PathBuf>,
    /// The initrd; without one, busybox with a shell for the Debian kernel, and none for another.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub append: String,
    /// Bytes of memory of each VM.
    pub memory: u64,
    /// vCPUs of each VM.
    pub vcpus: u32,
    /// VMs.
    pub vms: u32,
    /// The scheme of each VM.
    pub scheme: Scheme,
    /// Which registers each VM has.
    pub registers: RegisterFiles,
    /// QEMU's core.
    pub cpu: Cpu,
    /// How many of it the board has.
    pub cores: u32,
    /// Whether the hypervisor uses VHE.
    pub vhe: bool,
    /// Whether every window is watched.
    pub observe: bool,
    /// Whether no registers are loaded early while an interrupt is pending.
    pub prompt: bool,
    /// Whether time is counted in instructions.
    pub icount: bool,
}

/// Boots and waits until the VMs power off or the user leaves.
///
/// # Errors
/// [`Error::Input`] where something is missing or does not fit, [`Error::Run`] where QEMU fails.
pub fn boot(boot: &Boot, paths: &Paths) -> Result<()> {
    let hypervisor = paths.hypervisor()?;
    trapcast_machine::qemu::version()?;
    let vm = vm(boot, paths)?;
    let machine = Machine {
        cpu: boot.cpu,
        cores: boot.cores,
        vhe: boot.vhe,
        icount: boot.icount,
        record: false,
        slice: None,
        vms: vec![vm; boot.vms as usize],
    };
    // For `trapcast top`, which reads the report while guests run.
    let prepared = machine.prepare_with("publish=on", &hypervisor, "mon:stdio")?;
    let vms = format!(
        "VMs: {}, vCPUs of each: {}, scheme: {}",
        boot.vms, boot.vcpus, boot.scheme
    );
    let announced = Announced::new(paths, boot.cpu.name(), &vms, &prepared.ram);
    if let Err(error) = &announced {
        eprintln!("trapcast: trapcast top will not find this hypervisor: {error}");
    }
    if stdin().is_terminal() {
        eprintln!("trapcast: Ctrl-A x leaves, Ctrl-A c is QEMU's monitor");
    }
    let _terminal = SavedTerminal::save();
    let finished = Qemu::start(&prepared.arguments, Console::Terminal)?.wait(None)?;
    if !finished.status.success() {
        return Err(Error::run(format!(
            "QEMU failed ({}); its message is above",
            finished.status
        )));
    }
    ended(&prepared.ram)
}

/// The result of a hypervisor that has ended, or that the user has left.
fn ended(ram: &MemoryFile) -> Result<()> {
    let mailbox = ram.mailbox()?;
    let report = match Report::read(mailbox.bytes()) {
        Ok(report) => report,
        // The user was faster than the hypervisor.
        Err(ReadError::NoMagic) => return Ok(()),
        Err(error) => return Err(run::unreadable(error)),
    };
    match report.header.state {
        state if state == State::Refused as u32 => Err(Error::input(
            "the hypervisor refused to start; the last line above says why, and what helps",
        )),
        state if state == State::Failed as u32 => Err(Error::run(
            "the hypervisor failed; the last lines above say where",
        )),
        _ => vms_ended(report.vms),
    }
}

/// What is said of how VMs have ended.
fn vms_ended(vms: &[VmReport]) -> Result<()> {
    let which = |ending| {
        let vms = vms.iter().enumerate();
        let ended = vms.filter(|(_, vm)| vm.ending() == Some(ending));
        let names: Vec<_> = ended.map(|(number, _)| format!("vm{number}")).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(vms) = which(Ending::Stopped) {
        return Err(Error::run(format!(
            "the hypervisor stopped {vms}; a line above says why"
        )));
    }
    match which(Ending::CpusOff) {
        Some(vms) => Err(Error::Halted(format!(
            "{vms}: all CPUs have turned themselves off, and the VM was not powered off (PSCI SYSTEM_OFF)"
        ))),
        None => Ok(()),
    }
}

fn vm(boot: &Boot, paths: &Paths) -> Result<Vm> {
    let kernel = match &boot.kernel {
        Some(kernel) => Image::open(kernel)?,
        None => boot.arch.kernel(paths)?,
    };
    let initrd = match (&boot.initrd, &boot.kernel) {
        (Some(initrd), _) => Some(input::read("initrd", initrd, boot.memory)?),
        (None, None) => Some(initrd::build(&boot.arch.busybox(paths)?, Task::Shell)?),
        (None, Some(_)) => None,
    };
    Ok(Vm {
        kernel,
        initrd_size: initrd.as_ref().map_or(0, |initrd| initrd.len() as u64),
        initrd: initrd
            .map(|initrd| MemoryFile::with_content(&initrd).map(Arc::new))
            .transpose()?,
        bootargs: boot.append.clone(),
        memory: boot.memory,
        vcpus: boot.vcpus,
        scheme: boot.scheme,
        observe: boot.observe,
        prompt: boot.prompt,
        pmu: false,
        registers: boot.registers,
    })
}

/// The terminal's settings, put back when this is dropped: QEMU does so itself unless it is killed.
struct SavedTerminal(Option<Termios>);

impl SavedTerminal {
    fn save() -> Self {
        Self(tcgetattr(stdin()).ok())
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, settings);
        }
    }
}
