//! What each run of a study has found out, kept until the study is whole, so that none is done twice.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use trapcast_trace::histogram::Histogram;

use super::{job::Job, key};
use trapcast_machine::{
    console::{self, Findings},
    run::Outcome,
};
use trapcast_report::{others::Other, stored::UNFINISHED};
use trapcast_results::{Counters, Latency, RunCounters, RunTiming, VcpuCounters};
use trapcast_tool::{
    error::{Error, Result},
    output,
};

/// What a run has found out: all of it that results are made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Finding {
    /// What its guests said of themselves.
    pub(super) console: Findings,
    /// Times that the host had lost its registers.
    pub(super) host_mismatches: u64,
    /// What was counted.
    pub(super) counters: RunCounters,
    /// How long interrupts waited.
    pub(super) latency: Latency,
    /// How long it took.
    pub(super) timing: RunTiming,
}

impl Finding {
    /// What a run has left.
    pub(super) fn of(job: &Job, outcome: &Outcome) -> Self {
        let vcpus: Vec<VcpuCounters> = outcome
            .vcpus
            .iter()
            .map(|report| VcpuCounters {
                vm: report.vm,
                index: report.index,
                counters: report.into(),
            })
            .collect();
        let cores = outcome.cores.iter();
        Self {
            console: console::findings(&outcome.console, &job.workload.expected()),
            host_mismatches: cores.map(|core| core.canary_mismatches).sum(),
            counters: RunCounters {
                cores: outcome.cores.clone(),
                total: Counters::sum(vcpus.iter().map(|vcpu| &vcpu.counters)),
                vcpus,
            },
            latency: latency(outcome),
            timing: RunTiming {
                seconds: outcome.wall.as_secs_f64(),
                ticks: outcome.header.finished.wrapping_sub(outcome.header.started),
            },
        }
    }
}

/// The distributions that a run left.
pub fn latency(outcome: &Outcome) -> Latency {
    let frequency = outcome.header.counter_frequency;
    Latency {
        masked: match outcome.masked.as_slice() {
            [core] => Histogram::of_instructions(core),
            _ => None,
        },
        timer_delay: console::timer_delay(&outcome.console, frequency),
    }
}

/// A run that is done, as its file holds it.
#[derive(Debug, Deserialize, Serialize)]
struct Done {
    /// What it depended on.
    key: String,
    /// The content of its record, if it has one.
    record: Option<String>,
    finding: Finding,
}

/// Says that the study of a directory is done: its results are there.
///
/// # Errors
/// [`Error::Input`] where the directory cannot be written to.
pub fn finished(directory: &Path) -> Result<()> {
    let mark = directory.join(UNFINISHED);
    fs::remove_file(&mark).map_err(|error| output::cannot_write(&mark, &error))
}

/// The directory of a study, which holds its records and what its runs have found out.
#[derive(Debug)]
pub(super) struct Store {
    records: PathBuf,
    runs: PathBuf,
    /// Locked as long as the study runs.
    _lock: File,
}

impl Store {
    /// Opens the directory, and keeps other studies out of it until this value is gone. It counts as that of a
    /// study that is not done, which `command` continues, until it is [`finished`].
    ///
    /// # Errors
    /// [`Error::Input`] where another study runs in it; where it cannot be made.
    pub(super) fn open(directory: &Path, command: &str) -> Result<Self> {
        let cannot = |error: &dyn std::fmt::Display| output::cannot_write(directory, error);
        let (records, runs) = (directory.join("records"), directory.join("runs"));
        for directory in [&records, &runs] {
            fs::create_dir_all(directory).map_err(|error| cannot(&error))?;
        }
        let lock = File::create(runs.join("lock")).map_err(|error| cannot(&error))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::input(format!(
                    "another study runs in {}: wait for it, or choose another directory by -o",
                    directory.display()
                )));
            }
            other => other.map_err(|error| cannot(&error))?,
        }
        output::write(
            &directory.join(UNFINISHED),
            format!("{command}\n").as_bytes(),
        )?;
        Ok(Self {
            records,
            runs,
            _lock: lock,
        })
    }

    /// Where the windows of a run are recorded.
    pub(super) fn record(&self, job: &Job) -> PathBuf {
        job.record(&self.records)
    }

    /// What the run has found out, if it was done under the conditions of this key.
    pub(super) fn take(&self, job: &Job, key: &str) -> Option<Finding> {
        let text = fs::read(self.file(job)).ok()?;
        let done: Done = serde_json::from_slice(&text).ok()?;
        let record = self.record_hash(job).ok()?;
        (done.key == key && done.record == record).then_some(done.finding)
    }

    /// Forgets what the run has found out. To be called before it runs, so that its record is never
    /// taken for that of another one.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub(super) fn forget(&self, job: &Job) -> Result<()> {
        let file = self.file(job);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::input(
                format!("cannot remove {}: {error}", file.display()),
            )),
            _ => Ok(()),
        }
    }

    /// Keeps what the run has found out. Its record is there by now.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn keep(&self, job: &Job, key: String, finding: &Finding) -> Result<()> {
        let done = Done {
            key,
            record: self.record_hash(job)?,
            finding: finding.clone(),
        };
        output::write_json(&self.file(job), &done)
    }

    /// Where the windows of a run on another hypervisor are recorded.
    pub(super) fn other_record(&self, workload: &str, other: Other) -> PathBuf {
        other.record(&self.records, workload)
    }

    /// Where it is kept what such a run depended on.
    pub(super) fn other_run(&self, workload: &str, other: Other) -> PathBuf {
        self.runs.join(format!("{workload}.{other}.json"))
    }

    fn file(&self, job: &Job) -> PathBuf {
        self.runs.join(job.kept_name())
    }

    fn record_hash(&self, job: &Job) -> Result<Option<String>> {
        let hash = job.observe.then(|| key::hash(&self.record(job)));
        Ok(hash.transpose()?.map(|hash| format!("{hash:032x}")))
    }
}

#[cfg(test)]
mod tests {
    use trapcast_forecast::Scheme;

    use super::*;
    use crate::workload::{self, Course};

    fn job(observe: bool) -> Job {
        Job {
            workload: workload::find("never").unwrap(),
            scheme: Scheme::Owner,
            observe,
            course: Course::FIRST,
        }
    }

    fn finding(mismatches: u64) -> Finding {
        Finding {
            console: Findings::default(),
            host_mismatches: mismatches,
            counters: RunCounters {
                cores: Vec::new(),
                vcpus: Vec::new(),
                total: Counters::default(),
            },
            latency: Latency::default(),
            timing: RunTiming {
                seconds: 0.1 + 0.2,
                ticks: 3,
            },
        }
    }

    #[test]
    fn a_run_is_taken_over_under_its_own_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "trapcast study").unwrap();
        let plain = job(false);
        assert_eq!(store.take(&plain, "a"), None);
        store.keep(&plain, "a".to_string(), &finding(7)).unwrap();
        assert_eq!(store.take(&plain, "a"), Some(finding(7)));
        assert_eq!(store.take(&plain, "b"), None);
        assert_eq!(store.take(&job(true), "a"), None);
        store.forget(&plain).unwrap();
        assert_eq!(store.take(&plain, "a"), None);
        store.forget(&plain).unwrap();
    }

    #[test]
    fn a_run_is_not_taken_over_with_another_record_or_a_damaged_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "trapcast study").unwrap();
        let observed = job(true);
        fs::write(store.record(&observed), "windows").unwrap();
        store.keep(&observed, "a".to_string(), &finding(0)).unwrap();
        assert_eq!(store.take(&observed, "a"), Some(finding(0)));
        fs::write(store.record(&observed), "other windows").unwrap();
        assert_eq!(store.take(&observed, "a"), None);
        fs::write(store.record(&observed), "windows").unwrap();
        let file = store.file(&observed);
        let text = fs::read(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(store.take(&observed, "a"), None);
        fs::write(&file, text).unwrap();
        fs::remove_file(store.record(&observed)).unwrap();
        assert_eq!(store.take(&observed, "a"), None);
    }

    #[test]
    fn two_studies_do_not_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let first = Store::open(directory.path(), "trapcast study").unwrap();
        let told = Store::open(directory.path(), "trapcast study").unwrap_err();
        assert!(told.to_string().contains("another study runs"), "{told}");
        drop(first);
        Store::open(directory.path(), "trapcast study").unwrap();
    }
}
