//! Trapcast, and KVM and Xen as Debian has them, with the guests of a workload, under the observer.

use std::time::Duration;

use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected, Findings},
    host::{Kernel, KvmHost, Mode, Prepared, XenHost},
    machine::{Cpu, Machine, Vm},
    run,
};
use trapcast_results::Scale;
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

use super::{About, Observer};
use crate::workload::{Images, SEED, Workload};

/// How long a host may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(1800);

/// Seconds of its own time after which a KVM host ends a VM.
const PATIENCE: u32 = 120;

/// A hypervisor that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hypervisor {
    /// Trapcast's own.
    Trapcast {
        /// How it switches the registers.
        scheme: Scheme,
        /// Whether it uses VHE.
        vhe: bool,
    },
    /// Linux KVM: Debian's kernel, with a VMM from Debian.
    Kvm {
        /// How it uses EL2.
        mode: Mode,
        /// The host's kernel.
        kernel: Kernel,
        /// Whether that kernel mitigates what speculation does on some cores.
        mitigations: bool,
    },
    /// Debian's Xen, with its domains started at boot (dom0less).
    Xen,
}

/// What runs on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guests {
    /// The workload.
    pub workload: &'static Workload,
    /// So many VMs, its guests in turn, if not just those that it has. Of KVM and Xen.
    pub vms: Option<u16>,
    /// How long it is.
    pub scale: Scale,
    /// QEMU's core.
    pub cpu: Cpu,
}

impl Hypervisor {
    /// What a record calls it.
    fn record_name(self) -> String {
        match self {
            Self::Trapcast { .. } => "trapcast".to_string(),
            Self::Kvm { mode, kernel, .. } => format!("kvm {mode:?} {kernel:?}").to_lowercase(),
            Self::Xen => "xen".to_string(),
        }
    }
}

impl Guests {
    /// What a record says of a run of them.
    pub fn about(&self, hypervisor: Hypervisor) -> About {
        About {
            workload: self.workload.name.to_string(),
            cpu: self.cpu.name().to_string(),
            linux: self.workload.is_linux(),
            host: Some(hypervisor.record_name()),
        }
    }

    /// The VMs, each with a seed of its own, and the lines that each has to print.
    fn vms(&self, images: &Images) -> (Vec<Vm>, Vec<Expected>) {
        let vms = images.vms(self.workload, Scheme::None, false, self.scale);
        let own = vms.len();
        let count = self.vms.map_or(own, usize::from);
        let vms = vms.into_iter().cycle().take(count).enumerate();
        let vms = vms.map(|(number, mut vm)| {
            if number >= own {
                vm.bootargs += &format!(" seed={}", SEED + number as u64);
            }
            vm
        });
        let expected = self.workload.expected();
        (
            vms.collect(),
            expected.into_iter().cycle().take(count).collect(),
        )
    }
}

impl Observer {
    /// Runs guests on a hypervisor until they have ended. What was seen is [`seen`](Self::seen) then, of a run that
    /// failed as far as it came.
    ///
    /// # Errors
    /// [`Error::Input`] where something is missing, [`Error::Run`] where the run fails or a guest finds wrong
    /// registers or results.
    pub fn observe(&self, hypervisor: Hypervisor, guests: &Guests, paths: &Paths) -> Result<()> {
        let images = Images::load(paths, &[guests.workload], guests.scale)?.with_seed(SEED);
        if let Hypervisor::Trapcast { scheme, vhe } = hypervisor {
            return self.observe_trapcast(scheme, vhe, guests, &images, paths);
        }
        let (vms, expected) = guests.vms(&images);
        let host = self.host(hypervisor, guests, vms, paths)?;
        let ended = self.run_host(&host, LIMIT)?;
        sound(&ended.findings(&expected))
    }

    fn observe_trapcast(
        &self,
        scheme: Scheme,
        vhe: bool,
        guests: &Guests,
        images: &Images,
        paths: &Paths,
    ) -> Result<()> {
        let Guests { workload, .. } = guests;
        let machine = Machine {
            cpu: guests.cpu,
            cores: workload.cores,
            vhe,
            icount: is_counted(workload),
            record: false,
            slice: workload.slice,
            vms: images.vms(workload, scheme, false, guests.scale),
        };
        let hypervisor = paths.hypervisor()?;
        let options = run::Options::program(self.program());
        let outcome = run::run_with(&options, &machine, &hypervisor, run::LIMIT)?;
        if scheme == Scheme::None {
            // What it finds wrong is what it is there for.
            return Ok(());
        }
        sound(&console::findings(&outcome.console, &workload.expected()))
    }

    /// A KVM or Xen host with these VMs.
    fn host(
        &self,
        hypervisor: Hypervisor,
        guests: &Guests,
        vms: Vec<Vm>,
        paths: &Paths,
    ) -> Result<Prepared> {
        let (cpu, cores) = (guests.cpu, guests.workload.cores);
        let icount = is_counted(guests.workload);
        match hypervisor {
            Hypervisor::Kvm {
                mode,
                kernel,
                mitigations,
            } => {
                let host = KvmHost {
                    cpu,
                    cores,
                    mode,
                    kernel,
                    mitigations,
                    icount,
                    patience: PATIENCE,
                    vms,
                };
                host.prepare(paths)
            }
            _ => {
                let host = XenHost {
                    cpu,
                    cores,
                    icount,
                    vms,
                };
                host.prepare(paths, &self.qemu)
            }
        }
    }
}

/// Whether time is counted in instructions. With that, several cores run on one thread, which the observer refuses.
const fn is_counted(workload: &Workload) -> bool {
    workload.cores == 1
}

/// Refuses a run whose guests found something wrong.
fn sound(findings: &Findings) -> Result<()> {
    if findings.guest_mismatches == 0 && findings.failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "guests found {} wrong registers or results; {}",
        findings.guest_mismatches,
        findings.failures.join("; ")
    )))
}
