//! A Linux guest from boot to power-off: its exits, and its wall time beside no hypervisor.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{Inputs, LIMIT};
use trapcast_machine::{
    console::{self, Expected},
    machine::{Cpu, Machine, Vm, prepare_without_hypervisor},
    qemu::{Console, Finished, Qemu, last_lines},
    run,
};
use trapcast_results::{Counters, ratio};
use trapcast_tool::{
    error::{Error, Result},
    progress::Progress,
};

/// A Linux guest from its first instruction to power-off.
#[derive(Clone, Debug, Serialize)]
pub struct BootResult {
    /// QEMU's core.
    pub cpu: &'static str,
    /// Entries into the guest.
    pub entries: u64,
    /// Exits by reason.
    pub exits: BTreeMap<String, u64>,
    /// Instructions at EL2.
    pub el2_instructions: u64,
    /// Instructions at EL1 and EL0.
    pub guest_instructions: u64,
    /// EL2's share of all instructions.
    pub el2_share: Option<f64>,
}

/// Wall times of a boot, in seconds from QEMU's start to its end.
#[derive(Clone, Debug, Serialize)]
pub struct BootTiming {
    /// QEMU's core.
    pub cpu: &'static str,
    /// Under the hypervisor, each boot.
    pub hypervisor: Vec<f64>,
    /// Without one, each boot.
    pub without: Vec<f64>,
    /// The quotient of the medians.
    pub ratio: f64,
}

/// A Linux guest that boots, prints its marker and powers off.
pub(super) struct Boot<'a> {
    machine: Machine,
    hypervisor: &'a Path,
}

impl<'a> Boot<'a> {
    pub(super) fn new(inputs: &'a Inputs, cpu: Cpu) -> Self {
        Self {
            machine: Machine {
                cpu,
                cores: 1,
                vhe: cpu.has_vhe(),
                icount: false,
                record: false,
                slice: None,
                vms: vec![inputs.linux.clone()],
            },
            hypervisor: &inputs.hypervisor,
        }
    }

    /// Boots once with instructions counted.
    pub(super) fn count(&self) -> Result<BootResult> {
        let machine = Machine {
            icount: true,
            ..self.machine.clone()
        };
        let outcome = run::run(&machine, self.hypervisor, LIMIT)?;
        booted(&outcome.console)?;
        let counters: Vec<Counters> = outcome.vcpus.iter().map(Into::into).collect();
        let total = Counters::sum(&counters);
        let el2 = outcome.cores.iter().map(|core| core.el2_instructions).sum();
        let guest: u64 = outcome
            .cores
            .iter()
            .map(|core| core.guest_instructions)
            .sum();
        Ok(BootResult {
            cpu: self.machine.cpu.name(),
            entries: total.entries,
            exits: total.exits,
            el2_instructions: el2,
            guest_instructions: guest,
            el2_share: ratio(el2, el2 + guest),
        })
    }

    /// Boots with and without the hypervisor in turn, so that a machine that gets slower or faster
    /// does so to both.
    pub(super) fn time(&self, boots: u32, progress: &Progress) -> Result<BootTiming> {
        let cpu = self.machine.cpu;
        let (mut hypervisor, mut without) = (Vec::new(), Vec::new());
        for _ in 0..boots {
            hypervisor.push(progress.one(&format!("boot/{cpu}/hypervisor"), || {
                let outcome = run::run(&self.machine, self.hypervisor, LIMIT)?;
                booted(&outcome.console)?;
                Ok(outcome.wall.as_secs_f64())
            })?);
            without.push(progress.one(&format!("boot/{cpu}/without"), || {
                let vm = &self.machine.vms[0];
                let finished = boot_without_hypervisor(cpu, vm)?;
                booted(&finished.console)?;
                Ok(finished.wall.as_secs_f64())
            })?);
        }
        Ok(BootTiming {
            cpu: cpu.name(),
            ratio: median(&hypervisor) / median(&without),
            hypervisor,
            without,
        })
    }
}

/// Boots a Linux guest at EL1 of a board without EL2, to its power-off.
///
/// # Errors
/// [`Error::Run`] where it does not end.
pub fn boot_without_hypervisor(cpu: Cpu, vm: &Vm) -> Result<Finished> {
    let prepared = prepare_without_hypervisor(cpu, false, vm)?;
    Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))
}

fn booted(text: &str) -> Result<()> {
    let found = console::findings(text, &[Expected::LinuxMarker]);
    if found.failures.is_empty() {
        return Ok(());
    }
    let lines = last_lines(text, "");
    Err(Error::run(format!("{}.{lines}", found.failures.join("; "))))
}

/// The median of some figures; zero of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (middle, 1) => sorted[middle],
        (middle, _) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
