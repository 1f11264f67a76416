//! `trapcast study`, from its arguments to what is printed.

use std::{fs, path::Path, time::Instant};

use trapcast_forecast::Scheme;

use super::{Plan, StudyArgs, study, verify};
use crate::{
    agreement,
    commands::{cores, cpu, extent, print, print_json, scale, workloads},
    error::{Error, Result},
    paths::Paths,
    report,
    results::{self, Results},
    table,
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
    let results = study(&plan, paths)?;
    let file = plan.directory.join(RESULTS);
    results::write_json(&file, &results)?;
    let report = report::write(&results, &plan.directory.join("records"), &plan.directory)?;
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
    let extent = extent(arguments.quick, arguments.full);
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
        jobs: arguments.jobs.map_or_else(cores, usize::from),
        directory: output.unwrap_or_else(|| paths.target().join("study")),
        fresh: arguments.fresh,
    })
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
    let results = Results::read(&file)?;
    let directory = tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(paths.target())
        .map_err(|error| {
            Error::run(format!(
                "cannot make a directory in {}: {error}",
                paths.target().display()
            ))
        })?;
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let plan = verify::plan(&results, jobs, directory.path().to_path_buf())?;
    let mut found = study(&plan, paths)?;
    if results.is_compact() {
        found = found.compact();
    }
    // As it stands in the file, with what this version would not write.
    let text = fs::read(&file).map_err(Error::run)?;
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
