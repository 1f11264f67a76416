//! Several cores and several vCPUs: Linux SMP, and guests that move.

use std::time::Duration;

use libtest_mimic::Failed;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected, Findings},
    image::Image,
    initrd::Task,
    machine::{Cpu, Machine, Vm},
    run,
};
use trapcast_study::workload::{self, Images};
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    runs::{LIMIT, SCALE, linux_vm, one_core, sound},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add("linux/two_vcpus".into(), Box::new(two_vcpus));
    add("cores/linux_on_two".into(), Box::new(linux_on_two_cores));
    add("cores/without_an_end".into(), Box::new(without_an_end));
    for scheme in [
        Scheme::Eager,
        Scheme::UntilPut,
        Scheme::Counter,
        Scheme::Owner,
    ] {
        let moving = move |paths: &Paths| {
            let findings = moving(paths, scheme)?;
            check(findings.guest_mismatches == 0, || format!("{findings:?}"))
        };
        add(format!("cores/moving/{scheme}"), Box::new(moving));
    }
    let control = |paths: &Paths| {
        let findings = moving(paths, Scheme::None)?;
        check(findings.guest_mismatches > 0, || format!("{findings:?}"))
    };
    add("cores/moving/none".into(), Box::new(control));
}

fn two_vcpus(paths: &Paths) -> Outcomes {
    let vm = Vm {
        vcpus: 2,
        ..linux_vm(paths, Task::PowerOff)?
    };
    let machine = one_core(Cpu::NeoverseN1, true, vec![vm]);
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &[Expected::LinuxMarker]);
    sound(&outcome, &findings)?;
    check(
        outcome.vcpus.len() == 2 && outcome.vcpus.iter().all(|vcpu| vcpu.entries > 0),
        || "not both vCPUs ran".to_string(),
    )
}

/// Six guests that all use the registers, on three cores that run at the same time: they move.
fn moving(paths: &Paths, scheme: Scheme) -> Result<Findings, Failed> {
    let always = workload::find("always")?;
    let images = Images::load(paths, &[always], SCALE)?;
    let mut vms = Vec::new();
    for seed in 1..=6 {
        let mut vm = images.vms(always, scheme, false, SCALE).remove(0);
        vm.bootargs = vm.bootargs.replace("seed=1", &format!("seed={seed}"));
        vms.push(vm);
    }
    let machine = Machine {
        cores: 3,
        ..one_core(Cpu::NeoverseN1, false, vms)
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &[Expected::Checker; 6]);
    let switches: u64 = outcome.cores.iter().map(|core| core.vcpu_switches).sum();
    check(outcome.cores.len() == 3 && switches > 6, || outcome.console)?;
    check(findings.failures.is_empty(), || format!("{findings:?}"))?;
    Ok(findings)
}

/// A Linux guest of two vCPUs on two cores that run at the same time.
fn linux_on_two_cores(paths: &Paths) -> Outcomes {
    let linux = workload::find("linux")?;
    let images = Images::load(paths, &[linux], SCALE)?;
    let mut vms = images.vms(linux, Scheme::Owner, false, SCALE);
    vms[0].vcpus = 2;
    let machine = Machine {
        cores: 2,
        ..one_core(Cpu::NeoverseN1, false, vms)
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &linux.expected());
    sound(&outcome, &findings)?;
    check(outcome.vcpus.iter().all(|vcpu| vcpu.entries > 100), || {
        outcome.console
    })
}

/// Of a run that does not end, the error says where its vCPU is.
fn without_an_end(paths: &Paths) -> Outcomes {
    let vm = Vm {
        kernel: Image::open(&paths.built("checker")?)?,
        initrd: None,
        initrd_size: 0,
        // No window ends by a WFI.
        bootargs: "workload=never windows=4000000000 exits=0".to_string(),
        memory: 16 << 20,
        ..linux_vm(paths, Task::PowerOff)?
    };
    let machine = Machine {
        cores: 2,
        ..one_core(Cpu::NeoverseN1, false, vec![vm])
    };
    let ended = run::run(&machine, &paths.hypervisor()?, Duration::from_secs(3));
    let told = ended.err().ok_or("it ended")?.to_string();
    let wanted = [
        "did not end within 3 s and was stopped. The hypervisor says where its vCPUs are:",
        "\n  | vm0 vCPU 0 runs on core ",
        " has vm0 vCPU 0 loaded, PC 0x40",
        " has no vCPU loaded",
    ];
    let missing = wanted.into_iter().find(|wanted| !told.contains(wanted));
    check(missing.is_none(), || {
        format!("{missing:?} is not in {told}")
    })
}
