//! The commands of `cargo xtask`, from arguments to what is printed.

use std::time::Duration;

use trapcast_forecast::Scheme;
use trapcast_report::{
    agreement,
    record::{self, Shape},
    stored,
};
use trapcast_tool::{
    error::{Error, Result},
    output,
    paths::Paths,
    print::{print, print_json},
    signals,
};

use crate::{
    bench,
    cli::{
        AgreementArgs, BenchArgs, CheckImageArgs, Cli, Command, GenerateArgs, JudgeArgs,
        TortureArgs,
    },
    document, fpcheck, hypervisors, judge, torture,
};

/// Does what the command line says.
///
/// # Errors
/// As [`Error`] says.
pub fn run(cli: Cli) -> Result<()> {
    signals::take_over()?;
    let paths = || Paths::find(cli.target);
    match cli.command {
        Command::Bench(arguments) => measure(&arguments, &paths()?),
        Command::Torture(arguments) => torture_schemes(&arguments, &paths()?),
        Command::Document(arguments) => print(&document::run(&arguments, &paths()?)?),
        Command::Hypervisors(arguments) => hypervisors::run(&arguments, &paths()?),
        Command::Judge(arguments) => show_judgement(&arguments),
        Command::Agreement(arguments) => show_agreement(&arguments, &paths()?),
        Command::Generate(arguments) => generate(&arguments),
        Command::CheckImage(arguments) => check_image(&arguments),
    }
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
    outputs.0.put(&output::json(&bench)?)?;
    outputs.1.put(bench.profile.as_bytes())?;
    if arguments.json {
        print_json(&bench)?;
    } else {
        print(&bench::render(&bench))?;
    }
    eprintln!(
        "xtask: {} and {} written",
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
        scans: if named(torture::SCAN) {
            arguments.scans
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
    output.put(&output::json(&results)?)?;
    if arguments.json {
        print_json(&results)?;
    } else {
        print(&torture::render(&results))?;
    }
    eprintln!("xtask: {} written", file.display());
    if results.failures.is_empty() {
        return Ok(());
    }
    Err(Error::run(format!(
        "{} runs were not as they must be:\n{}",
        results.failures.len(),
        results.failures.join("\n")
    )))
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

fn show_agreement(arguments: &AgreementArgs, paths: &Paths) -> Result<()> {
    let file = arguments
        .results
        .clone()
        .unwrap_or_else(|| paths.target().join("study/results.json"));
    let results = stored::read(&file)?;
    let rows: Vec<_> = results.results.iter().map(Into::into).collect();
    print(&agreement::render(&rows))
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
        "{} FP/SIMD instructions are outside {}*",
        report.misplaced.len(),
        fpcheck::ALLOWED_PREFIX
    )))
}
