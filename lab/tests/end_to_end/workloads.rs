//! Workloads under every scheme, on cores with and without VHE: clean under all but the negative control.

use trapcast_forecast::Scheme;
use trapcast_machine::machine::Cpu;
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    runs::{run_workload, sound},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    for cpu in [Cpu::NeoverseN1, Cpu::CortexA57] {
        for scheme in switching() {
            let pair = move |paths: &Paths| clean(paths, "pair", scheme, cpu, true);
            add(format!("pair/{cpu}/{scheme}"), Box::new(pair));
        }
        let control = move |paths: &Paths| caught(paths, cpu);
        add(format!("pair/{cpu}/none"), Box::new(control));
        for scheme in switching() {
            let linux = move |paths: &Paths| clean(paths, "linux", scheme, cpu, false);
            add(format!("linux/{cpu}/{scheme}"), Box::new(linux));
        }
    }
    for (name, workload, scheme, cpu) in [
        ("pair/max/owner", "pair", Scheme::Owner, Cpu::Max),
        ("linux/max/until-put", "linux", Scheme::UntilPut, Cpu::Max),
        (
            "linux-mix/neoverse-n1/owner",
            "linux-mix",
            Scheme::Owner,
            Cpu::NeoverseN1,
        ),
        (
            "linux-mix/cortex-a57/credit",
            "linux-mix",
            Scheme::Credit,
            Cpu::CortexA57,
        ),
    ] {
        let test = move |paths: &Paths| clean(paths, workload, scheme, cpu, false);
        add(name.into(), Box::new(test));
    }
    add("pair/neoverse-n1/vhe-off".into(), Box::new(vhe_refused));
}

fn switching() -> impl Iterator<Item = Scheme> {
    Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::None)
}

/// Nothing may be amiss, and guests and host must have been at it.
fn clean(paths: &Paths, workload: &str, scheme: Scheme, cpu: Cpu, observe: bool) -> Outcomes {
    let (outcome, findings) = run_workload(paths, workload, scheme, (cpu, cpu.has_vhe()), observe)?;
    sound(&outcome, &findings)?;
    check(
        outcome.vcpus.iter().all(|vcpu| vcpu.register_loads > 0),
        || format!("a vCPU never had its registers loaded\n{}", outcome.console),
    )?;
    check(outcome.header.vhe == u32::from(cpu.has_vhe()), || {
        "the wrong kind of EL2".to_string()
    })
}

/// Without switching, two guests on one core must be seen to lose their registers.
fn caught(paths: &Paths, cpu: Cpu) -> Outcomes {
    let machine = (cpu, cpu.has_vhe());
    let (outcome, findings) = run_workload(paths, "pair", Scheme::None, machine, false)?;
    check(findings.guest_mismatches > 0, || {
        format!(
            "the checkers did not notice: {findings:?}\n{}",
            outcome.console
        )
    })
}

fn vhe_refused(paths: &Paths) -> Outcomes {
    let machine = (Cpu::NeoverseN1, false);
    let (outcome, findings) = run_workload(paths, "pair", Scheme::LastTrap, machine, false)?;
    sound(&outcome, &findings)?;
    check(outcome.header.vhe == 0, || "VHE was used".to_string())
}
