//! The study: every workload under every scheme, each in a run that counts and a run that observes.

mod hosts;
mod job;
mod judge;
mod kept;
mod key;
mod replays;
pub mod verify;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use trapcast_forecast::Scheme;

pub use self::kept::{finished, latency};
use self::{
    job::{Job, jobs},
    judge::{Outcomes, Replays},
    kept::{Finding, Store},
    key::Inputs,
};
use crate::{
    recording::{About, record_to},
    versions,
    workload::{Images, SEED, Workload},
};
use trapcast_machine::{
    machine::{Cpu, Machine},
    run::{self, LIMIT, Options},
};
use trapcast_report::agreement;
use trapcast_results::{FORMAT, Results, Scale, SchemeResult, Versions};
use trapcast_tool::{
    error::{Error, Result},
    parallel::in_parallel,
    paths::Paths,
    progress::Progress,
};

/// What to study.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads.
    pub workloads: Vec<&'static Workload>,
    /// The schemes.
    pub schemes: Vec<Scheme>,
    /// QEMU's core.
    pub cpu: Cpu,
    /// Whether the hypervisor uses VHE.
    pub vhe: bool,
    /// How long the workloads are.
    pub scale: Scale,
    /// How long a vCPU may run while others wait, in microseconds, whatever the workload has.
    pub slice: Option<u32>,
    /// QEMUs at once.
    pub jobs: usize,
    /// Where the records of the observed runs go, in `records`, and what each run has found out, in
    /// `runs`. A run that is found there and had the same inputs is not done again.
    pub directory: PathBuf,
    /// How many courses each workload of Linux guests takes under `COURSES_UNDER`.
    pub courses: u32,
    /// Whether workloads of Linux guests run on KVM and on Xen, too.
    pub others: bool,
    /// Whether to do all runs, whatever is found in the directory.
    pub fresh: bool,
    /// The command line that continues it if it is interrupted.
    pub command: String,
}

/// Runs a study.
///
/// Runs that fail are in [`Results::failures`]; the others continue.
///
/// # Errors
/// [`Input`](trapcast_tool::error::Error::Input) where images are missing, change meanwhile, or another study
/// runs in the directory; [`Stopped`](trapcast_tool::error::Error::Stopped) on Ctrl-C.
pub fn study(plan: &Plan, paths: &Paths) -> Result<Results> {
    let started = Instant::now();
    let hypervisor = paths.hypervisor()?;
    let versions = versions::look(paths)?;
    let images = Images::load(paths, &plan.workloads, plan.scale)?;
    let store = Store::open(&plan.directory, &plan.command)?;
    let jobs: Vec<(Job, Machine)> = jobs(plan)
        .into_iter()
        .map(|job| (job, job.machine(plan, &images)))
        .collect();
    let machines = jobs.iter().map(|(_, machine)| machine);
    let study = Study {
        inputs: Inputs::look(plan, &versions, &hypervisor, machines)?,
        plan,
        hypervisor: &hypervisor,
        versions: &versions,
        store,
    };
    let (before, left) = study.done_before(&jobs);
    let progress = study.progress(&jobs, &before);
    let work = study.work(left, &before);
    let outcomes = Mutex::new(before);
    let replays = in_parallel(&work, plan.jobs, |work| {
        study.work_on(work, &outcomes, &progress)
    })?;
    let outcomes = outcomes.into_inner().expect("no worker panics");
    let replays = replays
        .into_iter()
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    let mut results = study.results(&outcomes, replays);
    progress.finish();
    if plan.others {
        results
            .failures
            .extend(hosts::record(plan, &study.store, paths)?);
    }
    results.timing.seconds = started.elapsed().as_secs_f64();
    Ok(results)
}

/// The scheme under which the courses of a workload are observed: it moves least.
pub const COURSES_UNDER: Scheme = agreement::REFERENCE;

/// Settings of the hypervisor in plain runs besides: it keeps how long interrupts were masked.
const PLAIN_SETTINGS: &str = "latency=on";

/// What there is to do.
enum Work<'a> {
    /// A run. The last one of a workload is followed by the workload's replays.
    Run(Task<'a>),
    /// The replays of a workload all of whose runs were done before.
    Replay(&'static Workload),
}

/// A workload with what its replays say.
type Replayed = (&'static str, Replays);

/// A run that is to be done.
struct Task<'a> {
    job: &'a Job,
    machine: &'a Machine,
    key: String,
}

/// A study that runs.
struct Study<'a> {
    plan: &'a Plan,
    hypervisor: &'a Path,
    versions: &'a Versions,
    inputs: Inputs,
    store: Store,
}

impl Study<'_> {
    /// What runs that were done before have found out, and the runs that are left.
    fn done_before<'a>(&self, jobs: &'a [(Job, Machine)]) -> (Outcomes, Vec<Task<'a>>) {
        let (mut outcomes, mut left) = (Outcomes::new(), Vec::new());
        for (job, machine) in jobs {
            let key = self.inputs.key(job, machine);
            match self.store.take(job, &key).filter(|_| !self.plan.fresh) {
                Some(finding) => {
                    outcomes.insert(job.name(), Ok(finding));
                }
                None => left.push(Task { job, machine, key }),
            }
        }
        if !outcomes.is_empty() {
            eprintln!(
                "trapcast: {} of {} runs were done before and are taken over from {}; --fresh does them again",
                outcomes.len(),
                jobs.len(),
                self.plan.directory.display()
            );
        }
        (outcomes, left)
    }

    /// The progress of all runs and replays, in which those that were done before are done.
    fn progress(&self, jobs: &[(Job, Machine)], before: &Outcomes) -> Progress {
        let runs = jobs.iter().map(|(job, _)| (job.name(), self.weight(job)));
        let replays = self.plan.workloads.iter();
        let replays = replays.map(|workload| (replay_name(workload), self.replay_weight(workload)));
        let tasks: Vec<(String, u64)> = runs.chain(replays).collect();
        let tasks = tasks.iter().map(|(name, weight)| (name.as_str(), *weight));
        let progress = Progress::of(tasks, self.plan.jobs);
        for (job, _) in jobs {
            if let Some(Ok(finding)) = before.get(&job.name()) {
                progress.taken_over(&job.name(), self.weight(job), finding.timing.seconds);
            }
        }
        progress
    }

    fn weight(&self, job: &Job) -> u64 {
        job.workload.weight(self.plan.scale)
    }

    /// What progress takes the replays of a workload for until some were done.
    fn replay_weight(&self, workload: &Workload) -> u64 {
        1 + workload.weight(self.plan.scale) / 20
    }

    /// All that is to be done.
    fn work<'a>(&self, left: Vec<Task<'a>>, before: &Outcomes) -> Vec<Work<'a>> {
        let workloads = self.plan.workloads.iter().copied();
        let done = workloads.filter(|workload| self.has_all_runs(workload, before));
        let replays = done.map(Work::Replay).collect::<Vec<_>>();
        left.into_iter().map(Work::Run).chain(replays).collect()
    }

    /// Whether all runs of a workload are among these.
    fn has_all_runs(&self, workload: &'static Workload, outcomes: &Outcomes) -> bool {
        let mut runs = job::of_workload(self.plan, workload).into_iter();
        runs.all(|job| outcomes.contains_key(&job.name()))
    }

    /// Does some of the work. So replays come between the runs, and how long they take is known early.
    fn work_on(
        &self,
        work: &Work<'_>,
        outcomes: &Mutex<Outcomes>,
        progress: &Progress,
    ) -> Result<Option<Replayed>> {
        let workload = match work {
            Work::Replay(workload) => *workload,
            Work::Run(task) => {
                let outcome = self.run(task, progress);
                if let Err(error @ (Error::Stopped(_) | Error::Input(_))) = &outcome {
                    return Err(error.clone());
                }
                let mut outcomes = outcomes.lock().expect("no worker panics");
                outcomes.insert(task.job.name(), outcome);
                if !self.has_all_runs(task.job.workload, &outcomes) {
                    return Ok(None);
                }
                task.job.workload
            }
        };
        let rows = self.rows(
            workload,
            &outcomes.lock().expect("no worker panics"),
            &mut Vec::new(),
        );
        let name = replay_name(workload);
        progress.start(&name);
        let replays = judge::replay(self.plan, workload, &rows, &self.store);
        progress.end(&name, self.replay_weight(workload), replays.as_ref().err());
        Ok(Some((workload.name, replays?)))
    }

    /// The results of a workload under each scheme, without what replays say.
    fn rows(
        &self,
        workload: &'static Workload,
        outcomes: &Outcomes,
        failures: &mut Vec<String>,
    ) -> Vec<SchemeResult> {
        let schemes = self.plan.schemes.iter();
        let rows = schemes.map(|scheme| judge::judge(workload, *scheme, outcomes, failures));
        rows.collect()
    }

    fn run(&self, task: &Task<'_>, progress: &Progress) -> Result<Finding> {
        progress.start(&task.job.name());
        let finding = self.find_out(task, progress);
        let weight = self.weight(task.job);
        progress.end(&task.job.name(), weight, finding.as_ref().err());
        finding
    }

    /// Does one run and keeps what it finds out.
    fn find_out(&self, task: &Task<'_>, progress: &Progress) -> Result<Finding> {
        let Task { job, machine, key } = task;
        self.inputs.unchanged(machine)?;
        self.store.forget(job)?;
        let outcome = if job.observe {
            let about = About {
                workload: job.workload.name,
                linux: job.workload.is_linux(),
                scheme: job.scheme,
                scale: self.plan.scale,
                course: job.course,
                slice: machine.slice,
                seed: job.course.seed(SEED),
                versions: self.versions,
            };
            let file = self.store.record(job);
            let check = |_: &_| Ok(());
            record_to(&file, &about, machine, self.hypervisor, check, progress)?.0
        } else {
            run::run_with(
                &Options::settings(PLAIN_SETTINGS),
                machine,
                self.hypervisor,
                LIMIT,
            )?
        };
        self.inputs.unchanged(machine)?;
        let finding = Finding::of(job, &outcome);
        self.store.keep(job, key.clone(), &finding)?;
        Ok(finding)
    }

    /// Puts the runs together with what their replays say.
    fn results(&self, outcomes: &Outcomes, replays: Vec<Replayed>) -> Results {
        let plan = self.plan;
        let mut replayed: BTreeMap<_, _> = replays.into_iter().collect();
        let (mut failures, mut not_exact) = (Vec::new(), Vec::new());
        let (mut results, mut replays) = (Vec::new(), Vec::new());
        let mut further_courses = Vec::new();
        for &workload in &plan.workloads {
            let mut rows = self.rows(workload, outcomes, &mut failures);
            if let Some(Replays { agreements, replay }) = replayed.remove(workload.name) {
                judge::add_agreements(&mut rows, agreements, &mut not_exact);
                replays.extend(replay);
            }
            results.extend(rows);
            for job in job::of_workload(plan, workload) {
                further_courses.extend(judge::course(plan, &job, outcomes, &mut failures));
            }
        }
        failures.extend(not_exact);
        Results {
            format: FORMAT,
            versions: self.versions.clone(),
            cpu: plan.cpu.name().to_string(),
            vhe: plan.vhe,
            scale: plan.scale,
            slice: plan.slice,
            courses: plan.courses,
            results,
            further_courses,
            replays,
            failures,
            timing: judge::timing(outcomes),
        }
    }
}

/// What progress calls the replays of a workload's records.
fn replay_name(workload: &Workload) -> String {
    format!("replay/{}", workload.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    pub(super) fn plan() -> Plan {
        Plan {
            workloads: vec![
                workload::find("never").unwrap(),
                workload::find("linux-mix").unwrap(),
            ],
            schemes: vec![Scheme::None, Scheme::Owner],
            cpu: Cpu::NeoverseN1,
            vhe: true,
            scale: Scale::QUICK,
            slice: None,
            courses: 1,
            jobs: 2,
            directory: PathBuf::new(),
            others: false,
            fresh: false,
            command: String::new(),
        }
    }
}
