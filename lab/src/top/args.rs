//! The arguments of `trapcast top`.

use std::time::Duration;

use clap::Args;

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast boot --vms 2                             on one terminal
  trapcast top                                      on another: the only one that runs
  trapcast top 4711                                 of several, the one of this process
  trapcast top --once --json | jq '.vcpus[] | {vm, vcpu, rates}'

q leaves, the arrows and page keys scroll. Rates are per second of this machine's clock. Where standard output
is no terminal, one snapshot is printed. Hits are known under trapcast boot --observe, instructions under
trapcast boot --icount on one core.";

/// Arguments of `trapcast top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// The process of trapcast boot [default: the only one that runs]
    #[arg(value_name = "PID")]
    pub process: Option<u32>,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub interval: Duration,
    /// Prints one snapshot, of one interval, and ends
    #[arg(long)]
    pub once: bool,
    /// Prints it as JSON
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("'{text}' is not a number of seconds from 0.1 to 3600"))
}
