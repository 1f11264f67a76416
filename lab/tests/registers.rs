//! SVE, SME and the absence of each, end to end under QEMU: guests that check every register, on cores
//! of several vector lengths, and what becomes of accesses in and out of streaming mode; the same guests without a hypervisor, so that what they expect is known
//! to be what the architecture says.
//!
//! Needs what `make build` leaves.

mod support;

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    console::{self, Expected, Findings},
    image::Image,
    machine::{Cpu, Machine, Vm, prepare_without_hypervisor},
    qemu::{Console, Qemu},
    run,
    vectors::{Length, RegisterFiles},
};
use trapcast_tool::paths::Paths;

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);

/// Memory of a guest.
const MEMORY: u64 = 16 << 20;

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    for (cpu, files, name) in [
        (Cpu::Max, EVERYTHING, "max"),
        (Cpu::MaxOf(512), sme(Length::Bits(512), 2048), "max-512"),
        (Cpu::A64fx, sve(512), "a64fx"),
        (Cpu::NeoverseN1, RegisterFiles::FP, "neoverse-n1"),
    ] {
        let alone = move |paths: &Paths| without_hypervisor(paths, cpu, files);
        add(format!("bare/{name}"), Box::new(alone));
    }
    add("bare/faults_are_noticed".into(), Box::new(faults));
    for (name, cpu, guests) in pairs() {
        for scheme in Scheme::ALL {
            if scheme == Scheme::None && has_sme(&guests) {
                continue;
            }
            let pair = move |paths: &Paths| {
                let findings = share_a_core(paths, cpu, scheme, &guests)?;
                if scheme == Scheme::None {
                    check(findings.guest_mismatches > 0, || format!("{findings:?}"))
                } else {
                    check(findings.guest_mismatches == 0, || format!("{findings:?}"))
                }
            };
            add(format!("{name}/{scheme}"), Box::new(pair));
        }
    }
    for scheme in Scheme::ALL.into_iter().filter(|s| *s != Scheme::None) {
        let together = move |paths: &Paths| streaming(paths, scheme, &STREAMING);
        add(format!("streaming/{scheme}"), Box::new(together));
        let alone = move |paths: &Paths| streaming(paths, scheme, &STREAMING[..1]);
        add(format!("streaming-alone/{scheme}"), Box::new(alone));
    }
    for (name, cpu, guests) in neighbours() {
        for scheme in [Scheme::Eager, Scheme::UntilPut, Scheme::Owner] {
            let beside = move |paths: &Paths| {
                let findings = share_a_core(paths, cpu, scheme, &guests)?;
                check(findings.guest_mismatches == 0, || format!("{findings:?}"))
            };
            add(format!("{name}/{scheme}"), Box::new(beside));
        }
    }
    add("sme/max/none_is_refused".into(), Box::new(none_is_refused));
    add("sme/max-512/is_kept".into(), Box::new(sme_is_kept));
    for scheme in [Scheme::UntilPut, Scheme::Owner] {
        let moving = move |paths: &Paths| move_about(paths, scheme);
        add(format!("cores/{scheme}"), Box::new(moving));
    }
    trials
}

/// All that `max` has.
const EVERYTHING: RegisterFiles = RegisterFiles {
    fp: true,
    sve: Length::Max,
    sme: Length::Max,
};

const NO_FP: RegisterFiles = RegisterFiles {
    fp: false,
    ..RegisterFiles::FP
};

const fn sve(bits: u16) -> RegisterFiles {
    RegisterFiles {
        sve: Length::Bits(bits),
        ..RegisterFiles::FP
    }
}

const fn sme(sve: Length, bits: u16) -> RegisterFiles {
    RegisterFiles {
        fp: true,
        sve,
        sme: Length::Bits(bits),
    }
}

/// A guest: its image, its boot arguments, and the registers of its VM.
#[derive(Clone, Copy)]
struct Guest {
    program: &'static str,
    bootargs: &'static str,
    files: RegisterFiles,
}

const fn checker(files: RegisterFiles, bootargs: &'static str) -> Guest {
    Guest {
        program: "checker",
        bootargs,
        files,
    }
}

/// A guest that checks what its VM is offered, again and again.
const fn features(files: RegisterFiles) -> Guest {
    Guest {
        program: "features",
        bootargs: "rounds=60",
        files,
    }
}

/// A guest that tries accesses under every setting of its CPACR_EL1.
const fn tries(files: RegisterFiles, bootargs: &'static str) -> Guest {
    Guest {
        program: "streaming",
        bootargs,
        files,
    }
}

const TRIES_FP: &str = "registers=fp windows=1500";
const TRIES_SVE: &str = "registers=sve windows=1500";
const TRIES_SME: &str = "registers=sme windows=1500";

/// A user of streaming mode, and guests that must not notice it.
const STREAMING: [Guest; 4] = [
    tries(sme(Length::Bits(512), 512), TRIES_SME),
    tries(sve(512), TRIES_SVE),
    tries(RegisterFiles::FP, TRIES_FP),
    AARCH32,
];

const AARCH32: Guest = Guest {
    program: "checker32",
    bootargs: "workload=random windows=300",
    files: RegisterFiles::FP,
};

const SVE: &str = "registers=sve vl=vary workload=random p=70 windows=400";
const SVE_ALWAYS: &str = "registers=sve sve-percent=80 workload=always windows=400 exits=3";
const SME: &str = "registers=sme vl=vary svl=vary workload=random p=70 windows=400";
const SME_ALWAYS: &str = "registers=sme sme-percent=60 workload=always windows=400 exits=3";
const FP: &str = "workload=always windows=600";

/// Users of the same registers on one core, of different lengths.
fn pairs() -> [(&'static str, Cpu, [Guest; 2]); 4] {
    [
        (
            "sve/max",
            Cpu::Max,
            [checker(EVERYTHING, SVE), checker(sve(256), SVE_ALWAYS)],
        ),
        (
            "sve/max-512",
            Cpu::MaxOf(512),
            [checker(sve(512), SVE), checker(sve(384), SVE_ALWAYS)],
        ),
        (
            "sve/a64fx",
            Cpu::A64fx,
            [checker(sve(512), SVE), checker(sve(256), SVE_ALWAYS)],
        ),
        (
            "sme/max",
            Cpu::Max,
            [
                checker(EVERYTHING, SME),
                checker(sme(Length::Bits(128), 256), SME_ALWAYS),
            ],
        ),
    ]
}

/// Guests that lack something beside one that has it.
fn neighbours() -> [(&'static str, Cpu, [Guest; 2]); 8] {
    [
        (
            "without-sve/max",
            Cpu::Max,
            [features(RegisterFiles::FP), checker(EVERYTHING, SME_ALWAYS)],
        ),
        (
            "without-sve/a64fx",
            Cpu::A64fx,
            [features(RegisterFiles::FP), checker(sve(512), SVE_ALWAYS)],
        ),
        (
            "without-fp/neoverse-n1",
            Cpu::NeoverseN1,
            [features(NO_FP), checker(RegisterFiles::FP, FP)],
        ),
        (
            "without-fp/max",
            Cpu::Max,
            [features(NO_FP), checker(EVERYTHING, SME_ALWAYS)],
        ),
        (
            "fresh/max",
            Cpu::Max,
            [
                features(sme(Length::Bits(1024), 512)),
                checker(EVERYTHING, SME_ALWAYS),
            ],
        ),
        (
            "sve-beside-sme/max",
            Cpu::Max,
            [
                checker(sve(256), SVE_ALWAYS),
                checker(EVERYTHING, SME_ALWAYS),
            ],
        ),
        (
            "aarch32-beside-sve/max",
            Cpu::Max,
            [AARCH32, checker(EVERYTHING, SVE_ALWAYS)],
        ),
        (
            "fp-beside-sve/max",
            Cpu::Max,
            [
                checker(RegisterFiles::FP, FP),
                checker(EVERYTHING, SVE_ALWAYS),
            ],
        ),
    ]
}

fn has_sme(guests: &[Guest]) -> bool {
    guests.iter().any(|guest| guest.files.sme != Length::Off)
}

impl Guest {
    fn expected(&self) -> Expected {
        match self.program {
            "features" => Expected::Features,
            "streaming" => Expected::Guest("streaming"),
            "checker32" => Expected::Checker32,
            _ => Expected::Checker,
        }
    }

    /// The VM of guest number `number` of a run.
    fn vm(&self, paths: &Paths, scheme: Scheme, number: usize) -> Result<Vm, Failed> {
        let RegisterFiles { fp, sve, sme } = self.files;
        let bootargs = match self.expected() {
            Expected::Features => {
                let fp = if fp { "on" } else { "off" };
                format!("{} fp={fp} sve={sve} sme={sme}", self.bootargs)
            }
            _ => format!("{} seed={}", self.bootargs, number + 1),
        };
        Ok(Vm {
            kernel: Image::open(&match self.program {
                "checker32" => paths.aarch32(self.program)?,
                program => paths.built(program)?,
            })?,
            initrd: None,
            initrd_size: 0,
            bootargs,
            memory: MEMORY,
            vcpus: 1,
            scheme,
            observe: false,
            prompt: true,
            pmu: false,
            registers: self.files,
        })
    }
}

/// Runs a guest at EL1 of a board without EL2.
fn run_alone(paths: &Paths, cpu: Cpu, guest: Guest) -> Result<Findings, Failed> {
    let mut vm = guest.vm(paths, Scheme::None, 0)?;
    if guest.program == "features" {
        vm.bootargs += " bare";
    }
    let prepared = prepare_without_hypervisor(cpu, true, &vm)?;
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    let findings = console::findings(&finished.console, &[guest.expected()]);
    check(findings.failures.is_empty(), || finished.console)?;
    Ok(findings)
}

/// What the guests expect is what a core does.
fn without_hypervisor(paths: &Paths, cpu: Cpu, files: RegisterFiles) -> Outcomes {
    let mut guests = vec![features(files), checker(files, FP), tries(files, TRIES_FP)];
    if files.sve != Length::Off {
        guests.extend([SVE, SVE_ALWAYS].map(|words| checker(files, words)));
        guests.push(tries(files, TRIES_SVE));
    }
    if files.sme != Length::Off {
        guests.extend([SME, SME_ALWAYS].map(|words| checker(files, words)));
        guests.push(tries(files, TRIES_SME));
    }
    for guest in guests {
        let findings = run_alone(paths, cpu, guest)?;
        check(findings.guest_mismatches == 0, || {
            format!("{}: {findings:?}", guest.bootargs)
        })?;
    }
    Ok(())
}

/// A checker that leaves a wrong bit in a register of each class must report it, and so must a guest
/// that finds more or less than it was told.
fn faults(paths: &Paths) -> Outcomes {
    for (program, bootargs, told) in [
        (
            "checker",
            "registers=sve sve-percent=0 workload=always fault=300",
            EVERYTHING,
        ),
        (
            "checker",
            "registers=sve sve-percent=100 workload=always fault=300",
            EVERYTHING,
        ),
        (
            "checker",
            "registers=sme sme-percent=100 workload=always fault=300",
            EVERYTHING,
        ),
        (
            "streaming",
            "registers=sme windows=100 fault=50",
            EVERYTHING,
        ),
        ("streaming", "registers=fp windows=100 fault=50", EVERYTHING),
        ("features", "", RegisterFiles::FP),
        ("features", "", NO_FP),
        ("features", "", sme(Length::Bits(1024), 2048)),
        ("features", "", sme(Length::Bits(2048), 256)),
    ] {
        let guest = Guest {
            program,
            bootargs,
            files: told,
        };
        let findings = run_alone(paths, Cpu::Max, guest)?;
        check(findings.guest_mismatches > 0, || {
            format!("{program} {bootargs} {told:?}: nothing was found")
        })?;
    }
    Ok(())
}

/// Streaming mode that is not switched off would reach the hypervisor.
fn none_is_refused(paths: &Paths) -> Outcomes {
    let guests = [checker(EVERYTHING, SME), checker(EVERYTHING, SME_ALWAYS)];
    match share_a_core(paths, Cpu::Max, Scheme::None, &guests) {
        Ok(findings) => Err(format!("it ran: {findings:?}").into()),
        Err(error) => {
            let sentence = error.message().unwrap_or_default().to_string();
            check(sentence.contains("the scheme none"), || sentence)
        }
    }
}

/// Where QEMU 7.2 would abort, a VM that asks for SME gets none; EL2 reports why.
fn sme_is_kept(paths: &Paths) -> Outcomes {
    let cpu = Cpu::MaxOf(512);
    let mut told = features(sve(512)).vm(paths, Scheme::Owner, 0)?;
    told.registers = sme(Length::Max, 2048);
    let user = checker(sve(512), SVE_ALWAYS).vm(paths, Scheme::Owner, 1)?;
    let outcome = run::run(
        &machine(cpu, 1, vec![told, user]),
        &paths.hypervisor()?,
        LIMIT,
    )?;
    let findings = console::findings(&outcome.console, &[Expected::Features, Expected::Checker]);
    let sentences = ["no guest gets SME: ", "vm0: sme=2048 gives it nothing: "].map(|what| {
        format!(
            "{what}this QEMU aborts where the core's streaming vectors (2048 bits) are longer than its \
             SVE vectors (512 bits)"
        )
    });
    let said = sentences
        .iter()
        .all(|sentence| outcome.console.matches(sentence.as_str()).count() == 1);
    let sound = findings.failures.is_empty() && findings.guest_mismatches == 0;
    check(said && sound, || outcome.console)
}

/// Runs two guests on one core.
fn share_a_core(
    paths: &Paths,
    cpu: Cpu,
    scheme: Scheme,
    guests: &[Guest; 2],
) -> Result<Findings, Failed> {
    run_together(paths, cpu, 1, scheme, guests)
}

/// Runs guests of which one is in streaming mode now and then on one core.
fn streaming(paths: &Paths, scheme: Scheme, guests: &[Guest]) -> Outcomes {
    let findings = run_together(paths, Cpu::Max, 1, scheme, guests)?;
    check(findings.guest_mismatches == 0, || format!("{findings:?}"))
}

fn machine(cpu: Cpu, cores: u32, vms: Vec<Vm>) -> Machine {
    Machine {
        cpu,
        cores,
        vhe: cpu.has_vhe(),
        icount: cores == 1,
        record: false,
        slice: None,
        vms,
    }
}

fn run_together(
    paths: &Paths,
    cpu: Cpu,
    cores: u32,
    scheme: Scheme,
    guests: &[Guest],
) -> Result<Findings, Failed> {
    let numbered = guests.iter().enumerate();
    let vms: Result<Vec<Vm>, Failed> = numbered
        .map(|(number, guest)| guest.vm(paths, scheme, number))
        .collect();
    let outcome = run::run(&machine(cpu, cores, vms?), &paths.hypervisor()?, LIMIT)?;
    let expected: Vec<Expected> = guests.iter().map(Guest::expected).collect();
    let findings = console::findings(&outcome.console, &expected);
    let canary = outcome.cores.iter().map(|core| core.canary_mismatches);
    let lost: u64 = canary.sum();
    // Without switches the host loses its own too, and a guest may well not finish.
    check(
        scheme == Scheme::None || lost == 0 && findings.failures.is_empty(),
        || format!("the host lost registers {lost} times\n{}", outcome.console),
    )?;
    Ok(findings)
}

/// Five guests of all kinds on three cores that run at the same time: they move.
fn move_about(paths: &Paths, scheme: Scheme) -> Outcomes {
    let guests = [
        checker(EVERYTHING, SVE),
        checker(sve(256), SVE_ALWAYS),
        checker(EVERYTHING, SME),
        checker(sme(Length::Bits(128), 256), SME_ALWAYS),
        checker(RegisterFiles::FP, FP),
    ];
    let findings = run_together(paths, Cpu::Max, 3, scheme, &guests)?;
    check(findings.guest_mismatches == 0, || format!("{findings:?}"))
}
