//! `trapcast study`, from its arguments to what is printed.

use std::{env, ffi::OsString, io, path::Path, time::Instant};

use trapcast_forecast::Scheme;

mod args;

pub use args::{EXAMPLES, StudyArgs};

use crate::commands::{cpu, extent, scale, workloads};
use trapcast_report::{agreement, stored};
use trapcast_results::Results;
use trapcast_study::{Plan, finished, study, table, verify, workload::Extent};
use trapcast_tool::{
    error::{Error, Result},
    output,
    parallel::cores,
    paths::Paths,
    print::{print, print_json},
};

/// The name of the file that a study leaves.
const RESULTS: &str = "results.json";

/// Runs a study, or a stored one again.
///
/// # Errors
/// [`Error::Run`] where a run failed, found what it must not find, or differs from the stored one, and
/// those of [`study`].
pub fn run(arguments: &StudyArgs, paths: &Paths) -> Result<()> {
    if let Some(stored) = &arguments.verify {
        return verify_stored(arguments, stored, paths);
    }
    let plan = plan(arguments, paths)?;
    let file = plan.directory.join(RESULTS);
    paths.hypervisor()?;
    let output = output::begin(&file)?;
    let results = study(&plan, paths)?;
    output.put(&output::json(&results)?)?;
    finished(&plan.directory)?;
    let report =
        trapcast_report::write(&results, &plan.directory.join("records"), &plan.directory)?;
    if arguments.json {
        print_json(&results)?;
    } else {
        let rows: Vec<_> = results.results.iter().map(Into::into).collect();
        print(&format!(
            "{}{}",
            table::render(&results),
            agreement::summary(&rows)
        ))?;
        print(&format!("\n{}", report.summary))?;
    }
    let verdict = verdict(&results);
    eprintln!(
        "trapcast: {} and {} written after {:.0} s",
        file.display(),
        report.page.display(),
        results.timing.seconds
    );
    verdict
}

fn plan(arguments: &StudyArgs, paths: &Paths) -> Result<Plan> {
    let extent = extent(arguments.full);
    let output = arguments.output.clone();
    Ok(Plan {
        workloads: workloads(&arguments.workload, extent)?,
        schemes: if arguments.scheme.is_empty() {
            Scheme::ALL.to_vec()
        } else {
            arguments.scheme.clone()
        },
        cpu: cpu(arguments.core),
        vhe: arguments.core.vhe(cpu(arguments.core))?,
        scale: scale(extent),
        slice: arguments.slice,
        courses: arguments.courses.unwrap_or(match extent {
            Extent::Quick => 1,
            Extent::Full => 10,
        }),
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        directory: output.unwrap_or_else(|| paths.target().join("study")),
        others: arguments.full,
        fresh: arguments.fresh,
        command: command_line(env::args_os()),
    })
}

/// Words as a shell takes them.
fn command_line(words: impl Iterator<Item = OsString>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quoted = |word: OsString| match word.to_string_lossy() {
        word if !word.is_empty() && word.chars().all(plain) => word.into_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words: Vec<_> = words.map(quoted).collect();
    words.join(" ")
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

/// Runs a stored study again, in a place of its own, and says what differs.
fn verify_stored(arguments: &StudyArgs, stored: &Path, paths: &Paths) -> Result<()> {
    let started = Instant::now();
    let file = if stored.is_dir() {
        stored.join(RESULTS)
    } else {
        stored.to_path_buf()
    };
    let text = stored::text(&file)?;
    let results = stored::parse(&text, &file)?;
    let directory = tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(paths.target())
        // Without the name that it would have had.
        .map_err(|error| output::cannot_write(paths.target(), &io::Error::from(error.kind())))?;
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let plan = verify::plan(&results, jobs, directory.path().to_path_buf())?;
    let mut found = study(&plan, paths)?;
    if results.is_compact() {
        found = found.compact();
    }
    // As it is in the file, with what this version would not write.
    let stored = serde_json::from_slice(&text).map_err(Error::run)?;
    let found = serde_json::to_value(&found).map_err(Error::run)?;
    let differences = verify::compare(&stored, &found);
    print(&verify::render(&differences, &results))?;
    eprintln!(
        "trapcast: compared with {} after {:.0} s",
        file.display(),
        started.elapsed().as_secs_f64()
    );
    match differences.results.len() {
        0 => Ok(()),
        _ => Err(Error::run(format!(
            "this run found other values than those in {}",
            file.display()
        ))),
    }
}
