//! What was built: the hypervisor's image, the guests, and what is measured of them.
//!
//! Needs what `make build guest` leaves. Cases are generated, so each has its own name and time.

#[path = "../../lab/tests/end_to_end/runs.rs"]
#[allow(dead_code, reason = "other trials need more of it")]
mod runs;
#[path = "../../lab/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use object::{Object, ObjectSection, SectionKind};
use trapcast_forecast::{Costs, Scheme};
use trapcast_machine::{
    console::{self, Expected, Findings},
    image::Image,
    initrd::Task,
    machine::Cpu,
    run,
};
use trapcast_study::workload::{self, Images};
use trapcast_tool::paths::Paths;
use xtask::{
    bench::{self, decisions, wakeups},
    fpcheck,
};

use crate::{
    runs::{LIMIT, SCALE, linux_vm, one_core},
    support::{Outcomes, check},
};

fn main() {
    support::run(trials)
}

/// What one trial does.
type Test = fn(&Paths) -> Outcomes;

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let tests: [(&str, Test); 6] = [
        ("image/fpsimd_only_in_its_functions", image_is_clean),
        ("script/linux_without_hypervisor", script_is_sound),
        ("image/misplaced_is_found", misplaced_is_found),
        ("checker/fault_is_noticed", fault_is_noticed),
        ("bench/profile_is_current", profile_is_current),
        (
            "bench/the_table_of_decisions_still_holds",
            the_table_of_decisions_still_holds,
        ),
    ];
    let trial = |(name, test): (&str, Test)| {
        let paths = Arc::clone(paths);
        Trial::test(name, move || test(&paths))
    };
    let storms = wakeups::MACHINES.map(|machine| {
        let ((cores, vcpus), paths) = (machine, Arc::clone(paths));
        Trial::test(format!("bench/storm/{vcpus}-on-{cores}"), move || {
            storm(&paths, machine)
        })
    });
    tests.map(trial).into_iter().chain(storms).collect()
}

/// What the script expects of each program is what it does without any hypervisor.
fn script_is_sound(paths: &Paths) -> Outcomes {
    let vm = linux_vm(
        paths,
        Task::Script {
            rounds: 1,
            simd_rounds: 10,
            simd: &paths.built("linux-simd")?,
        },
    )?;
    let console = bench::boot_without_hypervisor(Cpu::CortexA57, &vm)?.console;
    let findings = console::findings(&console, &[Expected::LinuxScript]);
    let expected = Findings {
        // Four processes.
        guest_used: 4 * 10,
        ..Findings::default()
    };
    check(findings == expected, || format!("{findings:?}\n{console}"))
}

fn image_is_clean(paths: &Paths) -> Outcomes {
    let report = fpcheck::check_file(&paths.hypervisor()?)?;
    check(report.misplaced.is_empty(), || fpcheck::render(&report))?;
    // 16 LDP and 16 STP of 32 registers at the least: else the check looks at the wrong thing.
    check(report.allowed >= 32, || {
        format!("only {} FP/SIMD instructions", report.allowed)
    })
}

/// A load of a q register in place of the first instruction, far from the functions for that.
fn misplaced_is_found(paths: &Paths) -> Outcomes {
    let mut bytes = std::fs::read(paths.hypervisor()?)?;
    let start = first_code(&bytes)?;
    bytes[start..start + 4].copy_from_slice(&0x3dc0_0000u32.to_le_bytes());
    let report = fpcheck::check(&bytes)?;
    check(report.misplaced.len() == 1, || fpcheck::render(&report))
}

/// Where in an ELF file its first section of code lies.
fn first_code(bytes: &[u8]) -> Result<usize, Failed> {
    let file = object::File::parse(bytes)?;
    let code = file
        .sections()
        .find(|section| section.kind() == SectionKind::Text);
    let range = code.and_then(|section| section.file_range());
    Ok(range.ok_or("no code in the hypervisor")?.0 as usize)
}

/// A checker that damages a register itself must report it, and the lab must see the report.
fn fault_is_noticed(paths: &Paths) -> Outcomes {
    let always = workload::find("always")?;
    let images = Images::load(paths, &[always], SCALE)?;
    let mut vms = images.vms(always, Scheme::Owner, false, SCALE);
    vms[0].bootargs += " fault=300";
    let machine = one_core(Cpu::NeoverseN1, true, vms);
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &always.expected());
    check(findings.guest_mismatches == 1, || outcome.console)
}

/// The profile `measured-qemu` says what this hypervisor takes, but for a few instructions by which
/// compilers differ.
fn profile_is_current(paths: &Paths) -> Outcomes {
    const COMPILERS: u32 = 3;
    let text = bench::measure_profile(100, paths)?;
    let (measured, kept) = (
        trapcast_profile::parse(&text, "bench")?.fp,
        trapcast_profile::find("measured-qemu")
            .ok_or("no such profile")?
            .fp,
    );
    let costs = |costs: Costs| [costs.trap, costs.probe, costs.save, costs.load];
    let mut pairs = costs(measured).into_iter().zip(costs(kept));
    check(pairs.all(|(a, b)| a.abs_diff(b) <= COMPILERS), || {
        format!("put this into crates/profile/profiles/measured-qemu.toml:\n{text}")
    })
}

/// What is charged for decisions is what they take, but for a few instructions by which compilers differ.
fn the_table_of_decisions_still_holds(paths: &Paths) -> Outcomes {
    const COMPILERS: u32 = 8;
    let measured = decisions::measure(100, paths)?;
    let pairs = measured.iter().zip(decisions::table());
    let holds = pairs.clone().all(|(a, b)| {
        a.asked.abs_diff(b.asked) <= COMPILERS && a.told.abs_diff(b.told) <= COMPILERS
    });
    check(holds && pairs.len() == measured.len(), || {
        let rows = decisions::render(&measured);
        format!("put this into crates/profile/src/decision.rs:\n{rows}")
    })
}

/// No vCPU that an SGI to all of them wakes waits for longer than a time slice, though those that have come
/// keep their cores.
fn storm(paths: &Paths, machine: (u32, u32)) -> Outcomes {
    let bench = Image::open(&paths.built("bench")?)?;
    let wake_ups = wakeups::measure(machine, 200, &bench, &paths.hypervisor()?)?;
    check(wake_ups.slices() <= wakeups::AT_MOST, || {
        format!("{wake_ups:?}")
    })
}
