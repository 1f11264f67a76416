//! KVM and Xen as Debian has them, with the guests of the lab's workloads, under the observer.

use std::time::Duration;

use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::Expected,
    host::{self, KvmHost, Mode, Prepared, XenHost},
    machine::{Cpu, Vm},
};
use trapcast_results::Scale;
use trapcast_study::workload::{self, Images, SEED, Workload};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

use super::{About, Ended, Host, ObserveArgs, Observer};
use crate::cli::Switch;

/// How long a host may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(1800);

/// Seconds of its own time after which a KVM host ends a VM.
const PATIENCE: u32 = 120;

/// What runs if nothing else is asked for.
const WORKLOAD: &str = "linux";

impl Observer {
    /// Runs a host until its VMs have ended.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn run_host(&self, host: &Prepared, limit: Duration) -> Result<host::Ended> {
        host.run(&self.qemu, &self.arguments(), limit)
    }
}

/// Runs guests on KVM or on Xen.
pub(super) fn observe(
    host: Host,
    arguments: &ObserveArgs,
    paths: &Paths,
) -> Result<(Observer, About, Ended)> {
    let workload = workload::find(arguments.workload.as_deref().unwrap_or(WORKLOAD))?;
    let (vms, expected) = guests(workload, arguments.vms, paths)?;
    let observer = Observer::find(paths)?;
    let cpu = arguments.core.cpu(Cpu::NeoverseN1);
    let cores = workload.cores;
    // With it, several cores run on one thread, which the observer refuses.
    let icount = cores == 1;
    let (prepared, name) = if host == Host::Xen {
        let host = XenHost {
            cpu,
            cores,
            icount,
            vms,
        };
        (host.prepare(paths, &observer.qemu)?, "xen".to_string())
    } else {
        let default = if cpu.has_vhe() { Mode::Vhe } else { Mode::Nvhe };
        let host = KvmHost {
            cpu,
            cores,
            mode: arguments.mode.unwrap_or(default),
            kernel: arguments.kernel.unwrap_or_default(),
            mitigations: arguments.mitigations == Some(Switch::On),
            icount,
            patience: PATIENCE,
            vms,
        };
        let name = format!("kvm {:?} {:?}", host.mode, host.kernel).to_lowercase();
        (host.prepare(paths)?, name)
    };
    let ended = observer.run_host(&prepared, LIMIT).and_then(|ended| {
        let findings = ended.findings(&expected);
        if findings.guest_mismatches == 0 && findings.failures.is_empty() {
            return Ok(());
        }
        Err(Error::run(format!(
            "guests found {} wrong registers or results; {}",
            findings.guest_mismatches,
            findings.failures.join("; ")
        )))
    });
    let about = About {
        workload: workload.name.to_string(),
        cpu: cpu.name().to_string(),
        linux: workload.runs_linux(),
        host: Some(name),
    };
    Ok((observer, about, ended))
}

/// So many VMs, or as many as the workload has: its guests in turn, each with a seed of its own.
fn guests(
    workload: &Workload,
    count: Option<u16>,
    paths: &Paths,
) -> Result<(Vec<Vm>, Vec<Expected>)> {
    let images = Images::load(paths, &[workload], Scale::QUICK)?.with_seed(SEED);
    let vms = images.vms(workload, Scheme::None, false, Scale::QUICK);
    let own = vms.len();
    let expected = workload.expected();
    let count = count.map_or(own, usize::from);
    let vms = vms.into_iter().cycle().take(count).enumerate();
    let vms = vms.map(|(number, mut vm)| {
        if number >= own {
            vm.bootargs += &format!(" seed={}", SEED + number as u64);
        }
        vm
    });
    let expected = expected.into_iter().cycle().take(count);
    Ok((vms.collect(), expected.collect()))
}
