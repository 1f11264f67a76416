//! Machines that run another hypervisor than ours, with our guests: KVM and Xen as Debian has them.
//!
//! Nothing is built or patched: `scripts/hosts.sh` downloads what they consist of. The guests are those of the lab,
//! [`Vm`]s, of which the kernel, the initrd, the command line, the memory, the number of vCPUs and the PMU
//! count here.

mod kvm;
mod said;
mod xen;

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

pub use kvm::{Kernel, KvmHost, Mode};
pub use xen::XenHost;

use said::Said;
use trapcast_tool::error::{Error, Result};

use crate::{
    console::{Expected, Findings, findings},
    machine::{Cpu, Vm, board_arguments, counted},
    memory::MemoryFile,
    qemu::{Console, Installed, Qemu, last_lines},
};

/// A VM may take as long as it needs beside others: the host ends it before this many milliseconds are over.
const GUEST_PATIENCE: u32 = 1_000_000;

/// Which hypervisor a console is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Kvm,
    Xen,
}

/// A QEMU command line with the files that it names.
#[derive(Debug)]
pub struct Prepared {
    /// What follows the program's name.
    pub arguments: Vec<OsString>,
    kind: Kind,
    /// For each VM, what is in the last line that it prints.
    last: Vec<&'static str>,
    /// What QEMU opens by their paths.
    _files: Vec<MemoryFile>,
}

/// What a host left whose VMs have all ended well.
#[derive(Clone, Debug)]
pub struct Ended {
    /// All that was printed.
    pub console: String,
    /// From QEMU's start to its end.
    pub wall: Duration,
    vms: Vec<Vec<String>>,
}

impl Ended {
    /// What one VM printed, in lines.
    ///
    /// # Panics
    /// Where there is no such VM.
    pub fn lines(&self, vm: usize) -> &[String] {
        &self.vms[vm]
    }

    /// What the guests say of their registers and results.
    pub fn findings(&self, expected: &[Expected]) -> Findings {
        if let [lines] = &self.vms[..] {
            return findings(&lines.join("\n"), expected);
        }
        let tagged = self.vms.iter().enumerate().flat_map(|(vm, lines)| {
            let tagged = move |line| format!("[vm{vm}] {line}\n");
            lines.iter().map(tagged)
        });
        findings(&tagged.collect::<String>(), expected)
    }
}

impl Prepared {
    /// Runs the host until all its VMs have ended, with further `arguments` for QEMU, such as a plugin's. A host that
    /// does not end by itself is ended then.
    ///
    /// # Errors
    /// [`Error::Run`] where the host or a VM does not end within `limit`, or not well, with the last line of each VM
    /// that has not; [`Error::Input`] where QEMU cannot be started.
    pub fn run(&self, qemu: &Installed, arguments: &[OsString], limit: Duration) -> Result<Ended> {
        let arguments = [&self.arguments, arguments].concat();
        let started = Instant::now();
        let over = |console: &str| {
            started.elapsed() > limit
                || self.kind == Kind::Xen && self.said(console).all_have_ended()
        };
        let finished =
            Qemu::start_program(&qemu.program, &arguments, Console::Captured)?.wait_until(over)?;
        let in_time = started.elapsed() <= limit;
        let failed = |why: &str| {
            let lines = last_lines(&finished.console, &finished.errors);
            Error::run(format!("{why}.{lines}"))
        };
        if !finished.status.success() {
            return Err(failed(&format!("QEMU failed ({})", finished.status)));
        }
        let said = self.said(&finished.console);
        if let Some(error) = said.error() {
            return Err(Error::run(error));
        }
        if !said.is_up() {
            return Err(failed("the host did not start its VMs"));
        }
        if let Some(why) = said.what_has_not_ended(in_time, limit) {
            return Err(Error::run(why));
        }
        Ok(Ended {
            vms: said.into_lines(),
            console: finished.console,
            wall: finished.wall,
        })
    }

    fn said(&self, console: &str) -> Said {
        match self.kind {
            Kind::Kvm => Said::by_kvm(console, &self.last),
            Kind::Xen => Said::by_xen(console, &self.last),
        }
    }
}

/// What a VM's last line contains: Linux's farewell, or what bare-metal guests end with.
fn last_line(vm: &Vm) -> &'static str {
    if vm.initrd.is_some() {
        "reboot: Power down"
    } else {
        "done"
    }
}

/// The board, with time counted in instructions if `icount`.
fn board(cpu: Cpu, cores: u32, icount: bool, ram: &MemoryFile, size: u64) -> Vec<OsString> {
    let mut arguments = board_arguments(cpu, ram, size, "stdio");
    arguments.extend([
        "-smp".into(),
        cores.to_string().into(),
        "-nodefaults".into(),
    ]);
    if icount {
        arguments.extend(counted(cores));
    }
    arguments
}

/// A VM's command line, with more time than it has beside two others on our own hypervisor.
fn bootargs(vm: &Vm) -> String {
    if vm.bootargs.contains("patience=") {
        format!("{} patience={GUEST_PATIENCE}", vm.bootargs)
    } else {
        vm.bootargs.clone()
    }
}

/// Refuses a host without VMs.
fn some(vms: &[Vm]) -> Result<()> {
    if vms.is_empty() {
        return Err(Error::input("a host needs a VM at least"));
    }
    Ok(())
}
