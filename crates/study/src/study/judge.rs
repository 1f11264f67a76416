//! The results of a study's runs: each scheme's two runs put together, and compared with replays.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use trapcast_forecast::Scheme;

use super::{
    Plan,
    job::Job,
    kept::{Finding, Store},
    replays,
};
use crate::workload::{Course, SEED, Workload};
use trapcast_report::agreement;
use trapcast_results::{Agreement, CourseResult, Figures, Integrity, Replay, SchemeResult, Timing};
use trapcast_tool::error::Result;

/// What became of each run, by its name.
pub(super) type Outcomes = BTreeMap<String, Result<Finding>>;

/// How long the runs took.
pub(super) fn timing(outcomes: &Outcomes) -> Timing {
    let time = |(name, outcome): (&String, &Result<Finding>)| {
        let finding = outcome.as_ref().ok()?;
        Some((name.clone(), finding.timing))
    };
    Timing {
        seconds: 0.0,
        runs: outcomes.iter().filter_map(time).collect(),
    }
}

/// Puts a scheme's two runs together.
pub(super) fn judge(
    workload: &'static Workload,
    scheme: Scheme,
    outcomes: &Outcomes,
    failures: &mut Vec<String>,
) -> SchemeResult {
    let mut integrity = Integrity::default();
    let findings = [false, true].map(|observe| {
        let job = Job {
            workload,
            scheme,
            observe,
            course: Course::FIRST,
        };
        let name = job.name();
        match &outcomes[&name] {
            Ok(finding) => {
                add(&mut integrity, finding);
                Some(finding)
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
        failures.push(sentence(&format!("{}/{scheme}", workload.name), &integrity));
    }
    let figures = match findings {
        [Some(plain), Some(observed)] => {
            let (counters, seen) = (&plain.counters, &observed.counters);
            let figures = Figures::derive(scheme, &counters.total, &seen.total, &counters.cores);
            Some(figures.with_latency(plain.latency.clone()))
        }
        _ => None,
    };
    let [plain, observed] = findings.map(|finding| Some(finding?.counters.clone()));
    SchemeResult {
        workload: workload.name.to_string(),
        scheme,
        figures,
        integrity,
        plain,
        observed,
        agreement: None,
    }
}

/// What became of a run in a further course. Nothing of a run that failed, or of another one.
pub(super) fn course(
    plan: &Plan,
    job: &Job,
    outcomes: &Outcomes,
    failures: &mut Vec<String>,
) -> Option<CourseResult> {
    if job.course == Course::FIRST {
        return None;
    }
    let name = job.name();
    let finding = outcomes[&name]
        .as_ref()
        .map_err(|error| failures.push(format!("{name}: {error}")))
        .ok()?;
    let mut integrity = Integrity::default();
    add(&mut integrity, finding);
    integrity.judge(job.scheme, false);
    if integrity.verdict.is_failure() {
        failures.push(sentence(&name, &integrity));
    }
    let counters = &finding.counters.total;
    Some(CourseResult {
        workload: job.workload.name.to_string(),
        course: job.course.number(),
        slice: job.slice(plan),
        seed: job.course.seed(SEED),
        integrity,
        entries: counters.entries,
        moved: agreement::live(counters, counters),
    })
}

/// Adds what one run found.
fn add(integrity: &mut Integrity, finding: &Finding) {
    integrity.guest_mismatches += finding.console.guest_mismatches;
    integrity.host_mismatches += finding.host_mismatches;
    let failures = finding.console.failures.iter().cloned();
    integrity.failures.extend(failures);
}

fn sentence(run: &str, integrity: &Integrity) -> String {
    format!(
        "{run}: integrity {:?}: {} mismatches in guests, {} in the host{}",
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

/// What replays say of one workload.
pub(super) struct Replays {
    /// How they agree with each scheme's runs.
    pub(super) agreements: BTreeMap<Scheme, Agreement>,
    /// What every scheme costs over one of the records.
    pub(super) replay: Option<Replay>,
}

/// Replays the records of one workload, and compares them with its runs, `results`.
///
/// # Errors
/// Where a record cannot be read.
pub(super) fn replay(
    plan: &Plan,
    workload: &'static Workload,
    results: &[SchemeResult],
    store: &Store,
) -> Result<Replays> {
    let mut counters = BTreeMap::new();
    for result in results {
        if let (Some(plain), Some(observed)) = (&result.plain, &result.observed) {
            counters.insert(result.scheme, (&plain.total, &observed.total));
        }
    }
    // A record is there where an observed run was good.
    let schemes = plan.schemes.iter();
    let ran = schemes.filter(|&scheme| counters.contains_key(scheme));
    let records: BTreeMap<Scheme, PathBuf> = ran
        .map(|&scheme| {
            let job = Job {
                workload,
                scheme,
                observe: true,
                course: Course::FIRST,
            };
            (scheme, store.record(&job))
        })
        .collect();
    let records = records.iter();
    let records: BTreeMap<Scheme, &Path> = records.map(|(s, file)| (*s, file.as_path())).collect();
    let reference = agreement::reference(&records);
    Ok(Replays {
        replay: reference
            .map(|(scheme, file)| replays::replay(workload, scheme, file))
            .transpose()?,
        agreements: agreement::agreements(&records, &counters)?,
    })
}

/// Adds what replays say to the results of their workload.
pub(super) fn add_agreements(
    results: &mut [SchemeResult],
    mut agreements: BTreeMap<Scheme, Agreement>,
    failures: &mut Vec<String>,
) {
    for result in results {
        result.agreement = agreements.remove(&result.scheme);
        if result.agreement.as_ref().is_some_and(|a| !a.is_exact()) {
            failures.push(format!(
                "{}/{}: the replay of its own record differs from the run",
                result.workload, result.scheme
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        study::{job::jobs, tests::plan},
        workload,
    };
    use trapcast_results::Verdict;
    use trapcast_tool::error::Error;

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
        assert_eq!(control.integrity.verdict, Verdict::Caught);
        assert_eq!(failures, [""; 0]);
    }
}
