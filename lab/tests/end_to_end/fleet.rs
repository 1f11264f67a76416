//! Replays of many records, spread by Dask as docs/hosts.md shows: what comes of it is what one process finds out.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use trapcast_report::record::{self, Shape};
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    support::{Outcomes, check},
};

/// So many that their results are merged in two steps.
const RECORDS: u64 = 102;

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add("fleet/dask".into(), Box::new(dask));
}

fn dask(paths: &Paths) -> Outcomes {
    let directory = tempfile::tempdir()?;
    let path = directory.path();
    let names: Vec<String> = (0..RECORDS)
        .map(|seed| format!("host-{seed}.parquet"))
        .collect();
    for (seed, name) in (0..).zip(&names) {
        let shape = Shape {
            windows: 100 + seed,
            vcpus: 2,
            seed,
            replay_only: true,
        };
        record::generate(&path.join(name), shape)?;
    }
    let profile = paths
        .checkout()
        .join("crates/profile/profiles/kvm-neoverse-n1.toml");
    fs::copy(profile, path.join("mine.toml"))?;
    let document = fs::read_to_string(paths.checkout().join("docs/hosts.md"))?;
    let script = document
        .split_once("```python\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    fs::write(
        path.join("fleet.py"),
        script.ok_or("docs/hosts.md has no script")?.0,
    )?;

    let python = paths.target().join("python/bin/python");
    if !python.exists() {
        return Err(format!("{} is missing: run scripts/python.sh", python.display()).into());
    }
    let spread = output(Command::new(python).arg("fleet.py").args(&names), path)?;
    let mut replay = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    replay
        .args(["replay", "--profile", "mine.toml", "--json"])
        .args(&names);
    fs::write(path.join("all.json"), output(&mut replay, path)?)?;
    let mut merge = Command::new(env!("CARGO_BIN_EXE_trapcast"));
    let together = output(merge.args(["merge", "all.json", "--json"]), path)?;
    check(spread == together, || {
        format!(
            "{}\n{}",
            String::from_utf8_lossy(&spread),
            String::from_utf8_lossy(&together)
        )
    })
}

/// What a command prints that must succeed, run in a directory, with this build's command among those that are found.
fn output(command: &mut Command, directory: &Path) -> Result<Vec<u8>, String> {
    let built = Path::new(env!("CARGO_BIN_EXE_trapcast"))
        .parent()
        .map(Path::to_path_buf);
    let found = env::var_os("PATH").unwrap_or_default();
    let places = built.into_iter().chain(env::split_paths(&found));
    let places = env::join_paths(places).map_err(|error| error.to_string())?;
    let output = command.current_dir(directory).env("PATH", places).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.map_err(|error| error.to_string())?;
    match status.success() {
        true => Ok(stdout),
        false => Err(String::from_utf8_lossy(&stderr).into_owned()),
    }
}
