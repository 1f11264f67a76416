//! End to end under QEMU: every scheme on cores with and without VHE, Linux, the negative control,
//! and what the tools say about what was built.
//!
//! Needs what `make build guest` leaves. Cases are generated, so each has its own name and time.

mod support;

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use object::{Object, ObjectSection, SectionKind};
use rustix::process::{Pid, Signal, kill_process};
use support::{Outcomes, check};
use trapcast::{
    bench,
    console::{self, Expected, Findings},
    fpcheck,
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Machine, Vm},
    memory::MemoryFile,
    paths::Paths,
    profile,
    record::{RecordFile, inspect},
    replaying,
    run::{self, Outcome},
    study,
    vectors::RegisterFiles,
    workload::{self, Images, LINUX_BOOTARGS, LINUX_MEMORY, Scale, Workload},
};
use trapcast_forecast::{Costs, Scheme};

/// Short workloads: enough windows for every scheme to go through all of its states.
const SCALE: Scale = Scale {
    windows: 700,
    linux_rounds: 1,
    simd_rounds: 10,
};

/// How long a run may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(240);

fn main() {
    support::run(trials)
}

fn trials(paths: &Arc<Paths>) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |name: String, test: Box<dyn FnOnce(&Paths) -> Outcomes + Send>| {
        let paths = Arc::clone(paths);
        trials.push(Trial::test(name, move || test(&paths)));
    };
    add(
        "image/fpsimd_only_in_its_functions".into(),
        Box::new(image_is_clean),
    );
    add(
        "script/linux_without_hypervisor".into(),
        Box::new(script_is_sound),
    );
    for cpu in [Cpu::NeoverseN1, Cpu::CortexA57] {
        for scheme in switching() {
            let pair = move |paths: &Paths| clean(paths, "pair", scheme, cpu, true);
            add(format!("pair/{cpu}/{scheme}"), Box::new(pair));
        }
        let control = move |paths: &Paths| caught(paths, cpu);
        add(format!("pair/{cpu}/none"), Box::new(control));
        for scheme in switching() {
            let linux = move |paths: &Paths| clean(paths, "linux", scheme, cpu, false);
            add(format!("linux/{cpu}/{scheme}"), Box::new(linux));
        }
    }
    for (name, workload, scheme, cpu) in [
        ("pair/max/owner", "pair", Scheme::Owner, Cpu::Max),
        ("linux/max/until-put", "linux", Scheme::UntilPut, Cpu::Max),
        (
            "linux-mix/neoverse-n1/owner",
            "linux-mix",
            Scheme::Owner,
            Cpu::NeoverseN1,
        ),
        (
            "linux-mix/cortex-a57/credit",
            "linux-mix",
            Scheme::Credit,
            Cpu::CortexA57,
        ),
    ] {
        let test = move |paths: &Paths| clean(paths, workload, scheme, cpu, false);
        add(name.into(), Box::new(test));
    }
    add(
        "image/misplaced_is_found".into(),
        Box::new(misplaced_is_found),
    );
    add(
        "checker/fault_is_noticed".into(),
        Box::new(fault_is_noticed),
    );
    add(
        "bench/profile_is_current".into(),
        Box::new(profile_is_current),
    );
    add(
        "boot/from_the_command_line".into(),
        Box::new(boot_from_outside),
    );
    add("pair/neoverse-n1/vhe-off".into(), Box::new(vhe_refused));
    add("linux/two_vcpus".into(), Box::new(two_vcpus));
    add("cores/linux_on_two".into(), Box::new(linux_on_two_cores));
    for scheme in [
        Scheme::Eager,
        Scheme::UntilPut,
        Scheme::Counter,
        Scheme::Owner,
    ] {
        let moving = move |paths: &Paths| {
            let findings = moving(paths, scheme)?;
            check(findings.guest_mismatches == 0, || format!("{findings:?}"))
        };
        add(format!("cores/moving/{scheme}"), Box::new(moving));
    }
    let control = |paths: &Paths| {
        let findings = moving(paths, Scheme::None)?;
        check(findings.guest_mismatches > 0, || format!("{findings:?}"))
    };
    add("cores/moving/none".into(), Box::new(control));
    add("study/same_figures_twice".into(), Box::new(same_twice));
    add(
        "study/observed_agrees_with_guest".into(),
        Box::new(observer_agrees),
    );
    add(
        "hang/is_stopped_with_its_last_lines".into(),
        Box::new(hang_is_stopped),
    );
    add(
        "record/from_the_command_line".into(),
        Box::new(record_from_outside),
    );
    add(
        "record/interrupt_leaves_no_file".into(),
        Box::new(record_interrupted),
    );
    trials
}

fn switching() -> impl Iterator<Item = Scheme> {
    Scheme::ALL
        .into_iter()
        .filter(|scheme| *scheme != Scheme::None)
}

/// Runs a workload and reads its console.
fn run_workload(
    paths: &Paths,
    name: &str,
    scheme: Scheme,
    machine: (Cpu, bool),
    observe: bool,
) -> Result<(Outcome, Findings), Failed> {
    let workload: &Workload = workload::find(name)?;
    let images = Images::load(paths, &[workload], SCALE)?;
    let (cpu, vhe) = machine;
    let machine = Machine {
        cpu,
        cores: 1,
        vhe,
        icount: true,
        record: false,
        slice: None,
        vms: images.vms(workload, scheme, observe, SCALE),
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &workload.expected());
    Ok((outcome, findings))
}

/// Nothing may be amiss, and guests and host must have been at it.
fn clean(paths: &Paths, workload: &str, scheme: Scheme, cpu: Cpu, observe: bool) -> Outcomes {
    let (outcome, findings) = run_workload(paths, workload, scheme, (cpu, cpu.has_vhe()), observe)?;
    sound(&outcome, &findings)?;
    check(
        outcome.vcpus.iter().all(|vcpu| vcpu.register_loads > 0),
        || format!("a vCPU never had its registers loaded\n{}", outcome.console),
    )?;
    check(outcome.header.vhe == u32::from(cpu.has_vhe()), || {
        "the wrong kind of EL2".to_string()
    })
}

fn sound(outcome: &Outcome, findings: &Findings) -> Outcomes {
    let canary: u64 = outcome
        .cores
        .iter()
        .map(|core| core.canary_mismatches)
        .sum();
    let checks: u64 = outcome.cores.iter().map(|core| core.canary_checks).sum();
    check(
        findings.guest_mismatches == 0 && findings.failures.is_empty() && canary == 0,
        || {
            format!(
                "{findings:?}, canary mismatches: {canary}\n{}",
                outcome.console
            )
        },
    )?;
    check(checks > 0, || {
        "nobody compared the host's registers with the canary".to_string()
    })
}

/// Without switching, two guests on one core must be seen to lose their registers.
fn caught(paths: &Paths, cpu: Cpu) -> Outcomes {
    let machine = (cpu, cpu.has_vhe());
    let (outcome, findings) = run_workload(paths, "pair", Scheme::None, machine, false)?;
    check(findings.guest_mismatches > 0, || {
        format!(
            "the checkers did not notice: {findings:?}\n{}",
            outcome.console
        )
    })
}

fn vhe_refused(paths: &Paths) -> Outcomes {
    let machine = (Cpu::NeoverseN1, false);
    let (outcome, findings) = run_workload(paths, "pair", Scheme::LastTrap, machine, false)?;
    sound(&outcome, &findings)?;
    check(outcome.header.vhe == 0, || "VHE was used".to_string())
}

fn linux_vm(paths: &Paths, task: Task<'_>) -> Result<Vm, Failed> {
    let initrd = initrd::build(&paths.guest("busybox")?, task)?;
    Ok(Vm {
        kernel: Image::open(&paths.guest("Image")?)?,
        initrd_size: initrd.len() as u64,
        initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
        bootargs: LINUX_BOOTARGS.to_string(),
        memory: LINUX_MEMORY,
        vcpus: 1,
        scheme: Scheme::UntilPut,
        observe: false,
        pmu: false,
        registers: RegisterFiles::FP,
    })
}

fn two_vcpus(paths: &Paths) -> Outcomes {
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        vhe: true,
        icount: true,
        record: false,
        slice: None,
        vms: vec![Vm {
            vcpus: 2,
            ..linux_vm(paths, Task::PowerOff)?
        }],
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &[Expected::LinuxMarker]);
    sound(&outcome, &findings)?;
    check(
        outcome.vcpus.len() == 2 && outcome.vcpus.iter().all(|vcpu| vcpu.entries > 0),
        || "not both vCPUs ran".to_string(),
    )
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

/// Six guests that all use the registers, on three cores that run at the same time: they move.
fn moving(paths: &Paths, scheme: Scheme) -> Result<Findings, Failed> {
    let always = workload::find("always")?;
    let images = Images::load(paths, &[always], SCALE)?;
    let mut vms = Vec::new();
    for seed in 1..=6 {
        let mut vm = images.vms(always, scheme, false, SCALE).remove(0);
        vm.bootargs = vm.bootargs.replace("seed=1", &format!("seed={seed}"));
        vms.push(vm);
    }
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 3,
        vhe: true,
        icount: false,
        record: false,
        slice: None,
        vms,
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &[Expected::Checker; 6]);
    let switches: u64 = outcome.cores.iter().map(|core| core.vcpu_switches).sum();
    check(outcome.cores.len() == 3 && switches > 6, || outcome.console)?;
    check(findings.failures.is_empty(), || format!("{findings:?}"))?;
    Ok(findings)
}

/// A Linux guest of two vCPUs on two cores that run at the same time.
fn linux_on_two_cores(paths: &Paths) -> Outcomes {
    let linux = workload::find("linux")?;
    let images = Images::load(paths, &[linux], SCALE)?;
    let mut vms = images.vms(linux, Scheme::Owner, false, SCALE);
    vms[0].vcpus = 2;
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 2,
        vhe: true,
        icount: false,
        record: false,
        slice: None,
        vms,
    };
    let outcome = run::run(&machine, &paths.hypervisor()?, LIMIT)?;
    let findings = console::findings(&outcome.console, &linux.expected());
    sound(&outcome, &findings)?;
    check(outcome.vcpus.iter().all(|vcpu| vcpu.entries > 100), || {
        outcome.console
    })
}

/// A checker that damages a register itself must say so, and the lab must hear it.
fn fault_is_noticed(paths: &Paths) -> Outcomes {
    let always = workload::find("always")?;
    let images = Images::load(paths, &[always], SCALE)?;
    let mut vms = images.vms(always, Scheme::Owner, false, SCALE);
    vms[0].bootargs += " fault=300";
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        vhe: true,
        icount: true,
        record: false,
        slice: None,
        vms,
    };
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
        profile::parse(&text, "bench")?.fp,
        profile::find("measured-qemu").ok_or("no such profile")?.fp,
    );
    let costs = |costs: Costs| [costs.trap, costs.probe, costs.save, costs.load];
    let mut pairs = costs(measured).into_iter().zip(costs(kept));
    check(pairs.all(|(a, b)| a.abs_diff(b) <= COMPILERS), || {
        format!("put this into profiles/measured-qemu.toml:\n{text}")
    })
}

/// `trapcast boot` as a user starts it, with keys from a pipe.
fn boot_from_outside(paths: &Paths) -> Outcomes {
    let mut trapcast = Command::new(env!("CARGO_BIN_EXE_trapcast"))
        .arg("--target")
        .arg(paths.target())
        .args(["boot", "--scheme", "owner", "--memory", "128M"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut keys = trapcast.stdin.take().expect("a pipe");
    let console = read_in_background(trapcast.stdout.take().expect("a pipe"));
    // Longer than any FIFO on its way, as if it were pasted.
    let line = format!("echo {}; echo $((6 * 7))\n", "word ".repeat(20));
    let dialogue = [("/ # ", line.as_str()), ("\n42", "poweroff -f\n")];
    let answered = dialogue.into_iter().try_for_each(|(expected, typed)| {
        wait_for(&console, expected)?;
        Ok(keys.write_all(typed.as_bytes())?)
    });
    if answered.is_err() {
        trapcast.kill()?;
    }
    let status = trapcast.wait()?;
    answered.and_then(|()| check(status.success(), || format!("it ended with {status}")))
}

/// What a pipe brings, collected by a thread of its own.
fn read_in_background(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&collected);
    thread::spawn(move || {
        let mut chunk = [0; 256];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..length]);
            into.lock().expect("no reader panics").push_str(&text);
        }
    });
    collected
}

fn wait_for(console: &Mutex<String>, expected: &str) -> Outcomes {
    let limit = Instant::now() + Duration::from_secs(60);
    while Instant::now() < limit {
        if console.lock().expect("no reader panics").contains(expected) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    let console = console.lock().expect("no reader panics");
    Err(format!("{expected:?} did not come: {console}").into())
}

fn small_study(paths: &Paths, records: &Path) -> Result<serde_json::Value, Failed> {
    let plan = study::Plan {
        workloads: vec![
            workload::find("bursts")?,
            workload::find("pair")?,
            workload::find("linux")?,
            workload::find("four-on-2")?,
        ],
        schemes: vec![Scheme::LastTrap],
        cpu: Cpu::NeoverseN1,
        vhe: true,
        scale: SCALE,
        jobs: 2,
        records: records.to_path_buf(),
    };
    let results = study::study(&plan, paths)?;
    check(results.failures.is_empty(), || results.failures.join("\n"))?;
    Ok(serde_json::to_value(&results)?)
}

/// The same study gives the same results and the same records, to the last byte. That its replays
/// come to the runs' own counts is among what a study refuses.
fn same_twice(paths: &Paths) -> Outcomes {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [first, second] = [
        small_study(paths, directories[0].path())?,
        small_study(paths, directories[1].path())?,
    ];
    check(first["results"] == second["results"], || {
        format!("{}\n\n{}", first["results"], second["results"])
    })?;
    for entry in fs::read_dir(&directories[0])? {
        let name = entry?.file_name();
        let [one, other] = directories
            .each_ref()
            .map(|directory| fs::read(directory.path().join(&name)));
        check(one? == other?, || format!("{name:?} differs"))?;
    }
    let rows = first["results"].as_array().ok_or("no results")?;
    check(
        rows.iter()
            .all(|row| row["agreement"]["own"]["loads"].as_u64() > Some(0)),
        || first["results"].to_string(),
    )
}

/// The guest knows how many windows used the registers, and so must the observer.
fn observer_agrees(paths: &Paths) -> Outcomes {
    let machine = (Cpu::NeoverseN1, true);
    let (outcome, findings) = run_workload(paths, "random-29", Scheme::Eager, machine, true)?;
    sound(&outcome, &findings)?;
    let windows = outcome.vcpus[0].entry_windows;
    check(windows.used == findings.guest_used, || {
        format!(
            "the observer saw {windows:?}, the guest had {}",
            findings.guest_used
        )
    })
}

/// A shell that waits for keys never ends by itself.
fn hang_is_stopped(paths: &Paths) -> Outcomes {
    let machine = Machine {
        cpu: Cpu::NeoverseN1,
        cores: 1,
        vhe: true,
        icount: false,
        record: false,
        slice: None,
        vms: vec![linux_vm(paths, Task::Shell)?],
    };
    let began = Instant::now();
    let error = match run::run(&machine, &paths.hypervisor()?, Duration::from_secs(12)) {
        Ok(outcome) => return Err(format!("it ended\n{}", outcome.console).into()),
        Err(error) => error.to_string(),
    };
    check(began.elapsed() < Duration::from_secs(20), || {
        "it was not stopped in time".to_string()
    })?;
    check(
        error.contains("did not end within 12 s") && error.contains("A busybox shell."),
        || error,
    )
}

/// `trapcast record` of these arguments, which writes into a directory.
fn recorder(paths: &Paths, arguments: &[&str], output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command
        .arg("--target")
        .arg(paths.target())
        .arg("record")
        .args(arguments)
        .arg("-o")
        .arg(output)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What was recorded can be inspected and replayed.
fn record_from_outside(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let output = recorder(paths, &["--quick", "bursts"], directory.path()).output()?;
    let told = String::from_utf8(output.stderr)?;
    check(output.status.success(), || told)?;
    let file = directory.path().join("bursts.parquet");
    let windows = RecordFile::open(&file)?.windows();
    let expected = format!("{}: {windows} windows, ", file.display());
    let printed = String::from_utf8(output.stdout)?;
    check(windows > 0 && printed.starts_with(&expected), || printed)?;
    let summary = inspect::inspect(&file)?;
    check(summary.metadata.workload == "bursts", || {
        format!("{:?}", summary.metadata)
    })?;
    let schemes = [Scheme::PerEntry];
    let replayed = replaying::replay_file(&file, &schemes, profile::built_in())?;
    check(
        replayed.schemes[0].counts.traps == summary.entry_windows.used,
        || format!("{replayed:?}"),
    )
}

/// Ctrl-C while a guest runs and its windows come in.
fn record_interrupted(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let output = directory.path();
    let mut recorder = recorder(paths, &["linux-mix"], output).spawn()?;
    let limit = Instant::now() + Duration::from_secs(60);
    while fs::read_dir(output)?.count() == 0 {
        check(Instant::now() < limit, || "no file was begun".to_string())?;
        thread::sleep(Duration::from_millis(20));
    }
    // Time for QEMU to start, and much less than the guests need.
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(&recorder), Signal::INT)?;
    let status = recorder.wait()?;
    check(status.code() == Some(130), || {
        format!("it ended with {status}")
    })?;
    let left: Vec<_> = fs::read_dir(output)?.collect();
    check(left.is_empty(), || format!("{left:?} is left"))
}
