//! Interrupt latency: the IRQs-off sections, and how late a guest's timer comes.

use libtest_mimic::Failed;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console,
    machine::{Cpu, Machine},
    run::{self, Options, Outcome},
};
use trapcast_results::{Counters, Figures, Scale};
use trapcast_study::workload::{self, Images};
use trapcast_tool::paths::Paths;
use trapcast_trace::histogram::{Bin, Histogram};

use crate::{
    Add,
    runs::{LIMIT, SCALE, one_core, sound},
    support::{Outcomes, check},
};

/// Enough windows for some time slices of both guests.
const SEVERAL_SLICES: Scale = Scale {
    windows: 3000,
    ..SCALE
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add(
        "latency/stretches_are_all_of_el2".into(),
        Box::new(all_of_el2),
    );
    add(
        "latency/eager_keeps_timers_waiting".into(),
        Box::new(eager_is_late),
    );
    add(
        "latency/time_away_is_told_apart".into(),
        Box::new(away_is_told_apart),
    );
    add("latency/off".into(), Box::new(off));
}

/// Runs a workload with these settings of the hypervisor besides.
fn run(paths: &Paths, name: &str, scheme: Scheme, settings: &str) -> Result<Outcome, Failed> {
    let workload = workload::find(name)?;
    let images = Images::load(paths, &[workload], SEVERAL_SLICES)?;
    let vms = images.vms(workload, scheme, false, SEVERAL_SLICES);
    let machine = Machine {
        slice: workload.slice,
        ..one_core(Cpu::NeoverseN1, true, vms)
    };
    let outcome = run::run_with(
        &Options::settings(settings),
        &machine,
        &paths.hypervisor()?,
        LIMIT,
    )?;
    let findings = console::findings(&outcome.console, &workload.expected());
    sound(&outcome, &findings)?;
    Ok(outcome)
}

/// The distributions of IRQs-off sections, and of the timer's delays.
fn distributions(outcome: &Outcome) -> Result<(Histogram, Histogram), Failed> {
    let nothing = Counters::default();
    let figures = Figures::derive(Scheme::Owner, &nothing, &nothing, &outcome.cores);
    let figures = figures.with_latency(trapcast_study::latency(outcome));
    let masked = figures.masked.ok_or("no IRQs-off sections")?;
    Ok((masked, figures.timer_delay.ok_or("no delays")?))
}

/// The sections are one or more per exit, make up EL2's instructions, and include the longest one.
fn all_of_el2(paths: &Paths) -> Outcomes {
    for scheme in [Scheme::Eager, Scheme::PerEntry, Scheme::Owner] {
        let outcome = run(paths, "shared-timer", scheme, "latency=on")?;
        let (masked, _) = distributions(&outcome)?;
        let [core] = outcome.cores.as_slice() else {
            return Err("not one core".into());
        };
        let entries: u64 = outcome.vcpus.iter().map(|vcpu| vcpu.entries).sum();
        let sum = |end: fn(&Bin) -> u64| -> u64 {
            masked.bins.iter().map(|bin| end(bin) * bin.count).sum()
        };
        let all = sum(|bin| bin.from)..=sum(|bin| bin.to);
        let last = masked.bins.last().map(|bin| bin.from..=bin.to);
        check(
            masked.total() >= entries
                && all.contains(&core.el2_instructions)
                && last.is_some_and(|last| last.contains(&core.longest_masked)),
            || format!("{scheme}: {entries} entries, {core:?}, {masked:?}"),
        )?;
    }
    Ok(())
}

/// What moves the registers at every exit masks interrupts for longer, and so its guests' come later.
fn eager_is_late(paths: &Paths) -> Outcomes {
    for workload in ["timer", "shared-timer"] {
        let [eager, owner] =
            [Scheme::Eager, Scheme::Owner].map(|scheme| run(paths, workload, scheme, "latency=on"));
        let (eager, owner) = (distributions(&eager?)?, distributions(&owner?)?);
        for share in [0.1, 0.5, 0.99] {
            let [eager, owner] =
                [&eager, &owner].map(|(masked, delay)| [masked, delay].map(|h| h.quantile(share)));
            // The bins of sections are a quarter of an octave wide: the longest may share one.
            let longer = eager[0] > owner[0] || share > 0.9 && eager[0] == owner[0];
            check(longer && eager[1] > owner[1], || {
                format!("{workload}: at {share}, {eager:?} and {owner:?}")
            })?;
        }
        check(eager.1.total() > 500, || format!("{:?}", eager.1))?;
    }
    Ok(())
}

/// While another guest has its time slice an interrupt waits for long: that is no delay of the
/// hypervisor's, and does not occur where a guest has the core for itself.
fn away_is_told_apart(paths: &Paths) -> Outcomes {
    let away = |workload| -> Result<_, Failed> {
        // Many slices, which are hardly longer than they have to be.
        let outcome = run(paths, workload, Scheme::Owner, "latency=on slice=100")?;
        let line = outcome
            .console
            .lines()
            .find(|line| line.contains(": delay "));
        let away = line.and_then(|line| console::number(line, "away"));
        let (_, delays) = distributions(&outcome)?;
        Ok((away, delays.max()))
    };
    let (alone, shared) = (away("timer")?, away("shared-timer")?);
    check(
        alone.0 == Some(0) && shared.0 > Some(20) && alone.1.max(shared.1) < Some(5_000),
        || format!("{alone:?}, {shared:?}"),
    )
}

/// Nobody who does not ask pays for it.
fn off(paths: &Paths) -> Outcomes {
    let outcome = run(paths, "timer", Scheme::Owner, "")?;
    let counted: u64 = outcome.masked.iter().flat_map(|core| core.0).sum();
    check(counted == 0 && outcome.cores[0].longest_masked > 0, || {
        format!("{:?}", outcome.cores)
    })
}
