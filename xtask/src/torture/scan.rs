//! Scans: VMs that write every encoding of a System register, in both Execution states, beside others that look
//! whether one changes.
//!
//! No bit goes from a VM to another one, over time slices and moves between cores, and none from a VM's life to
//! the next. What a scan does is counted in instructions, so that a seed brings the same one back.

use std::time::Duration;

use serde::Serialize;
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected, number},
    image::Image,
    machine::{Cpu, Machine, Vm},
    run::{self, Options},
    vectors::RegisterFiles,
};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
    progress::Progress,
};

use super::Plan;

/// How long a scan may take before it counts as hanging: twenty times what it does take.
const LIMIT: Duration = Duration::from_secs(240);

/// Memory of each VM, in bytes.
const MEMORY: u64 = 16 << 20;

/// The longest time slice, in microseconds: a reading takes a hundred.
const SLICE: u32 = 300;

/// When the writers begin, in microseconds: four VMs have read everything twice by then, which takes 15,000 each.
/// A reader that is late says so.
const START: u32 = 200_000;

/// For how long others run between two readings, in microseconds, of a writer and of a reader.
const PAUSES: (u32, u32) = (5_000, 20_000);

/// The machines that take turns.
const MACHINES: [(Cpu, u32); 4] = [
    (Cpu::CortexA57, 1),
    (Cpu::CortexA57, 2),
    (Cpu::Max, 1),
    (Cpu::Max, 2),
];

/// The schemes that keep registers longest and shortest.
const SCHEMES: [Scheme; 3] = [Scheme::UntilPut, Scheme::Owner, Scheme::Eager];

/// The VMs: the program, and whether it writes.
const VMS: [(&str, bool); 4] = [
    ("scan", false),
    ("scan", true),
    ("scan32", false),
    ("scan32", true),
];

/// Registers that a guest can read at the least.
const LEAST_REGISTERS: u64 = 100;

/// What scans came to.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Outcome {
    /// Scans that came to their end.
    pub scans: u64,
    /// Readings of all registers.
    pub readings: u64,
    /// VMs that were reset.
    pub resets: u64,
    /// vCPUs that came to a core from another one.
    pub moves: u64,
}

/// Runs the scans of `plan`, unless `is_late` says that time is up. What they find is told in `failures`.
///
/// # Errors
/// [`Error::Input`] where something is not built, [`Error::Stopped`] on Ctrl-C.
pub fn run(
    plan: &Plan,
    paths: &Paths,
    is_late: impl Fn() -> bool,
    failures: &mut Vec<String>,
) -> Result<Outcome> {
    let progress = Progress::new(plan.scans);
    let mut total = Outcome::default();
    for (index, seed) in (0..plan.scans).zip(plan.seed..) {
        if is_late() {
            break;
        }
        let (cpu, cores) = MACHINES[index as usize % MACHINES.len()];
        let scheme = SCHEMES[index as usize % SCHEMES.len()];
        let cores = cores.min(plan.cores);
        let name = format!("scan/{cpu}/{cores}/{scheme}/seed {seed}");
        progress.start(&name);
        let outcome = scan(paths, cpu, cores, scheme, seed);
        progress.end(&name, 1, outcome.as_ref().err());
        match outcome {
            Ok(outcome) => {
                total.scans += outcome.scans;
                total.readings += outcome.readings;
                total.resets += outcome.resets;
                total.moves += outcome.moves;
            }
            Err(Error::Run(sentence)) => failures.push(format!("{name}: {sentence}")),
            Err(other) => return Err(other),
        }
    }
    progress.finish();
    Ok(total)
}

/// Does one scan; with an odd seed, the VMs have a PMU.
///
/// # Errors
/// [`Error::Run`] with the names of the registers that changed, or where a guest does not finish;
/// [`Error::Input`] where something is not built.
pub fn scan(paths: &Paths, cpu: Cpu, cores: u32, scheme: Scheme, seed: u64) -> Result<Outcome> {
    let vms: Result<Vec<Vm>> = (VMS.iter().zip(seed * 16..))
        .map(|((program, writes), seed)| vm(paths, program, *writes, scheme, seed))
        .collect();
    let mut machine = Machine {
        cpu,
        cores,
        vhe: cpu.has_vhe(),
        icount: true,
        record: false,
        slice: Some(SLICE),
        vms: vms?,
    };
    let has_pmu = !seed.is_multiple_of(2);
    machine.vms.iter_mut().for_each(|vm| vm.pmu = has_pmu);
    let settings = format!("disturb={seed}");
    let options = Options {
        settings: &settings,
        ..Options::resets()
    };
    let outcome = run::run_with(&options, &machine, &paths.hypervisor()?, LIMIT)?;
    let scan = judge(&outcome.console)?;
    Ok(Outcome {
        moves: outcome.cores.iter().map(|core| core.moves).sum(),
        ..scan
    })
}

fn vm(paths: &Paths, program: &str, writes: bool, scheme: Scheme, seed: u64) -> Result<Vm> {
    let kernel = match program {
        "scan32" => paths.aarch32(program)?,
        _ => paths.built(program)?,
    };
    let role = if writes {
        format!("role=writer reset rounds=2 pause={}", PAUSES.0)
    } else {
        format!("role=reader rounds=3 pause={}", PAUSES.1)
    };
    Ok(Vm {
        kernel: Image::open(&kernel)?,
        initrd: None,
        initrd_size: 0,
        bootargs: format!("{role} seed={seed} start={START}"),
        memory: MEMORY,
        vcpus: 1,
        scheme,
        observe: false,
        prompt: true,
        pmu: false,
        registers: RegisterFiles::FP,
    })
}

/// What the console of a scan says.
fn judge(console: &str) -> Result<Outcome> {
    let expected = VMS.map(|(program, writes)| match writes {
        true => Expected::Guests(program, 2),
        false => Expected::Guest(program),
    });
    let findings = console::findings(console, &expected);
    let mut wrong = findings.failures;
    let lines = |what: &str| {
        let of = what.to_string();
        console.lines().filter(move |line| line.contains(&of))
    };
    wrong.extend(lines(": MISMATCH ").map(String::from));
    if wrong.is_empty() && findings.guest_mismatches > 0 {
        wrong.push("a guest found a difference, and did not say which".into());
    }
    for (vm, (program, writes)) in VMS.iter().enumerate() {
        if *writes {
            wrong.extend(between_lives(console, vm, program));
        }
    }
    let mut scan = Outcome {
        scans: 1,
        ..Outcome::default()
    };
    for done in lines(": done ") {
        scan.readings += number(done, "readings").unwrap_or(0);
        if number(done, "registers").is_none_or(|registers| registers < LEAST_REGISTERS) {
            wrong.push(format!("that is not all: {done}"));
        }
    }
    scan.resets = lines(": reset").count() as u64;
    if wrong.is_empty() {
        return Ok(scan);
    }
    Err(Error::run(wrong.join("\n")))
}

/// The registers that a VM found otherwise at the beginning of its second life than of its first.
fn between_lives(console: &str, vm: usize, program: &str) -> Vec<String> {
    let tag = format!("[vm{vm}] {program}: ");
    let mut lives: Vec<Vec<&str>> = Vec::new();
    for line in console.lines().filter_map(|line| line.strip_prefix(&tag)) {
        if line.starts_with("start ") {
            lives.push(Vec::new());
        } else if let (Some(initial), Some(life)) =
            (line.strip_prefix("initial "), lives.last_mut())
        {
            life.push(initial);
        }
    }
    let [first, second] = &lives[..] else {
        return vec![format!("vm{vm} has {} lives in place of two", lives.len())];
    };
    let only = |these: &[&str], those: &[&str], life: &str| {
        let only = these.iter().filter(|one| !those.contains(one));
        let told = only.map(|one| format!("vm{vm}: in its {life} life alone: {one}"));
        told.collect::<Vec<_>>()
    };
    [only(first, second, "first"), only(second, first, "second")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The console of a scan that finds nothing.
    fn console() -> String {
        let mut console = String::new();
        for (vm, (program, writes)) in VMS.iter().enumerate() {
            for life in 0..=u32::from(*writes) {
                console += &format!("[vm{vm}] {program}: start role=x\n");
                if *writes {
                    console += &format!("[vm{vm}] {program}: initial 3,0,c0,c0,0=0x7\n");
                }
                console +=
                    &format!("[vm{vm}] {program}: done registers=150 readings=3 mismatches=0\n");
                if *writes && life == 0 {
                    console += &format!("trapcast: vm{vm}: reset\n");
                }
            }
        }
        console
    }

    #[test]
    fn a_scan_that_finds_nothing_is_counted() {
        let expected = Outcome {
            scans: 1,
            readings: 18,
            resets: 2,
            moves: 0,
        };
        assert_eq!(judge(&console()).ok(), Some(expected));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let change = "[vm0] scan: MISMATCH round=0 3,0,c13,c0,4 first=0x0 now=0x1\n";
        let cases = [
            (change.to_string() + &console(), "3,0,c13,c0,4"),
            (
                console().replacen("c0,0=0x7", "c0,0=0x8", 1),
                "vm1: in its first life alone: 3,0,c0,c0,0=0x8",
            ),
            (
                console().replacen("registers=150", "registers=0", 1),
                "that is not all",
            ),
            (
                console().replacen("mismatches=0", "mismatches=1", 1),
                "did not say which",
            ),
            (
                console().replacen("[vm3] scan32: done", "[vm3] x", 1),
                "vm3: scan32 did not finish",
            ),
        ];
        for (console, wanted) in cases {
            let sentence = judge(&console).unwrap_err().to_string();
            assert!(sentence.contains(wanted), "{sentence}");
        }
    }
}
