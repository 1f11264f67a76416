//! A study's Linux guests on KVM and on Xen, under the observer: records beside those of our own runs.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use trapcast_machine::host::{Kernel, Mode};
use trapcast_observe::Summary;
use trapcast_report::others::Other;
use trapcast_tool::{
    error::{Error, Result},
    output,
    parallel::in_parallel,
    paths::Paths,
    progress::Progress,
};
use twox_hash::XxHash3_128;

use super::{Plan, kept::Store, key::hash};
use crate::{
    observing::{
        Observer,
        hypervisor::{Guests, Hypervisor},
    },
    workload::Workload,
};

/// A run on another hypervisor.
type Job = (&'static Workload, Other);

/// How the study runs it.
const fn hypervisor(other: Other) -> Hypervisor {
    match other {
        Other::Kvm => Hypervisor::Kvm {
            mode: Mode::Vhe,
            kernel: Kernel::Stable,
            mitigations: false,
        },
        Other::Xen => Hypervisor::Xen,
    }
}

/// A run that is done, as its file holds it.
#[derive(Debug, Deserialize, Serialize)]
struct Done {
    /// What it depended on.
    key: String,
    /// The content of its record.
    record: String,
}

/// Records each workload of Linux guests alone on one core, on KVM and on Xen. Returns the runs that failed: what and
/// why.
///
/// # Errors
/// [`Error::Input`] where something is missing, [`Error::Stopped`] on Ctrl-C.
pub(super) fn record(plan: &Plan, store: &Store, paths: &Paths) -> Result<Vec<String>> {
    let workloads = plan.workloads.iter().copied();
    let workloads = workloads.filter(|workload| workload.is_linux() && workload.cores == 1);
    let jobs: Vec<Job> = workloads
        .flat_map(|workload| Other::ALL.map(|other| (workload, other)))
        .collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let common = common(paths)?;
    let name = |(workload, other): &Job| format!("{}/{other}", workload.name);
    let weight = |(workload, _): &Job| workload.weight(plan.scale);
    let tasks: Vec<_> = jobs.iter().map(|job| (name(job), weight(job))).collect();
    let tasks = tasks.iter().map(|(name, weight)| (name.as_str(), *weight));
    let progress = Progress::of(tasks, plan.jobs);
    let outcomes = in_parallel(&jobs, plan.jobs, |job| {
        let (workload, other) = *job;
        let guests = Guests {
            workload,
            vms: None,
            scale: plan.scale,
            cpu: plan.cpu,
        };
        let text = format!("{common} {guests:?} {other}");
        let key = format!("{:032x}", XxHash3_128::oneshot(text.as_bytes()));
        let record = store.other_record(workload.name, other);
        let kept = store.other_run(workload.name, other);
        if !plan.fresh && is_done(&kept, &key, &record) {
            progress.taken_over(&name(job), weight(job), 0.0);
            return Ok(());
        }
        progress.start(&name(job));
        let outcome = one(&guests, other, &record, paths).and_then(|()| {
            let done = Done {
                key,
                record: content(&record)?,
            };
            output::write_json(&kept, &done)
        });
        progress.end(&name(job), weight(job), outcome.as_ref().err());
        outcome
    })?;
    progress.finish();
    let failures = jobs.iter().zip(outcomes).filter_map(|(job, outcome)| {
        let error = outcome.err()?;
        Some(format!("{}: {error}", name(job)))
    });
    Ok(failures.collect())
}

/// What every run depends on, besides its guests.
fn common(paths: &Paths) -> Result<String> {
    let observer = Observer::find(paths)?;
    let mut text = format!("qemu={}", observer.qemu.version);
    let files = [
        Path::new("/proc/self/exe").to_path_buf(),
        observer.plugin,
        paths.guest("versions.json")?,
        paths.guest("versions-userland.json")?,
        paths.built("linux-simd")?,
        paths.hosts("versions-vmm.json")?,
        paths.hosts("versions-xen.json")?,
    ];
    for file in files {
        text += &format!(" {:032x}", hash(&file)?);
    }
    Ok(text)
}

fn content(record: &Path) -> Result<String> {
    Ok(format!("{:032x}", hash(record)?))
}

/// Whether a run was done before, with these inputs, and left this record.
fn is_done(kept: &Path, key: &str, record: &Path) -> bool {
    let done = fs::read(kept).ok();
    let done: Option<Done> = done.and_then(|text| serde_json::from_slice(&text).ok());
    done.is_some_and(|done| done.key == key && content(record) == Ok(done.record))
}

fn one(guests: &Guests, other: Other, record: &Path, paths: &Paths) -> Result<()> {
    let hypervisor = hypervisor(other);
    let observer = Observer::find(paths)?;
    observer.observe(hypervisor, guests, paths)?;
    let seen = observer.seen()?;
    if seen.windows.is_empty() {
        return Err(Error::run("no guest was ever entered"));
    }
    let summary = Summary::of(&seen);
    observer.write(&seen, &summary, guests.about(hypervisor), record)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_done_with_its_own_inputs_and_record_only() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, record) = (
            directory.path().join("run.json"),
            directory.path().join("record"),
        );
        assert!(!is_done(&kept, "a", &record));
        fs::write(&record, "windows").unwrap();
        let done = Done {
            key: "a".to_string(),
            record: content(&record).unwrap(),
        };
        output::write_json(&kept, &done).unwrap();
        assert!(is_done(&kept, "a", &record));
        assert!(!is_done(&kept, "b", &record));
        fs::write(&record, "other windows").unwrap();
        assert!(!is_done(&kept, "a", &record));
    }
}
