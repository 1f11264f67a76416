//! The runs that a study consists of.

use std::path::{Path, PathBuf};

use trapcast_forecast::Scheme;

use super::Plan;
use crate::workload::{Images, Workload};
use trapcast_machine::machine::Machine;

/// One run of a study.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Job {
    pub(super) workload: &'static Workload,
    pub(super) scheme: Scheme,
    /// Whether every window is watched, and recorded.
    pub(super) observe: bool,
}

impl Job {
    /// What results and progress call it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{}", self.workload.name, self.scheme, self.kind())
    }

    const fn kind(&self) -> &'static str {
        if self.observe { "observed" } else { "plain" }
    }

    /// Where its windows are recorded.
    pub(super) fn record(&self, directory: &Path) -> PathBuf {
        directory.join(self.record_name())
    }

    /// The name of that file.
    pub(super) fn record_name(&self) -> String {
        format!("{}.{}.parquet", self.workload.name, self.scheme)
    }

    /// The name of the file that keeps what it found out.
    pub(super) fn kept_name(&self) -> String {
        format!(
            "{}.{}.{}.json",
            self.workload.name,
            self.scheme,
            self.kind()
        )
    }

    /// What runs.
    pub(super) fn machine(&self, plan: &Plan, images: &Images) -> Machine {
        Machine {
            cpu: plan.cpu,
            cores: self.workload.cores,
            vhe: plan.vhe,
            icount: true,
            record: self.observe,
            slice: plan.slice.or(self.workload.slice),
            vms: images.vms(self.workload, self.scheme, self.observe, plan.scale),
        }
    }
}

/// All runs, the longest first, so that none of them is left over at the end.
pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
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
    jobs.sort_by_key(|job| std::cmp::Reverse(job.workload.weight(plan.scale)));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tests::plan;

    #[test]
    fn every_workload_runs_twice_under_every_scheme_longest_first() {
        let names: Vec<String> = jobs(&plan()).iter().map(Job::name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "linux-mix/none/plain");
        assert_eq!(names[7], "never/owner/observed");
    }
}
