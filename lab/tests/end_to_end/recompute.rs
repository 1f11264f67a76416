//! A study's numbers, recomputed from its records by `scripts/recompute`, which shares no code with the lab; and that it
//! finds each of them that is wrong.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use trapcast_tool::paths::Paths;

use crate::{
    Add,
    support::{Outcomes, check},
};

/// One Linux guest, two that share a core, one with two vCPUs beside bare-metal ones on several cores, and two checkers.
const WORKLOADS: [&str; 4] = ["linux", "mix-simd-1ms", "smp-on-2", "pair"];

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add("study/recomputed_from_parquet".into(), Box::new(recomputed));
}

/// Runs a Python script of the environment that `scripts/python.sh` makes.
fn python(paths: &Paths, arguments: &[&str]) -> Result<Output, String> {
    let python = paths.target().join("python/bin/python");
    Command::new(&python)
        .args(arguments)
        .output()
        .map_err(|error| format!("{}: {error}; run scripts/python.sh", python.display()))
}

/// Recomputes a study: the exit status, and all that was printed.
fn recompute(paths: &Paths, study: &Path) -> Result<(Option<i32>, String), String> {
    let script = paths.checkout().join("scripts/recompute");
    let output = python(
        paths,
        &[
            &script.display().to_string(),
            &study.display().to_string(),
            "--trapcast",
            env!("CARGO_BIN_EXE_trapcast"),
        ],
    )?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// Replaces one part of a text file by another, has the study recomputed, and puts the file back.
fn with_fault(
    paths: &Paths,
    study: &Path,
    file: &str,
    [from, to]: [&str; 2],
) -> Result<String, String> {
    let path = study.join(file);
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let wrong = text.replacen(from, to, 1);
    if wrong == text {
        return Err(format!("{file} has no {from:?}"));
    }
    fs::write(&path, wrong).map_err(|error| error.to_string())?;
    let (status, said) = recompute(paths, study)?;
    fs::write(&path, text).map_err(|error| error.to_string())?;
    match status {
        Some(1) => Ok(said),
        _ => Err(format!("{file}, {from:?} for {to:?}: {status:?}\n{said}")),
    }
}

/// Drops one window of a record, in the middle of its last tenth.
const DROP_A_WINDOW: &str = "
import sys, pyarrow, pyarrow.parquet as parquet
table = parquet.read_table(sys.argv[1])
row = table.num_rows * 19 // 20
parquet.write_table(pyarrow.concat_tables([table[:row], table[row + 1:]]), sys.argv[1])
";

fn recomputed(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let study = directory.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    command.arg("--target").arg(paths.target()).arg("study");
    for workload in WORKLOADS {
        command.args(["--workload", workload]);
    }
    command
        .args(["--scheme", "owner", "--courses", "2", "-o"])
        .arg(study);
    let output = command.output()?;
    check(output.status.success(), || {
        String::from_utf8_lossy(&output.stderr).into_owned()
    })?;

    let (status, said) = recompute(paths, study)?;
    check(status == Some(0) && said.contains(", 0 differ"), || {
        said.clone()
    })?;

    // A cost that is wrong by one, in what the study keeps.
    let results = fs::read_to_string(study.join("results.json"))?;
    let results: serde_json::Value = serde_json::from_str(&results)?;
    let cost = results["replays"][0]["profiles"][0]["schemes"]["until-put"]
        .as_u64()
        .ok_or("no cost of until-put")?;
    let [right, wrong] = [cost, cost + 1].map(|cost| format!("\"until-put\": {cost}\n"));
    let said = with_fault(paths, study, "results.json", [&right, &wrong])?;
    check(said.contains("cost of until-put: recomputed"), || {
        said.clone()
    })?;

    // A number in a table.
    let said = with_fault(paths, study, "report/use.csv", ["smp-on-2,", "linux,"])?;
    check(said.contains("use.csv: linux, entry windows"), || {
        said.clone()
    })?;

    // A window that is missing.
    let record = study.join("records/pair.owner.parquet");
    let dropped = python(paths, &["-c", DROP_A_WINDOW, &record.display().to_string()])?;
    check(dropped.status.success(), || {
        String::from_utf8_lossy(&dropped.stderr).into_owned()
    })?;
    let (status, said) = recompute(paths, study)?;
    let told = [
        "use.csv: pair, entry windows, windows: recomputed",
        "pair.owner.parquet is a record to the lab: does not hold",
    ];
    check(
        status == Some(1) && told.iter().all(|told| said.contains(told)),
        || format!("{status:?}\n{said}"),
    )
}
