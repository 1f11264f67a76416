//! That counted runs repeat to the last byte of RAM where more QEMUs run than the machine has cores, so
//! that QEMU's threads stop and go on anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use libtest_mimic::Failed;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    machine::{Cpu, Machine},
    qemu::{Console, Qemu},
};
use trapcast_results::Scale;
use trapcast_study::workload::{self, Images};
use trapcast_tool::paths::Paths;
use twox_hash::XxHash3_128;

use crate::{
    Add,
    runs::{LIMIT, SCALE, one_core},
    support::{Outcomes, check},
};

/// QEMUs at once.
const AT_ONCE: usize = 4;

/// Runs of each, one after the other.
const RUNS: usize = 4;

/// The trials of this file.
pub fn trials(add: &mut Add) {
    for (workload, scheme) in [
        ("shared-never", Scheme::Eager),
        ("four-on-2", Scheme::Forecast),
    ] {
        let test = move |paths: &Paths| repeats(paths, workload, scheme);
        add(format!("repeats/{workload}"), Box::new(test));
    }
}

/// All runs must leave the same RAM.
fn repeats(paths: &Paths, workload: &str, scheme: Scheme) -> Outcomes {
    let workload = workload::find(workload)?;
    let scale = Scale {
        windows: 4000,
        ..SCALE
    };
    let images = Images::load(paths, &[workload], scale)?;
    let machine = Machine {
        cores: workload.cores,
        ..one_core(
            Cpu::NeoverseN1,
            true,
            images.vms(workload, scheme, false, scale),
        )
    };
    let hypervisor = paths.hypervisor()?;
    let several =
        || -> Result<Vec<u128>, Failed> { (0..RUNS).map(|_| run(&machine, &hypervisor)).collect() };
    let over = AtomicBool::new(false);
    let left = thread::scope(|scope| -> Result<Vec<_>, Failed> {
        for _ in 0..AT_ONCE {
            scope.spawn(|| interrupt_others(&over));
        }
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(several)).collect();
        let left: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        let left = left.into_iter().map(|left| left.expect("no run panics"));
        Ok(left.collect::<Result<Vec<_>, _>>()?.concat())
    })?;
    let mut times = BTreeMap::new();
    for ram in &left {
        *times.entry(ram).or_insert(0) += 1;
    }
    check(times.len() == 1, || {
        format!(
            "{} runs left RAM of {} kinds, these so many times: {:?}",
            left.len(),
            times.len(),
            times.values()
        )
    })
}

/// Wakes and sleeps, as often as can be: a thread that wakes stops another.
fn interrupt_others(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_micros(3));
    }
}

/// Runs a machine and returns the hash of the RAM that it left.
fn run(machine: &Machine, hypervisor: &Path) -> Result<u128, Failed> {
    let prepared = machine.prepare(hypervisor, "stdio")?;
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    check(finished.status.success(), || format!("{finished:?}"))?;
    let ram = fs::read(prepared.ram.path())?;
    check(ram.iter().any(|&byte| byte != 0), || "empty RAM".into())?;
    Ok(XxHash3_128::oneshot(&ram))
}
