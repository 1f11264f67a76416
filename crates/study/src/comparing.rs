//! Hypervisors side by side: each under the observer, with the same guests on the same core.

use std::{fs, path::PathBuf};

use serde_json::Value;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    host::{Kernel, Mode},
    machine::Cpu,
    qemu::Installed,
};
use trapcast_observe::Summary;
use trapcast_report::hypervisors::{Comparison, Family, Observation};
use trapcast_results::Scale;
use trapcast_tool::{
    error::{Error, Result},
    parallel::in_parallel,
    paths::Paths,
    progress::Progress,
};

use crate::{
    observing::{
        Observer,
        hypervisor::{Guests, Hypervisor},
    },
    workload::{self, Workload},
};

/// What runs on each: three programs on one core, and one that answers many small requests.
pub const WORKLOADS: [&str; 2] = ["mix-three", "redis"];

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads, of Linux guests alone.
    pub workloads: Vec<&'static Workload>,
    /// What was observed before: of this, only Trapcast is observed anew.
    pub kept: Option<Comparison>,
    /// QEMUs at once.
    pub jobs: usize,
}

impl Plan {
    /// All that documents hold.
    ///
    /// # Panics
    /// Never: the workloads are there.
    pub fn whole(jobs: usize) -> Self {
        let find = |name| workload::find(name).expect("it is a workload");
        Self {
            workloads: WORKLOADS.map(find).to_vec(),
            kept: None,
            jobs,
        }
    }
}

/// A hypervisor on a core.
type Machine = (Hypervisor, Cpu);

/// All of them: each way to use EL2 on a core with VHE, what runs on a core without it as well.
fn machines() -> Vec<Machine> {
    let kvm = |mode, kernel| Hypervisor::Kvm {
        mode,
        kernel,
        mitigations: false,
    };
    let kernels = [Kernel::Stable, Kernel::Backports];
    let mut machines = Vec::new();
    let schemes = Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::None);
    machines.extend(schemes.map(|scheme| {
        let vhe = true;
        (Hypervisor::Trapcast { scheme, vhe }, Cpu::NeoverseN1)
    }));
    for kernel in kernels {
        let modes = [Mode::Vhe, Mode::Nvhe, Mode::Protected];
        machines.extend(modes.map(|mode| (kvm(mode, kernel), Cpu::NeoverseN1)));
    }
    machines.push((Hypervisor::Xen, Cpu::NeoverseN1));
    let owner = Hypervisor::Trapcast {
        scheme: Scheme::Owner,
        vhe: false,
    };
    machines.push((owner, Cpu::CortexA57));
    machines.extend(kernels.map(|kernel| (kvm(Mode::Nvhe, kernel), Cpu::CortexA57)));
    machines.push((Hypervisor::Xen, Cpu::CortexA57));
    machines
}

/// What hypervisors of Debian's packages are called, by what the downloads have written.
struct Names {
    stable: String,
    backports: String,
    xen: String,
}

impl Names {
    fn look(paths: &Paths) -> Result<Self> {
        Ok(Self {
            stable: version(paths.guest("versions.json")?, |versions| {
                versions.get("kernel_version")
            })?,
            backports: version(paths.hosts("versions-kernel.json")?, first)?,
            xen: version(paths.hosts("versions-xen.json")?, first)?,
        })
    }

    fn of(&self, hypervisor: Hypervisor) -> String {
        match hypervisor {
            Hypervisor::Trapcast { scheme, .. } => format!("Trapcast, {scheme}"),
            Hypervisor::Kvm { mode, kernel, .. } => {
                let version = match kernel {
                    Kernel::Stable => &self.stable,
                    Kernel::Backports => &self.backports,
                };
                let mode = match mode {
                    Mode::Vhe => "VHE",
                    Mode::Nvhe => "nVHE",
                    Mode::Protected => "protected",
                };
                format!("KVM {version}, {mode}")
            }
            Hypervisor::Xen => format!("Xen {}", self.xen),
        }
    }
}

/// The version of the one package in a file.
fn first(versions: &Value) -> Option<&Value> {
    versions.as_object()?.values().next()
}

/// A version that a download has written, without Debian's own part.
fn version(file: PathBuf, of: impl Fn(&Value) -> Option<&Value>) -> Result<String> {
    let text = fs::read_to_string(&file).map_err(|error| {
        Error::input(format!(
            "cannot read {}: {error}: run make hosts",
            file.display()
        ))
    })?;
    let versions: Value = serde_json::from_str(&text).map_err(Error::run)?;
    let version = of(&versions).and_then(Value::as_str).unwrap_or("unknown");
    let upstream = version.split(['-', '+']).next();
    Ok(upstream.unwrap_or(version).to_string())
}

const fn family(hypervisor: Hypervisor) -> Family {
    match hypervisor {
        Hypervisor::Trapcast { .. } => Family::Trapcast,
        Hypervisor::Kvm { .. } => Family::Kvm,
        Hypervisor::Xen => Family::Xen,
    }
}

/// Observes each hypervisor with each workload.
///
/// # Errors
/// [`Error::Input`] where something is missing; [`Error::Run`] where a run fails, with what and why;
/// [`Error::Stopped`] on Ctrl-C.
pub fn compare(plan: &Plan, paths: &Paths) -> Result<Comparison> {
    let names = Names::look(paths)?;
    let qemu = Installed::with_plugins(paths)?.version;
    let machines = machines();
    let runs: Vec<_> = plan
        .workloads
        .iter()
        .flat_map(|workload| machines.iter().map(move |machine| (*workload, *machine)))
        .collect();
    let progress = Progress::new(runs.len() as u64);
    let observed = in_parallel(&runs, plan.jobs, |(workload, (hypervisor, cpu))| {
        let name = names.of(*hypervisor);
        let task = format!("{}/{name}/{cpu}", workload.name);
        let kept = plan.kept.iter().flat_map(|kept| &kept.observations);
        let mut kept = kept.filter(|seen| seen.family != Family::Trapcast);
        if let Some(seen) = kept.find(|seen| {
            let of = (&*seen.hypervisor, &*seen.cpu, &*seen.workload);
            of == (&*name, cpu.name(), workload.name)
        }) {
            return progress.one(&task, || Ok(seen.clone()));
        }
        progress.one(&task, || {
            let guests = Guests {
                workload,
                vms: None,
                scale: Scale::QUICK,
                cpu: *cpu,
            };
            let observer = Observer::find(paths)?;
            observer.observe(*hypervisor, &guests, paths)?;
            Ok(Observation {
                hypervisor: name.clone(),
                family: family(*hypervisor),
                cpu: cpu.name().to_string(),
                workload: workload.name.to_string(),
                summary: Summary::of(&observer.seen()?),
            })
        })
    })?;
    progress.finish();
    Ok(Comparison {
        qemu,
        guest: names.stable,
        observations: observed.into_iter().collect::<Result<_>>()?,
    })
}
