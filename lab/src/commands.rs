//! The commands of `trapcast`, from arguments to what is printed.

use std::{io::Write, thread};

use serde::Serialize;
use trapcast_forecast::Scheme;

use crate::{
    bench,
    boot::{self, Boot},
    cli::{BenchArgs, BootArgs, CheckImageArgs, Cli, Command, StudyArgs},
    doctor,
    error::{Error, Result},
    fpcheck,
    paths::Paths,
    results::{self, Results},
    signals, study, table,
    workload::{self, Scale},
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
        Command::Guests(arguments) => guests(arguments.json),
        Command::Doctor(arguments) => check_machine(arguments.json, &paths()?),
        Command::Study(arguments) => study_schemes(&arguments, &paths()?),
        Command::Bench(arguments) => measure(&arguments, &paths()?),
        Command::CheckImage(arguments) => check_image(&arguments),
    }
}

fn boot_linux(arguments: BootArgs, paths: &Paths) -> Result<()> {
    let boot = Boot {
        vhe: arguments.core.vhe()?,
        cpu: arguments.core.cpu,
        kernel: arguments.kernel,
        initrd: arguments.initrd,
        append: arguments.append,
        memory: arguments.memory.0,
        vcpus: arguments.vcpus,
        vms: arguments.vms,
        scheme: arguments.scheme,
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

fn study_schemes(arguments: &StudyArgs, paths: &Paths) -> Result<()> {
    let plan = study::Plan {
        workloads: if arguments.workload.is_empty() {
            workload::ALL.iter().collect()
        } else {
            let names = arguments.workload.iter();
            names
                .map(|name| workload::find(name))
                .collect::<Result<_>>()?
        },
        schemes: if arguments.scheme.is_empty() {
            Scheme::ALL.to_vec()
        } else {
            arguments.scheme.clone()
        },
        cpu: arguments.core.cpu,
        vhe: arguments.core.vhe()?,
        scale: if arguments.quick {
            Scale::QUICK
        } else {
            Scale::FULL
        },
        jobs: arguments.jobs.map_or_else(cores, usize::from),
    };
    let results = study::study(&plan, paths)?;
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| paths.target().join("study"));
    let file = output.join("results.json");
    results::write_json(&file, &results)?;
    if arguments.json {
        print_json(&results)?;
    } else {
        print(&table::render(&results))?;
    }
    eprintln!(
        "trapcast: {} written after {:.0} s",
        file.display(),
        results.timing.seconds
    );
    verdict(&results)
}

fn verdict(results: &Results) -> Result<()> {
    if results.failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{} of the study's results are not as they must be:\n{}",
        results.failures.len(),
        results.failures.join("\n")
    )))
}

fn measure(arguments: &BenchArgs, paths: &Paths) -> Result<()> {
    let plan = bench::Plan {
        rounds: arguments.rounds,
        boots: arguments.boots,
    };
    let bench = bench::bench(plan, paths)?;
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| paths.target().join("bench"));
    let file = output.join("results.json");
    results::write_json(&file, &bench)?;
    let profile = output.join("measured-qemu.toml");
    results::write(&profile, bench.profile.as_bytes())?;
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

fn cores() -> usize {
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
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::run(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Error::run)?;
    print(&format!("{text}\n"))
}
