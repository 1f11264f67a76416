//! A share of the torture: every part, under the schemes that keep registers longest and shortest and,
//! for FP/SIMD, under all; and the negative control, which has to be caught in every run.
//!
//! `make torture` runs it at length. Needs what `make build guest` leaves. Cases are generated, so each
//! has its own name and time.

#[path = "../../lab/tests/support/mod.rs"]
mod support;

use std::{env::temp_dir, sync::Arc};

use libtest_mimic::{Failed, Trial};
use trapcast_forecast::Scheme;
use trapcast_machine::machine::Cpu;
use trapcast_tool::paths::Paths;
use xtask::torture::{self, Part, Plan, scan};

/// The seed of every case.
const SEED: u64 = 17;

/// Window checks of a case with bare-metal guests, with those that fill all registers in each window, and
/// with Linux: some seconds of two cores.
const WINDOWS: u64 = 20_000;
const STREAMING_WINDOWS: u64 = 2_500;
const LINUX_WINDOWS: u64 = 8_000;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for part in torture::ALL {
        for scheme in schemes(part) {
            let paths = Arc::clone(paths);
            let name = format!("torture/{}/{scheme}", part.name);
            trials.push(Trial::test(name, move || holds(part, scheme, &paths)));
        }
    }
    for (cpu, cores, scheme) in [
        (Cpu::CortexA57, 1, Scheme::UntilPut),
        (Cpu::Max, 2, Scheme::Owner),
    ] {
        let paths = Arc::clone(paths);
        let name = format!("torture/scan/{cpu}/{scheme}");
        trials.push(Trial::test(name, move || scans(cpu, cores, scheme, &paths)));
    }
    trials
}

/// Under which schemes a part runs here.
fn schemes(part: &Part) -> Vec<Scheme> {
    let some: &[Scheme] = match part.name {
        "fp" => &Scheme::ALL,
        "linux" => &[Scheme::Owner],
        // Of the schemes that load late, the one that saves most and the one that saves least.
        "streaming" => &[Scheme::PerEntry, Scheme::Owner],
        _ => &[Scheme::None, Scheme::Eager, Scheme::UntilPut, Scheme::Owner],
    };
    let runs = |scheme: &Scheme| *scheme != Scheme::None || part.control;
    some.iter().copied().filter(runs).collect()
}

/// No bit of any System register goes from VM to VM.
fn scans(cpu: Cpu, cores: u32, scheme: Scheme, paths: &Paths) -> Result<(), Failed> {
    let outcome = scan::scan(paths, cpu, cores, scheme, SEED)?;
    let enough = outcome.readings >= 12 && outcome.resets == 2 && (cores == 1 || outcome.moves > 0);
    if enough {
        return Ok(());
    }
    Err(format!("{outcome:?}").into())
}

/// No register is lost, though vCPUs move and the host uses the registers; without switches some are.
fn holds(part: &'static Part, scheme: Scheme, paths: &Paths) -> Result<(), Failed> {
    let plan = Plan {
        parts: vec![part],
        schemes: vec![scheme],
        windows: match part.name {
            "linux" => LINUX_WINDOWS,
            "streaming" => STREAMING_WINDOWS,
            _ => WINDOWS,
        },
        operations: 0,
        scans: 0,
        seed: SEED,
        cores: 4,
        time: None,
        output: temp_dir().join("trapcast-torture"),
    };
    let results = torture::torture(&plan, paths)?;
    if let Some(failure) = results.failures.first() {
        return Err(format!("seed {SEED}: {failure}").into());
    }
    let row = &results.rows[0];
    let enough = results.complete && row.moves > 0 && row.preemptions > 0 && row.host_uses > 0;
    let caught = scheme != Scheme::None || row.first_mismatch.is_some();
    if enough && caught {
        return Ok(());
    }
    Err(format!("seed {SEED}: {row:?}").into())
}
