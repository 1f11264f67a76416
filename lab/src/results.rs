//! What a study leaves: `results.json`, whose parts but `timing` are the same whenever the same
//! study runs on the same versions.

pub mod example;

use std::{collections::BTreeMap, path::Path, process::Command};
use trapcast_profile::Unit;

use serde::{Deserialize, Serialize};
use trapcast_forecast::Scheme;
use trapcast_trace::report::CoreReport;

use crate::{
    agreement::Agreement,
    by_name,
    figures::{Counters, Figures},
    plane,
    workload::Scale,
};
use trapcast_machine::{console::Findings, qemu, toolchain};
use trapcast_tool::{
    error::{Error, Result},
    input, output,
    paths::Paths,
};

/// Version of the file's layout.
pub const FORMAT: u32 = 4;

/// The most bytes of such a file: a hundred times those of a full study.
const MOST_BYTES: u64 = 512 << 20;

/// In a study's directory, the file that is there as long as the study is not done: the command that continues
/// it.
pub const UNFINISHED: &str = "runs/unfinished";

/// A whole study.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// What it ran on.
    pub versions: Versions,
    /// QEMU's core.
    pub cpu: String,
    /// Whether the hypervisor used VHE.
    pub vhe: bool,
    /// How long the workloads were.
    pub scale: Scale,
    /// How long a vCPU could run while others waited, in microseconds, if that was asked for.
    pub slice: Option<u32>,
    /// One per workload and scheme that ran.
    pub results: Vec<SchemeResult>,
    /// What every scheme costs over one record of each workload.
    pub replays: Vec<Replay>,
    /// Runs that failed: what and why.
    pub failures: Vec<String>,
    /// Times, which need not be the same twice.
    pub timing: Timing,
}

/// What a study ran on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Versions {
    /// The lab's.
    pub trapcast: String,
    /// The checkout's commit, with "-dirty" where files differ from it.
    pub commit: Option<String>,
    /// QEMU's first line.
    pub qemu: String,
    /// The compiler that built the hypervisor and the guests.
    pub rustc: Option<String>,
    /// What `scripts/guest.sh` wrote of the kernel and busybox.
    pub guest: serde_json::Value,
    /// What it wrote of Debian's programs.
    pub userland: serde_json::Value,
}

/// One scheme on one workload.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SchemeResult {
    /// The workload's name.
    pub workload: String,
    /// The scheme.
    #[serde(with = "by_name")]
    pub scheme: Scheme,
    /// What the runs amount to.
    pub figures: Option<Figures>,
    /// Whether the registers were kept apart.
    pub integrity: Integrity,
    /// The run that counts.
    pub plain: Option<RunCounters>,
    /// The run in which every window is watched, and recorded.
    pub observed: Option<RunCounters>,
    /// How replays of records agree with these runs.
    pub agreement: Option<Agreement>,
}

/// What every scheme costs over the record of one run, whatever that run's own scheme was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Replay {
    /// The workload's name.
    pub workload: String,
    /// The scheme under which it was recorded.
    #[serde(with = "by_name")]
    pub record: Scheme,
    /// What the plane over all costs is made of.
    pub plane: plane::Counts,
    /// One per profile that is built in.
    pub profiles: Vec<ProfileCosts>,
}

/// What `forecast` is called where an interrupt that is pending does not go before a load.
pub const NOT_PROMPT: &str = "forecast, prompt=off";

/// What every scheme costs over a record on one machine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProfileCosts {
    /// The profile, with its mark if it is not sure.
    pub profile: String,
    /// What costs are counted in.
    pub unit: Unit,
    /// What the offline optimum costs.
    pub oracle: u64,
    /// What each scheme costs, by its name; and [`NOT_PROMPT`].
    pub schemes: BTreeMap<String, u64>,
}

/// Raw counters of one run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunCounters {
    /// One per core.
    pub cores: Vec<CoreReport>,
    /// One per vCPU; none where results are [`compact`](Results::compact).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vcpus: Vec<VcpuCounters>,
    /// The sum over the vCPUs.
    pub total: Counters,
}

/// Raw counters of one vCPU.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VcpuCounters {
    /// Its VM.
    pub vm: u32,
    /// Its number in the VM.
    pub index: u32,
    /// What it did.
    #[serde(flatten)]
    pub counters: Counters,
}

/// What the checks found, over both runs of a scheme.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Integrity {
    /// What became of the check.
    pub verdict: Verdict,
    /// Registers and results that were not what a guest expected.
    pub guest_mismatches: u64,
    /// Times that the host had lost its registers.
    pub host_mismatches: u64,
    /// Guests that did not finish.
    pub failures: Vec<String>,
}

/// What became of the check of integrity.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was amiss.
    #[default]
    Clean,
    /// The negative control was caught, as it must be.
    Caught,
    /// The negative control was not caught where it must be: the check is worth nothing.
    Missed,
    /// A scheme lost an owner's registers.
    Corrupt,
}

impl Verdict {
    /// Whether it speaks against the hypervisor or its checks.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Missed | Self::Corrupt)
    }
}

impl Integrity {
    /// Adds what one run found.
    pub fn add(&mut self, findings: &Findings, host_mismatches: u64) {
        self.guest_mismatches += findings.guest_mismatches;
        self.host_mismatches += host_mismatches;
        self.failures.extend(findings.failures.iter().cloned());
    }

    /// Judges what was found.
    pub fn judge(&mut self, scheme: Scheme, must_catch_none: bool) {
        let found =
            self.guest_mismatches > 0 || self.host_mismatches > 0 || !self.failures.is_empty();
        self.verdict = match (scheme, found) {
            (Scheme::None, true) => Verdict::Caught,
            (Scheme::None, false) if must_catch_none => Verdict::Missed,
            (_, false) => Verdict::Clean,
            (_, true) => Verdict::Corrupt,
        };
    }
}

/// Times.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Timing {
    /// Wall time of the whole study, in seconds.
    pub seconds: f64,
    /// Each run, by "workload/scheme/run".
    pub runs: BTreeMap<String, RunTiming>,
}

/// Times of one run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct RunTiming {
    /// Wall time, in seconds.
    pub seconds: f64,
    /// Ticks of the board's counter from the first entry to the last power-off. Once in some hundred
    /// runs on a busy machine QEMU wakes an idle core a few ticks late; no other figure was seen to
    /// change with it.
    pub ticks: u64,
}

impl Versions {
    /// Looks at what is here.
    ///
    /// # Errors
    /// Where there is no QEMU.
    pub fn look(paths: &Paths) -> Result<Self> {
        let written = |file: &str| {
            let text = std::fs::read_to_string(paths.target().join("guest").join(file)).ok();
            text.and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default()
        };
        Ok(Self {
            trapcast: env!("CARGO_PKG_VERSION").to_string(),
            commit: toolchain::first_line(
                Command::new("git")
                    .args(["describe", "--always", "--dirty", "--abbrev=12"])
                    .current_dir(paths.checkout()),
            ),
            qemu: qemu::version()?,
            rustc: toolchain::version(paths),
            guest: written("versions.json"),
            userland: written("versions-userland.json"),
        })
    }
}

impl Results {
    /// Reads what a study has written.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read, is no study's, is another version's, or is that of a
    /// study that has been started again and is not done.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&Self::text(path)?, path)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn text(path: &Path) -> Result<Vec<u8>> {
        let directory = path.parent().unwrap_or(Path::new(""));
        if let Ok(command) = std::fs::read_to_string(directory.join(UNFINISHED)) {
            return Err(Error::input(format!(
                "the study in {} is not finished: go on with {}",
                directory.display(),
                command.trim_end()
            )));
        }
        input::read("results", path, MOST_BYTES).map_err(|error| match error {
            Error::Input(sentence) => Error::input(format!("{sentence}; run trapcast study")),
            other => other,
        })
    }

    /// Takes the text of the file `path`, which a study has written.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &[u8], path: &Path) -> Result<Self> {
        Self::parsed(text).map_err(|error| {
            Error::input(format!(
                "{} holds no results of this version's study: {error}; run trapcast study",
                path.display()
            ))
        })
    }

    fn parsed(text: &[u8]) -> std::result::Result<Self, String> {
        // Another version's file may lack anything but this.
        let Layout { format } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!(
                "its format is {format}, and this version's is {FORMAT}"
            ));
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// The same without what no table shows, to be kept: the counters of single vCPUs, and the times of
    /// single runs.
    pub fn compact(mut self) -> Self {
        for run in self.runs_mut() {
            run.vcpus.clear();
        }
        self.timing.runs.clear();
        self
    }

    /// Whether nothing would be lost in [`compact`](Self::compact).
    pub fn is_compact(&self) -> bool {
        let runs = self
            .results
            .iter()
            .flat_map(|row| [&row.plain, &row.observed]);
        runs.flatten().all(|run| run.vcpus.is_empty())
    }

    fn runs_mut(&mut self) -> impl Iterator<Item = &mut RunCounters> {
        let rows = self.results.iter_mut();
        rows.flat_map(|row| [&mut row.plain, &mut row.observed])
            .flatten()
    }
}

/// What the file of any version says of itself.
#[derive(Deserialize)]
struct Layout {
    format: u32,
}

/// A value as JSON, as files have it.
///
/// # Errors
/// Where it has no JSON form.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(Error::run)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes JSON to a file at once: it is the old one or the new one, never a half.
///
/// # Errors
/// Those of [`output::write`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    output::write(path, &json(value)?)
}

#[cfg(test)]
mod tests;
