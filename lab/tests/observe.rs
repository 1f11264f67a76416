//! The observer under QEMU: on Trapcast itself, where what the hypervisor records of the same run is compared with
//! it window by window; that two runs are alike; that each scheme is told.
//!
//! Needs what `make build guest` leaves.

mod support;

use std::{fs, path::Path, process::Command, sync::Arc};

use libtest_mimic::Trial;
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    machine::{Cpu, Machine},
    run::{self, LIMIT, Options},
};
use trapcast_observe::{Observed, Policy, Verdict, Window};
use trapcast_results::Scale;
use trapcast_study::observing::Observer;
use trapcast_study::workload::{self, Extent, Images, SEED, Workload};
use trapcast_tool::paths::Paths;
use trapcast_trace::record::{Flags, Record};

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    for workload in workload::within(Extent::Quick) {
        let test = |paths: &Paths| agree(paths, workload, Cpu::NeoverseN1);
        add(format!("agree/{}", workload.name), Box::new(test));
    }
    for name in ["pair", "linux"] {
        let test = move |paths: &Paths| agree(paths, find(name), Cpu::CortexA57);
        add(format!("agree/cortex-a57/{name}"), Box::new(test));
    }
    add("agree/faults_are_noticed".into(), Box::new(faults));
    for (name, every) in [
        ("never", None),
        ("alternating", Some(2)),
        ("always", Some(1)),
    ] {
        let test = move |paths: &Paths| knows(paths, name, every);
        add(format!("knows/{name}"), Box::new(test));
    }
    add("two_runs_are_alike".into(), Box::new(repeats));
    for (scheme, policy) in [
        (Scheme::None, Policy::None),
        (Scheme::Eager, Policy::EagerEachEntry),
        (Scheme::PerEntry, Policy::PerEntry),
        (Scheme::UntilPut, Policy::UntilPut),
        (Scheme::Owner, Policy::Owner),
        (Scheme::Forecast, Policy::Mixed),
    ] {
        let test = move |paths: &Paths| tells(paths, scheme, policy);
        add(format!("tells/{scheme}"), Box::new(test));
    }
    add("commands_take_its_records".into(), Box::new(commands));
    // docs/performance.md has these costs of a trap for KVM.
    for (host, policy, trap) in [
        (&["kvm"][..], "until-put", Some(189)),
        (&["kvm", "--cpu", "cortex-a57"], "until-put", Some(209)),
        (&["kvm", "--mode", "protected"], "until-put", None),
        // Its EL2 has E2H set where the core has VHE.
        (
            &["kvm", "--mode", "protected", "--kernel", "backports"],
            "per-entry",
            None,
        ),
        (&["xen"], "eager-each-switch", None),
    ] {
        let test = move |_: &Paths| tells_of_others(host, policy, trap);
        add(
            format!("tells/{}", host.join("_").replace("_--", "_")),
            Box::new(test),
        );
    }
    trials
}

fn find(name: &str) -> &'static Workload {
    workload::find(name).unwrap()
}

/// The machine that runs a workload.
fn machine(paths: &Paths, workload: &Workload, cpu: Cpu, scheme: Scheme, record: bool) -> Machine {
    let images = Images::load(paths, &[workload], Scale::QUICK).unwrap();
    Machine {
        cpu,
        cores: workload.cores,
        vhe: cpu.has_vhe(),
        // With it, several cores run on one thread, which the observer refuses.
        icount: workload.cores == 1,
        record,
        slice: workload.slice,
        vms: images
            .with_seed(SEED)
            .vms(workload, scheme, record, Scale::QUICK),
    }
}

/// What the hypervisor recorded of a run, by core, and what the observer saw of it.
type Both = (Vec<Vec<Record>>, Observed);

fn both(paths: &Paths, workload: &Workload, cpu: Cpu) -> Both {
    let observer = Observer::find(paths).unwrap();
    let machine = machine(paths, workload, cpu, Scheme::Owner, true);
    let mut records = vec![Vec::new(); machine.cores as usize];
    let hypervisor = paths.hypervisor().unwrap();
    let program = observer.program();
    run::record_on(&program, &machine, &hypervisor, LIMIT, |core, some| {
        records[usize::from(core)].extend_from_slice(some);
        Ok(())
    })
    .unwrap();
    (records, observer.seen().unwrap())
}

/// What both know of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Known {
    vcpu: u16,
    pc: u64,
    pstate: u32,
    esr: u32,
    used: bool,
    marks: bool,
    space: (u64, u16, u32, u16),
}

impl Known {
    /// Of a record of vCPU number `vcpu`.
    fn of(record: &Record, vcpu: u16) -> Self {
        Self {
            vcpu,
            pc: record.pc,
            pstate: record.pstate,
            esr: record.esr,
            used: record.flags & Flags::FP.bits() != 0,
            marks: record.flags & Flags::MARK.bits() != 0,
            space: (record.ttbr0, record.asid, record.contextidr, record.cpacr),
        }
    }
}

/// Compares what was recorded with what was seen, window by window. Returns how many windows are the same, or the
/// first difference.
fn compare(records: &[Vec<Record>], observed: &Observed) -> Result<usize, String> {
    // The observer numbers vCPUs by their first entries.
    let mut numbers = std::collections::HashMap::new();
    let mut same = 0;
    for (core, records) in records.iter().enumerate() {
        let seen = observed.windows.iter();
        let seen: Vec<_> = seen
            .filter(|window| usize::from(window.seen.core) == core)
            .collect();
        for (number, (record, window)) in records.iter().zip(&seen).enumerate() {
            let vcpu = *numbers.entry(record.vcpu).or_insert(window.vcpu);
            let recorded = Known::of(record, vcpu);
            let told = Known::of(&window.record(), window.vcpu);
            if recorded != told {
                return Err(format!(
                    "window {number} of core {core} was recorded as\n{recorded:x?} and seen as\n{told:x?}"
                ));
            }
            same += 1;
        }
        if records.len() != seen.len() {
            return Err(format!(
                "of core {core}, {} windows were recorded and {} seen",
                records.len(),
                seen.len()
            ));
        }
    }
    Ok(same)
}

fn agree(paths: &Paths, workload: &Workload, cpu: Cpu) -> Outcomes {
    let (records, observed) = both(paths, workload, cpu);
    let same = compare(&records, &observed)?;
    println!("{}: {same} windows agree", workload.name);
    check(same > 100, || format!("only {same} windows"))
}

/// A window that was not seen, and a use that was missed, are noticed.
fn faults(paths: &Paths) -> Outcomes {
    let (records, observed) = both(paths, find("pair"), Cpu::NeoverseN1);
    compare(&records, &observed)?;
    let middle = observed.windows.len() / 2;
    let mut dropped = observed.clone();
    dropped.windows.remove(middle);
    let told = compare(&records, &dropped).unwrap_err();
    check(told.contains("was recorded as"), || told.clone())?;
    let mut missed = observed.clone();
    let using = missed.windows.iter_mut().filter(|window| window.used());
    using.last().unwrap().seen.flags &= !7;
    let told = compare(&records, &missed).unwrap_err();
    check(told.contains("used: true"), || told.clone())
}

/// What was seen of a run under a scheme that is not recorded.
fn observe(paths: &Paths, name: &str, scheme: Scheme) -> Observed {
    let observer = Observer::find(paths).unwrap();
    let machine = machine(paths, find(name), Cpu::NeoverseN1, scheme, false);
    let hypervisor = paths.hypervisor().unwrap();
    let options = Options::program(observer.program());
    run::run_with(&options, &machine, &hypervisor, LIMIT).unwrap();
    observer.seen().unwrap()
}

/// A guest waits by WFI before each of its thousand windows, and uses the registers in the first of every so many.
fn knows(paths: &Paths, name: &str, every: Option<usize>) -> Outcomes {
    const WINDOWS: usize = 1000;
    const WFX: u32 = 0x01;
    let observed = observe(paths, name, Scheme::Owner);
    let ends = |window: &Window| window.seen.esr >> 26 == WFX;
    // An interrupt may cut what the guest takes for one.
    let parts = observed.windows.split_inclusive(ends);
    let whole = parts.filter(|parts| parts.last().is_some_and(ends));
    let used: Vec<bool> = whole
        .map(|parts| parts.iter().any(|window| window.used()))
        .collect();
    // The first wait ends what comes before the first window, and no wait ends the last one.
    let expected =
        |wait: usize| wait > 0 && every.is_some_and(|every| (wait - 1).is_multiple_of(every));
    let different = (0..used.len()).find(|&wait| used[wait] != expected(wait));
    check(used.len() == WINDOWS && different.is_none(), || {
        format!(
            "{} waits; the first that differs: {different:?}",
            used.len()
        )
    })
}

fn repeats(paths: &Paths) -> Outcomes {
    let [first, second] = [(); 2].map(|()| observe(paths, "pair", Scheme::Owner));
    let seen = |observed: &Observed| -> Vec<_> {
        let windows = observed.windows.iter();
        windows.map(|window| window.seen).collect()
    };
    let (first, second) = (seen(&first), seen(&second));
    check(first.len() > 1000, || "it has hardly run".into())?;
    check(first == second, || "they differ".into())
}

fn tells(paths: &Paths, scheme: Scheme, policy: Policy) -> Outcomes {
    let verdict = Verdict::of(&observe(paths, "pair", scheme));
    check(verdict.policy == policy, || format!("{verdict:#?}"))
}

/// Two Linux VMs on somebody else's hypervisor, whose policy and cost of a trap are known.
fn tells_of_others(host: &[&str], policy: &str, trap: Option<u64>) -> Outcomes {
    let arguments = [&["observe"], host, &["--vms", "2", "--json"]].concat();
    let text = trapcast(&arguments);
    let told: serde_json::Value = serde_json::from_str(&text)?;
    check(told["verdict"]["policy"] == policy, || text.clone())?;
    let median = &told["fp_traps"]["instructions"]["median"];
    let is_expected = trap.is_none_or(|trap| *median == trap);
    check(is_expected, || text.clone())
}

/// Runs `trapcast` to its end; returns what it printed.
fn trapcast(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    let output = command.args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn commands(_: &Paths) -> Outcomes {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (record, trace) = (path("seen.parquet"), path("trace.json"));
    let told = trapcast(&[
        "observe",
        "trapcast",
        "--workload",
        "pair",
        "--scheme",
        "owner",
        "-o",
        &record,
    ]);
    for wanted in ["FP/SIMD policy: kept by owner", "hypercall", "FP trap"] {
        check(told.contains(wanted), || told.clone())?;
    }
    let told = trapcast(&["inspect", &record]);
    for wanted in ["recorded by an observer", "scheme        owner", "fp_traps"] {
        check(told.contains(wanted), || told.clone())?;
    }
    let told = trapcast(&["replay", &record]);
    check(told.contains("until-put"), || told.clone())?;
    trapcast(&["timeline", &record, "-o", &trace]);
    let size = fs::metadata(Path::new(&trace)).unwrap().len();
    check(size > 100_000, || format!("a trace of {size} bytes"))
}
