//! The commands of `trapcast`, from arguments to what is printed.

use std::path::Path;

use serde::Serialize;
use trapcast_forecast::Scheme;

use crate::{
    boot::{self, Boot},
    cli::{
        BootArgs, Cli, Command, CoreArgs, InspectArgs, MergeArgs, PlaneArgs, RecordArgs,
        ReplayArgs, ReportArgs, Switch,
    },
    doctor, import, observe, study, timeline, top,
};
use trapcast_machine::{machine::Cpu, vectors::RegisterFiles};
use trapcast_report::{
    inspect, plane, profile_table, record,
    replaying::{self, Counted, merge::Sum},
    stored,
};
use trapcast_results::Scale;
use trapcast_study::{
    recording,
    workload::{self, Extent, Workload},
};
use trapcast_tool::{
    error::{Error, Result},
    input,
    parallel::{self, cores},
    paths::Paths,
    print::{print, print_json},
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
        Command::Report(arguments) => report(&arguments, paths),
        Command::Record(arguments) => record(&arguments, &paths()?),
        Command::Observe(arguments) => observe::run(&arguments, &paths()?),
        Command::HostRecorder => import::host_recorder(),
        Command::Import(arguments) => import::run(&arguments),
        Command::Inspect(arguments) => inspect(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Merge(arguments) => merge(&arguments),
        Command::Plane(arguments) => show_plane(&arguments),
        Command::Timeline(arguments) => print(&timeline::run(&arguments)?),
        Command::Profiles(arguments) => profiles(arguments.json),
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

fn report(arguments: &ReportArgs, paths: impl FnOnce() -> Result<Paths>) -> Result<()> {
    match &arguments.study {
        Some(file) if file.is_file() => report_record(file, arguments),
        _ if arguments.profile.is_some() => Err(Error::input(
            "--profile is for the report of one record: give its file",
        )),
        _ => report_study(arguments, &paths()?),
    }
}

fn report_record(file: &Path, arguments: &ReportArgs) -> Result<()> {
    if arguments.output.is_some() {
        return Err(Error::input(
            "the answers of one record are printed, and go to no directory: leave out --output",
        ));
    }
    let name = arguments.profile.as_deref().unwrap_or("measured-qemu");
    let profiles = trapcast_profile::selected(&[name.to_string()])?;
    let [profile] = profiles.as_slice() else {
        return Err(Error::input("a report is of one profile"));
    };
    let frequency = arguments.frequency.map(|mhz| mhz * 1_000_000);
    print(&replaying::answer(file, profile, frequency)?)
}

fn report_study(arguments: &ReportArgs, paths: &Paths) -> Result<()> {
    let study = arguments
        .study
        .clone()
        .unwrap_or_else(|| paths.target().join("study"));
    let results = stored::read(&study.join("results.json"))?;
    let output = arguments.output.as_ref().unwrap_or(&study);
    let written = trapcast_report::write(&results, &study.join("records"), output)?;
    print(&written.summary)?;
    eprintln!("trapcast: {} written", written.page.display());
    Ok(())
}

/// The core of a study or a record, unless another is asked for.
pub(crate) fn cpu(core: CoreArgs) -> Cpu {
    core.cpu(Cpu::NeoverseN1)
}

/// The workloads of these names, or those of a study of this extent.
pub(crate) fn workloads(names: &[String], extent: Extent) -> Result<Vec<&'static Workload>> {
    if names.is_empty() {
        return Ok(workload::within(extent));
    }
    names.iter().map(|name| workload::find(name)).collect()
}

/// The extent that the user asked for.
pub(crate) const fn extent(full: bool) -> Extent {
    if full { Extent::Full } else { Extent::Quick }
}

/// How long the workloads of a study of this extent are.
pub(crate) const fn scale(extent: Extent) -> Scale {
    match extent {
        Extent::Quick => Scale::QUICK,
        Extent::Full => Scale::FULL,
    }
}

fn record(arguments: &RecordArgs, paths: &Paths) -> Result<()> {
    let extent = extent(arguments.full);
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
        replaying::replay_file(file, counted(arguments.work), &schemes, &profiles)
    })?;
    let replayed = replayed.into_iter().collect::<Result<Vec<_>>>()?;
    if arguments.json {
        return print_json(&replayed);
    }
    let texts: Vec<String> = replayed.iter().map(replaying::render).collect();
    let means = replaying::render_means(&replayed).unwrap_or_default();
    print(&(texts.join("\n") + &means))
}

/// The most bytes of a file of results: those of thousands of replays under every profile.
const MOST_BYTES: u64 = 512 << 20;

fn merge(arguments: &MergeArgs) -> Result<()> {
    let mut all: Option<Sum> = None;
    for file in &arguments.files {
        let path = match file.to_str() {
            Some("-") => Path::new("/dev/stdin"),
            _ => file,
        };
        for sum in Sum::parse(&input::read("results", path, MOST_BYTES)?, path)? {
            match &mut all {
                None => all = Some(sum),
                Some(all) => all.add(&sum).map_err(|why| {
                    Error::input(format!(
                        "{} and what was read before do not add up: {why}",
                        path.display()
                    ))
                })?,
            }
        }
    }
    let all = all.ok_or_else(|| Error::input("there is nothing to merge"))?;
    let merged = all.merged().map_err(Error::input)?;
    if arguments.json {
        return print_json(&merged);
    }
    print(&replaying::render_merged(&merged))
}

/// Which windows a command counts.
const fn counted(work: bool) -> Counted {
    if work { Counted::Work } else { Counted::All }
}

fn show_plane(arguments: &PlaneArgs) -> Result<()> {
    let record = record::open(&arguments.file)?;
    let (unused, used) = replaying::plane_bounds(&record, counted(arguments.work))?;
    let plane = |counts| plane::plane(counts, trapcast_profile::built_in());
    let planes = plane::Between {
        unused: plane(&unused)?,
        all_used: used.as_ref().map(plane).transpose()?,
    };
    if arguments.json {
        let text = serde_json::to_string(&planes).map_err(Error::run)?;
        print(&format!("{text}\n"))
    } else {
        print(&planes.render())
    }
}

fn profiles(json: bool) -> Result<()> {
    if json {
        print_json(&profile_table::rows(trapcast_profile::built_in()))
    } else {
        print(&profile_table::render(trapcast_profile::built_in()))
    }
}
