//! What a document may contain, by the words of its marker:
//!
//! | words | content |
//! |---|---|
//! | `table WORKLOAD` | the study's table of that workload |
//! | `tables` | those of all workloads, with the legend |
//! | `workloads` | all workloads: what they are, and how often they use the registers |
//! | `costs WORKLOAD PROFILE` | what each scheme costs over the workload's record |
//! | `plane WORKLOAD` | the picture of the cheapest schemes |
//! | `means WORKLOAD,... PROFILE,...` | cost over the oracle's, the geometric mean over these workloads |
//! | `over-oracle WORKLOAD PROFILE SCHEME` | that of one scheme on one workload; of `forecast prompt=off`, too |
//! | `figure WORKLOAD SCHEME PATH FORM` | a value of a row of results; FORM is `raw`, `%N` or `.N`, N places |
//! | `exact`, `within` | how many runs and counts replays agree with |
//! | `versions`, `scope` | what the study ran on, and what it is |

use std::collections::BTreeSet;

use serde_json::Value;
use trapcast_forecast::Scheme;

use trapcast_replay::{Standing, ratio};
use trapcast_report::{
    agreement, plane,
    replaying::{self, CostRow, ProfileRow},
};
use trapcast_results::{Agreement, NOT_PROMPT, ProfileCosts, Replay, Results, SchemeResult};
use trapcast_study::{table, workload};
use trapcast_tool::error::{Error, Result};

/// The schemes whose means are shown, where the results have them; the others are simpler or cost more everywhere.
const MEANS: [&str; 8] = [
    "until-put",
    "kvm",
    "counter",
    "credit",
    "owner",
    "eager-owner",
    "forecast",
    NOT_PROMPT,
];

/// Returns the text of a marker of these words.
///
/// # Errors
/// [`Error::Input`] where the words mean nothing, or the results do not have what they ask for.
pub(super) fn of(words: &str, results: &Results) -> Result<String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    match words[..] {
        ["table", workload] => Ok(code(&table::render_block(rows(workload, results)?))),
        ["tables"] => Ok(code(&table::render(results))),
        ["workloads"] => Ok(workloads(results)),
        ["costs", workload, profile] => {
            let costs = costs(replay(workload, results)?, profile)?;
            Ok(code(&replaying::render_profile(&profile_row(costs))))
        }
        ["plane", workload] => {
            let counts = &replay(workload, results)?.plane;
            Ok(code(&plane::picture(&plane::plane(
                counts,
                trapcast_profile::built_in(),
            )?)))
        }
        ["means", workloads, profiles] => means(workloads, profiles, results),
        ["over-oracle", workload, profile, "forecast", "prompt=off"] => {
            over_oracle_of(workload, profile, NOT_PROMPT, results)
        }
        ["over-oracle", workload, profile, scheme] => {
            over_oracle_of(workload, profile, find_scheme(scheme)?.name(), results)
        }
        ["figure", workload, scheme, path, form] => {
            let scheme = find_scheme(scheme)?;
            let row = rows(workload, results)?
                .iter()
                .find(|row| row.scheme == scheme);
            let row = row.ok_or_else(|| Error::input(format!("{scheme} did not run")))?;
            figure(row, path, form)
        }
        ["exact"] => {
            let all = agreements(results);
            let exact = all.iter().filter(|agreement| agreement.is_exact()).count();
            Ok(format!("{exact} of {}", all.len()))
        }
        ["within"] => {
            let all = agreements(results);
            let (within, cells) = agreement::within(all);
            Ok(format!("{within} of {cells}"))
        }
        ["versions"] => Ok(versions(results)),
        ["scope"] => Ok(scope(results)),
        _ => Err(Error::input(format!(
            "`{}` is nothing that results have: see xtask/src/document/content.rs",
            words.join(" ")
        ))),
    }
}

/// Text as it is.
fn code(text: &str) -> String {
    format!("```text\n{}\n```", text.trim_end())
}

fn missing(what: &str) -> Error {
    Error::input(format!(
        "the results have no {what}: they are of a smaller study"
    ))
}

fn find_scheme(name: &str) -> Result<Scheme> {
    name.parse()
        .map_err(|error: trapcast_forecast::UnknownScheme| Error::input(error))
}

/// The rows of one workload.
fn rows<'a>(workload: &str, results: &'a Results) -> Result<&'a [SchemeResult]> {
    let mut blocks = results.results.chunk_by(|a, b| a.workload == b.workload);
    let found = blocks.find(|rows| rows.iter().any(|row| row.workload == workload));
    found.ok_or_else(|| missing(workload))
}

fn replay<'a>(workload: &str, results: &'a Results) -> Result<&'a Replay> {
    let mut replays = results.replays.iter();
    replays
        .find(|replay| replay.workload == workload)
        .ok_or_else(|| missing(&format!("replay of {workload}")))
}

/// The costs under the profile of this name, which has a mark behind it if it is not sure.
fn costs<'a>(replay: &'a Replay, profile: &str) -> Result<&'a ProfileCosts> {
    let named = |costs: &&ProfileCosts| costs.profile.split(' ').next() == Some(profile);
    let found = replay.profiles.iter().find(named);
    found.ok_or_else(|| missing(&format!("profile {profile}")))
}

fn over_oracle_of(
    workload: &str,
    profile: &str,
    scheme: &str,
    results: &Results,
) -> Result<String> {
    let costs = costs(replay(workload, results)?, profile)?;
    over_oracle(costs, scheme)
        .map(replaying::factor)
        .ok_or_else(|| Error::input(format!("{scheme} has no cost there")))
}

fn over_oracle(costs: &ProfileCosts, scheme: &str) -> Option<f64> {
    ratio(*costs.schemes.get(scheme)?, costs.oracle)
}

fn profile_row(costs: &ProfileCosts) -> ProfileRow {
    let cost = |scheme: Scheme| costs.schemes.get(scheme.name()).copied();
    let fixed = cost(Scheme::Eager).zip(cost(Scheme::PerEntry));
    let fixed = fixed.map(|(eager, per_entry)| eager.min(per_entry));
    ProfileRow {
        profile: costs.profile.clone(),
        unit: costs.unit.name(),
        oracle: costs.oracle,
        better_fixed: fixed,
        basis: None,
        schemes: Scheme::ALL
            .into_iter()
            .filter_map(|scheme| {
                let cost = cost(scheme)?;
                let standing = Standing {
                    cost,
                    over_oracle: ratio(cost, costs.oracle),
                    over_fixed: fixed.and_then(|fixed| ratio(cost, fixed)),
                };
                let decisions = costs.decisions.get(scheme.name()).copied();
                Some(CostRow::of(scheme, standing, decisions, costs.oracle))
            })
            .collect(),
    }
}

/// Cost over the oracle's, the geometric mean over some workloads, as a Markdown table.
fn means(workloads: &str, profiles: &str, results: &Results) -> Result<String> {
    let replays: Result<Vec<&Replay>> = workloads
        .split(',')
        .map(|name| replay(name, results))
        .collect();
    let replays = replays?;
    let any = |scheme: &&str| {
        let costs = replays.iter().flat_map(|replay| &replay.profiles);
        costs.clone().next().is_none()
            || costs
                .clone()
                .any(|costs| costs.schemes.contains_key(*scheme))
    };
    let means: Vec<&str> = MEANS.into_iter().filter(|scheme| any(scheme)).collect();
    let headings: String = means
        .iter()
        .map(|scheme| format!(" {} |", quoted(scheme)))
        .collect();
    let mut text = format!(
        "| profile |{headings}\n|---|{}\n",
        "--:|".repeat(means.len())
    );
    for profile in profiles.split(',') {
        let costs: Result<Vec<&ProfileCosts>> = replays
            .iter()
            .map(|replay| costs(replay, profile))
            .collect();
        let costs = costs?;
        text += &format!("| `{profile}` |");
        for scheme in &means {
            let ratios = costs.iter().map(|costs| over_oracle(costs, scheme));
            let mean = replaying::geometric_mean(ratios);
            let mean = mean.map_or("-".to_string(), replaying::factor);
            text += &format!(" {mean} |");
        }
        text += "\n";
    }
    Ok(text)
}

/// The words of a scheme's name as code: "`forecast`, `prompt=off`".
fn quoted(name: &str) -> String {
    let words: Vec<String> = name.split(", ").map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// All workloads, as a Markdown table.
fn workloads(results: &Results) -> String {
    let mut text = "\
| workload | what runs | entries | used per entry, % | used per load, % |
|---|---|--:|--:|--:|
"
    .to_string();
    for rows in results.results.chunk_by(|a, b| a.workload == b.workload) {
        // One scheme represents all: it was observed in the record that replays are made of.
        let shown = rows.iter().find(|row| row.scheme == agreement::REFERENCE);
        let shown = shown.unwrap_or(&rows[0]);
        let about = workload::find(&shown.workload).map_or("", |workload| workload.about);
        let entries = shown.plain.as_ref().map(|run| run.total.entries);
        let used = shown.figures.as_ref().map(|figures| {
            [&figures.entry_windows, &figures.load_windows].map(|windows| windows.used_share)
        });
        let [entry, load] = used
            .unwrap_or_default()
            .map(|share| share.map_or("-".to_string(), |share| format!("{:.1}", 100.0 * share)));
        text += &format!(
            "| `{}` | {about} | {} | {entry} | {load} |\n",
            shown.workload,
            entries.map_or("-".to_string(), |entries| entries.to_string()),
        );
    }
    text
}

/// A value of a row, by the names that lead to it.
fn figure(row: &SchemeResult, path: &str, form: &str) -> Result<String> {
    let json = serde_json::to_value(row).map_err(Error::run)?;
    let value = path
        .split('.')
        .try_fold(&json, |value, name| value.get(name));
    let value = value.ok_or_else(|| missing(path))?;
    let places = |digits: &str| {
        let places: usize = digits.parse().ok()?;
        Some((value.as_f64()?, places))
    };
    let shown = match (form, value) {
        ("raw", Value::Number(_) | Value::String(_)) => {
            Some(value.to_string().trim_matches('"').to_string())
        }
        _ => form
            .strip_prefix('%')
            .and_then(places)
            .map(|(share, places)| format!("{:.places$}", 100.0 * share))
            .or_else(|| {
                let (value, places) = places(form.strip_prefix('.')?)?;
                Some(format!("{value:.places$}"))
            }),
    };
    shown.ok_or_else(|| {
        Error::input(format!(
            "{path} is {value}, which cannot be shown as `{form}`: raw, %N or .N"
        ))
    })
}

fn agreements(results: &Results) -> Vec<&Agreement> {
    let rows = results.results.iter();
    rows.filter_map(|row| row.agreement.as_ref()).collect()
}

/// The kernel and QEMU, by their version numbers.
fn versions(results: &Results) -> String {
    let kernel = results.versions.guest["kernel_version"].as_str();
    let kernel = kernel.and_then(|version| version.split('-').next());
    let qemu = results.versions.qemu.strip_prefix("QEMU emulator version ");
    let qemu = qemu.and_then(|version| version.split(' ').next());
    format!(
        "Debian's kernel {}, QEMU {}",
        kernel.unwrap_or("unknown"),
        qemu.unwrap_or("unknown")
    )
}

/// What the study is, in a sentence.
fn scope(results: &Results) -> String {
    let count = |names: BTreeSet<String>| names.len();
    let rows = results.results.iter();
    let workloads = count(rows.clone().map(|row| row.workload.clone()).collect());
    let schemes = count(rows.map(|row| row.scheme.to_string()).collect());
    format!(
        "{workloads} workloads under {schemes} schemes on QEMU's `{}` {} VHE: {}; commit {}, {}.",
        results.cpu,
        if results.vhe { "with" } else { "without" },
        versions(results),
        results.versions.commit.as_deref().unwrap_or("unknown"),
        results.versions.rustc.as_deref().unwrap_or("rustc unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use trapcast_results::example::results;

    fn shown(words: &str) -> String {
        of(words, &results()).unwrap()
    }

    #[test]
    fn every_kind_of_content_comes_from_the_results() {
        assert!(shown("table linux").contains("last-trap"));
        assert!(shown("tables").contains("All figures here repeat exactly"));
        assert!(shown("workloads").contains("| `linux` | Linux: busybox"));
        assert!(shown("costs linux mine").contains("mine [?]: the oracle costs 8 cycles"));
        assert_eq!(shown("over-oracle linux mine eager"), "1.125");
        let means = shown("means linux mine");
        assert!(means.ends_with("|---|\n| `mine` |\n"), "{means}");
        assert_eq!(
            shown("figure linux last-trap plain.total.exits.wait raw"),
            "3"
        );
        assert_eq!(shown("figure linux last-trap figures.accuracy %1"), "30.0");
        assert_eq!(shown("figure linux last-trap figures.accuracy .3"), "0.300");
        assert_eq!(shown("exact"), "1 of 1");
        assert_eq!(shown("within"), "4 of 4");
        assert!(shown("versions").starts_with("Debian's kernel unknown"));
        assert!(shown("scope").starts_with("1 workloads under 1 schemes on QEMU's `max` with VHE"));
    }

    #[test]
    fn what_results_do_not_have_is_named() {
        for (words, reason) in [
            ("table windows", "no windows"),
            ("plane pair", "no replay of pair"),
            ("plane linux", "at least one"),
            ("costs linux yours", "no profile yours"),
            ("over-oracle linux mine owner", "owner has no cost"),
            (
                "figure linux owner figures.accuracy raw",
                "owner did not run",
            ),
            ("figure linux lazy figures.accuracy raw", "unknown scheme"),
            ("figure linux last-trap figures.luck raw", "no figures.luck"),
            (
                "figure linux last-trap figures.precision %1",
                "cannot be shown",
            ),
            ("figure linux last-trap figures raw", "cannot be shown"),
            ("weather", "`weather` is nothing"),
        ] {
            let error = of(words, &results()).unwrap_err().to_string();
            assert!(error.contains(reason), "{words}: {error}");
        }
    }
}
