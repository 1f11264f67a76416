//! The arguments of `trapcast observe`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};
use trapcast_forecast::Scheme;

use crate::cli::CoreArgs;
use trapcast_machine::host::{Kernel, Mode};

/// What the help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast observe trapcast --scheme owner              two Linux VMs and a bare-metal guest under Trapcast
  trapcast observe kvm --mode nvhe --cpu cortex-a57 --vms 2 --kernel backports
  trapcast observe xen --vms 2
  trapcast observe -o my.parquet -- qemu-system-aarch64 -M virt,virtualization=on,gic-version=3 \\
      -cpu neoverse-n1 -m 1G -nographic -kernel my-hypervisor.bin
  trapcast observe --budget exits.toml --json -- qemu-system-aarch64 ...    in somebody's CI

A budget has one line per kind of exit, such as hypercall = 1100: the most instructions from such an exit until
the guest goes on. docs/observe.md says what is seen and what is not.";

/// A hypervisor that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Host {
    /// Trapcast's own.
    Trapcast,
    /// Debian's kernel with KVM, and its VMM.
    Kvm,
    /// Debian's Xen, without a domain 0.
    Xen,
}

/// Arguments of `trapcast observe`.
#[derive(Debug, Args)]
pub struct ObserveArgs {
    /// The hypervisor, unless a command line of QEMU follows --
    #[arg(value_name = "HOST", conflicts_with = "command")]
    pub host: Option<Host>,
    /// Writes the windows as a record, which inspect, replay and timeline take
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    /// Fails with status 1 where an exit takes more instructions than this TOML file allows, or is not in it
    #[arg(long, value_name = "FILE")]
    pub budget: Option<PathBuf>,
    /// Of trapcast: how FP/SIMD registers are switched [default: owner]
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    pub scheme: Option<Scheme>,
    /// What runs on a host that is named, see trapcast guests [default: linux-mix on trapcast, linux on kvm and xen]
    #[arg(long, value_name = "WORKLOAD", conflicts_with = "command")]
    pub workload: Option<String>,
    /// Of kvm and xen: VMs, all alike
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub vms: u16,
    /// Of kvm: how it uses EL2 [default: vhe, where the core has it]
    #[arg(long, conflicts_with = "command")]
    pub mode: Option<Mode>,
    /// Of kvm: which of Debian's kernels is the host's
    #[arg(long, default_value = "stable")]
    pub kernel: Kernel,
    /// The core
    #[command(flatten)]
    pub core: CoreArgs,
    /// A command line of QEMU, whose machine has EL2
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}
