//! The arguments of `trapcast study`.

use std::path::PathBuf;

use clap::Args;
use trapcast_forecast::Scheme;

use trapcast_study::workload::MOST_COURSES;

use crate::cli::CoreArgs;

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast study                                    some workloads, in three minutes; also writes target/study
  trapcast study --full                             every workload, each of them longer
  trapcast study --workload linux --scheme owner --scheme until-put
  trapcast study --cpu cortex-a57 -o a57 --json | jq '.results[].figures'
  trapcast study --verify target/study              runs it again: the same to the last digit?

A study that is interrupted continues where it was when it is started again: the results of each run are in
target/study/runs, and count as long as the hypervisor, the guests, the lab and QEMU are the same.
Exit status 1: a run failed, registers were lost, or what is verified differs.";

/// Arguments of `trapcast study`.
#[derive(Debug, Args)]
pub struct StudyArgs {
    /// All workloads, and each of them longer
    #[arg(long)]
    pub full: bool,
    /// Only this workload; may be repeated [default: some, see trapcast guests]
    #[arg(long, value_name = "NAME")]
    pub workload: Vec<String>,
    /// Only this scheme; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub scheme: Vec<Scheme>,
    /// How long a vCPU may run while others wait [default: 10000, or as the workload has it]
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub slice: Option<u32>,
    /// Courses of each workload of Linux guests: slice, offsets and input moved by about a percent [default: 1, 10 with --full]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_COURSES)))]
    pub courses: Option<u32>,
    /// The core
    #[command(flatten)]
    pub core: CoreArgs,
    /// QEMUs at once [default: one per core of this machine]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Where results.json goes, with records of the runs and what they found out [default: target/study]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Does all runs, also those that an interrupted study has done
    #[arg(long)]
    pub fresh: bool,
    /// Runs a stored study again and names what differs: a results.json or its directory
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = [
        "full", "workload", "scheme", "slice", "courses", "cpu", "vhe", "output", "fresh", "json",
    ])]
    pub verify: Option<PathBuf>,
    /// Prints results.json instead of the table
    #[arg(long)]
    pub json: bool,
}
