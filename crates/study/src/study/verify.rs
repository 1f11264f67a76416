//! Whether a study that is run again repeats its stored results, to the last digit.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::Value;

use super::Plan;
use crate::workload;
use trapcast_machine::machine::Cpu;
use trapcast_results::Results;
use trapcast_tool::error::{Error, Result};

/// Differences that are named; of more, the number.
const NAMED: usize = 20;

/// Parts of results that need not be the same twice, or are looked at on their own.
const APART: [&str; 2] = ["timing", "versions"];

/// A value that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its path, as `jq` has it.
    pub path: String,
    /// What was stored, if there was something.
    pub stored: Option<Value>,
    /// What was found, if there was something.
    pub found: Option<Value>,
}

/// What differs between two studies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// What they ran on.
    pub versions: Vec<Difference>,
    /// What they found out.
    pub results: Vec<Difference>,
}

/// The plan of a study that was run before.
///
/// # Errors
/// [`Error::Input`] where this version cannot run it.
pub fn plan(stored: &Results, jobs: usize, directory: PathBuf) -> Result<Plan> {
    let mut workloads = Vec::new();
    let mut schemes = Vec::new();
    for result in &stored.results {
        let workload = workload::find(&result.workload)?;
        if !workloads.contains(&workload) {
            workloads.push(workload);
        }
        if !schemes.contains(&result.scheme) {
            schemes.push(result.scheme);
        }
    }
    if stored.results.len() != workloads.len() * schemes.len() || stored.results.is_empty() {
        return Err(Error::input(
            "the stored results are not those of every workload under every scheme: no study leaves such",
        ));
    }
    let cpu = Cpu::from_str(&stored.cpu, false)
        .map_err(|error| Error::input(format!("the stored results' cpu: {error}")))?;
    Ok(Plan {
        workloads,
        schemes,
        cpu,
        vhe: stored.vhe,
        scale: stored.scale,
        slice: stored.slice,
        courses: stored.courses,
        jobs,
        directory,
        others: false,
        fresh: true,
        command: "trapcast study --verify".to_string(),
    })
}

/// Compares stored results with those that were found, both as JSON.
pub fn compare(stored: &Value, found: &Value) -> Differences {
    let mut differences = Differences::default();
    let versions = [stored, found].map(|all| all.get(APART[1]));
    walk(".versions", versions, &mut differences.versions);
    let parts = [stored, found].map(|all| {
        let mut all = all.clone();
        if let Value::Object(parts) = &mut all {
            parts.retain(|name, _| !APART.contains(&name.as_str()));
        }
        all
    });
    walk("", parts.each_ref().map(Some), &mut differences.results);
    differences
}

/// Adds what differs at and below a path.
fn walk(path: &str, values: [Option<&Value>; 2], into: &mut Vec<Difference>) {
    match values {
        [stored, found] if stored == found => {}
        [Some(Value::Object(stored)), Some(Value::Object(found))] => {
            let mut names: Vec<&String> = stored.keys().chain(found.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let below = [stored.get(name), found.get(name)];
                walk(&format!("{path}.{name}"), below, into);
            }
        }
        [Some(Value::Array(stored)), Some(Value::Array(found))] => {
            for index in 0..stored.len().max(found.len()) {
                let below = [stored.get(index), found.get(index)];
                walk(&format!("{path}[{index}]"), below, into);
            }
        }
        [stored, found] => into.push(Difference {
            path: path.to_string(),
            stored: stored.cloned(),
            found: found.cloned(),
        }),
    }
}

/// Says what differs: versions first, which are the likely reason.
pub fn render(differences: &Differences, stored: &Results) -> String {
    let mut text = String::new();
    if !differences.versions.is_empty() {
        text += if differences.results.is_empty() {
            "The versions differ, and nothing else:\n"
        } else {
            "The versions differ, which is the likely reason of all that follows:\n"
        };
        text += &list(&differences.versions, stored);
    }
    text += &match differences.results.len() {
        0 => format!(
            "The same to the last digit: {} results.\n",
            stored.results.len()
        ),
        1 => "1 value differs:\n".to_string(),
        count => format!("{count} values differ:\n"),
    };
    text + &list(&differences.results, stored)
}

fn list(differences: &[Difference], stored: &Results) -> String {
    let value = |value: &Option<Value>| match value {
        None => "nothing".to_string(),
        Some(Value::Object(_)) => "{...}".to_string(),
        Some(Value::Array(_)) => "[...]".to_string(),
        Some(value) => value.to_string(),
    };
    let named = differences.iter().take(NAMED).map(|difference| {
        format!(
            "  {}{}: stored {}, found {}\n",
            difference.path,
            row(&difference.path, stored),
            value(&difference.stored),
            value(&difference.found)
        )
    });
    let mut text: String = named.collect();
    if differences.len() > NAMED {
        text += &format!("  and {} more\n", differences.len() - NAMED);
    }
    text
}

/// Whose result or replay a path leads into.
fn row(path: &str, stored: &Results) -> String {
    let index = |list: &str| -> Option<usize> {
        let rest = path.strip_prefix(list)?.strip_prefix('[')?;
        rest.split_once(']')?.0.parse().ok()
    };
    if let Some(result) = index(".results").and_then(|index| stored.results.get(index)) {
        return format!(" ({}/{})", result.workload, result.scheme);
    }
    let course = index(".further_courses").and_then(|index| stored.further_courses.get(index));
    if let Some(course) = course {
        return format!(" ({}/course-{})", course.workload, course.course);
    }
    match index(".replays").and_then(|index| stored.replays.get(index)) {
        Some(replay) => format!(" ({})", replay.workload),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use trapcast_results::example::results;

    #[test]
    fn what_differs_is_named_by_its_place() {
        let stored = serde_json::to_value(results()).unwrap();
        assert_eq!(compare(&stored, &stored), Differences::default());
        let mut found = stored.clone();
        found["timing"]["seconds"] = json!(1e9);
        assert_eq!(compare(&stored, &found), Differences::default());
        found["versions"]["qemu"] = json!("QEMU emulator version 10.0.0");
        found["results"][0]["plain"]["total"]["traps"] = json!(9);
        found["results"][0]["figures"]["accuracy"] = json!(0.3);
        found["failures"] = json!([]);
        found["further_courses"][0]["moved"]["traps"] = json!(2);
        let differences = compare(&stored, &found);
        assert_eq!(differences.versions[0].path, ".versions.qemu");
        let text = render(&differences, &results());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "The versions differ, which is the likely reason of all that follows:",
                "  .versions.qemu: stored \"\", found \"QEMU emulator version 10.0.0\"",
                "4 values differ:",
                "  .failures[0]: stored \"linux/last-trap: it broke\", found nothing",
                "  .further_courses[0].moved.traps (linux/course-1): stored 1, found 2",
                "  .results[0].figures.accuracy (linux/last-trap): stored 0.30000000000000004, found 0.3",
                "  .results[0].plain.total.traps (linux/last-trap): stored 0, found 9",
            ]
        );
    }

    #[test]
    fn of_many_differences_the_first_are_named() {
        let [stored, found] = [0, 1].map(|digit| json!({"failures": vec![digit; NAMED + 3]}));
        let text = render(&compare(&stored, &found), &results());
        assert!(text.starts_with("23 values differ:\n  .failures[0]: stored 0, found 1\n"));
        assert!(text.ends_with("  .failures[19]: stored 0, found 1\n  and 3 more\n"));
    }

    #[test]
    fn a_stored_study_is_run_as_it_was() {
        let plan = plan(&results(), 3, PathBuf::new()).unwrap();
        assert_eq!(plan.workloads, [workload::find("linux").unwrap()]);
        assert_eq!((plan.cpu, plan.slice, plan.jobs), (Cpu::Max, Some(1000), 3));
        assert_eq!(plan.courses, 2);
        let mut cut = results();
        cut.results.clear();
        assert!(super::plan(&cut, 1, PathBuf::new()).is_err());
        cut = results();
        cut.cpu = "i486".to_string();
        assert!(super::plan(&cut, 1, PathBuf::new()).is_err());
    }
}
