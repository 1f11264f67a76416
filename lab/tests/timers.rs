//! The timers of EL1 and their interrupts, end to end under QEMU: a guest that checks them in every state,
//! alone, on several CPUs, on the move, over CPU_OFF and SYSTEM_RESET, and with any values in their registers
//! beside another VM; and the same guest without a hypervisor, which shows that it checks what the architecture
//! says.
//!
//! Needs what `make build` leaves.

mod support;

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected},
    image::Image,
    machine::{Cpu, Machine, Vm, prepare_without_hypervisor},
    qemu::{Console, Qemu},
    run::{self, Options},
    vectors::RegisterFiles,
};
use trapcast_tool::paths::Paths;

/// How long a run may take before it counts as hanging: many times what it does take.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory of a guest.
const MEMORY: u64 = 16 << 20;

/// A guest that boots three times: a reset ends the first two boots.
const BOOTS: u32 = 3;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: &str, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    for (name, guest) in [
        ("bare/alone", timers("checks=alone", 1)),
        ("bare/pair", timers("checks=pair", 2)),
        ("bare/moves", timers("checks=moves rounds=200", 2)),
        ("bare/values", timers("checks=values rounds=200", 1)),
    ] {
        add(
            name,
            Box::new(move |paths| without_hypervisor(paths, guest)),
        );
    }
    for (name, board) in [
        ("vhe", Board::of(Cpu::Max)),
        (
            "vhe-off",
            Board {
                vhe: false,
                ..Board::of(Cpu::Max)
            },
        ),
        ("no-vhe", Board::of(Cpu::CortexA57)),
    ] {
        let trial = move |paths: &Paths| run(paths, &board, &[timers("checks=alone", 1)]);
        add(&format!("alone/{name}"), Box::new(trial));
        let beside = [timers("checks=values rounds=500", 1), CHECKER];
        let trial = move |paths: &Paths| {
            run(
                paths,
                &Board {
                    icount: false,
                    ..board
                },
                &beside,
            )
        };
        add(&format!("values/{name}"), Box::new(trial));
        let trial = move |paths: &Paths| run(paths, &board, &[timers("checks=binary-point", 1)]);
        add(&format!("binary-point/{name}"), Box::new(trial));
        let board = Board { cores: 2, ..board };
        let trial = move |paths: &Paths| run(paths, &board, &[timers("checks=pair", 2)]);
        add(&format!("pair/{name}"), Box::new(trial));
        let board = Board { cores: 3, ..board };
        let trial = move |paths: &Paths| again(paths, &board);
        add(&format!("again/{name}"), Box::new(trial));
        let board = Board {
            settings: "disturb=3",
            icount: false,
            ..board
        };
        let both = [
            timers("checks=moves rounds=200 seed=1", 3),
            timers("checks=moves rounds=200 seed=2", 2),
        ];
        let trial = move |paths: &Paths| run(paths, &board, &both);
        add(&format!("moves/{name}"), Box::new(trial));
    }
    let a57 = Board::of(Cpu::CortexA57);
    let one_core = Board {
        settings: "slice=500",
        ..a57
    };
    let run_pair = move |paths: &Paths| run(paths, &one_core, &[timers("checks=pair", 2)]);
    add("pair/one-core", Box::new(run_pair));
    let run_alone = move |paths: &Paths| run(paths, &a57, &[TIMERS32]);
    add("alone/aarch32", Box::new(run_alone));
    let beside = [
        Guest {
            bootargs: "checks=values rounds=500",
            ..TIMERS32
        },
        CHECKER,
    ];
    let run_values = move |paths: &Paths| {
        run(
            paths,
            &Board {
                icount: false,
                ..a57
            },
            &beside,
        )
    };
    add("values/aarch32", Box::new(run_values));
    trials
}

/// A guest: its image, its boot arguments, its vCPUs, and its last lines.
#[derive(Clone, Copy)]
struct Guest {
    program: &'static str,
    bootargs: &'static str,
    vcpus: u32,
    expected: Expected,
}

const fn timers(bootargs: &'static str, vcpus: u32) -> Guest {
    Guest {
        program: "timers",
        bootargs,
        vcpus,
        expected: Expected::Guests("timers", vcpus),
    }
}

const TIMERS32: Guest = Guest {
    program: "timers32",
    bootargs: "checks=alone",
    vcpus: 1,
    expected: Expected::Guest("timers32"),
};

/// Who must not notice what another VM does.
const CHECKER: Guest = Guest {
    program: "checker",
    bootargs: "windows=2000",
    vcpus: 1,
    expected: Expected::Checker,
};

impl Guest {
    fn vm(&self, paths: &Paths) -> Result<Vm, Failed> {
        let path = match self.program {
            "timers32" => paths.aarch32(self.program)?,
            _ => paths.built(self.program)?,
        };
        Ok(Vm {
            kernel: Image::open(&path)?,
            initrd: None,
            initrd_size: 0,
            bootargs: self.bootargs.into(),
            memory: MEMORY,
            vcpus: self.vcpus,
            scheme: Scheme::UntilPut,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        })
    }
}

/// What the guests run on.
#[derive(Clone, Copy)]
struct Board {
    cpu: Cpu,
    vhe: bool,
    cores: u32,
    icount: bool,
    settings: &'static str,
}

impl Board {
    const fn of(cpu: Cpu) -> Self {
        Self {
            cpu,
            vhe: cpu.has_vhe(),
            cores: 1,
            icount: true,
            settings: "",
        }
    }

    fn machine(&self, paths: &Paths, guests: &[Guest]) -> Result<Machine, Failed> {
        let vms: Result<_, Failed> = guests.iter().map(|guest| guest.vm(paths)).collect();
        Ok(Machine {
            cpu: self.cpu,
            cores: self.cores,
            vhe: self.vhe,
            icount: self.icount,
            record: false,
            slice: None,
            vms: vms?,
        })
    }
}

/// Nothing that a guest finds may be wrong, and each has to finish.
fn judge(console: &str, expected: &[Expected]) -> Outcomes {
    let findings = console::findings(console, expected);
    let good = findings.failures.is_empty() && findings.guest_mismatches == 0;
    check(good, || console.to_string())
}

fn run(paths: &Paths, board: &Board, guests: &[Guest]) -> Outcomes {
    let machine = board.machine(paths, guests)?;
    let outcome = run::run_with(
        &Options::settings(board.settings),
        &machine,
        &paths.hypervisor()?,
        LIMIT,
    )?;
    let expected: Vec<Expected> = guests.iter().map(|guest| guest.expected).collect();
    judge(&outcome.console, &expected)
}

/// A VM that is reset twice: the output of all boots is on one console.
fn again(paths: &Paths, board: &Board) -> Outcomes {
    let machine = board.machine(paths, &[timers("checks=again", 3)])?;
    let outcome = run::run_with(&Options::resets(), &machine, &paths.hypervisor()?, LIMIT)?;
    judge(&outcome.console, &[Expected::Guests("timers", BOOTS)])
}

/// The guest at EL1 of a board without EL2.
fn without_hypervisor(paths: &Paths, guest: Guest) -> Outcomes {
    let vm = guest.vm(paths)?;
    let prepared = prepare_without_hypervisor(Cpu::Max, true, &vm)?;
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    judge(&finished.console, &[guest.expected])
}
