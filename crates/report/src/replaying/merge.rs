//! `trapcast merge`: results of replays added up, in any order and grouping. Counts add, and costs are computed again from the sums.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trapcast_forecast::{Costs, Scheme};
use trapcast_profile::{Certainty, Profile, TrapIs, Unit};
use trapcast_replay::{Counted, Moves, OracleOutcome, Outcome, SchemeCounts, SchemeOutcome};
use trapcast_switch::Tally;
use trapcast_tool::error::{Error, Result};
use trapcast_trace::report::WindowReport;

use super::{Basis, Figures, figures, widen};

/// The most that anything may have been counted: what every reader of JSON holds exactly.
const MOST: u64 = 1 << 53;

/// Replays of several records, as one.
#[derive(Clone, Debug, Serialize)]
pub struct Merged {
    /// How many records.
    pub records: u64,
    /// Which of their windows were counted.
    pub counted: Counted,
    /// How many windows are unseen.
    pub unseen_windows: u64,
    /// What was found, as if none of the unseen windows had used the registers.
    #[serde(flatten)]
    pub figures: Figures,
    /// The same as if all of them had; nothing where there are none.
    pub all_used: Option<Figures>,
}

/// The counts of replays, without what follows from them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sum {
    #[serde(default = "one")]
    records: u64,
    counted: Counted,
    unseen_windows: u64,
    #[serde(flatten)]
    unused: Counts,
    all_used: Option<Counts>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Counts {
    entry_windows: WindowReport,
    load_windows: WindowReport,
    schemes: Vec<SchemeSum>,
    #[serde(default)]
    beside: Vec<SchemeSum>,
    profiles: Vec<ProfileSum>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct SchemeSum {
    scheme: String,
    profile: Option<String>,
    counts: SchemeCounts,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct ProfileSum {
    profile: String,
    unit: Unit,
    basis: Basis,
}

/// A result that says nothing of how many records it is of is of one.
const fn one() -> u64 {
    1
}

impl Sum {
    /// Takes what `trapcast replay --json` or `trapcast merge --json` has printed, once or several times in a row.
    ///
    /// # Errors
    /// [`Error::Input`] where it is nothing of that kind, or its counts cannot be right.
    pub fn parse(text: &[u8], file: &Path) -> Result<Vec<Self>> {
        let refuse = |why: &dyn std::fmt::Display| {
            Error::input(format!(
                "{} holds no results of trapcast replay --json: {why}",
                file.display()
            ))
        };
        let mut sums = Vec::new();
        for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
            let parts = match value.map_err(|error| refuse(&error))? {
                Value::Array(parts) => parts,
                part => vec![part],
            };
            for part in parts {
                let sum: Self = serde_json::from_value(part).map_err(|error| refuse(&error))?;
                sum.check().map_err(|why| refuse(&why))?;
                sums.push(sum);
            }
        }
        Ok(sums)
    }

    /// Adds another one's counts.
    ///
    /// # Errors
    /// A sentence where the two are not of the same windows, schemes and profiles, or the sums are beyond what JSON holds.
    pub fn add(&mut self, other: &Self) -> std::result::Result<(), String> {
        if self.counted != other.counted {
            return Err("one counts all windows, the other those of the work".to_string());
        }
        let all_used = (self.all_used.is_some() || other.all_used.is_some())
            .then(|| {
                let mut sum = self.if_all_used().clone();
                sum.add(other.if_all_used()).map(|()| sum)
            })
            .transpose()?;
        self.unused.add(&other.unused)?;
        self.all_used = all_used;
        self.records += other.records;
        self.unseen_windows += other.unseen_windows;
        self.check()
    }

    fn if_all_used(&self) -> &Counts {
        self.all_used.as_ref().unwrap_or(&self.unused)
    }

    /// Says what all this costs.
    ///
    /// # Errors
    /// A sentence where a scheme is not known, or two profiles have one name.
    pub fn merged(&self) -> std::result::Result<Merged, String> {
        let mut unused = self.unused.figures()?;
        let mut all_used = self.all_used.as_ref().map(Counts::figures).transpose()?;
        if let Some(all_used) = &mut all_used {
            widen(&mut unused, all_used);
        }
        Ok(Merged {
            records: self.records,
            counted: self.counted,
            unseen_windows: self.unseen_windows,
            figures: unused,
            all_used,
        })
    }

    /// Refuses counts with which sums would be wrong.
    fn check(&self) -> std::result::Result<(), String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if !is_held(&value) {
            return Err(format!("a count is beyond {MOST}"));
        }
        for counts in [Some(&self.unused), self.all_used.as_ref()]
            .into_iter()
            .flatten()
        {
            for windows in [&counts.entry_windows, &counts.load_windows] {
                let WindowReport {
                    windows,
                    pairs: [[neither, begun], [ended, both]],
                    used,
                } = *windows;
                if used > windows || neither + begun + ended + both > windows || begun + both > used
                {
                    return Err("the counts of windows contradict one another".to_string());
                }
            }
            if let Some(row) = counts.profiles.iter().find(|row| row.basis.rate == 0) {
                return Err(format!(
                    "{} has a core that retires no instruction: instructions_per_100_cycles is 0",
                    row.profile
                ));
            }
            for SchemeSum { scheme, counts, .. } in counts.schemes.iter().chain(&counts.beside) {
                let left_out = counts.without_save.max(counts.without_load);
                if counts.held > counts.held_before + counts.loads()
                    || left_out > counts.exchanges()
                {
                    return Err(format!("the counts of {scheme} contradict one another"));
                }
            }
        }
        Ok(())
    }
}

/// Whether no number is beyond [`MOST`].
fn is_held(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_u64().is_none_or(|number| number <= MOST),
        Value::Array(values) => values.iter().all(is_held),
        Value::Object(values) => values.values().all(is_held),
        _ => true,
    }
}

impl Counts {
    fn add(&mut self, other: &Self) -> std::result::Result<(), String> {
        self.entry_windows += &other.entry_windows;
        self.load_windows += &other.load_windows;
        for (sums, more) in [
            (&mut self.schemes, &other.schemes),
            (&mut self.beside, &other.beside),
        ] {
            if sums.len() != more.len() {
                return Err("they are of different schemes".to_string());
            }
            for (sum, more) in sums.iter_mut().zip(more) {
                if (&sum.scheme, &sum.profile) != (&more.scheme, &more.profile) {
                    return Err("they are of different schemes".to_string());
                }
                sum.counts += more.counts;
            }
        }
        if self.profiles.len() != other.profiles.len() {
            return Err("they are of different profiles".to_string());
        }
        for (sum, more) in self.profiles.iter_mut().zip(&other.profiles) {
            let priced = |row: &ProfileSum| (row.unit, row.basis.costs, row.basis.rate);
            if sum.profile != more.profile {
                return Err("they are of different profiles".to_string());
            }
            if priced(sum) != priced(more) {
                return Err(format!(
                    "what {} costs is not the same in both",
                    sum.profile
                ));
            }
            sum.basis.oracle += more.basis.oracle;
        }
        Ok(())
    }

    /// What a replay would have found out that had counted this.
    fn figures(&self) -> std::result::Result<Figures, String> {
        let profiles: Vec<Profile> = self.profiles.iter().map(ProfileSum::profile).collect();
        for (number, profile) in profiles.iter().enumerate() {
            if profiles[..number].iter().any(|p| p.name == profile.name) {
                return Err(format!("two profiles are called {}", profile.name));
            }
        }
        let outcome_of = |row: &SchemeSum| {
            let costs = |name: &String| {
                let profile = profiles.iter().find(|profile| profile.name == *name);
                let costs = profile.map(|profile| profile.fp);
                costs.ok_or_else(|| format!("there is no profile {name}"))
            };
            Ok(SchemeOutcome {
                scheme: row
                    .scheme
                    .parse()
                    .map_err(|_| format!("there is no scheme {}", row.scheme))?,
                costs: row.profile.as_ref().map(costs).transpose()?,
                total: row.counts,
            })
        };
        let asked = self.schemes.iter().map(outcome_of);
        let asked = asked.collect::<std::result::Result<Vec<_>, String>>()?;
        let mut schemes: Vec<Scheme> = asked.iter().map(|found| found.scheme).collect();
        schemes.dedup();
        let beside = self.beside.iter().map(outcome_of);
        let beside = beside.collect::<std::result::Result<Vec<_>, String>>()?;
        let mut outcome = Outcome {
            schemes: [asked, beside].concat(),
            oracles: self.profiles.iter().map(ProfileSum::oracle).collect(),
            ..Outcome::default()
        };
        outcome.windows.entry = tally(&self.entry_windows);
        outcome.windows.load = tally(&self.load_windows);
        Ok(figures(&outcome, &schemes, &profiles))
    }
}

fn tally(report: &WindowReport) -> Tally {
    let mut tally = Tally::default();
    tally.windows = report.windows;
    tally.used = report.used;
    tally.pairs = report.pairs;
    tally
}

impl ProfileSum {
    /// What of the profile figures follow from. Its name has its mark already.
    fn profile(&self) -> Profile {
        Profile {
            name: self.profile.clone(),
            about: String::new(),
            unit: self.unit,
            source: String::new(),
            certainty: Certainty::Derived,
            note: None,
            trap_is: TrapIs::Trap,
            instructions_per_100_cycles: self.basis.rate,
            fp: Costs::from(self.basis.costs),
            sve: Vec::new(),
            za: Vec::new(),
        }
    }

    fn oracle(&self) -> OracleOutcome {
        let moves: Moves = self.basis.oracle;
        OracleOutcome {
            costs: self.basis.costs.into(),
            moves,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        record::{self, Shape},
        replaying::replay_file,
    };

    /// What is replayed of a record with this seed, as JSON.
    fn replayed(directory: &Path, seed: u64, schemes: &[Scheme]) -> Value {
        let file = directory.join(format!("{seed}.parquet"));
        let shape = Shape {
            windows: 200 + 37 * seed,
            vcpus: 1 + (seed % 3) as u16,
            seed,
            replay_only: true,
        };
        record::generate(&file, shape).unwrap();
        // One in which ten instructions cost less than a cycle each: parts of a cycle do not add up.
        let mut profiles = trapcast_profile::built_in()[..3].to_vec();
        profiles[0].instructions_per_100_cycles = 333;
        let replayed = replay_file(&file, Counted::All, schemes, &profiles).unwrap();
        serde_json::to_value(&replayed).unwrap()
    }

    fn sum(value: &Value) -> Sum {
        let text = serde_json::to_vec(&[value]).unwrap();
        let mut sums = Sum::parse(&text, Path::new("part.json")).unwrap();
        assert_eq!(sums.len(), 1);
        sums.remove(0)
    }

    /// Without what only a single file has.
    fn without_file(value: &Value) -> Value {
        let mut value = value.clone();
        let fields = value.as_object_mut().unwrap();
        fields.remove("file");
        fields.remove("workload");
        fields.insert("records".to_string(), 1.into());
        value
    }

    #[test]
    fn one_result_merged_is_the_same_result() {
        let directory = tempfile::tempdir().unwrap();
        for schemes in [&Scheme::ALL[..], &[Scheme::Owner]] {
            let one = replayed(directory.path(), 5, schemes);
            let merged = serde_json::to_value(sum(&one).merged().unwrap()).unwrap();
            assert_eq!(merged, without_file(&one));
        }
    }

    #[test]
    fn what_is_known_of_one_part_alone_is_no_bound_of_the_sum() {
        let directory = tempfile::tempdir().unwrap();
        let [seen, mut unseen] =
            [1, 2].map(|seed| sum(&replayed(directory.path(), seed, &Scheme::ALL)));
        let mut all_used = unseen.unused.clone();
        all_used.entry_windows.used += 3;
        (unseen.unseen_windows, unseen.all_used) = (3, Some(all_used));
        for [first, second] in [[&seen, &unseen], [&unseen, &seen]] {
            let mut both = first.clone();
            both.add(second).unwrap();
            let merged = both.merged().unwrap();
            let [low, high] = [&merged.figures, merged.all_used.as_ref().unwrap()];
            assert_eq!(low.entry_windows.used + 3, high.entry_windows.used);
            assert_eq!(low.entry_windows.windows, high.entry_windows.windows);
        }
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let one = replayed(directory.path(), 1, &Scheme::ALL);
        let add = |change: &dyn Fn(&mut Value)| {
            let mut other = one.clone();
            change(&mut other);
            sum(&one).add(&sum(&other)).unwrap_err()
        };
        let told = add(&|other| other["counted"] = "work".into());
        assert!(told.contains("those of the work"), "{told}");
        let told = add(&|other| other["profiles"][1]["basis"]["costs"]["trap"] = 1.into());
        assert!(told.contains("not the same in both"), "{told}");
        let told = add(&|other| drop(other["schemes"].as_array_mut().unwrap().pop()));
        assert!(told.contains("different schemes"), "{told}");
        let told = add(&|other| other["profiles"][0]["profile"] = "other".into());
        assert!(told.contains("different profiles"), "{told}");
        let told = add(&|other| other["schemes"][1]["counts"]["entries"] = MOST.into());
        assert!(told.contains("beyond"), "{told}");

        let parse = |change: &dyn Fn(&mut Value)| {
            let mut wrong = one.clone();
            change(&mut wrong);
            let text = serde_json::to_vec(&wrong).unwrap();
            let error = Sum::parse(&text, Path::new("part.json")).unwrap_err();
            error.to_string()
        };
        let told = parse(&|wrong| wrong["schemes"][1]["counts"]["held"] = MOST.into());
        assert!(told.contains("contradict"), "{told}");
        for windows in ["entry_windows", "load_windows"] {
            let told = parse(&|wrong| wrong[windows]["used"] = MOST.into());
            assert!(told.contains("counts of windows contradict"), "{told}");
            let told = parse(&|wrong| wrong[windows]["pairs"][1][1] = MOST.into());
            assert!(told.contains("counts of windows contradict"), "{told}");
        }
        let told = parse(&|wrong| {
            wrong["profiles"][2]["basis"]["instructions_per_100_cycles"] = 0.into();
        });
        assert!(told.contains("retires no instruction"), "{told}");
        let told = parse(&|wrong| wrong["schemes"][1]["counts"]["puts"] = (-1).into());
        assert!(told.contains("part.json holds no results"), "{told}");
        let told = parse(&|wrong| {
            drop(
                wrong["profiles"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("basis"),
            )
        });
        assert!(told.contains("basis"), "{told}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However the parts are grouped and ordered, and whether sums are written and read between.
        #[test]
        fn neither_order_nor_grouping_matters(
            order in Just((0..6).collect::<Vec<u64>>()).prop_shuffle(),
            cuts in prop::collection::vec(any::<bool>(), 5),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let parts: Vec<Sum> =
                (0..6).map(|seed| sum(&replayed(directory.path(), seed, &Scheme::ALL))).collect();
            let together = |sums: &[Sum]| {
                let mut all = sums[0].clone();
                for more in &sums[1..] {
                    all.add(more).unwrap();
                }
                all
            };
            let written = |sum: &Sum| serde_json::to_value(sum.merged().unwrap()).unwrap();
            let mut groups: Vec<Vec<Sum>> = vec![Vec::new()];
            for (number, &part) in order.iter().enumerate() {
                if number > 0 && cuts[number - 1] {
                    groups.push(Vec::new());
                }
                groups.last_mut().unwrap().push(parts[part as usize].clone());
            }
            let groups: Vec<Sum> = groups.iter().map(|group| sum(&written(&together(group)))).collect();
            prop_assert_eq!(written(&together(&groups)), written(&together(&parts)));
        }
    }
}
