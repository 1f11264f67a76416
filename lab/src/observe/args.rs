//! The arguments of `trapcast observe`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum};
use trapcast_forecast::Scheme;

use trapcast_machine::host::{Kernel, Mode};
use trapcast_tool::error::{Error, Result};

use crate::cli::{CoreArgs, Switch};

/// What the help ends with.
pub const EXAMPLES: &str = "\
Examples:
  trapcast observe trapcast --scheme owner              two Linux VMs and a bare-metal guest under Trapcast
  trapcast observe kvm --mode nvhe --cpu cortex-a57     Debian's kernel as host, its VMs beside each other
  trapcast observe xen --vms 2                          Debian's Xen, without a domain 0
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
    /// Linux KVM: Debian's kernel, with a VMM from Debian.
    Kvm,
    /// Debian's Xen, with its domains started at boot (dom0less).
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
    /// Of a host: what runs, see trapcast guests [default: linux-mix on trapcast, linux on kvm and xen]
    #[arg(long, value_name = "WORKLOAD", conflicts_with = "command")]
    pub workload: Option<String>,
    /// Of kvm: how it uses EL2 [default: vhe where the core has it, else nvhe]
    #[arg(long, conflicts_with = "command")]
    pub mode: Option<Mode>,
    /// Of kvm: the host's kernel [default: stable]
    #[arg(long, conflicts_with = "command")]
    pub kernel: Option<Kernel>,
    /// Of kvm: whether its kernel mitigates what speculation does on some cores [default: off]
    #[arg(long, value_name = "on|off", conflicts_with = "command")]
    pub mitigations: Option<Switch>,
    /// Of kvm and xen: so many VMs, the workload's guests in turn [default: as many as it has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16), conflicts_with = "command")]
    pub vms: Option<u16>,
    /// The core
    #[command(flatten)]
    pub core: CoreArgs,
    /// A command line of QEMU, whose machine has EL2
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl ObserveArgs {
    /// Refuses options of another host than the one that is asked for.
    ///
    /// # Errors
    /// [`Error::Input`] that names the option, and the hosts that have it.
    pub fn check(&self) -> Result<()> {
        use Host::{Kvm, Trapcast, Xen};
        let Some(host) = self.host else {
            return Ok(());
        };
        for (name, is_given, hosts) in [
            ("--scheme", self.scheme.is_some(), &[Trapcast][..]),
            ("--vhe", self.core.vhe.is_some(), &[Trapcast]),
            ("--mode", self.mode.is_some(), &[Kvm]),
            ("--kernel", self.kernel.is_some(), &[Kvm]),
            ("--mitigations", self.mitigations.is_some(), &[Kvm]),
            ("--vms", self.vms.is_some(), &[Kvm, Xen]),
        ] {
            if is_given && !hosts.contains(&host) {
                let names: Vec<_> = hosts
                    .iter()
                    .map(|host| format!("{host:?}").to_lowercase())
                    .collect();
                return Err(Error::input(format!(
                    "{name} is an option of trapcast observe {} alone",
                    names.join(" and ")
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ObserveArgs,
    }

    #[test]
    fn options_of_other_hosts_are_refused() {
        let told = |line: &str| {
            let line = Line::try_parse_from(line.split(' ')).unwrap();
            line.arguments.check().map_err(|error| error.to_string())
        };
        assert_eq!(
            told("observe kvm --mode nvhe --vms 2 --mitigations off"),
            Ok(())
        );
        assert_eq!(told("observe xen --vms 2"), Ok(()));
        assert_eq!(told("observe trapcast --scheme eager"), Ok(()));
        for (line, option) in [
            ("observe xen --kernel backports", "--kernel is"),
            ("observe kvm --scheme eager", "--scheme is"),
            (
                "observe trapcast --vms 2",
                "--vms is an option of trapcast observe kvm and xen",
            ),
            ("observe kvm --vhe off", "--vhe is"),
        ] {
            let error = told(line).unwrap_err();
            assert!(error.starts_with(option), "{error}");
        }
    }
}
