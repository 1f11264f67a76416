//! What a study leaves: `results.json`, whose parts but `timing` are the same whenever the same
//! study runs on the same versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trapcast_forecast::Scheme;
use trapcast_profile::Unit;
use trapcast_trace::report::CoreReport;

use crate::{Agreement, Counters, Error, Figures, Integrity, Moved, Result, by_name, plane};

/// Version of the file's layout.
pub const FORMAT: u32 = 6;

/// The oldest that is still read: it lacks courses, what decisions cost, and schemes that there were not yet.
const OLDEST: u32 = 4;

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
    /// How many courses each workload of Linux guests took: one in files before format 6. Their records lie beside
    /// those of the first.
    #[serde(default = "one")]
    pub courses: u32,
    /// One per workload and scheme that ran.
    pub results: Vec<SchemeResult>,
    /// One per workload and course but the first, of those that ran; none in files before format 6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_courses: Vec<CourseResult>,
    /// What every scheme costs over one record of each workload.
    pub replays: Vec<Replay>,
    /// Runs that failed: what and why.
    pub failures: Vec<String>,
    /// Times, which need not be the same twice.
    pub timing: Timing,
}

/// How long the workloads of a study are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Scale {
    /// Windows of each bare-metal guest.
    pub windows: u64,
    /// Rounds of Linux's script.
    pub linux_rounds: u32,
    /// Rounds of Linux's SIMD program.
    pub simd_rounds: u32,
    /// Rounds of Debian's programs.
    pub program_rounds: u32,
}

impl Scale {
    /// The full study.
    pub const FULL: Self = Self {
        windows: 8000,
        linux_rounds: 6,
        simd_rounds: 400,
        program_rounds: 12,
    };

    /// The quick study.
    pub const QUICK: Self = Self {
        windows: 1000,
        linux_rounds: 1,
        simd_rounds: 20,
        program_rounds: 1,
    };
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

/// A course that a workload took besides the first: its observed run under [`Scheme::Owner`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CourseResult {
    /// The workload's name.
    pub workload: String,
    /// The course's number, from 1.
    pub course: u32,
    /// How long a vCPU could run while others waited, in microseconds, if not as the hypervisor has it.
    pub slice: Option<u32>,
    /// The seed of its first guest's input.
    pub seed: u64,
    /// Whether the registers were kept apart.
    pub integrity: Integrity,
    /// Entries into guests.
    pub entries: u64,
    /// Traps, loads and saves of the guests' registers.
    pub moved: Moved,
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
    /// What each scheme moves and traps costs, by its name; and [`NOT_PROMPT`].
    pub schemes: BTreeMap<String, u64>,
    /// What their decisions cost besides; none in files of format 4.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub decisions: BTreeMap<String, u64>,
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

impl Results {
    /// Takes the text of a file.
    ///
    /// # Errors
    /// Where it holds no results, or those of another version.
    pub fn parse(text: &[u8]) -> Result<Self> {
        // Another version's file may lack anything but this.
        let Layout { format } = serde_json::from_slice(text)?;
        if !(OLDEST..=FORMAT).contains(&format) {
            return Err(Error::Format { found: format });
        }
        Ok(serde_json::from_slice(text)?)
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

const fn one() -> u32 {
    1
}

/// What the file of any version says of itself.
#[derive(Deserialize)]
struct Layout {
    format: u32,
}
