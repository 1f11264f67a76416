//! The runs that a study consists of.

use std::path::{Path, PathBuf};

use trapcast_forecast::Scheme;

use super::{COURSES_UNDER, Plan};
use crate::workload::{Course, Images, Workload};
use trapcast_machine::machine::Machine;
use trapcast_report::record;

/// One run of a study.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Job {
    pub(super) workload: &'static Workload,
    pub(super) scheme: Scheme,
    /// Whether every window is watched, and recorded.
    pub(super) observe: bool,
    /// The course that the workload takes. Those but the first are observed.
    pub(super) course: Course,
}

impl Job {
    /// What results and progress call it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}/{}", self.workload.name, self.scheme, self.kind())
    }

    fn kind(&self) -> String {
        match self.course.number() {
            0 if self.observe => "observed".to_string(),
            0 => "plain".to_string(),
            number => format!("course-{number}"),
        }
    }

    /// Where its windows are recorded.
    pub(super) fn record(&self, directory: &Path) -> PathBuf {
        directory.join(self.record_name())
    }

    /// The name of that file.
    pub(super) fn record_name(&self) -> String {
        record::name(self.workload.name, self.scheme, self.course.number())
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

    /// How long a vCPU may run while others wait, in microseconds, if not as the hypervisor has it.
    pub(super) fn slice(&self, plan: &Plan) -> Option<u32> {
        self.course.slice(plan.slice.or(self.workload.slice))
    }

    /// What runs.
    pub(super) fn machine(&self, plan: &Plan, images: &Images) -> Machine {
        Machine {
            cpu: plan.cpu,
            cores: self.workload.cores,
            vhe: plan.vhe,
            icount: true,
            record: self.observe,
            slice: self.slice(plan),
            vms: images.vms_in(
                self.course,
                self.workload,
                self.scheme,
                self.observe,
                plan.scale,
            ),
        }
    }
}

/// All runs of a workload.
pub(super) fn of_workload(plan: &Plan, workload: &'static Workload) -> Vec<Job> {
    let mut jobs = Vec::new();
    for &scheme in &plan.schemes {
        let job = |observe, course| Job {
            workload,
            scheme,
            observe,
            course,
        };
        jobs.push(job(false, Course::FIRST));
        let courses = if scheme == COURSES_UNDER && workload.has_courses() {
            plan.courses
        } else {
            1
        };
        jobs.extend(Course::all(courses).map(|course| job(true, course)));
    }
    jobs
}

/// All runs, the longest first, so that none of them is left over at the end.
pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let workloads = plan.workloads.iter();
    let mut jobs: Vec<Job> = workloads
        .flat_map(|workload| of_workload(plan, workload))
        .collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.workload.weight(plan.scale)));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{study::tests::plan, workload};

    #[test]
    fn every_workload_runs_twice_under_every_scheme_longest_first() {
        let names: Vec<String> = jobs(&plan()).iter().map(Job::name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "linux-mix/none/plain");
        assert_eq!(names[7], "never/owner/observed");
    }

    #[test]
    fn only_linux_at_work_takes_further_courses_and_only_under_owner() {
        let plan = Plan {
            workloads: ["never", "linux-mix", "boot", "openssl"]
                .map(|name| workload::find(name).unwrap())
                .into(),
            courses: 3,
            ..plan()
        };
        let all = jobs(&plan);
        let further = all.iter().filter(|job| job.course != Course::FIRST);
        let names: Vec<String> = further.map(Job::name).collect();
        assert_eq!(names, ["openssl/owner/course-1", "openssl/owner/course-2"]);
        let records: std::collections::BTreeSet<String> = all
            .iter()
            .filter(|job| job.observe)
            .map(Job::record_name)
            .collect();
        assert_eq!(records.len(), 10);
        assert!(records.contains("openssl.owner.parquet"));
        assert!(records.contains("openssl.owner.course-2.parquet"));
    }
}
