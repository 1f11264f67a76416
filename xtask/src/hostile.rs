//! The hostile guest beside a checker: whether anything that a guest can do stops EL2 or disturbs
//! another VM.
//!
//! A run of N operations is split over many boots, each with a seed of its own, as a boot also starts
//! the virtual devices and the scheduler anew. A failure names the seed that brings it back.

use std::{collections::BTreeMap, time::Duration};

use trapcast_forecast::Scheme;

use trapcast_machine::{
    console::number,
    image::Image,
    machine::{Cpu, Machine, Vm},
    run,
    vectors::RegisterFiles,
};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// Operations from one boot to the next.
const OPERATIONS_PER_BOOT: u64 = 100_000;

/// Operations of the hostile guest for one window of the checker beside it, so that both end at about
/// the same time.
const OPERATIONS_PER_WINDOW: u64 = 8;

/// How long one boot may take before it counts as hanging: a hundred times what it does take.
const LIMIT: Duration = Duration::from_secs(240);

/// Memory of each VM, in bytes.
const MEMORY: u64 = 16 << 20;

/// The start of a line of the hostile guest that reports an outcome which is not allowed.
const VIOLATION: &str = "hostile: VIOLATION ";

/// What the hostile guest counts, by the words of its last line.
const COUNTED: [&str; 9] = [
    "returned",
    "undefined",
    "data-aborts",
    "instruction-aborts",
    "alignment",
    "calls",
    "others",
    "interrupts",
    "serrors",
];

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// QEMU's core.
    pub cpu: Cpu,
    /// How many of it the board has.
    pub cores: u32,
    /// The hostile guest's vCPUs.
    pub vcpus: u32,
    /// The registers that it has. The checker has FP/SIMD.
    pub registers: RegisterFiles,
    /// Operations, over all boots.
    pub operations: u64,
    /// The seed of the first boot; each further one has the next.
    pub seed: u64,
    /// Which kinds of operations, as the guest's bootargs have them; all that go on by themselves
    /// without it.
    pub kinds: Option<String>,
    /// The scheme of both VMs.
    pub scheme: Scheme,
    /// Whether time is counted in instructions, so that a boot can be repeated exactly.
    pub icount: bool,
}

/// The result of a run.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// Boots that finished.
    pub boots: u64,
    /// Operations of those hostile guests that finished.
    pub operations: u64,
    /// How the operations ended in the guest: by return or by exception class.
    pub ends: BTreeMap<String, u64>,
    /// VMs that EL2 stopped, by the reason that it gave. Each is a hostile guest.
    pub stopped: BTreeMap<String, u64>,
    /// Hostile guests that reset their VM.
    pub resets: u64,
    /// Windows that the checkers beside them ran, without a mismatch.
    pub checker_windows: u64,
}

/// Runs the hostile guest beside a checker until it has done its operations, and calls `progress` with
/// the result so far after each boot.
///
/// # Errors
/// [`Error::Run`] with the seed where EL2 panics or hangs, the checker does not finish or
/// finds a mismatch, or the hostile guest finds what neither the architecture nor an interface allows;
/// [`Error::Input`] where something is not built.
pub fn run(
    paths: &Paths,
    options: &Options,
    mut progress: impl FnMut(&Outcome),
) -> Result<Outcome> {
    let hypervisor = paths.hypervisor()?;
    let images = [
        Image::open(&paths.built("hostile")?)?,
        Image::open(&paths.built("checker")?)?,
    ];
    let mut outcome = Outcome::default();
    let mut left = options.operations;
    for seed in options.seed.. {
        if left == 0 {
            break;
        }
        let operations = left.min(OPERATIONS_PER_BOOT);
        left -= operations;
        let machine = machine(options, &images, seed, operations);
        run::run_with(&run::Options::resets(), &machine, &hypervisor, LIMIT)
            .and_then(|boot| outcome.add(&boot.console))
            .map_err(|error| match error {
                Error::Run(sentence) => Error::run(format!(
                    "a hostile guest of seed {seed}, {operations} operations and {} vCPUs on {} of {}: \
                     {sentence}",
                    options.vcpus, options.cores, options.cpu
                )),
                other => other,
            })?;
        progress(&outcome);
    }
    Ok(outcome)
}

fn machine(options: &Options, images: &[Image; 2], seed: u64, operations: u64) -> Machine {
    let kinds = options.kinds.as_ref();
    let kinds = kinds.map_or(String::new(), |kinds| format!(" kinds={kinds}"));
    let bootargs = [
        format!(
            "seed={seed} operations={operations} vcpus={}{kinds}",
            options.vcpus
        ),
        format!(
            "workload=random seed={seed} windows={}",
            operations.div_ceil(OPERATIONS_PER_WINDOW)
        ),
    ];
    let parts = [(options.vcpus, options.registers), (1, RegisterFiles::FP)];
    let vms = images.iter().zip(bootargs).zip(parts);
    let vms = vms.map(|((kernel, bootargs), (vcpus, registers))| Vm {
        kernel: kernel.clone(),
        initrd: None,
        initrd_size: 0,
        bootargs,
        memory: MEMORY,
        vcpus,
        scheme: options.scheme,
        observe: false,
        prompt: true,
        pmu: false,
        registers,
    });
    Machine {
        cpu: options.cpu,
        cores: options.cores,
        vhe: options.cpu.has_vhe(),
        icount: options.icount,
        record: false,
        slice: None,
        vms: vms.collect(),
    }
}

impl Outcome {
    /// Adds what the console of one boot says: of the hostile guest as VM 0, and the checker as VM 1.
    fn add(&mut self, console: &str) -> Result<()> {
        let failed = |what: &str| {
            let lines = trapcast_machine::qemu::last_lines(console, "");
            Err(Error::run(format!("{what}.{lines}")))
        };
        let stopped = |vm: &str| console.lines().find_map(|line| line.strip_prefix(vm));
        if let Some(reason) = stopped("trapcast: vm1: stopped: ") {
            return failed(&format!("the checker's VM was stopped: {reason}"));
        }
        let Some(checker) = last(console, "[vm1] checker: done ") else {
            return failed("the checker did not finish");
        };
        if number(checker, "mismatches") != Some(0) {
            return failed("the checker found a mismatch");
        }
        // Whatever its last line counts: a violation may also follow that line.
        if console.lines().any(|line| line.contains(VIOLATION)) {
            return failed("the hostile guest got what it must not get");
        }
        let done = last(console, "[vm0] hostile: done ");
        let off = console
            .lines()
            .any(|line| line == "trapcast: vm0: powered off");
        match (done, stopped("trapcast: vm0: stopped: ")) {
            (Some(_), _) if off => {}
            (_, Some(reason)) => *self.stopped.entry(reason.to_string()).or_default() += 1,
            (_, None) => return failed("the hostile guest did not finish"),
        }
        let reset = last(console, "[vm0] hostile: reset ");
        self.resets += u64::from(reset.is_some());
        for line in [done, reset].into_iter().flatten() {
            if number(line, "violations") != Some(0) {
                return failed("the hostile guest got what it must not get");
            }
            self.operations += number(line, "operations").unwrap_or(0);
            for name in COUNTED {
                *self.ends.entry(name.to_string()).or_default() += number(line, name).unwrap_or(0);
            }
        }
        self.boots += 1;
        self.checker_windows += number(checker, "windows").unwrap_or(0);
        Ok(())
    }
}

/// What follows `start` in the last line that begins with it.
fn last<'a>(console: &'a str, start: &str) -> Option<&'a str> {
    console
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKER: &str = "[vm1] checker: done windows=30 used=9 mismatches=0\n";
    const DONE: &str = "[vm0] hostile: done seed=1 operations=7 returned=3 undefined=4 data-aborts=0 \
                        violations=0\ntrapcast: vm0: powered off\n";

    #[test]
    fn boots_add_up() {
        let mut outcome = Outcome::default();
        let done = DONE.lines().next().unwrap();
        let reset = format!("{}\n", done.replace("done", "reset"));
        outcome.add(&format!("{reset}{CHECKER}{DONE}")).unwrap();
        outcome
            .add(&format!("trapcast: vm0: stopped: SError\n{CHECKER}"))
            .unwrap();
        assert_eq!(outcome.boots, 2);
        assert_eq!((outcome.operations, outcome.resets), (14, 1));
        assert_eq!(outcome.ends["undefined"], 8);
        assert_eq!(outcome.stopped, BTreeMap::from([("SError".to_string(), 1)]));
        assert_eq!(outcome.checker_windows, 60);
    }

    #[test]
    fn each_failure_has_its_sentence() {
        let cases = [
            (CHECKER.to_string(), "hostile guest did not finish"),
            (DONE.to_string(), "checker did not finish"),
            (
                format!("{CHECKER}{DONE}").replace("mismatches=0", "mismatches=1"),
                "checker found a mismatch",
            ),
            (
                format!("{CHECKER}{DONE}").replace("violations=0", "violations=2"),
                "got what it must not get",
            ),
            (
                format!(
                    "[vm0] hostile: VIOLATION operation=9 SMC found a function\n{CHECKER}{DONE}"
                ),
                "SMC found a function",
            ),
            (
                format!("{CHECKER}{DONE}").replace("powered off", "on"),
                "hostile guest did not finish",
            ),
            (
                format!("trapcast: vm1: stopped: SError\n{CHECKER}{DONE}"),
                "checker's VM was stopped: SError",
            ),
        ];
        for (console, wanted) in cases {
            let sentence = Outcome::default().add(&console).unwrap_err().to_string();
            assert!(sentence.contains(wanted), "{sentence}");
        }
    }
}
