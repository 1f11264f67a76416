//! `cargo xtask bench`: the fast paths in EL2 instructions for each core and scheme, and a Linux boot.

mod boot;
pub mod decisions;
mod goals;
mod measured;
mod shared;
mod table;
pub mod wakeups;

use std::{path::PathBuf, sync::Arc};

use serde::Serialize;
use trapcast_forecast::Scheme;

use self::boot::Boot;
use self::measured::{Measured, moves};
use self::shared::SHARED;
use self::wakeups::WakeUps;
pub use self::{
    boot::{BootResult, BootTiming, boot_without_hypervisor, median},
    goals::Goal,
    table::render,
};
use crate::{fpcheck, kvm};
use trapcast_machine::{
    console,
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    qemu::last_lines,
    run::{self, LIMIT},
    vectors::RegisterFiles,
};
use trapcast_results::Versions;
use trapcast_study::{
    versions,
    workload::{LINUX_BOOTARGS, LINUX_MEMORY},
};
use trapcast_tool::{
    error::{Error, Result},
    input,
    paths::Paths,
    progress::Progress,
};

/// The cores that are measured, each as the hypervisor uses it by itself.
pub const CORES: [Cpu; 3] = [Cpu::NeoverseN1, Cpu::Max, Cpu::CortexA57];

/// The scheme whose paths are compared with KVM's: it is KVM's own.
pub const PEER_SCHEME: Scheme = Scheme::UntilPut;

/// Memory of the bench's guest.
const GUEST_MEMORY: u64 = 16 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Measured rounds of each path.
    pub rounds: u32,
    /// Boots of each kind.
    pub boots: u32,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// What it ran on.
    pub versions: Versions,
    /// Instructions by core, scheme and path.
    pub paths: Vec<Path>,
    /// How long vCPUs take to wake up, by cores and vCPUs.
    pub wake_ups: Vec<WakeUps>,
    /// Linux boots, one per core.
    pub boots: Vec<BootResult>,
    /// The profile `measured-qemu` as it follows from these, in TOML.
    pub profile: String,
    /// What each scheme's decisions take, to be kept in `crates/profile/src/decision.rs`.
    pub decisions: Vec<decisions::Row>,
    /// What was to be reached, and what was.
    pub goals: Vec<Goal>,
    /// KVM's figures.
    pub kvm: &'static [kvm::Peer],
    /// Where they come from.
    pub kvm_source: &'static str,
    /// Wall times, which are never the same twice.
    pub timing: BenchTiming,
}

/// One path on one core under one scheme.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Path {
    /// QEMU's core.
    pub cpu: &'static str,
    /// The scheme.
    pub scheme: &'static str,
    /// The path's name.
    pub path: String,
    /// Fewest EL2 instructions of a round.
    pub min: u64,
    /// The median.
    pub median: u64,
    /// Rounds.
    pub rounds: u64,
}

/// Wall times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BenchTiming {
    /// The boots, one per core.
    pub boots: Vec<BootTiming>,
}

/// What the runs need, read once.
struct Inputs {
    hypervisor: PathBuf,
    bench: Image,
    linux: Vm,
}

impl Inputs {
    fn load(paths: &Paths) -> Result<Self> {
        let hypervisor = paths.hypervisor()?;
        let bench = Image::open(&paths.built("bench")?)?;
        let initrd = initrd::build(&paths.guest("busybox")?, Task::PowerOff)?;
        let linux = Vm {
            kernel: Image::open(&paths.guest("Image")?)?,
            initrd_size: initrd.len() as u64,
            initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
            bootargs: LINUX_BOOTARGS.to_string(),
            memory: LINUX_MEMORY,
            vcpus: 1,
            scheme: PEER_SCHEME,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        };
        Ok(Self {
            hypervisor,
            bench,
            linux,
        })
    }

    /// A VM with the bench's guest, which may count EL2's instructions.
    fn guest(&self, bootargs: &str) -> Vm {
        Vm {
            kernel: self.bench.clone(),
            initrd: None,
            initrd_size: 0,
            bootargs: bootargs.to_string(),
            memory: GUEST_MEMORY,
            vcpus: 1,
            scheme: PEER_SCHEME,
            observe: false,
            prompt: true,
            pmu: true,
            registers: RegisterFiles::FP,
        }
    }
}

/// Measures everything.
///
/// # Errors
/// [`Error::Input`] where something is missing, [`Error::Run`] where a run fails.
pub fn bench(plan: Plan, paths: &Paths) -> Result<Bench> {
    let inputs = Inputs::load(paths)?;
    let versions = versions::look(paths)?;
    let shared = |cpu| SHARED.iter().filter(|path| path.runs_on(cpu)).count();
    let runs = CORES.len() * (Scheme::ALL.len() + 4 + 2 * plan.boots as usize)
        + CORES.map(shared).iter().sum::<usize>()
        + wakeups::MACHINES.len()
        + decisions::SWITCHED.len();
    let progress = Progress::new(runs as u64);
    let mut measured = Vec::new();
    let (mut boots, mut timings) = (Vec::new(), Vec::new());
    for cpu in CORES {
        for scheme in Scheme::ALL {
            let name = format!("paths/{cpu}/{scheme}");
            let bootargs = format!("rounds={}", plan.rounds);
            let paths = || measure_paths(&bootargs, &inputs, cpu, scheme, Watch::Not);
            measured.extend(progress.one(&name, paths)?);
        }
        for watched in WATCHED {
            let name = format!("paths/{cpu}/{}", watched.name);
            let path = || measure_watched(&watched, plan.rounds, &inputs, cpu);
            measured.push(progress.one(&name, path)?);
        }
        for path in SHARED.iter().filter(|path| path.runs_on(cpu)) {
            let name = format!("paths/{cpu}/{}", path.name);
            let rounds = plan.rounds;
            measured.push(progress.one(&name, || path.measure(rounds, &inputs, cpu))?);
        }
        let boot = Boot::new(&inputs, cpu);
        boots.push(progress.one(&format!("boot/{cpu}/counted"), || boot.count())?);
        timings.push(boot.time(plan.boots, &progress)?);
    }
    for scheme in decisions::SWITCHED {
        let name = format!("paths/{PROFILE_CORE}/{scheme}/switch");
        let path = || decisions::switch(scheme, plan.rounds, &inputs);
        measured.push(progress.one(&name, path)?);
    }
    let mut wake_ups = Vec::new();
    for (cores, vcpus) in wakeups::MACHINES {
        let name = format!("wake-ups/{cores}-cores/{vcpus}-vcpus");
        let machine = (cores, vcpus);
        wake_ups.push(progress.one(&name, || {
            wakeups::measure(machine, wakeups::ROUNDS, &inputs.bench, &inputs.hypervisor)
        })?);
    }
    progress.finish();
    Ok(Bench {
        versions,
        profile: profile(
            &measured,
            &input::read("hypervisor", &inputs.hypervisor, fpcheck::MOST_BYTES)?,
        )?,
        decisions: decisions::of(&measured)?,
        goals: goals::goals(&measured, &wake_ups, &timings),
        paths: measured,
        wake_ups,
        boots,
        kvm: kvm::PEERS,
        kvm_source: kvm::SOURCE,
        timing: BenchTiming { boots: timings },
    })
}

/// How closely the hypervisor looks at the guest's windows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watch {
    Not,
    Observe,
    Record,
}

/// A path of the bench's guest under a hypervisor that watches.
struct Watched {
    /// What results call it.
    name: &'static str,
    /// What the guest calls it.
    path: &'static str,
    watch: Watch,
}

/// What is measured besides the schemes' own paths. In the first the registers are in the CPU, as
/// only the observer arms the trap; the other two differ by what a record takes.
const WATCHED: [Watched; 3] = [
    Watched {
        name: NO_SWITCH,
        path: "fp-trap-hvc",
        watch: Watch::Observe,
    },
    Watched {
        name: OBSERVED,
        path: "hvc-null",
        watch: Watch::Observe,
    },
    Watched {
        name: RECORDED,
        path: "hvc-null",
        watch: Watch::Record,
    },
];

/// The trap that moves nothing.
const NO_SWITCH: &str = "fp-trap-no-switch";
/// A hypercall behind an observer's gate, and one that is recorded too.
const OBSERVED: &str = "hvc-null-observed";
const RECORDED: &str = "hvc-null-recorded";

fn measure_watched(watched: &Watched, rounds: u32, inputs: &Inputs, cpu: Cpu) -> Result<Path> {
    let bootargs = format!("rounds={rounds} only={}", watched.path);
    let paths = measure_paths(&bootargs, inputs, cpu, PEER_SCHEME, watched.watch)?;
    let path = only(paths, &bootargs)?;
    Ok(Path {
        path: watched.name.to_string(),
        ..path
    })
}

/// The core whose figures become the profile `measured-qemu`.
const PROFILE_CORE: Cpu = Cpu::NeoverseN1;

/// Makes the profile `measured-qemu` of what was measured with this hypervisor, as TOML.
fn profile(paths: &[Path], hypervisor: &[u8]) -> Result<String> {
    let median = |path: &str| {
        find(paths, PROFILE_CORE, PEER_SCHEME, path)
            .and_then(|path| u32::try_from(path.median).ok())
            .ok_or_else(|| Error::run(format!("the bench's guest did not measure {path}")))
    };
    let (save, load) = moves(hypervisor)?;
    Measured {
        trap_with_switch: median("fp-trap-switch")?,
        trap_without_switch: median(NO_SWITCH)?,
        save,
        load,
    }
    .toml()
}

/// Measures just what the profile `measured-qemu` is made of, and returns its TOML.
///
/// # Errors
/// As for [`bench()`].
pub fn measure_profile(rounds: u32, paths: &Paths) -> Result<String> {
    let inputs = Inputs::load(paths)?;
    let bootargs = format!("rounds={rounds} only=fp-trap-switch");
    let mut measured = measure_paths(&bootargs, &inputs, PROFILE_CORE, PEER_SCHEME, Watch::Not)?;
    measured.push(measure_watched(&WATCHED[0], rounds, &inputs, PROFILE_CORE)?);
    let hypervisor = input::read("hypervisor", &inputs.hypervisor, fpcheck::MOST_BYTES)?;
    profile(&measured, &hypervisor)
}

/// Runs the bench's guest once.
fn measure_paths(
    bootargs: &str,
    inputs: &Inputs,
    cpu: Cpu,
    scheme: Scheme,
    watch: Watch,
) -> Result<Vec<Path>> {
    let machine = Machine {
        cpu,
        cores: 1,
        vhe: cpu.has_vhe(),
        icount: true,
        record: watch == Watch::Record,
        slice: None,
        vms: vec![Vm {
            observe: watch != Watch::Not,
            prompt: true,
            scheme,
            ..inputs.guest(bootargs)
        }],
    };
    measure(&machine, &inputs.hypervisor, scheme)
}

/// Runs the bench's guest, which is VM 0 of `machine`, and reads what it has measured.
fn measure(machine: &Machine, hypervisor: &std::path::Path, scheme: Scheme) -> Result<Vec<Path>> {
    let outcome = if machine.record {
        run::record(machine, hypervisor, LIMIT, |_, _| Ok(()))?.0
    } else {
        run::run(machine, hypervisor, LIMIT)?
    };
    // With several VMs, each line says whose it is.
    let console = outcome.console.lines();
    let lines: Vec<&str> = console
        .map(|line| line.strip_prefix("[vm0] ").unwrap_or(line))
        .collect();
    let paths: Vec<Path> = lines
        .iter()
        .filter_map(|line| path_of(line, machine.cpu, scheme))
        .collect();
    if paths.is_empty() || !lines.contains(&"bench: done") {
        return Err(Error::run(format!(
            "the bench's guest did not finish.{}",
            last_lines(&outcome.console, "")
        )));
    }
    Ok(paths)
}

/// The one path that was measured.
fn only(mut paths: Vec<Path>, bootargs: &str) -> Result<Path> {
    paths.pop().filter(|_| paths.is_empty()).ok_or_else(|| {
        Error::run(format!(
            "the bench's guest did not measure one path alone: {bootargs}"
        ))
    })
}

/// Reads `bench: NAME min=N median=N ... rounds=N`.
fn path_of(line: &str, cpu: Cpu, scheme: Scheme) -> Option<Path> {
    let (name, rest) = line.strip_prefix("bench: ")?.split_once(' ')?;
    Some(Path {
        cpu: cpu.name(),
        scheme: scheme.name(),
        path: name.to_string(),
        min: console::number(rest, "min")?,
        median: console::number(rest, "median")?,
        rounds: console::number(rest, "rounds")?,
    })
}

/// A path's figures on one core under one scheme.
pub fn find<'a>(paths: &'a [Path], cpu: Cpu, scheme: Scheme, path: &str) -> Option<&'a Path> {
    paths.iter().find(|measured| {
        measured.cpu == cpu.name() && measured.scheme == scheme.name() && measured.path == path
    })
}

/// The names of all paths, in the order in which they were measured.
pub fn names(paths: &[Path]) -> Vec<&str> {
    let mut names = Vec::new();
    for path in paths {
        if !names.contains(&path.path.as_str()) {
            names.push(&path.path);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of neoverse-n1 with this median.
    pub(super) fn path(scheme: Scheme, path: &str, median: u64) -> Path {
        Path {
            cpu: "neoverse-n1",
            scheme: scheme.name(),
            path: path.to_string(),
            min: median - 1,
            median,
            rounds: 1000,
        }
    }

    #[test]
    fn the_guests_lines_are_read() {
        let line = "bench: hvc-null min=99 median=100 max=200 rounds=1000";
        let read = path_of(line, Cpu::NeoverseN1, Scheme::Owner);
        assert_eq!(read, Some(path(Scheme::Owner, "hvc-null", 100)));
        assert_eq!(path_of("bench: done", Cpu::Max, Scheme::Owner), None);
        assert_eq!(
            path_of("bench: start rounds=1000", Cpu::Max, Scheme::Owner),
            None
        );
    }

    #[test]
    fn each_path_is_named_once_in_the_order_of_measuring() {
        let paths = [
            path(Scheme::None, "b", 2),
            path(Scheme::None, "a", 2),
            path(Scheme::Owner, "b", 2),
            path(Scheme::Owner, "c", 2),
        ];
        assert_eq!(names(&paths), ["b", "a", "c"]);
    }
}
