//! The command line of `cargo xtask`, and its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use trapcast_forecast::Scheme;
use trapcast_trace::report::MAX_CORES;

use crate::{
    document::{self, DocumentArgs},
    hypervisors::{self, HypervisorsArgs},
    torture,
};

/// What only developers of Trapcast run.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
pub struct Cli {
    /// The directory that holds what was built and downloaded [default: the checkout's target]
    #[arg(long, global = true, env = "TRAPCAST_TARGET", value_name = "DIR")]
    pub target: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measures the hypervisor's fast paths in instructions, next to those of Linux KVM
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Checks registers in every window while vCPUs are preempted and move at random; hostile guests
    #[command(after_help = TORTURE_EXAMPLES)]
    Torture(TortureArgs),
    /// Writes what the documents say of the study from its stored results
    #[command(after_help = document::EXAMPLES)]
    Document(DocumentArgs),
    /// Observes Trapcast under each scheme, KVM and Xen with the same guests, and writes the document about them
    #[command(after_help = hypervisors::EXAMPLES)]
    Hypervisors(HypervisorsArgs),
    /// Compares the forecast on records with other rules, other knowledge, and its goals
    #[command(after_help = JUDGE_EXAMPLES)]
    Judge(JudgeArgs),
    /// Shows how a study's replays agree with its live runs, count by count
    Agreement(AgreementArgs),
    /// Makes a record of any length from a seed, to try the tools on
    Generate(GenerateArgs),
    /// Checks that FP/SIMD instructions are only where they may be in a hypervisor's ELF file
    CheckImage(CheckImageArgs),
}

const BENCH_EXAMPLES: &str = "\
Examples:
  cargo xtask bench                                    all of it; also writes target/bench/results.json
  cargo xtask bench --json | jq '.paths'";

const TORTURE_EXAMPLES: &str = "\
Examples:
  cargo xtask torture                                  ten million window checks, and as many hostile operations
  cargo xtask torture --windows 200000 --seed 7        fewer, with other slices, moves and patterns
  cargo xtask torture --part fp --scheme owner --minutes 60 --windows 1000000000
  cargo xtask torture --part scan                      whether any bit of a System register goes from VM to VM
  cargo xtask torture --json | jq '.rows[] | {part, scheme, windows, mismatches}'

Exit status 1: a scheme lost registers, a guest hung, or the negative control was not caught. The consoles of
such runs are kept beside results.json.";

const JUDGE_EXAMPLES: &str = "\
Examples:
  cargo xtask judge target/study/records/*.owner.parquet
  trapcast record --seed 7 shared-bursts linux-mix -o new && cargo xtask judge new/*.parquet
  cargo xtask judge new/*.parquet --profile nested-nv2 --json | jq '.goals'

docs/forecast.md describes the rule and its goals.";

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Measured rounds of each path
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: u32,
    /// Boots of each kind for the wall time, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub boots: u32,
    /// Where results.json goes [default: target/bench]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Prints results.json instead of the tables
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cargo xtask torture`.
#[derive(Debug, Args)]
pub struct TortureArgs {
    /// Random operations of hostile guests
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub operations: u64,
    /// Scans of all System registers
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub scans: u64,
    /// Window checks, over all parts and schemes that switch
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub windows: u64,
    /// Chooses slices, moves and patterns of the first runs; those that follow take the next seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1 << 32))]
    pub seed: u64,
    /// Only this part; may be repeated [default: all]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(torture::names()))]
    pub part: Vec<String>,
    /// Only this scheme; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub scheme: Vec<Scheme>,
    /// Cores of the board; a part whose vCPUs would leave some idle takes fewer
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=MAX_CORES as i64))]
    pub cores: u32,
    /// Begins no more runs after this time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub minutes: Option<u64>,
    /// Where results.json goes [default: target/torture]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Prints results.json instead of the table
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cargo xtask judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// Records
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A cost profile by its name, or a TOML file; may be repeated
    #[arg(long, value_name = "NAME|FILE", default_value = "all")]
    pub profile: Vec<String>,
    /// Prints JSON: every cell
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cargo xtask agreement`.
#[derive(Debug, Args)]
pub struct AgreementArgs {
    /// What a study has written [default: target/study/results.json]
    #[arg(value_name = "RESULTS")]
    pub results: Option<PathBuf>,
}

/// Arguments of `cargo xtask generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The file to make
    pub file: PathBuf,
    /// Windows
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub windows: u64,
    /// vCPUs that share the core
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub vcpus: u16,
    /// Leaves out the columns that no replay reads: a tenth of the time
    #[arg(long)]
    pub replay_only: bool,
    /// Chooses the windows: the same seed makes the same file
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Arguments of `cargo xtask check-image`.
#[derive(Debug, Args)]
pub struct CheckImageArgs {
    /// The ELF file
    pub file: PathBuf,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
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
