//! The torture: guests that check their registers in every window, while the hypervisor preempts them
//! at random, moves them from core to core and uses the registers itself; hostile guests; and scans of all
//! System registers.
//!
//! Runs are short, each with a seed of its own, and go on until every scheme has had its share of
//! window checks. The cores run at the same time, so that a seed does not bring the same run back: it
//! brings the same slices, moves and patterns, at other moments.

mod hostile;
mod part;
pub mod scan;
mod table;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use trapcast_forecast::Scheme;
use trapcast_study::versions;
use trapcast_trace::report::Exit;

pub use part::{ALL, HOSTILE, Part, SCAN, find, names};
pub use table::render;

use trapcast_machine::{
    console,
    machine::Machine,
    run::{self, Options, Outcome},
};
use trapcast_results::{Verdict, Versions};
use trapcast_tool::{
    error::{Error, Result},
    output,
    paths::Paths,
    progress::Progress,
};

/// Version of the layout of what is written.
pub const FORMAT: u32 = 1;

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs of the negative control.
const CONTROLS: u64 = 3;

/// Rounds of a run of the negative control.
const CONTROL_ROUNDS: u64 = 1000;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The parts.
    pub parts: Vec<&'static Part>,
    /// The schemes.
    pub schemes: Vec<Scheme>,
    /// Window checks over all parts and schemes that switch.
    pub windows: u64,
    /// Random operations of hostile guests.
    pub operations: u64,
    /// Scans.
    pub scans: u64,
    /// The seed of the first runs; those that follow have the next ones.
    pub seed: u64,
    /// Cores of the board. A part whose vCPUs could not keep them busy has fewer.
    pub cores: u32,
    /// When to begin no more runs.
    pub time: Option<Duration>,
    /// Where the consoles of runs that failed go.
    pub output: PathBuf,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// What it ran on.
    pub versions: Versions,
    /// Cores of the board.
    pub cores: u32,
    /// The seed of the first runs.
    pub seed: u64,
    /// Window checks that were asked for.
    pub windows: u64,
    /// Whether every scheme had its share of them.
    pub complete: bool,
    /// One per part and scheme.
    pub rows: Vec<Row>,
    /// What became of hostile guests, if there were any.
    pub hostile: Option<crate::hostile::Outcome>,
    /// What scans came to, if there were any.
    pub scans: Option<scan::Outcome>,
    /// What was not as it must be.
    pub failures: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// One scheme in one part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The part's name.
    pub part: &'static str,
    /// The scheme's name.
    pub scheme: &'static str,
    /// Runs.
    pub runs: u64,
    /// Window checks: each compares all registers with what the vCPU left in them.
    pub windows: u64,
    /// vCPUs that moved to a core from another one.
    pub moves: u64,
    /// Times that a vCPU's time was up.
    pub preemptions: u64,
    /// Sections of EL2's own that used the registers.
    pub host_uses: u64,
    /// Registers and results that were not what a guest expected.
    pub mismatches: u64,
    /// Times that the host had lost its registers.
    pub host_mismatches: u64,
    /// Windows of a vCPU until the first mismatch was seen, in the run where that took longest.
    pub first_mismatch: Option<u64>,
    /// What became of the check.
    pub verdict: Verdict,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A row with what is to be done for it.
struct Work {
    part: &'static Part,
    scheme: Scheme,
    /// Window checks that it has to reach.
    target: u64,
    /// A run failed, or found what it must not find: there will not be another one.
    failed: bool,
    row: Row,
}

/// The result of one run.
struct Run {
    outcome: Outcome,
    windows: u64,
    mismatches: u64,
    host_mismatches: u64,
    first_mismatch: Option<u64>,
    failures: Vec<String>,
}

/// Does it.
///
/// What is not as it must be is in [`Results::failures`].
///
/// # Errors
/// [`Input`](Error::Input) where something is missing, [`Stopped`](Error::Stopped) on Ctrl-C.
pub fn torture(plan: &Plan, paths: &Paths) -> Result<Results> {
    let started = Instant::now();
    let hypervisor = paths.hypervisor()?;
    let versions = versions::look(paths)?;
    let mut works = works(plan);
    let progress = Progress::new(works.iter().map(|work| work.target).sum::<u64>().max(1));
    let mut failures = Vec::new();
    let is_late = || plan.time.is_some_and(|time| started.elapsed() > time);
    // They are the shortest.
    let scans = (plan.scans > 0)
        .then(|| scan::run(plan, paths, is_late, &mut failures))
        .transpose()?;
    for round in 0.. {
        let mut idle = true;
        for work in &mut works {
            if work.is_done() || is_late() {
                continue;
            }
            idle = false;
            let seed = plan.seed + round;
            let name = format!("{}/{}/seed {seed}", work.part.name, work.scheme);
            progress.start(&name);
            let before = work.row.windows;
            let outcome = work.run(seed, plan, paths, &hypervisor);
            let weight = work.row.windows.min(work.target) - before.min(work.target);
            progress.end(&name, weight, outcome.as_ref().err());
            match outcome {
                Err(error @ (Error::Stopped(_) | Error::Input(_))) => return Err(error),
                Err(Error::Run(sentence) | Error::Halted(sentence)) => {
                    failures.push(format!("{name}: {sentence}"))
                }
                Ok(()) => {}
            }
        }
        if idle {
            break;
        }
    }
    progress.finish();
    let hostile = (plan.operations > 0)
        .then(|| hostile::run(plan, paths, is_late, &mut failures))
        .transpose()?;
    let is_rest_done = hostile.is_none() && scans.is_none() || !is_late();
    Ok(Results {
        format: FORMAT,
        versions,
        cores: plan.cores,
        seed: plan.seed,
        windows: plan.windows,
        complete: works.iter().all(Work::is_done) && is_rest_done,
        rows: works.into_iter().map(|work| work.row).collect(),
        hostile,
        scans,
        failures,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What is to be done: every part under every scheme.
fn works(plan: &Plan) -> Vec<Work> {
    let shares: u64 = plan.parts.iter().map(|part| part.share).sum();
    let switching = plan.schemes.iter().filter(|s| **s != Scheme::None).count() as u64;
    let mut works = Vec::new();
    for part in &plan.parts {
        for &scheme in &plan.schemes {
            if scheme == Scheme::None && !part.control {
                continue;
            }
            let target = if scheme == Scheme::None {
                0
            } else {
                (plan.windows * part.share).div_ceil(shares * switching)
            };
            works.push(Work {
                part,
                scheme,
                target,
                failed: false,
                row: Row {
                    part: part.name,
                    scheme: scheme.name(),
                    ..Row::default()
                },
            });
        }
    }
    works
}

impl Work {
    fn is_done(&self) -> bool {
        self.failed
            || match self.scheme {
                Scheme::None => self.row.runs >= CONTROLS,
                _ => self.row.windows >= self.target,
            }
    }

    /// Runs it again.
    fn run(&mut self, seed: u64, plan: &Plan, paths: &Paths, hypervisor: &Path) -> Result<()> {
        let rounds = match self.scheme {
            Scheme::None => CONTROL_ROUNDS,
            _ => self.part.rounds_for(self.target - self.row.windows),
        };
        let started = Instant::now();
        let run = run_once(
            self.part,
            self.scheme,
            seed,
            rounds,
            plan.cores,
            paths,
            hypervisor,
        );
        self.row.runs += 1;
        self.row.seconds += started.elapsed().as_secs_f64();
        match run {
            Ok(run) => self.add(&run, seed, &plan.output),
            Err(error) => {
                self.failed = true;
                self.row.verdict = Verdict::Corrupt;
                Err(error)
            }
        }
    }

    /// Adds the result of a run, and judges it.
    fn add(&mut self, run: &Run, seed: u64, output: &Path) -> Result<()> {
        let row = &mut self.row;
        row.windows += run.windows;
        row.moves += sum(&run.outcome, |core| core.moves);
        row.host_uses += sum(&run.outcome, |core| core.host_uses);
        row.preemptions += preemptions(&run.outcome);
        row.mismatches += run.mismatches;
        row.host_mismatches += run.host_mismatches;
        row.first_mismatch = row.first_mismatch.max(run.first_mismatch);
        let found = run.mismatches > 0 || run.host_mismatches > 0 || !run.failures.is_empty();
        let verdict = match (self.scheme, found) {
            (Scheme::None, true) => Verdict::Caught,
            (Scheme::None, false) => Verdict::Missed,
            (_, true) => Verdict::Corrupt,
            (_, false) => Verdict::Clean,
        };
        row.verdict = verdict;
        if !verdict.is_failure() {
            return Ok(());
        }
        self.failed = true;
        let name = format!("{}-{}-{seed}.txt", self.part.name, self.scheme);
        let file = output.join(name);
        output::write(&file, run.outcome.console.as_bytes())?;
        Err(Error::run(format!(
            "{verdict:?}: {} mismatches in guests, {} in the host{}; its console is in {}",
            run.mismatches,
            run.host_mismatches,
            run.failures
                .iter()
                .map(|failure| format!("; {failure}"))
                .collect::<String>(),
            file.display()
        )))
    }
}

/// Runs one part once.
fn run_once(
    part: &Part,
    scheme: Scheme,
    seed: u64,
    rounds: u64,
    cores: u32,
    paths: &Paths,
    hypervisor: &Path,
) -> Result<Run> {
    let cpu = of_seed(part.cpus, seed);
    let slice = of_seed(part.slices, seed);
    let machine = Machine {
        cpu,
        cores: cores.min(part.most_cores),
        vhe: cpu.has_vhe(),
        icount: false,
        record: false,
        vms: part.vms(scheme, seed, rounds, paths)?,
        slice: Some(slice),
    };
    let settings = format!("disturb={seed}");
    let outcome = run::run_with(&Options::settings(&settings), &machine, hypervisor, LIMIT)?;
    let findings = console::findings(&outcome.console, &part.expected());
    Ok(Run {
        windows: findings.guest_used,
        mismatches: findings.guest_mismatches,
        host_mismatches: sum(&outcome, |core| core.canary_mismatches),
        first_mismatch: findings.first_mismatch,
        failures: findings.failures,
        outcome,
    })
}

/// The one of several things whose turn it is with this seed.
fn of_seed<T: Copy>(things: &[T], seed: u64) -> T {
    things[(seed % things.len() as u64) as usize]
}

fn sum(outcome: &Outcome, of: impl Fn(&trapcast_trace::report::CoreReport) -> u64) -> u64 {
    outcome.cores.iter().map(of).sum()
}

fn preemptions(outcome: &Outcome) -> u64 {
    let of = |vcpu: &trapcast_trace::report::VcpuReport| vcpu.exits[Exit::HypervisorTimer as usize];
    outcome.vcpus.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(schemes: &[Scheme]) -> Plan {
        Plan {
            parts: vec![find("fp").unwrap(), find("linux").unwrap()],
            schemes: schemes.to_vec(),
            windows: 1_040_000,
            operations: 0,
            scans: 0,
            seed: 1,
            cores: 4,
            time: None,
            output: PathBuf::new(),
        }
    }

    #[test]
    fn every_scheme_that_switches_has_its_share_and_none_is_the_control() {
        let works = works(&plan(&[Scheme::None, Scheme::Eager, Scheme::Owner]));
        let targets: Vec<_> = works
            .iter()
            .map(|work| (work.row.part, work.row.scheme, work.target))
            .collect();
        assert_eq!(
            targets,
            [
                ("fp", "none", 0),
                ("fp", "eager", 500_000),
                ("fp", "owner", 500_000),
                ("linux", "eager", 20_000),
                ("linux", "owner", 20_000),
            ]
        );
    }

    #[test]
    fn the_control_alone_needs_no_window_checks() {
        let mut works = works(&plan(&[Scheme::None]));
        assert_eq!((works.len(), works[0].is_done()), (1, false));
        works[0].row.runs = CONTROLS;
        assert!(works[0].is_done());
    }
}
