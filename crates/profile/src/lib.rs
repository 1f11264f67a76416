//! Cost profiles: what trapping and moving registers costs on a machine, by name, from TOML.

#![forbid(unsafe_code)]

mod built_in;
mod certainty;
mod decision;
mod error;
mod parse;

use std::{fs::File, io::Read, path::Path};

pub use trapcast_forecast::Costs;

pub use self::{
    built_in::built_in,
    certainty::{Certainty, TrapIs, Unit},
    decision::Decision,
    error::{Error, Result},
    parse::parse,
};

/// The name that selects every built-in profile.
pub const ALL: &str = "all";

/// Bytes of a profile's file that are read at most; a profile takes about one thousand.
const LONGEST: u64 = 1 << 20;

/// What trapping and moving registers costs on one machine, and how that is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Profile {
    /// By which users choose it: lower-case letters, digits, `-` and `.`.
    pub name: String,
    /// What it describes, in one sentence.
    pub about: String,
    /// What the costs are counted in.
    pub unit: Unit,
    /// Where the figures come from.
    pub source: String,
    /// How sure they are: as sure as the least sure of them.
    pub certainty: Certainty,
    /// How the costs follow from the figures of the source.
    pub note: Option<String>,
    /// What the figure for a trap is of.
    pub trap_is: TrapIs,
    /// Instructions that a core retires in a hundred cycles, of those that decide.
    pub instructions_per_100_cycles: u32,
    /// The FP/SIMD registers.
    pub fp: Costs,
    /// The SVE registers by vector length in bits, ascending.
    pub sve: Vec<(u32, Costs)>,
    /// ZA by streaming vector length in bits, ascending.
    pub za: Vec<(u32, Costs)>,
}

/// p\* = 2 C / (T + 2 C), the probability of use from which on a load at the entry is cheaper than a trap;
/// `None` where both cost nothing. T is a trap's `round_trip`, C one `exchange`.
///
/// With probability p the load saves T. Else it wastes 2 C: one exchange that brings the registers in, and one
/// that brings back whose they were.
pub fn break_even(round_trip: u64, exchange: u64) -> Option<f64> {
    let wasted = 2.0 * exchange as f64;
    let sum = round_trip as f64 + wasted;
    (sum > 0.0).then(|| wasted / sum)
}

impl Profile {
    /// T: what the round trip of a trap of the FP/SIMD gate costs, with the opening of the gate.
    pub const fn round_trip(&self) -> u64 {
        self.fp.trap as u64 + self.fp.unlock()
    }

    /// p\* of T and C: see [`break_even`].
    pub fn break_even(&self) -> Option<f64> {
        break_even(self.round_trip(), self.fp.exchange())
    }

    /// What some instructions of EL2 cost, in the profile's unit.
    pub fn of_instructions(&self, instructions: u64) -> u64 {
        match self.unit {
            Unit::Instructions => instructions,
            Unit::Cycles => {
                let cycles = u128::from(instructions) * 100
                    / u128::from(self.instructions_per_100_cycles.max(1));
                u64::try_from(cycles).unwrap_or(u64::MAX)
            }
        }
    }

    /// The name, with its mark behind it where the figures are only recalled: those are shown
    /// nowhere without it.
    pub fn label(&self) -> String {
        match self.certainty {
            Certainty::Recalled => format!("{} {}", self.name, self.certainty.mark()),
            _ => self.name.clone(),
        }
    }
}

/// Returns the built-in profile of this name.
pub fn find(name: &str) -> Option<&'static Profile> {
    built_in().iter().find(|profile| profile.name == name)
}

/// Returns the profile of this hypervisor on the machine that the lab runs.
///
/// # Panics
/// If it is not built in.
pub fn of_this_machine() -> &'static Profile {
    find("measured-qemu").expect("it is built in")
}

/// Returns the profiles that a user chose: each a built-in's name, the path of a file, or [`ALL`].
/// What is chosen twice is there once.
///
/// # Errors
/// A name is unknown, a file cannot be read or is no profile, or two different profiles have one name.
pub fn selected(choices: &[String]) -> Result<Vec<Profile>> {
    let mut profiles: Vec<Profile> = Vec::new();
    for choice in choices {
        let chosen = match choice.as_str() {
            ALL => built_in().to_vec(),
            name => match find(name) {
                Some(profile) => vec![profile.clone()],
                None => vec![open(name)?],
            },
        };
        for profile in chosen {
            match profiles.iter().find(|other| other.name == profile.name) {
                None => profiles.push(profile),
                Some(same) if *same == profile => {}
                Some(_) => {
                    return Err(Error::SameName {
                        choice: choice.clone(),
                        name: profile.name,
                    });
                }
            }
        }
    }
    Ok(profiles)
}

/// Reads a profile from a file.
fn open(choice: &str) -> Result<Profile> {
    let path = Path::new(choice);
    if !path.exists() {
        return Err(Error::Unknown {
            choice: choice.to_string(),
        });
    }
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(|source| Error::Unreadable {
            path: path.into(),
            source,
        })?;
    if text.len() as u64 > LONGEST {
        return Err(Error::TooLong { path: path.into() });
    }
    parse(&text, choice)
}

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(choices: &[&str]) -> Vec<String> {
        choices.iter().map(ToString::to_string).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    const MINE: &str = r#"
        name = "mine"
        about = "A core of mine."
        unit = "cycles"
        source = "a logic analyser"
        certainty = "measured"
        [fp]
        trap = 10
        save = 20
        load = 30
        gate = 1
        isb = 2
    "#;

    #[test]
    fn names_files_and_all_can_be_mixed_and_repeated() {
        let file = file(MINE);
        let path = file.path().to_str().unwrap();
        let first = built_in()[0].name.as_str();
        let chosen = selected(&choices(&[first, path, ALL, path, first])).unwrap();
        assert_eq!(chosen.len(), built_in().len() + 1);
        assert_eq!(chosen[0], built_in()[0]);
        assert_eq!(chosen[1].name, "mine");
        assert!(selected(&[]).unwrap().is_empty());
    }

    #[test]
    fn two_different_profiles_of_one_name_are_refused() {
        let name = built_in()[0].name.as_str();
        let file = file(&MINE.replace("\"mine\"", &format!("{name:?}")));
        let path = file.path().to_str().unwrap();
        let error = selected(&choices(&[name, path])).unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = selected(&choices(&["no-such"])).unwrap_err().to_string();
        assert!(error.contains("no-such"), "{error}");
        for profile in built_in() {
            assert!(error.contains(&profile.name), "{error}");
        }
    }

    #[test]
    fn what_is_no_text_or_has_no_end_is_refused() {
        let bytes = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(bytes.path(), b"name = \"\xff\"").unwrap();
        for path in ["/dev/zero", "/", bytes.path().to_str().unwrap()] {
            let error = selected(&choices(&[path])).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }

    #[test]
    fn an_error_in_a_file_names_it() {
        let file = file(&MINE.replace("save = 20", "save = -20"));
        let path = file.path().to_str().unwrap();
        let error = selected(&choices(&[path])).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path}, line 9: ")), "{error}");
    }

    #[test]
    fn round_trip_exchange_and_break_even_follow_from_the_costs() {
        let profile = parse(MINE, "mine").unwrap();
        assert_eq!(profile.round_trip(), 13);
        assert_eq!(profile.fp.exchange(), 50);
        assert_eq!(profile.break_even(), Some(100.0 / 113.0));
        let free = Profile {
            fp: Costs::default(),
            ..profile
        };
        assert_eq!(free.break_even(), None);
    }

    #[test]
    fn instructions_take_the_cycles_that_the_profile_says() {
        let mut profile = parse(MINE, "mine").unwrap();
        assert_eq!(profile.of_instructions(7), 7);
        profile.instructions_per_100_cycles = 250;
        assert_eq!(profile.of_instructions(1000), 400);
        profile.unit = Unit::Instructions;
        assert_eq!(profile.of_instructions(1000), 1000);
    }
}
