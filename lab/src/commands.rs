//! The commands of `trapcast`, from arguments to what is printed.

use std::{io::Write, thread, time::Duration};

use serde::Serialize;
use trapcast_forecast::Scheme;

use crate::{
    agreement, bench,
    boot::{self, Boot},
    cli::{
        AgreementArgs, BenchArgs, BootArgs, CheckImageArgs, Cli, Command, CoreArgs, GenerateArgs,
        InspectArgs, JudgeArgs, PlaneArgs, RecordArgs, ReplayArgs, ReportArgs, Switch, TortureArgs,
    },
    doctor, document, fpcheck, judge, plane, profile_table,
    record::{self, RecordFile, Shape, inspect},
    recording, replaying, report,
    results::{self, Results},
    study, timeline, top, torture,
    workload::{self, Extent, Scale, Workload},
};
use trapcast_machine::{machine::Cpu, vectors::RegisterFiles};
use trapcast_tool::{
    error::{Error, Result},
    output, parallel,
    paths::Paths,
    signals,
};

/// Does what the command line says.
///
/// # Errors
/// As [`Error`] says.
pub fn run(cli: Cli) -> Result<()> {
    signals::take_over()?;
    let paths = || Paths::find(cli.target);
    match cli.command {
        Command::Boot(arguments) => boot_linux(arguments, &paths()?),
        Command::Top(arguments) => top::run(&arguments, &paths()?),
        Command::Guests(arguments) => guests(arguments.json),
        Command::Doctor(arguments) => check_machine(arguments.json, &paths()?),
        Command::Study(arguments) => study::run(&arguments, &paths()?),
        Command::Report(arguments) => report_study(&arguments, &paths()?),
        Command::Record(arguments) => record(&arguments, &paths()?),
        Command::Inspect(arguments) => inspect(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Plane(arguments) => show_plane(&arguments),
        Command::Judge(arguments) => show_judgement(&arguments),
        Command::Timeline(arguments) => print(&timeline::run(&arguments)?),
        Command::Document(arguments) => print(&document::run(&arguments, &paths()?)?),
        Command::Agreement(arguments) => show_agreement(&arguments, &paths()?),
        Command::Profiles(arguments) => profiles(arguments.json),
        Command::Generate(arguments) => generate(&arguments),
        Command::Bench(arguments) => measure(&arguments, &paths()?),
        Command::Torture(arguments) => torture_schemes(&arguments, &paths()?),
        Command::CheckImage(arguments) => check_image(&arguments),
    }
}

fn boot_linux(arguments: BootArgs, paths: &Paths) -> Result<()> {
    let registers = RegisterFiles {
        fp: arguments.fp == Switch::On,
        sve: arguments.sve,
        sme: arguments.sme,
    };
    let default = if registers.has_vectors() {
        Cpu::Max
    } else {
        arguments.arch.cpu()
    };
    let cpu = arguments.core.cpu(default);
    let boot = Boot {
        registers,
        arch: arguments.arch,
        vhe: arguments.core.vhe(cpu)?,
        cpu,
        cores: arguments.cores,
        kernel: arguments.kernel,
        initrd: arguments.initrd,
        append: arguments.append,
        memory: arguments.memory.0,
        vcpus: arguments.vcpus,
        vms: arguments.vms,
        scheme: arguments.scheme,
        observe: arguments.observe,
        prompt: arguments.prompt == Switch::On,
        icount: arguments.icount,
    };
    boot::boot(&boot, paths)
}

fn guests(json: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Guest {
        name: &'static str,
        about: &'static str,
    }
    let guests: Vec<Guest> = workload::ALL
        .iter()
        .map(|workload| Guest {
            name: workload.name,
            about: workload.about,
        })
        .collect();
    if json {
        return print_json(&guests);
    }
    let lines: Vec<String> = guests
        .iter()
        .map(|guest| format!("{:<16} {}\n", guest.name, guest.about))
        .collect();
    print(&lines.concat())
}

fn check_machine(json: bool, paths: &Paths) -> Result<()> {
    let checks = doctor::checks(paths);
    if json {
        print_json(&checks)?;
    } else {
        print(&doctor::render(&checks))?;
    }
    match checks.iter().filter(|check| !check.ok).count() {
        0 => Ok(()),
        missing => Err(Error::run(format!("{missing} things are missing"))),
    }
}

fn report_study(arguments: &ReportArgs, paths: &Paths) -> Result<()> {
    let study = arguments
        .study
        .clone()
        .unwrap_or_else(|| paths.target().join("study"));
    let results = Results::read(&study.join("results.json"))?;
    let output = arguments.output.as_ref().unwrap_or(&study);
    let written = report::write(&results, &study.join("records"), output)?;
    print(&written.summary)?;
    eprintln!("trapcast: {} written", written.page.display());
    Ok(())
}

/// The core of a study or a record, unless another is asked for.
pub(crate) fn cpu(core: CoreArgs) -> Cpu {
    core.cpu(Cpu::NeoverseN1)
}

fn show_agreement(arguments: &AgreementArgs, paths: &Paths) -> Result<()> {
    let file = arguments
        .results
        .clone()
        .unwrap_or_else(|| paths.target().join("study/results.json"));
    let results = Results::read(&file)?;
    let rows: Vec<_> = results.results.iter().map(Into::into).collect();
    print(&agreement::render(&rows))
}

/// The workloads of these names, or those of a study of this extent.
pub(crate) fn workloads(names: &[String], extent: Extent) -> Result<Vec<&'static Workload>> {
    if names.is_empty() {
        return Ok(workload::within(extent));
    }
    names.iter().map(|name| workload::find(name)).collect()
}

/// The extent that the user asked for.
pub(crate) const fn extent(quick: bool, full: bool) -> Extent {
    match (quick, full) {
        (true, _) => Extent::Quick,
        (false, true) => Extent::Full,
        (false, false) => Extent::Default,
    }
}

/// How long the workloads of a study of this extent are.
pub(crate) const fn scale(extent: Extent) -> Scale {
    match extent {
        Extent::Quick => Scale::QUICK,
        Extent::Default => Scale::FULL,
        Extent::Full => Scale::LONG,
    }
}

fn record(arguments: &RecordArgs, paths: &Paths) -> Result<()> {
    let extent = extent(arguments.quick, arguments.full);
    let plan = recording::Plan {
        workloads: workloads(&arguments.workloads, extent)?,
        scheme: arguments.scheme,
        cpu: cpu(arguments.core),
        vhe: arguments.core.vhe(cpu(arguments.core))?,
        scale: scale(extent),
        slice: arguments.slice,
        seed: arguments.seed,
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        output: arguments
            .output
            .clone()
            .unwrap_or_else(|| paths.target().join("records")),
    };
    let mut failures = Vec::new();
    for recorded in recording::record(&plan, paths)? {
        match recorded {
            Ok(recorded) => print(&format!("{recorded}\n"))?,
            Err(error) => failures.push(error.to_string()),
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{} workloads were not recorded:\n{}",
        failures.len(),
        failures.join("\n")
    )))
}

fn inspect(arguments: &InspectArgs) -> Result<()> {
    let summary = inspect::inspect(&arguments.file)?;
    if arguments.json {
        print_json(&summary)
    } else {
        print(&inspect::render(&summary))
    }
}

fn replay(arguments: &ReplayArgs) -> Result<()> {
    let asked = arguments.scheme.iter().flat_map(|schemes| &schemes.0);
    let schemes = match asked.copied().collect::<Vec<_>>() {
        none if none.is_empty() => Scheme::ALL.to_vec(),
        some => Scheme::ALL
            .into_iter()
            .filter(|s| some.contains(s))
            .collect(),
    };
    let profiles = trapcast_profile::selected(&arguments.profile)?;
    let replayed = parallel::in_parallel(&arguments.files, cores(), |file| {
        replaying::replay_file(file, &schemes, &profiles)
    })?;
    let replayed = replayed.into_iter().collect::<Result<Vec<_>>>()?;
    if arguments.json {
        return print_json(&replayed);
    }
    let texts: Vec<String> = replayed.iter().map(replaying::render).collect();
    let means = replaying::render_means(&replayed).unwrap_or_default();
    print(&(texts.join("\n") + &means))
}

fn show_judgement(arguments: &JudgeArgs) -> Result<()> {
    let profiles = trapcast_profile::selected(&arguments.profile)?;
    let judgement = judge::judge(&arguments.files, &profiles)?;
    if arguments.json {
        print_json(&judgement)
    } else {
        print(&judge::render(&judgement))
    }
}

fn show_plane(arguments: &PlaneArgs) -> Result<()> {
    let counts = replaying::plane_counts(&RecordFile::open(&arguments.file)?)?;
    let plane = plane::plane(&counts, trapcast_profile::built_in())?;
    if arguments.json {
        let text = serde_json::to_string(&plane).map_err(Error::run)?;
        print(&format!("{text}\n"))
    } else {
        print(&plane::render(&plane))
    }
}

fn profiles(json: bool) -> Result<()> {
    if json {
        print_json(&profile_table::rows(trapcast_profile::built_in()))
    } else {
        print(&profile_table::render(trapcast_profile::built_in()))
    }
}

fn generate(arguments: &GenerateArgs) -> Result<()> {
    let shape = Shape {
        windows: arguments.windows,
        vcpus: arguments.vcpus,
        seed: arguments.seed,
        replay_only: arguments.replay_only,
    };
    let bytes = record::generate(&arguments.file, shape)?;
    print(&format!(
        "{}: {} windows, {bytes} bytes\n",
        arguments.file.display(),
        arguments.windows
    ))
}

fn measure(arguments: &BenchArgs, paths: &Paths) -> Result<()> {
    let plan = bench::Plan {
        rounds: arguments.rounds,
        boots: arguments.boots,
    };
    let directory = arguments
        .output
        .clone()
        .unwrap_or_else(|| paths.target().join("bench"));
    let (file, profile) = (
        directory.join("results.json"),
        directory.join("measured-qemu.toml"),
    );
    paths.hypervisor()?;
    let outputs = (output::begin(&file)?, output::begin(&profile)?);
    let bench = bench::bench(plan, paths)?;
    outputs.0.put(&results::json(&bench)?)?;
    outputs.1.put(bench.profile.as_bytes())?;
    if arguments.json {
        print_json(&bench)?;
    } else {
        print(&bench::render(&bench))?;
    }
    eprintln!(
        "trapcast: {} and {} written",
        file.display(),
        profile.display()
    );
    Ok(())
}

fn torture_schemes(arguments: &TortureArgs, paths: &Paths) -> Result<()> {
    let named = |name: &str| arguments.part.is_empty() || arguments.part.iter().any(|p| p == name);
    let parts = torture::ALL.iter().filter(|part| named(part.name));
    let asked = |scheme: &Scheme| arguments.scheme.is_empty() || arguments.scheme.contains(scheme);
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| paths.target().join("torture"));
    let plan = torture::Plan {
        parts: parts.collect(),
        operations: if named(torture::HOSTILE) {
            arguments.operations
        } else {
            0
        },
        schemes: Scheme::ALL.into_iter().filter(asked).collect(),
        windows: arguments.windows,
        seed: arguments.seed,
        cores: arguments.cores,
        time: arguments.minutes.map(|m| Duration::from_secs(60 * m)),
        output,
    };
    let file = plan.output.join("results.json");
    paths.hypervisor()?;
    let output = output::begin(&file)?;
    let results = torture::torture(&plan, paths)?;
    output.put(&results::json(&results)?)?;
    if arguments.json {
        print_json(&results)?;
    } else {
        print(&torture::render(&results))?;
    }
    eprintln!("trapcast: {} written", file.display());
    if results.failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{} runs were not as they must be:\n{}",
        results.failures.len(),
        results.failures.join("\n")
    )))
}

/// QEMUs at once, or threads, unless the user asks for more or fewer.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn check_image(arguments: &CheckImageArgs) -> Result<()> {
    let report = fpcheck::check_file(&arguments.file)?;
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&fpcheck::render(&report))?;
    }
    if report.misplaced.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{} FP/SIMD instructions stand outside {}*",
        report.misplaced.len(),
        fpcheck::ALLOWED_PREFIX
    )))
}

/// Prints to standard output. A reader that has gone away, such as `head`, is no error.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::input(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Error::run)?;
    print(&format!("{text}\n"))
}
