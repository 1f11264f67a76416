//! AArch32 guests, end to end under QEMU: a checker of D0 to D31, FPSCR, FPEXC and the registers of other
//! modes, beside another and an AArch64 one; and Debian's armhf kernel.
//!
//! Needs what `make build guest` leaves.

mod support;

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_hypervisor::guest_image::ExecutionState;
use trapcast_machine::{
    arch::Arch,
    console::{self, Expected, Findings},
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    run::{self, Outcome},
    vectors::RegisterFiles,
};
use trapcast_study::workload::LINUX_BOOTARGS;
use trapcast_tool::paths::Paths;

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);

/// Memory of a bare-metal guest.
const MEMORY: u64 = 16 << 20;

/// Memory of a Linux guest.
const LINUX_MEMORY: u64 = 256 << 20;

/// Two AArch32 guests, of which one ends every fourth window only by a wait, and an AArch64 one.
const GUESTS: [Guest; 3] = [
    Guest::Checker32("workload=random p=70 windows=600"),
    Guest::Checker32("workload=always windows=600 exits=4"),
    Guest::Checker("workload=random windows=600"),
];

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    for scheme in Scheme::ALL {
        let shared = move |paths: &Paths| share_a_core(paths, Cpu::CortexA57, scheme, false);
        add(format!("shared/cortex-a57/{scheme}"), Box::new(shared));
    }
    for scheme in [Scheme::UntilPut, Scheme::Owner] {
        let vhe = move |paths: &Paths| share_a_core(paths, Cpu::Max, scheme, false);
        add(format!("shared/max/{scheme}"), Box::new(vhe));
        let observed = move |paths: &Paths| share_a_core(paths, Cpu::CortexA57, scheme, true);
        add(format!("observed/{scheme}"), Box::new(observed));
        let moving = move |paths: &Paths| move_about(paths, scheme);
        add(format!("cores/{scheme}"), Box::new(moving));
        let linux = move |paths: &Paths| linux_beside_a_checker(paths, scheme);
        add(format!("linux/{scheme}"), Box::new(linux));
    }
    add(
        "linux/two_on_two_cores".into(),
        Box::new(linux_on_two_cores),
    );
    add("fault_is_noticed".into(), Box::new(fault_is_noticed));
    add("without_fp".into(), Box::new(without_fp));
    add("refused_without_aarch32".into(), Box::new(refused));
    trials
}

/// A guest and its boot arguments.
#[derive(Clone, Copy)]
enum Guest {
    /// The checker of AArch32.
    Checker32(&'static str),
    /// That of AArch64.
    Checker(&'static str),
    /// Linux, up to its marker.
    Linux,
}

impl Guest {
    fn expected(self) -> Expected {
        match self {
            Self::Checker32(_) => Expected::Checker32,
            Self::Checker(_) => Expected::Checker,
            Self::Linux => Expected::LinuxMarker,
        }
    }

    /// The VM of guest number `number` of a run.
    fn vm(self, paths: &Paths, scheme: Scheme, number: usize) -> Result<Vm, Failed> {
        let bare = |kernel, words| Vm {
            kernel,
            initrd: None,
            initrd_size: 0,
            bootargs: format!("{words} seed={}", number + 1),
            memory: MEMORY,
            vcpus: 1,
            scheme,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        };
        Ok(match self {
            Self::Checker32(words) => bare(Image::open(&paths.aarch32("checker32")?)?, words),
            Self::Checker(words) => bare(Image::open(&paths.built("checker")?)?, words),
            Self::Linux => {
                let initrd = initrd::build(&Arch::Armhf.busybox(paths)?, Task::PowerOff)?;
                Vm {
                    initrd_size: initrd.len() as u64,
                    initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
                    bootargs: LINUX_BOOTARGS.to_string(),
                    memory: LINUX_MEMORY,
                    ..bare(Arch::Armhf.kernel(paths)?, "")
                }
            }
        })
    }
}

/// A machine with these guests.
fn machine(
    paths: &Paths,
    cpu: Cpu,
    cores: u32,
    scheme: Scheme,
    guests: &[Guest],
) -> Result<Machine, Failed> {
    let numbered = guests.iter().enumerate();
    let vms: Result<Vec<Vm>, Failed> = numbered
        .map(|(number, guest)| guest.vm(paths, scheme, number))
        .collect();
    Ok(Machine {
        cpu,
        cores,
        vhe: cpu.has_vhe(),
        icount: cores == 1,
        record: false,
        slice: None,
        vms: vms?,
    })
}

/// Runs a machine, of which nothing may fail but the guests' own checks.
fn run(paths: &Paths, machine: &Machine, guests: &[Guest]) -> Result<(Outcome, Findings), Failed> {
    let outcome = run::run(machine, &paths.hypervisor()?, LIMIT)?;
    let expected: Vec<Expected> = guests.iter().map(|guest| guest.expected()).collect();
    let findings = console::findings(&outcome.console, &expected);
    check(findings.failures.is_empty(), || {
        format!("{findings:?}\n{}", outcome.console)
    })?;
    Ok((outcome, findings))
}

fn share_a_core(paths: &Paths, cpu: Cpu, scheme: Scheme, observe: bool) -> Outcomes {
    let mut machine = machine(paths, cpu, 1, scheme, &GUESTS)?;
    machine.vms.iter_mut().for_each(|vm| vm.observe = observe);
    let (outcome, findings) = run(paths, &machine, &GUESTS)?;
    if scheme == Scheme::None {
        return check(findings.guest_mismatches > 0, || format!("{findings:?}"));
    }
    let canary = outcome.cores.iter().map(|core| core.canary_mismatches);
    check(canary.sum::<u64>() == 0, || {
        "the host lost registers".into()
    })?;
    check(findings.guest_mismatches == 0, || {
        format!("{findings:?}\n{}", outcome.console)
    })
}

/// Five guests on three cores that run at the same time: they move.
fn move_about(paths: &Paths, scheme: Scheme) -> Outcomes {
    let [one, other, aarch64] = GUESTS;
    let guests = [one, other, one, other, aarch64];
    let machine = machine(paths, Cpu::CortexA57, 3, scheme, &guests)?;
    let (outcome, findings) = run(paths, &machine, &guests)?;
    check(findings.guest_mismatches == 0, || {
        format!("{findings:?}\n{}", outcome.console)
    })
}

/// Debian's armhf kernel boots while an AArch64 guest uses the registers on the same core.
fn linux_beside_a_checker(paths: &Paths, scheme: Scheme) -> Outcomes {
    let guests = [
        Guest::Linux,
        Guest::Checker("workload=always windows=20000"),
    ];
    let machine = machine(paths, Cpu::CortexA57, 1, scheme, &guests)?;
    let (outcome, findings) = run(paths, &machine, &guests)?;
    check(findings.guest_mismatches == 0, || format!("{findings:?}"))?;
    check(outcome.vcpus[0].register_loads > 0, || {
        "Linux did not use the registers".into()
    })
}

/// Two of them with two vCPUs each, on two cores that run at the same time.
fn linux_on_two_cores(paths: &Paths) -> Outcomes {
    let guests = [Guest::Linux, Guest::Linux];
    let mut machine = machine(paths, Cpu::CortexA57, 2, Scheme::Owner, &guests)?;
    machine.vms.iter_mut().for_each(|vm| vm.vcpus = 2);
    let (outcome, _) = run(paths, &machine, &guests)?;
    check(outcome.vcpus.iter().all(|vcpu| vcpu.entries > 100), || {
        outcome.console
    })
}

/// A checker that damages a register itself must report it, and the lab must see the report.
fn fault_is_noticed(paths: &Paths) -> Outcomes {
    let guests = [Guest::Checker32("workload=always windows=400 fault=300")];
    let machine = machine(paths, Cpu::CortexA57, 1, Scheme::Owner, &guests)?;
    let (outcome, findings) = run(paths, &machine, &guests)?;
    check(findings.guest_mismatches == 1, || outcome.console)
}

/// Where FP/SIMD is refused, VMRS is undefined: the guest takes the exception in its own mode.
fn without_fp(paths: &Paths) -> Outcomes {
    let guests = [Guest::Checker32("workload=always")];
    let mut machine = machine(paths, Cpu::CortexA57, 1, Scheme::Owner, &guests)?;
    machine.vms[0].registers.fp = false;
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    check(
        outcome.console.contains("checker32: exception 1 at "),
        || outcome.console,
    )
}

/// Neither the lab nor the hypervisor starts an AArch32 kernel on a core without AArch32 at EL1.
fn refused(paths: &Paths) -> Outcomes {
    let guests = [Guest::Checker32("")];
    let mut machine = machine(paths, Cpu::NeoverseN1, 1, Scheme::Owner, &guests)?;
    let refusal = |machine: &Machine| match run::run(machine, &paths.hypervisor()?, LIMIT) {
        Ok(outcome) => Err(Failed::from(outcome.console)),
        Err(error) => Ok(error.to_string()),
    };
    let told = refusal(&machine)?;
    check(told.contains("VM 0 has an AArch32 kernel"), || told)?;
    machine.vms[0].kernel.header.execution_state = ExecutionState::AArch64;
    let told = refusal(&machine)?;
    let expected =
        "vm0: an AArch32 kernel, but this core has no AArch32 at EL1; use -cpu cortex-a57";
    check(told.contains(expected), || told)
}
