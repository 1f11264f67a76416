//! `trapcast record`: runs workloads under a hypervisor that records, one file each.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use trapcast_forecast::Scheme;

use crate::{
    versions,
    workload::{Course, Images, Workload},
};
use trapcast_machine::{
    console,
    machine::{Cpu, Machine},
    run::{self, LIMIT, Outcome},
};
use trapcast_report::record::{End, Metadata, RecordWriter, Vcpu, order};
use trapcast_results::{Scale, Versions};
use trapcast_tool::{
    error::{Error, Result},
    output,
    parallel::in_parallel,
    paths::Paths,
    progress::Progress,
};

/// What to record.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workloads.
    pub workloads: Vec<&'static Workload>,
    /// How the registers are switched meanwhile.
    pub scheme: Scheme,
    /// QEMU's core.
    pub cpu: Cpu,
    /// Whether the hypervisor uses VHE.
    pub vhe: bool,
    /// How long the workloads are.
    pub scale: Scale,
    /// How long a vCPU may run while others wait, in microseconds, whatever the workload has.
    pub slice: Option<u32>,
    /// Chooses what is random in the guests.
    pub seed: u64,
    /// QEMUs at once.
    pub jobs: usize,
    /// Where the files go.
    pub output: PathBuf,
}

/// A file that was recorded.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// What ran.
    pub workload: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Windows in it.
    pub windows: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// Times that the hypervisor found the ring full and waited: if any, the guest's time is not that
    /// of another run.
    pub waits: u64,
    /// Seconds from QEMU's start to its end.
    pub seconds: f64,
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} windows, {} bytes",
            self.file.display(),
            self.windows,
            self.bytes
        )?;
        if self.waits > 0 {
            write!(
                f,
                "; the ring was full {} times and the guest waited: its time is not exact",
                self.waits
            )?;
        }
        Ok(())
    }
}

/// Records each workload of a plan. One that fails leaves no file and does not stop the others.
///
/// # Errors
/// [`Error::Input`] where images are missing, [`Error::Stopped`] on Ctrl-C.
pub fn record(plan: &Plan, paths: &Paths) -> Result<Vec<Result<Recorded>>> {
    let hypervisor = paths.hypervisor()?;
    output::directory(&plan.output)?;
    let versions = versions::look(paths)?;
    let images = Images::load(paths, &plan.workloads, plan.scale)?.with_seed(plan.seed);
    let tasks = plan.workloads.iter();
    let tasks = tasks.map(|workload| (workload.name, workload.weight(plan.scale)));
    let progress = Progress::of(tasks, plan.jobs);
    let recorded = in_parallel(&plan.workloads, plan.jobs, |workload| {
        progress.start(workload.name);
        let machine = Machine {
            cpu: plan.cpu,
            cores: workload.cores,
            vhe: plan.vhe,
            icount: true,
            record: true,
            slice: plan.slice.or(workload.slice),
            vms: images.vms(workload, plan.scheme, true, plan.scale),
        };
        let about = About {
            workload: workload.name,
            linux: workload.is_linux(),
            scheme: plan.scheme,
            scale: plan.scale,
            course: Course::FIRST,
            slice: plan.slice.or(workload.slice),
            seed: plan.seed,
            versions: &versions,
        };
        let file = plan.output.join(format!("{}.parquet", workload.name));
        let check = |outcome: &Outcome| sound(workload, plan.scheme, outcome);
        let recorded = record_to(&file, &about, &machine, &hypervisor, check, &progress)
            .map(|(_, recorded)| recorded);
        progress.end(
            workload.name,
            workload.weight(plan.scale),
            recorded.as_ref().err(),
        );
        recorded
    })?;
    progress.finish();
    Ok(recorded)
}

/// Refuses a record of guests that lost their registers.
fn sound(workload: &Workload, scheme: Scheme, outcome: &Outcome) -> Result<()> {
    let findings = console::findings(&outcome.console, &workload.expected());
    if scheme == Scheme::None || findings.guest_mismatches == 0 && findings.failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{}: the guests lost registers {} times; {}",
        workload.name,
        findings.guest_mismatches,
        findings.failures.join("; ")
    )))
}

/// What a file says of the run that it was recorded in, besides the machine.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What runs.
    pub workload: &'static str,
    /// Whether all of its guests are Linux.
    pub linux: bool,
    /// How the registers are switched.
    pub scheme: Scheme,
    /// How long the workload is.
    pub scale: Scale,
    /// The course that it takes.
    pub course: Course,
    /// How long a vCPU may run while others wait, in microseconds, if not as the hypervisor has it.
    pub slice: Option<u32>,
    /// The seed of what is random in it.
    pub seed: u64,
    /// What it runs on.
    pub versions: &'a Versions,
}

/// Runs a machine that records, into `file`, which appears or is replaced when all is well and `check`
/// takes the run.
///
/// The records of several cores are put in order at the end, and take 64 bytes of memory each until then.
///
/// # Errors
/// Those of [`run::record`] and of `check`, and where the file cannot be written.
pub fn record_to(
    file: &Path,
    about: &About<'_>,
    machine: &Machine,
    hypervisor: &Path,
    check: impl FnOnce(&Outcome) -> Result<()>,
    progress: &Progress,
) -> Result<(Outcome, Recorded)> {
    let mut writer = RecordWriter::create(file, metadata(about, machine)?)?;
    let mut gathered = vec![Vec::new(); machine.cores as usize];
    let (outcome, waits) = run::record(machine, hypervisor, LIMIT, |core, records| {
        progress.add_windows(records.len() as u64);
        if machine.cores == 1 {
            return writer.push(core.into(), records);
        }
        gathered[usize::from(core)].extend_from_slice(records);
        Ok(())
    })?;
    check(&outcome)?;
    for (core, record) in order::by_start(&gathered) {
        writer.push(core, std::slice::from_ref(record))?;
    }
    let windows = writer.windows();
    let bytes = writer.finish(End {
        waits,
        counter_frequency: outcome.header.counter_frequency,
    })?;
    let recorded = Recorded {
        workload: about.workload,
        file: file.to_path_buf(),
        windows,
        bytes,
        waits,
        seconds: outcome.wall.as_secs_f64(),
    };
    Ok((outcome, recorded))
}

fn metadata(about: &About<'_>, machine: &Machine) -> Result<Metadata> {
    let vcpus = machine.vms.iter().enumerate().flat_map(|(vm, settings)| {
        (0..settings.vcpus).map(move |index| Vcpu {
            vm: vm as u16,
            index: index as u16,
        })
    });
    Ok(Metadata {
        workload: about.workload.to_string(),
        scheme: about.scheme.to_string(),
        cpu: machine.cpu.name().to_string(),
        vhe: machine.vhe,
        linux: about.linux,
        seed: about.seed,
        course: about.course.number(),
        slice: about.slice,
        scale: serde_json::to_value(about.scale).map_err(Error::run)?,
        versions: serde_json::to_value(about.versions).map_err(Error::run)?,
        vcpus: vcpus.collect(),
        ..Metadata::default()
    })
}
