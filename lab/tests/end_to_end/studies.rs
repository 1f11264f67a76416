//! Studies: what repeats, and that the observer sees what the guest does.

use std::{fs, path::Path};

use libtest_mimic::Failed;
use trapcast_forecast::Scheme;
use trapcast_machine::machine::Cpu;
use trapcast_study::{Plan, study, workload};
use trapcast_tool::paths::Paths;

use crate::{
    Add,
    runs::{SCALE, run_workload, sound},
    support::{Outcomes, check},
};

/// The trials of this file.
pub fn trials(add: &mut Add) {
    add("study/same_figures_twice".into(), Box::new(same_twice));
    add(
        "study/observed_agrees_with_guest".into(),
        Box::new(observer_agrees),
    );
}

fn small_study(paths: &Paths, directory: &Path) -> Result<serde_json::Value, Failed> {
    let plan = Plan {
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
        slice: None,
        courses: 1,
        jobs: 2,
        directory: directory.to_path_buf(),
        others: false,
        fresh: false,
        command: "trapcast study".to_string(),
    };
    let results = study(&plan, paths)?;
    check(results.failures.is_empty(), || results.failures.join("\n"))?;
    Ok(serde_json::to_value(&results)?)
}

/// The same study gives the same results and the same records, to the last byte. That its replays
/// have the runs' own counts is checked by the study itself.
fn same_twice(paths: &Paths) -> Outcomes {
    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [first, second] = [
        small_study(paths, directories[0].path())?,
        small_study(paths, directories[1].path())?,
    ];
    check(first["results"] == second["results"], || {
        format!("{}\n\n{}", first["results"], second["results"])
    })?;
    for entry in fs::read_dir(directories[0].path().join("records"))? {
        let name = entry?.file_name();
        let [one, other] = directories
            .each_ref()
            .map(|directory| fs::read(directory.path().join("records").join(&name)));
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
