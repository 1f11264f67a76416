//! The command line of `trapcast`, and its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trapcast_forecast::{Scheme, UnknownScheme};
use trapcast_hypervisor::settings::{MAX_VCPUS, MAX_VMS};
use trapcast_trace::report::MAX_CORES;

use crate::observe::{self, ObserveArgs};
use crate::{
    import::{self, ImportArgs},
    study::{self, StudyArgs},
    timeline::{self, TimelineArgs},
    top::{self, TopArgs},
};
use trapcast_machine::{
    arch::Arch,
    machine::{Cpu, Size},
    vectors::Length,
};
use trapcast_study::workload::{LINUX_BOOTARGS, SEED};
use trapcast_tool::error::EXIT_STATUSES;

/// Runs guests under the Trapcast hypervisor in QEMU, and measures what switching their FP/SIMD
/// registers costs under each scheme.
#[derive(Debug, Parser)]
#[command(name = "trapcast", version, after_help = after_help())]
pub struct Cli {
    /// The directory that holds what was built and downloaded [default: the checkout's target]
    #[arg(long, global = true, env = "TRAPCAST_TARGET", value_name = "DIR")]
    pub target: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What the help ends with.
fn after_help() -> String {
    let statuses = EXIT_STATUSES.map(|(status, meaning)| format!("  {status:<3} {meaning}\n"));
    format!(
        "Exit status, of every command:\n{}\n{START}",
        statuses.concat()
    )
}

const START: &str = "\
Start with:
  trapcast doctor          what is missing on this machine
  trapcast study           the table, in three minutes
  trapcast boot            a Linux guest on this terminal";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boots Linux guests with a live console on this terminal
    #[command(after_help = BOOT_EXAMPLES)]
    Boot(BootArgs),
    /// Shows what a hypervisor that trapcast boot runs does, live
    #[command(after_help = top::EXAMPLES)]
    Top(TopArgs),
    /// Lists the workloads of the study
    Guests(GuestsArgs),
    /// Lists what is missing on this machine, and the command that installs it
    Doctor(JsonArgs),
    /// Runs every workload under every scheme and prints what each scheme costs
    #[command(after_help = study::EXAMPLES)]
    Study(StudyArgs),
    /// Writes a study's report: its questions and answers on one page, and the data behind its figures
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Runs workloads and records every window: what the guest did, one Parquet file per workload
    #[command(after_help = RECORD_EXAMPLES)]
    Record(RecordArgs),
    /// Shows what any hypervisor's exits, traps and switches cost, seen from outside by a plugin of QEMU
    #[command(after_help = observe::EXAMPLES)]
    Observe(ObserveArgs),
    /// Prints a script that records on a running KVM host what its vCPUs do with the FP/SIMD registers
    HostRecorder,
    /// Makes a record of a trace of a KVM host
    #[command(after_help = import::EXAMPLES)]
    Import(ImportArgs),
    /// Says what is in a record
    Inspect(InspectArgs),
    /// Runs every scheme over records, with the code that runs at EL2, beside the offline optimum
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Adds up what replays of several records have found out, in any order
    #[command(after_help = MERGE_EXAMPLES)]
    Merge(MergeArgs),
    /// Shows which scheme is cheapest for any cost of a trap and of a switch, on a record
    #[command(after_help = PLANE_EXAMPLES)]
    Plane(PlaneArgs),
    /// Writes a record as a trace for ui.perfetto.dev or chrome://tracing
    #[command(after_help = timeline::EXAMPLES)]
    Timeline(TimelineArgs),
    /// Lists the cost profiles
    Profiles(JsonArgs),
}

const BOOT_EXAMPLES: &str = "\
Examples:
  trapcast boot                                     Debian's kernel with a busybox shell
  trapcast boot --vms 2 --scheme owner              two of them on one core
  trapcast boot --cores 4 --vms 3 --vcpus 2         three of two vCPUs each on four cores
  trapcast boot --cpu cortex-a57 --vcpus 2          a core without VHE
  trapcast boot --arch armhf                        Debian's 32-bit kernel, on a cortex-a57
  trapcast boot --sve 512 --sme max                 with SVE of 512 bits and SME, on max
  trapcast boot --kernel vmlinuz --initrd initrd.img  as distributions ship them

Ctrl-A x leaves; Ctrl-A h lists what else Ctrl-A does. Several VMs share the console: each line tells whose
it is.";

const REPORT_EXAMPLES: &str = "\
Examples:
  trapcast report                                   target/study/report.html
  trapcast report studies/mine -o reports/mine      of a study that was kept
  trapcast report host.parquet --profile mine.toml  what one record answers, on the terminal
  trapcast report host.parquet --profile kvm-neoverse-n1 --frequency 2600

docs/report.md says how each number is computed.";

const RECORD_EXAMPLES: &str = "\
Examples:
  trapcast record linux -o records                  records/linux.parquet
  trapcast record                                   the study's workloads, in target/records
  duckdb -c \"select exit_after, avg(fp_used::int) from 'records/linux.parquet' group by 1\"

docs/records.md says what each column means.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  trapcast replay records/linux.parquet             every scheme under the profile measured-qemu
  trapcast replay records/*.parquet --profile all   and under every profile there is
  trapcast replay records/linux-mix.parquet --work  costs of the work alone, without the boot
  trapcast replay records/linux.parquet --profile my-core.toml --scheme owner --json

docs/profiles.md says how to write a profile.";

const MERGE_EXAMPLES: &str = "\
Examples:
  trapcast replay host-1.parquet --json > 1.json    on one machine
  trapcast merge 1.json 2.json                      the same of both hosts: counts add, costs follow from them
  cat results/*.json | trapcast merge - --json      of any number; what it prints can be merged again

docs/hosts.md says how to spread replays over many machines.";

const PLANE_EXAMPLES: &str = "\
Examples:
  trapcast plane records/linux.parquet              the picture, and where each profile falls on it
  trapcast plane records/linux.parquet --json | jq '.borders'";

/// Arguments of `trapcast boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// The architecture of the downloaded kernel and busybox; armhf is AArch32 at EL1, on a cortex-a57
    /// unless --cpu says otherwise
    #[arg(long, value_name = "ARCH", default_value = "arm64")]
    pub arch: Arch,
    /// An arm64 Image, plain, compressed (Image.gz, Image.zst, ...) or an EFI zboot image, or an Arm zImage
    /// [default: the downloaded Debian kernel]
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// An initrd [default: busybox with a shell, if --kernel is not given either]
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "WORDS", default_value = LINUX_BOOTARGS)]
    pub append: String,
    /// Memory of each VM, such as 128M or 1G
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub memory: Size,
    /// vCPUs of each VM
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_VCPUS as i64))]
    pub vcpus: u32,
    /// Cores of the board; vCPUs move between them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_CORES as i64))]
    pub cores: u32,
    /// VMs, all alike
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_VMS as i64))]
    pub vms: u32,
    /// How FP/SIMD registers are switched
    #[arg(long, value_name = "NAME", default_value = "until-put")]
    pub scheme: Scheme,
    /// FP/SIMD for each VM; Debian's kernel starts without it, its busybox does not
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub fp: Switch,
    /// SVE for each VM: off, max or the most bits of a vector; on QEMU's max unless --cpu says otherwise
    #[arg(long, value_name = "LENGTH", default_value = "off")]
    pub sve: Length,
    /// SME for each VM, likewise with the most bits of a streaming vector; needs --sve
    #[arg(long, value_name = "LENGTH", default_value = "off")]
    pub sme: Length,
    /// Traps in every window, so that trapcast top knows which loads were used
    #[arg(long)]
    pub observe: bool,
    /// With --scheme forecast: loads no registers early while an interrupt is pending for the guest. That
    /// interrupt comes sooner, but the guest traps more often: off where a trap costs dozens of exchanges
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub prompt: Switch,
    /// Counts time in instructions, so that a run can be repeated exactly
    #[arg(long)]
    pub icount: bool,
    /// The core
    #[command(flatten)]
    pub core: CoreArgs,
}

/// Which core, and how the hypervisor uses it.
#[derive(Clone, Copy, Debug, Args)]
pub struct CoreArgs {
    /// QEMU's core [default: neoverse-n1]
    #[arg(long, value_name = "CPU")]
    pub cpu: Option<Cpu>,
    /// Whether the hypervisor uses VHE [default: on where the core has it]
    #[arg(long, value_name = "on|off")]
    pub vhe: Option<Switch>,
}

impl CoreArgs {
    /// The core: the one that was asked for, or else this one.
    pub fn cpu(self, default: Cpu) -> Cpu {
        self.cpu.unwrap_or(default)
    }

    /// Whether to use VHE on this core.
    ///
    /// # Errors
    /// Where VHE is asked for and the core has none.
    pub fn vhe(self, cpu: Cpu) -> trapcast_tool::error::Result<bool> {
        cpu.vhe(self.vhe.map(|vhe| vhe == Switch::On))
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Switch {
    /// Use it.
    On,
    /// Do not.
    Off,
}

/// Arguments of `trapcast guests`.
#[derive(Debug, Args)]
pub struct GuestsArgs {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of a command that prints one thing.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trapcast report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The study's directory, with results.json and records [default: target/study]; or one record, of which the answers
    /// are printed
    #[arg(value_name = "DIR|FILE")]
    pub study: Option<PathBuf>,
    /// Where report.html goes [default: the study's directory]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Of a record: the cost profile, by its name or as a TOML file [default: measured-qemu]
    #[arg(
        long,
        value_name = "NAME|FILE",
        conflicts_with = "output",
        requires = "study"
    )]
    pub profile: Option<String>,
    /// Of a record: the frequency of the core in MHz, by which costs in cycles are a share of the record's time
    #[arg(long, value_name = "MHZ", conflicts_with = "output", requires = "profile", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub frequency: Option<u64>,
}

/// Arguments of `trapcast record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Workloads [default: those of a study, see trapcast guests]
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// All workloads, and each of them longer
    #[arg(long)]
    pub full: bool,
    /// How FP/SIMD registers are switched while recording; what a scheme moves costs the guest time
    #[arg(long, value_name = "NAME", default_value = "owner")]
    pub scheme: Scheme,
    /// How long a vCPU may run while others wait [default: 10000, or as the workload has it]
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub slice: Option<u32>,
    /// Chooses what is random in the guests; every study has 1
    #[arg(long, value_name = "N", default_value_t = SEED, value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    pub seed: u64,
    /// The core
    #[command(flatten)]
    pub core: CoreArgs,
    /// QEMUs at once [default: one per core of this machine]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Where the files go [default: target/records]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Arguments of `trapcast inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A record
    pub file: PathBuf,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trapcast replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Records
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Counts only the windows in which all VMs are at work, with schemes that have seen those before
    #[arg(long)]
    pub work: bool,
    /// Only this scheme; may be repeated, `all` is every one [default: all]
    #[arg(long, value_name = "NAME", value_parser = schemes)]
    pub scheme: Vec<Schemes>,
    /// A cost profile by its name, or a TOML file; may be repeated, `all` is every one that is built
    /// in, see trapcast profiles
    #[arg(long, value_name = "NAME|FILE", default_value = "measured-qemu")]
    pub profile: Vec<String>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trapcast merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// What trapcast replay --json or trapcast merge --json has printed; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trapcast plane`.
#[derive(Debug, Args)]
pub struct PlaneArgs {
    /// A record
    pub file: PathBuf,
    /// Counts only the windows in which all VMs are at work
    #[arg(long)]
    pub work: bool,
    /// Prints JSON: every point of the grid
    #[arg(long)]
    pub json: bool,
}

/// One scheme, or all.
#[derive(Clone, Debug)]
pub struct Schemes(pub Vec<Scheme>);

fn schemes(name: &str) -> Result<Schemes, String> {
    if name == "all" {
        return Ok(Schemes(Scheme::ALL.to_vec()));
    }
    let scheme = name
        .parse()
        .map_err(|error: UnknownScheme| error.to_string())?;
    Ok(Schemes(vec![scheme]))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
