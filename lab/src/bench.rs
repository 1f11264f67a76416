//! `trapcast bench`: the fast paths in EL2 instructions for each core and scheme, and a Linux boot.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;
use trapcast_forecast::{Scheme, Window};

use crate::{
    console::{self, Expected},
    error::{Error, Result},
    figures::{Counters, ratio},
    image::Image,
    initrd::{self, Task},
    kvm,
    machine::{Cpu, Machine, Vm, prepare_without_hypervisor},
    memory::MemoryFile,
    paths::Paths,
    progress::Progress,
    qemu::{Console, Finished, Qemu, last_lines},
    results::Versions,
    run,
    workload::{LINUX_BOOTARGS, LINUX_MEMORY},
};

/// The cores that are measured, each as the hypervisor uses it by itself.
pub const CORES: [Cpu; 3] = [Cpu::NeoverseN1, Cpu::Max, Cpu::CortexA57];

/// The scheme whose paths stand beside KVM's: it is KVM's own.
pub const PEER_SCHEME: Scheme = Scheme::UntilPut;

/// How long one run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);

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
    /// Linux boots, one per core.
    pub boots: Vec<BootResult>,
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

/// A Linux guest from its first instruction to power-off.
#[derive(Clone, Debug, Serialize)]
pub struct BootResult {
    /// QEMU's core.
    pub cpu: &'static str,
    /// Entries into the guest.
    pub entries: u64,
    /// Exits by reason.
    pub exits: BTreeMap<&'static str, u64>,
    /// Instructions at EL2.
    pub el2_instructions: u64,
    /// Instructions at EL1 and EL0.
    pub guest_instructions: u64,
    /// EL2's share of all instructions.
    pub el2_share: Option<f64>,
}

/// Wall times.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BenchTiming {
    /// The boots, one per core.
    pub boots: Vec<BootTiming>,
}

/// Wall times of a boot, in seconds from QEMU's start to its end.
#[derive(Clone, Debug, Serialize)]
pub struct BootTiming {
    /// QEMU's core.
    pub cpu: &'static str,
    /// Under the hypervisor, each boot.
    pub hypervisor: Vec<f64>,
    /// Without one, each boot.
    pub without: Vec<f64>,
    /// The quotient of the medians.
    pub ratio: f64,
}

/// Something that was to be reached.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What it is about.
    pub name: String,
    /// What was measured.
    pub measured: f64,
    /// The most that it was to be.
    pub at_most: f64,
    /// Whether it is.
    pub met: bool,
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
            pmu: false,
        };
        Ok(Self {
            hypervisor,
            bench,
            linux,
        })
    }
}

/// Measures everything.
///
/// # Errors
/// [`Error::Input`] where something is missing, [`Error::Run`] where a run fails.
pub fn bench(plan: Plan, paths: &Paths) -> Result<Bench> {
    let inputs = Inputs::load(paths)?;
    let versions = Versions::look(paths)?;
    let runs = CORES.len() * (Scheme::ALL.len() + 1 + 2 * plan.boots as usize);
    let progress = Progress::new(runs as u64);
    let mut measured = Vec::new();
    let (mut boots, mut timings) = (Vec::new(), Vec::new());
    for cpu in CORES {
        for scheme in Scheme::ALL {
            let name = format!("paths/{cpu}/{scheme}");
            let paths = || measure_paths(plan.rounds, &inputs, cpu, scheme);
            measured.extend(progress.one(&name, paths)?);
        }
        let boot = Boot::new(&inputs, cpu);
        boots.push(progress.one(&format!("boot/{cpu}/counted"), || boot.count())?);
        timings.push(boot.time(plan.boots, &progress)?);
    }
    progress.finish();
    Ok(Bench {
        versions,
        goals: goals(&measured, &timings),
        paths: measured,
        boots,
        kvm: kvm::PEERS,
        kvm_source: kvm::SOURCE,
        timing: BenchTiming { boots: timings },
    })
}

/// Runs the bench's guest once.
fn measure_paths(rounds: u32, inputs: &Inputs, cpu: Cpu, scheme: Scheme) -> Result<Vec<Path>> {
    let machine = Machine {
        cpu,
        vhe: cpu.has_vhe(),
        icount: true,
        vms: vec![Vm {
            kernel: inputs.bench.clone(),
            initrd: None,
            initrd_size: 0,
            bootargs: format!("rounds={rounds}"),
            memory: GUEST_MEMORY,
            vcpus: 1,
            scheme,
            observe: false,
            pmu: true,
        }],
    };
    let outcome = run::run(&machine, &inputs.hypervisor, LIMIT)?;
    let lines: Vec<Path> = outcome
        .console
        .lines()
        .filter_map(|line| path_of(line, cpu, scheme))
        .collect();
    if lines.is_empty() || !outcome.console.lines().any(|line| line == "bench: done") {
        return Err(Error::run(format!(
            "the bench's guest did not come to its end.{}",
            last_lines(&outcome.console, "")
        )));
    }
    Ok(lines)
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

/// A Linux guest that boots, prints its marker and powers off.
struct Boot<'a> {
    machine: Machine,
    hypervisor: &'a std::path::Path,
}

impl<'a> Boot<'a> {
    fn new(inputs: &'a Inputs, cpu: Cpu) -> Self {
        Self {
            machine: Machine {
                cpu,
                vhe: cpu.has_vhe(),
                icount: false,
                vms: vec![inputs.linux.clone()],
            },
            hypervisor: &inputs.hypervisor,
        }
    }

    /// Boots once with instructions counted.
    fn count(&self) -> Result<BootResult> {
        let machine = Machine {
            icount: true,
            ..self.machine.clone()
        };
        let outcome = run::run(&machine, self.hypervisor, LIMIT)?;
        booted(&outcome.console)?;
        let counters: Vec<Counters> = outcome.vcpus.iter().map(Into::into).collect();
        let total = Counters::sum(&counters);
        let el2 = outcome.cores.iter().map(|core| core.el2_instructions).sum();
        let guest: u64 = outcome
            .cores
            .iter()
            .map(|core| core.guest_instructions)
            .sum();
        Ok(BootResult {
            cpu: self.machine.cpu.name(),
            entries: total.entries,
            exits: total.exits,
            el2_instructions: el2,
            guest_instructions: guest,
            el2_share: ratio(el2, el2 + guest),
        })
    }

    /// Boots with and without the hypervisor in turn, so that a machine that gets slower or faster
    /// does so to both.
    fn time(&self, boots: u32, progress: &Progress) -> Result<BootTiming> {
        let cpu = self.machine.cpu;
        let (mut hypervisor, mut without) = (Vec::new(), Vec::new());
        for _ in 0..boots {
            hypervisor.push(progress.one(&format!("boot/{cpu}/hypervisor"), || {
                let outcome = run::run(&self.machine, self.hypervisor, LIMIT)?;
                booted(&outcome.console)?;
                Ok(outcome.wall.as_secs_f64())
            })?);
            without.push(progress.one(&format!("boot/{cpu}/without"), || {
                let vm = &self.machine.vms[0];
                let finished = boot_without_hypervisor(cpu, vm)?;
                booted(&finished.console)?;
                Ok(finished.wall.as_secs_f64())
            })?);
        }
        Ok(BootTiming {
            cpu: cpu.name(),
            ratio: median(&hypervisor) / median(&without),
            hypervisor,
            without,
        })
    }
}

/// Boots a Linux guest at EL1 of a board without EL2, to its power-off.
///
/// # Errors
/// [`Error::Run`] where it does not end.
pub fn boot_without_hypervisor(cpu: Cpu, vm: &Vm) -> Result<Finished> {
    let prepared = prepare_without_hypervisor(cpu, false, vm)?;
    Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))
}

fn booted(text: &str) -> Result<()> {
    let found = console::findings(text, &[Expected::LinuxMarker]);
    if found.failures.is_empty() {
        return Ok(());
    }
    let lines = last_lines(text, "");
    Err(Error::run(format!("{}.{lines}", found.failures.join("; "))))
}

/// The median of some figures; zero of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (middle, 1) => sorted[middle],
        (middle, _) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// A path's figures on one core under one scheme.
pub fn find<'a>(paths: &'a [Path], cpu: Cpu, scheme: Scheme, path: &str) -> Option<&'a Path> {
    paths.iter().find(|measured| {
        measured.cpu == cpu.name() && measured.scheme == scheme.name() && measured.path == path
    })
}

/// The paths of one core and scheme, in the guest's order.
pub fn names(paths: &[Path]) -> Vec<&str> {
    let first = paths.first();
    let same = |path: &&Path| {
        first.is_some_and(|first| (path.cpu, path.scheme) == (first.cpu, first.scheme))
    };
    paths
        .iter()
        .filter(same)
        .map(|path| path.path.as_str())
        .collect()
}

fn goals(paths: &[Path], boots: &[BootTiming]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut goal = |name: String, measured: f64, at_most: f64| {
        goals.push(Goal {
            name,
            measured,
            at_most,
            met: measured <= at_most,
        });
    };
    for cpu in CORES {
        for (path, share, of) in [
            ("hvc-null", 0.25, "a quarter"),
            ("fp-trap-switch", 0.5, "half"),
        ] {
            let measured = find(paths, cpu, PEER_SCHEME, path).map(|path| path.median as f64);
            let peer = kvm::instructions(path, cpu).map(f64::from);
            if let Some((measured, peer)) = measured.zip(peer) {
                goal(
                    format!("{path} on {cpu}: {of} of KVM's {peer}"),
                    measured,
                    peer * share,
                );
            }
        }
        for scheme in Scheme::ALL {
            if let Some(more) = decision(paths, cpu, scheme) {
                goal(
                    format!("decision of {scheme} on {cpu}, with gate and learning"),
                    more,
                    20.0,
                );
            }
        }
    }
    for boot in boots {
        goal(
            format!("Linux boot on {}: wall time beside none", boot.cpu),
            boot.ratio,
            1.2,
        );
    }
    goals
}

/// What a scheme adds to a window that moves nothing, beside `none`, which decides nothing: its
/// decision, setting the gate, and learning at the window's end. An upper bound of the decision.
///
/// `eager` has no such window: it moves registers at every entry.
fn decision(paths: &[Path], cpu: Cpu, scheme: Scheme) -> Option<f64> {
    let path = match (scheme, scheme.window()) {
        (Scheme::None | Scheme::Eager, _) => return None,
        (_, Window::Entry) => "entry-exit-unused",
        (_, Window::Load) => "entry-exit-wfi-unused",
    };
    let round_trip = |scheme| find(paths, cpu, scheme, path).map(|path| path.median as f64);
    Some(round_trip(scheme)? - round_trip(Scheme::None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(scheme: Scheme, path: &str, median: u64) -> Path {
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
    fn goals_are_judged_by_the_figures() {
        let paths = [
            path(Scheme::UntilPut, "hvc-null", 261),
            path(Scheme::UntilPut, "fp-trap-switch", 95),
            path(Scheme::None, "entry-exit-unused", 100),
            path(Scheme::None, "entry-exit-wfi-unused", 1000),
            path(Scheme::LastTrap, "entry-exit-unused", 112),
            path(Scheme::Credit, "entry-exit-wfi-unused", 1021),
            path(Scheme::Eager, "entry-exit-unused", 300),
        ];
        let boots = [BootTiming {
            cpu: "neoverse-n1",
            hypervisor: vec![],
            without: vec![],
            ratio: 1.2,
        }];
        let judged: Vec<_> = goals(&paths, &boots)
            .iter()
            .map(|goal| (goal.measured, goal.met))
            .collect();
        assert_eq!(
            judged,
            [
                (261.0, true),
                (95.0, false),
                (12.0, true),
                (21.0, false),
                (1.2, true)
            ]
        );
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn paths_are_named_in_the_guests_order() {
        let paths = [
            path(Scheme::None, "b", 2),
            path(Scheme::None, "a", 2),
            path(Scheme::Owner, "b", 2),
        ];
        assert_eq!(names(&paths), ["b", "a"]);
    }
}
