//! What a guest gets of the architecture beside its FP/SIMD registers, end to end under QEMU: exceptions
//! that EL2 makes it take, self-hosted debug, and controls that do not depend on what firmware left. The same guests run
//! without a hypervisor too, so that what they expect is known to be what a core does.
//!
//! Needs what `make build guest` leaves.

mod support;

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use support::{Outcomes, check};
use trapcast_forecast::Scheme;
use trapcast_machine::{
    arch::Arch,
    console::{self, Expected},
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm, prepare_without_hypervisor},
    memory::MemoryFile,
    qemu::{Console, Qemu},
    run::{self, Options, Outcome},
    vectors::RegisterFiles,
};
use trapcast_study::workload::LINUX_BOOTARGS;
use trapcast_tool::paths::Paths;

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);

/// Memory of a guest, and of a Linux guest.
const MEMORY: u64 = 16 << 20;
const LINUX_MEMORY: u64 = 256 << 20;

/// The cores, with and without VHE.
const CORES: [(Cpu, bool); 5] = [
    (Cpu::CortexA57, false),
    (Cpu::NeoverseN1, true),
    (Cpu::A64fx, true),
    (Cpu::Max, true),
    (Cpu::Max, false),
];

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    for (cpu, vhe) in CORES {
        let core = format!("{cpu}{}", if vhe == cpu.has_vhe() { "" } else { "-no-vhe" });
        let exceptions = move |paths: &Paths| passes(paths, cpu, vhe, &[EXCEPTIONS]);
        add(format!("exceptions/{core}"), Box::new(exceptions));
        for pmu in [false, true] {
            let features = move |paths: &Paths| features(paths, cpu, vhe, FEATURES, pmu);
            let pmu = if pmu { "/pmu" } else { "" };
            add(format!("features/{core}{pmu}"), Box::new(features));
        }
        let pmu = move |paths: &Paths| pmu(paths, cpu, vhe);
        add(format!("pmu/{core}"), Box::new(pmu));
        let debug = move |paths: &Paths| passes(paths, cpu, vhe, &[DEBUG_RESET, DEBUG, CHECKER]);
        add(format!("debug/{core}"), Box::new(debug));
        let firmware = move |paths: &Paths| behind_firmware(paths, cpu, vhe);
        add(format!("firmware/{core}"), Box::new(firmware));
        if vhe == cpu.has_vhe() {
            // QEMU's own exceptions clear the flags.
            let bare = move |paths: &Paths| {
                passes_alone(
                    paths,
                    cpu,
                    Guest {
                        words: "",
                        ..EXCEPTIONS
                    },
                )
            };
            add(format!("exceptions/{core}/bare"), Box::new(bare));
            let bare = move |paths: &Paths| passes_alone(paths, cpu, PMU[0]);
            add(format!("pmu/{core}/bare"), Box::new(bare));
            let bare = move |paths: &Paths| passes_alone(paths, cpu, DEBUG);
            add(format!("debug/{core}/bare"), Box::new(bare));
        }
    }
    for (cpu, vhe) in [(Cpu::CortexA57, false), (Cpu::Max, true)] {
        let features = move |paths: &Paths| features(paths, cpu, vhe, FEATURES32, true);
        add(format!("features32/{cpu}"), Box::new(features));
    }
    for (cpu, vhe) in [(Cpu::CortexA57, false), (Cpu::NeoverseN1, true)] {
        let linux = move |paths: &Paths| linux_debugs(paths, cpu, vhe);
        add(format!("debug/linux/{cpu}"), Box::new(linux));
    }
    let bare = move |paths: &Paths| linux_debugs_alone(paths, Cpu::NeoverseN1);
    add("debug/linux/bare".into(), Box::new(bare));
    add("debug/moves".into(), Box::new(debug_moves));
    add("pmu/moves".into(), Box::new(pmu_moves));
    add("linux/a64fx/coherent".into(), Box::new(linux_is_coherent));
    add("devices/told_once".into(), Box::new(devices_are_told_once));
    add("image/moves_have_a_barrier".into(), Box::new(barrier));
    add("counters".into(), Box::new(too_few_counters));
    trials
}

/// Where careless firmware is loaded, and where it finds the hypervisor's first instruction
/// (guests/src/bin/firmware.rs).
const FIRMWARE: u64 = 0x4600_0000;
const FIRMWARE_ENTRY: u64 = 0x4700_0000;

/// Loads, stores and fetches where there is nothing.
const EXCEPTIONS: Guest = Guest {
    program: "exceptions",
    words: "flags devices",
};

/// A bare-metal guest and its boot arguments.
#[derive(Clone, Copy)]
struct Guest {
    program: &'static str,
    words: &'static str,
}

impl Guest {
    fn vm(self, paths: &Paths) -> Result<Vm, Failed> {
        Ok(Vm {
            kernel: Image::open(&match self.program {
                "features32" => paths.aarch32(self.program)?,
                program => paths.built(program)?,
            })?,
            initrd: None,
            initrd_size: 0,
            bootargs: self.words.into(),
            memory: MEMORY,
            vcpus: 1,
            scheme: Scheme::UntilPut,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        })
    }
}

/// What the core is said to have, and a use of each field of its identification registers. `registers.rs` has it
/// with SVE and SME, and without a hypervisor.
const FEATURES: Guest = Guest {
    program: "features",
    words: "",
};

/// The same of AArch32.
const FEATURES32: Guest = Guest {
    program: "features32",
    words: "",
};

/// Breakpoints, watchpoints and software step.
const DEBUG: Guest = Guest {
    program: "debug",
    words: "seed=2",
};

/// The same, with a reset of the VM in the middle of it.
const DEBUG_RESET: Guest = Guest {
    program: "debug",
    words: "seed=1 reset",
};

/// Users of the PMU, of which the first one resets its VM.
const PMU: [Guest; 3] = [
    Guest {
        program: "pmu",
        words: "seed=2",
    },
    Guest {
        program: "pmu",
        words: "seed=1 reset",
    },
    Guest {
        program: "pmu",
        words: "seed=3 rounds=300",
    },
];

/// A user of EL0 and EL1 and of the timer.
const CHECKER: Guest = Guest {
    program: "checker",
    words: "workload=resume-point windows=300",
};

/// Runs guests on one core, of which each finishes and finds everything as it must be.
fn passes(paths: &Paths, cpu: Cpu, vhe: bool, guests: &[Guest]) -> Outcomes {
    let machine = machine(paths, cpu, vhe, guests)?;
    let outcome = run::run_with(&Options::resets(), &machine, &paths.hypervisor()?, LIMIT)?;
    judge(&outcome.console, guests)
}

/// Runs a guest that uses all that its identification registers show, with the performance monitors or without.
fn features(paths: &Paths, cpu: Cpu, vhe: bool, guest: Guest, pmu: bool) -> Outcomes {
    let mut machine = machine(paths, cpu, vhe, &[guest])?;
    machine.vms[0].pmu = pmu;
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    judge(&outcome.console, &[guest])
}

/// The machine of these guests, whose VMs have a PMU if they use it.
fn with_pmu(paths: &Paths, cpu: Cpu, vhe: bool, guests: &[Guest]) -> Result<Machine, Failed> {
    let mut machine = machine(paths, cpu, vhe, guests)?;
    for (vm, guest) in machine.vms.iter_mut().zip(guests) {
        vm.pmu = guest.program == "pmu";
    }
    Ok(machine)
}

/// Each VM that has a PMU has one of its own, beside one that has none.
fn pmu(paths: &Paths, cpu: Cpu, vhe: bool) -> Outcomes {
    let guests = [PMU[0], CHECKER, PMU[1], PMU[2]];
    let machine = with_pmu(paths, cpu, vhe, &guests)?;
    let outcome = run::run_with(&Options::resets(), &machine, &paths.hypervisor()?, LIMIT)?;
    judge(&outcome.console, &guests)
}

/// Runs a machine whose vCPUs are moved at random.
fn disturbed(paths: &Paths, machine: &Machine) -> Result<Outcome, Failed> {
    let options = Options::settings("disturb=1");
    Ok(run::run_with(
        &options,
        machine,
        &paths.hypervisor()?,
        LIMIT,
    )?)
}

/// The same, and some of them have to have moved.
fn moved(paths: &Paths, machine: &Machine) -> Result<Outcome, Failed> {
    let outcome = disturbed(paths, machine)?;
    let moves: u64 = outcome.cores.iter().map(|core| core.moves).sum();
    check(moves > 0, || "nothing moved".into())?;
    Ok(outcome)
}

/// The PMU's registers move with their vCPU.
fn pmu_moves(paths: &Paths) -> Outcomes {
    let guests = [PMU[0], PMU[2], PMU[0], PMU[2], CHECKER];
    let mut machine = with_pmu(paths, Cpu::NeoverseN1, true, &guests)?;
    (machine.cores, machine.icount) = (3, false);
    judge(&moved(paths, &machine)?.console, &guests)
}

/// Linux has nothing to say of devices whose accesses are coherent, although the core's cache lines are long.
fn linux_is_coherent(paths: &Paths) -> Outcomes {
    let initrd = initrd::build(&Arch::Arm64.busybox(paths)?, Task::PowerOff)?;
    let mut machine = machine(paths, Cpu::A64fx, true, &[])?;
    machine.vms = vec![Vm {
        kernel: Arch::Arm64.kernel(paths)?,
        initrd_size: initrd.len() as u64,
        initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
        bootargs: format!("{LINUX_BOOTARGS} loglevel=7").replace("quiet", ""),
        memory: LINUX_MEMORY,
        ..DEBUG.vm(paths)?
    }];
    let console = run::run(&machine, &paths.hypervisor()?, LIMIT)?.console;
    let speaks = console.contains("Booting Linux on physical CPU");
    let complains = console.contains("ARCH_DMA_MINALIGN smaller than CTR_EL0.CWG");
    check(speaks && !complains, || console)
}

/// A guest that looks for a device which its VM has not is told so once, by name and address.
fn devices_are_told_once(paths: &Paths) -> Outcomes {
    let machine = machine(paths, Cpu::NeoverseN1, true, &[EXCEPTIONS])?;
    let console = run::run(&machine, &paths.hypervisor()?, LIMIT)?.console;
    let told = console.matches(": it reads as zero").count();
    let flash = "trapcast: vm0: no flash here (looked for at 0x0): it reads as zero";
    check(told == 12 && console.contains(flash), || console)
}

/// The core that a vCPU moves away from executes DSB SY right before the store-release by which it lets go.
fn barrier(paths: &Paths) -> Outcomes {
    use object::{Object, ObjectSection, ObjectSymbol};
    const DSB_SY: u32 = 0xd503_3f9f;
    // STLR of a general register of 64 bits, any base.
    const STLR: u32 = 0xc89f_fc00;
    const REGISTERS: u32 = 0x3ff;
    let file = std::fs::read(paths.hypervisor()?)?;
    let file = object::File::parse(&*file)?;
    let mut symbols = file.symbols();
    let serve = symbols.find(|symbol| symbol.name().is_ok_and(|n| n.contains("serve_requests")));
    let serve = serve.ok_or("the image has no serve_requests")?;
    let mut sections = file.sections();
    let code = sections.find_map(|section| {
        let code = section.data_range(serve.address(), serve.size());
        code.ok().flatten()
    });
    let words: Vec<_> = (code.ok_or("serve_requests has no code")?.chunks_exact(4))
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let stores = (1..words.len()).filter(|at| words[*at] & !REGISTERS == STLR);
    let stores: Vec<_> = stores.map(|at| words[at - 1] == DSB_SY).collect();
    check(!stores.is_empty() && !stores.contains(&false), || {
        format!("{stores:?} in {words:x?}")
    })
}

/// Debug registers move with their vCPU: five users on three cores that run at the same time.
fn debug_moves(paths: &Paths) -> Outcomes {
    let seeds = ["seed=3", "seed=4", "seed=5", "seed=6", "seed=7"];
    let guests = seeds.map(|words| Guest { words, ..DEBUG });
    let mut machine = machine(paths, Cpu::NeoverseN1, true, &guests)?;
    (machine.cores, machine.icount) = (3, false);
    judge(&moved(paths, &machine)?.console, &guests)
}

/// One core with these guests.
fn machine(paths: &Paths, cpu: Cpu, vhe: bool, guests: &[Guest]) -> Result<Machine, Failed> {
    let vms: Result<Vec<Vm>, Failed> = guests.iter().map(|guest| guest.vm(paths)).collect();
    Ok(Machine {
        cpu,
        cores: 1,
        vhe,
        icount: true,
        record: false,
        slice: None,
        vms: vms?,
    })
}

/// Firmware that leaves garbage in all that it can makes no difference.
fn behind_firmware(paths: &Paths, cpu: Cpu, vhe: bool) -> Outcomes {
    let guests = [CHECKER, EXCEPTIONS, PMU[0]];
    let hypervisor = paths.hypervisor()?;
    let machine = with_pmu(paths, cpu, vhe, &guests)?;
    let mut prepared = machine.prepare(&hypervisor, "stdio")?;
    let firmware = paths.built("firmware")?.display().to_string();
    // The entry point of a 64-bit ELF file.
    let entry = std::fs::read(&hypervisor)?[24..32].try_into()?;
    for loader in [
        format!("loader,file={firmware},force-raw=on,addr={FIRMWARE:#x},cpu-num=0"),
        format!(
            "loader,addr={FIRMWARE_ENTRY:#x},data={:#x},data-len=8",
            u64::from_le_bytes(entry)
        ),
    ] {
        prepared.arguments.extend(["-device".into(), loader.into()]);
    }
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    judge(&finished.console, &guests)
}

/// A core without the counters that EL2 counts by is refused in one sentence.
fn too_few_counters(paths: &Paths) -> Outcomes {
    let machine = machine(paths, Cpu::CortexA57, false, &[CHECKER])?;
    let mut prepared = machine.prepare(&paths.hypervisor()?, "stdio")?;
    let arguments = prepared.arguments.iter_mut();
    for cpu in arguments.filter(|argument| *argument == "cortex-a57") {
        cpu.push(",pmu=off");
    }
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    let told = "trapcast: error: this core has 0 event counters, and EL2 needs 6";
    check(finished.console.contains(told), || finished.console)
}

/// Rounds of the Linux program.
const LINUX_ROUNDS: u32 = 3;

/// A Linux guest whose program debugs a child of its own, on as many vCPUs.
fn linux(paths: &Paths, vcpus: u32) -> Result<Vm, Failed> {
    let task = Task::Debug {
        rounds: LINUX_ROUNDS,
        debug: &paths.built("linux-debug")?,
    };
    let initrd = initrd::build(&Arch::Arm64.busybox(paths)?, task)?;
    Ok(Vm {
        kernel: Arch::Arm64.kernel(paths)?,
        initrd_size: initrd.len() as u64,
        initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
        bootargs: LINUX_BOOTARGS.into(),
        memory: LINUX_MEMORY,
        vcpus,
        ..DEBUG.vm(paths)?
    })
}

/// Two Linux guests debug on two cores, while their vCPUs move: by ptrace's steps, breakpoints and watchpoints,
/// and by a uprobe.
fn linux_debugs(paths: &Paths, cpu: Cpu, vhe: bool) -> Outcomes {
    let mut machine = machine(paths, cpu, vhe, &[])?;
    machine.vms = vec![linux(paths, 2)?, linux(paths, 1)?];
    (machine.cores, machine.icount) = (2, false);
    let outcome = disturbed(paths, &machine)?;
    judge_as(
        &outcome.console,
        &[Expected::LinuxProgram("linux-debug"); 2],
    )
}

/// The same Linux without a hypervisor.
fn linux_debugs_alone(paths: &Paths, cpu: Cpu) -> Outcomes {
    let vm = linux(paths, 1)?;
    let prepared = prepare_without_hypervisor(cpu, true, &vm)?;
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    judge_as(&finished.console, &[Expected::LinuxProgram("linux-debug")])
}

/// Runs a guest at EL1 of a board without EL2, as [`passes`] does.
fn passes_alone(paths: &Paths, cpu: Cpu, guest: Guest) -> Outcomes {
    let vm = guest.vm(paths)?;
    let prepared = prepare_without_hypervisor(cpu, true, &vm)?;
    let finished = Qemu::start(&prepared.arguments, Console::Captured)?.wait(Some(LIMIT))?;
    judge(&finished.console, &[guest])
}

fn judge(console: &str, guests: &[Guest]) -> Outcomes {
    let expected: Vec<_> = guests
        .iter()
        .map(|guest| Expected::Guest(guest.program))
        .collect();
    judge_as(console, &expected)
}

fn judge_as(console: &str, expected: &[Expected]) -> Outcomes {
    let findings = console::findings(console, expected);
    let sound = findings.failures.is_empty() && findings.guest_mismatches == 0;
    check(sound, || format!("{findings:?}\n{console}"))
}
