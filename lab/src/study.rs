//! The study: every workload under every scheme, each in a run that counts and a run that observes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use trapcast_forecast::Scheme;

use crate::{
    agreement, console,
    error::Result,
    figures::{Counters, Figures},
    machine::{Cpu, Machine},
    parallel::in_parallel,
    paths::Paths,
    progress::Progress,
    recording::{About, record_to},
    results::{
        FORMAT, Integrity, Results, RunCounters, RunTiming, SchemeResult, Timing, VcpuCounters,
        Versions,
    },
    run::{self, LIMIT, Outcome},
    workload::{Images, Scale, Workload},
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
    /// Where the records of the observed runs go.
    pub records: PathBuf,
}

/// One run of a study.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Job {
    workload: &'static Workload,
    scheme: Scheme,
    observe: bool,
}

impl Job {
    fn name(&self) -> String {
        let kind = if self.observe { "observed" } else { "plain" };
        format!("{}/{}/{kind}", self.workload.name, self.scheme)
    }

    /// Where its windows are recorded.
    fn record(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.{}.parquet", self.workload.name, self.scheme))
    }
}

type Outcomes = BTreeMap<String, Result<Outcome>>;

/// Runs a study.
///
/// Runs that fail are in [`Results::failures`]; the others go on.
///
/// # Errors
/// [`Input`](crate::error::Error::Input) where images are missing,
/// [`Interrupted`](crate::error::Error::Interrupted) on Ctrl-C.
pub fn study(plan: &Plan, paths: &Paths) -> Result<Results> {
    let started = Instant::now();
    let hypervisor = paths.hypervisor()?;
    let versions = Versions::look(paths)?;
    let images = Images::load(paths, &plan.workloads, plan.scale)?;
    let jobs = jobs(plan);
    let progress = Progress::new(jobs.iter().map(|job| job.workload.weight()).sum());
    let outcomes = in_parallel(&jobs, plan.jobs, |job| {
        progress.start(&job.name());
        let machine = Machine {
            cpu: plan.cpu,
            cores: job.workload.cores,
            vhe: plan.vhe,
            icount: true,
            record: job.observe,
            slice: plan.slice.or(job.workload.slice),
            vms: images.vms(job.workload, job.scheme, job.observe, plan.scale),
        };
        let outcome = if job.observe {
            let about = About {
                workload: job.workload.name,
                scheme: job.scheme,
                scale: plan.scale,
                versions: &versions,
            };
            let file = job.record(&plan.records);
            record_to(&file, &about, &machine, &hypervisor, |_| Ok(()), &progress)
                .map(|(outcome, _)| outcome)
        } else {
            run::run_with(&machine, "latency=on", &hypervisor, LIMIT)
        };
        progress.end(&job.name(), job.workload.weight(), outcome.as_ref().err());
        outcome
    })?;
    progress.finish();
    let outcomes: Outcomes = jobs.iter().map(Job::name).zip(outcomes).collect();
    let mut results = Results {
        format: FORMAT,
        versions,
        cpu: plan.cpu.name().to_string(),
        vhe: plan.vhe,
        scale: plan.scale,
        slice: plan.slice,
        results: Vec::new(),
        failures: Vec::new(),
        timing: timing(&outcomes),
    };
    for workload in &plan.workloads {
        for scheme in &plan.schemes {
            results
                .results
                .push(judge(workload, *scheme, &outcomes, &mut results.failures));
        }
    }
    agree(plan, &mut results)?;
    results.timing.seconds = started.elapsed().as_secs_f64();
    Ok(results)
}

/// All runs, the longest first, so that none of them is left over at the end.
fn jobs(plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    for workload in &plan.workloads {
        for scheme in &plan.schemes {
            jobs.extend([false, true].map(|observe| Job {
                workload,
                scheme: *scheme,
                observe,
            }));
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.workload.weight()));
    jobs
}

/// Replays the records of each workload, and sets them beside its runs.
fn agree(plan: &Plan, results: &mut Results) -> Result<()> {
    for workload in &plan.workloads {
        let (mut records, mut counters) = (BTreeMap::new(), BTreeMap::new());
        for &scheme in &plan.schemes {
            let job = Job {
                workload,
                scheme,
                observe: true,
            };
            records.insert(scheme, job.record(&plan.records));
        }
        let of_workload = |result: &&SchemeResult| result.workload == workload.name;
        for result in results.results.iter().filter(of_workload) {
            if let (Some(plain), Some(observed)) = (&result.plain, &result.observed) {
                counters.insert(result.scheme, (&plain.total, &observed.total));
            }
        }
        // A record is there where an observed run was good.
        records.retain(|scheme, _| counters.contains_key(scheme));
        let records = records
            .iter()
            .map(|(scheme, file)| (*scheme, file.as_path()));
        let mut agreements = agreement::agreements(&records.collect(), &counters)?;
        for result in &mut results.results {
            if result.workload == workload.name {
                result.agreement = agreements.remove(&result.scheme);
                if result.agreement.as_ref().is_some_and(|a| !a.is_exact()) {
                    results.failures.push(format!(
                        "{}/{}: the replay of its own record differs from the run",
                        workload.name, result.scheme
                    ));
                }
            }
        }
    }
    Ok(())
}

fn timing(outcomes: &Outcomes) -> Timing {
    let timing = |outcome: &Outcome| RunTiming {
        seconds: outcome.wall.as_secs_f64(),
        ticks: outcome.header.finished.wrapping_sub(outcome.header.started),
    };
    Timing {
        seconds: 0.0,
        runs: outcomes
            .iter()
            .filter_map(|(name, outcome)| Some((name.clone(), timing(outcome.as_ref().ok()?))))
            .collect(),
    }
}

/// Puts a scheme's two runs together.
fn judge(
    workload: &'static Workload,
    scheme: Scheme,
    outcomes: &Outcomes,
    failures: &mut Vec<String>,
) -> SchemeResult {
    let mut integrity = Integrity::default();
    let [plain, observed] = [false, true].map(|observe| {
        let job = Job {
            workload,
            scheme,
            observe,
        };
        let name = job.name();
        match &outcomes[&name] {
            Ok(outcome) => {
                let findings = console::findings(&outcome.console, &workload.expected());
                integrity.add(&findings, host_mismatches(outcome));
                Some(counters(outcome))
            }
            // Without its switches a guest may well hang: that is what the control is to show.
            Err(error) if scheme == Scheme::None => {
                integrity.failures.push(format!("{name}: {error}"));
                None
            }
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                None
            }
        }
    });
    integrity.judge(scheme, workload.must_catch_none);
    if integrity.verdict.is_failure() {
        failures.push(sentence(workload, scheme, &integrity));
    }
    SchemeResult {
        workload: workload.name.to_string(),
        scheme,
        figures: plain
            .as_ref()
            .zip(observed.as_ref())
            .map(|(plain, observed)| {
                Figures::derive(scheme, &plain.total, &observed.total, &plain.cores)
            })
            .map(|figures| {
                let job = Job {
                    workload,
                    scheme,
                    observe: false,
                };
                match &outcomes[&job.name()] {
                    Ok(outcome) => figures.with_latency(outcome),
                    Err(_) => figures,
                }
            }),
        integrity,
        plain,
        observed,
        agreement: None,
    }
}

fn sentence(workload: &Workload, scheme: Scheme, integrity: &Integrity) -> String {
    format!(
        "{}/{scheme}: integrity {:?}: {} mismatches in guests, {} in the host{}",
        workload.name,
        integrity.verdict,
        integrity.guest_mismatches,
        integrity.host_mismatches,
        integrity
            .failures
            .iter()
            .map(|failure| format!("; {failure}"))
            .collect::<String>()
    )
}

fn host_mismatches(outcome: &Outcome) -> u64 {
    outcome
        .cores
        .iter()
        .map(|core| core.canary_mismatches)
        .sum()
}

fn counters(outcome: &Outcome) -> RunCounters {
    let vcpus: Vec<VcpuCounters> = outcome
        .vcpus
        .iter()
        .map(|report| VcpuCounters {
            vm: report.vm,
            index: report.index,
            counters: report.into(),
        })
        .collect();
    RunCounters {
        cores: outcome.cores.clone(),
        total: Counters::sum(vcpus.iter().map(|vcpu| &vcpu.counters)),
        vcpus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::workload;

    fn plan() -> Plan {
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
            jobs: 2,
            records: PathBuf::new(),
        }
    }

    #[test]
    fn every_workload_runs_twice_under_every_scheme_longest_first() {
        let names: Vec<String> = jobs(&plan()).iter().map(Job::name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "linux-mix/none/plain");
        assert_eq!(names[7], "never/owner/observed");
    }

    #[test]
    fn a_failed_run_does_not_stop_the_others() {
        let jobs = jobs(&plan());
        let outcomes: Outcomes = jobs
            .iter()
            .map(|job| (job.name(), Err(Error::run("it broke"))))
            .collect();
        let mut failures = Vec::new();
        let never = workload::find("never").unwrap();
        judge(never, Scheme::Owner, &outcomes, &mut failures);
        assert_eq!(
            failures,
            [
                "never/owner/plain: it broke",
                "never/owner/observed: it broke"
            ]
        );
        failures.clear();
        let control = judge(never, Scheme::None, &outcomes, &mut failures);
        assert_eq!(control.integrity.verdict, crate::results::Verdict::Caught);
        assert_eq!(failures, [""; 0]);
    }
}
