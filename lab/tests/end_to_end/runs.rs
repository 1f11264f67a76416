//! What the trials have in common: how they run a guest, and when a run was sound.

use std::{sync::Arc, time::Duration};

use libtest_mimic::Failed;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Findings},
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    run::{self, Outcome},
    vectors::RegisterFiles,
};
use trapcast_results::Scale;
use trapcast_study::workload::{self, Images, LINUX_BOOTARGS, LINUX_MEMORY, Workload};
use trapcast_tool::paths::Paths;

use crate::support::{Outcomes, check};

/// Short workloads: enough windows for every scheme to go through all of its states.
pub const SCALE: Scale = Scale {
    windows: 700,
    linux_rounds: 1,
    simd_rounds: 10,
    program_rounds: 1,
};

/// How long a run may take before it counts as hanging.
pub const LIMIT: Duration = Duration::from_secs(240);

/// A board with one core and these VMs.
pub fn one_core(cpu: Cpu, icount: bool, vms: Vec<Vm>) -> Machine {
    Machine {
        cpu,
        cores: 1,
        vhe: cpu.has_vhe(),
        icount,
        record: false,
        slice: None,
        vms,
    }
}

/// Runs a workload and reads its console.
pub fn run_workload(
    paths: &Paths,
    name: &str,
    scheme: Scheme,
    machine: (Cpu, bool),
    observe: bool,
) -> Result<(Outcome, Findings), Failed> {
    let workload: &Workload = workload::find(name)?;
    let images = Images::load(paths, &[workload], SCALE)?;
    let (cpu, vhe) = machine;
    let vms = images.vms(workload, scheme, observe, SCALE);
    let machine = Machine {
        vhe,
        ..one_core(cpu, true, vms)
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &workload.expected());
    Ok((outcome, findings))
}

/// No guest may have lost a register or failed, and the host must have compared its own, which it uses for
/// nothing.
pub fn sound(outcome: &Outcome, findings: &Findings) -> Outcomes {
    let canary: u64 = outcome
        .cores
        .iter()
        .map(|core| core.canary_mismatches)
        .sum();
    let checks: u64 = outcome.cores.iter().map(|core| core.canary_checks).sum();
    check(
        findings.guest_mismatches == 0 && findings.failures.is_empty() && canary == 0,
        || {
            format!(
                "{findings:?}, canary mismatches: {canary}\n{}",
                outcome.console
            )
        },
    )?;
    check(checks > 0, || {
        "the host's registers were never compared with the canary".to_string()
    })?;
    let uses: u64 = outcome.cores.iter().map(|core| core.host_uses).sum();
    check(uses == 0, || {
        format!("the host has used the registers itself {uses} times")
    })
}

/// A Linux guest that does `task`.
pub fn linux_vm(paths: &Paths, task: Task<'_>) -> Result<Vm, Failed> {
    let initrd = initrd::build(&paths.guest("busybox")?, task)?;
    Ok(Vm {
        kernel: Image::open(&paths.guest("Image")?)?,
        initrd_size: initrd.len() as u64,
        initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
        bootargs: LINUX_BOOTARGS.to_string(),
        memory: LINUX_MEMORY,
        vcpus: 1,
        scheme: Scheme::UntilPut,
        observe: false,
        prompt: true,
        pmu: false,
        registers: RegisterFiles::FP,
    })
}
