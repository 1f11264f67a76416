//! Bootargs: the words by which whoever starts a guest tells it what to do.

mod bench;
mod checker;
mod reader;
mod streaming;
mod timers;

use core::fmt;

use crate::classes::Length;
use crate::hostile::Kind;
use crate::plan::Workload;

pub use bench::{Bench, Use};
pub use checker::Checker;
pub use reader::Reader;
pub use streaming::Streaming;
pub use timers::{TimerChecks, Timers};

pub(crate) fn number<'a>(key: &'static str, value: &'a str) -> Result<u64, Error<'a>> {
    value.parse().map_err(|_| Error::Number(key, value))
}

fn percent<'a>(key: &'static str, value: &'a str) -> Result<u64, Error<'a>> {
    let percent = number(key, value)?;
    (percent <= 100)
        .then_some(percent)
        .ok_or(Error::Percent(key, value))
}

fn length<'a>(key: &'static str, value: &'a str) -> Result<Length, Error<'a>> {
    value.parse().map_err(|()| Error::Length(key, value))
}

/// A word of the bootargs that cannot be followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error<'a> {
    /// No workload has this name.
    Workload(&'a str),
    /// The value of this key is not a number.
    Number(&'static str, &'a str),
    /// A percentage above 100.
    Percent(&'static str, &'a str),
    /// No set of registers has this name.
    Registers(&'a str),
    /// The value of this key is not a vector length.
    Length(&'static str, &'a str),
    /// A number of rounds that there is no room for, or none.
    Rounds(&'a str),
    /// A number of vCPUs that there is no room for, or none.
    Vcpus(&'a str),
    /// Kinds of operations of which one has no such name.
    Kinds(&'a str),
    /// No registers have this name.
    Use(&'a str),
    /// No checks have this name.
    Checks(&'a str),
    /// A word with an unknown key; the known ones.
    Word(&'a str, &'static str),
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(name) => {
                write!(f, "unknown workload \"{name}\"; one of ")?;
                for (index, (known, _)) in Workload::NAMES.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{known}")?;
                }
                Ok(())
            }
            Self::Number(key, value) => {
                write!(f, "{key}=\"{value}\" is not a number; give {key}=N")
            }
            Self::Percent(key, value) => {
                write!(f, "{key}={value} is above 100; give {key}=PERCENT")
            }
            Self::Registers(name) => {
                write!(f, "unknown registers \"{name}\"; one of fp, sve, sme")
            }
            Self::Length(key, value) => write!(
                f,
                "{key}={value} is no vector length; give max, vary or a multiple of 128 up to 2048"
            ),
            Self::Rounds(value) => {
                write!(f, "rounds={value}; give 1 to {}", Bench::MAX_ROUNDS)
            }
            Self::Vcpus(value) => write!(f, "vcpus={value}; give 1 to 8"),
            Self::Kinds(names) => {
                write!(
                    f,
                    "unknown kinds \"{names}\"; names with commas between them, of "
                )?;
                for (_, name, _) in Kind::ALL {
                    write!(f, "{name}, ")?;
                }
                f.write_str("and not reset alone")
            }
            Self::Checks(name) => {
                write!(
                    f,
                    "checks=\"{name}\"; give alone, pair, again, moves, values or binary-point"
                )
            }
            Self::Use(name) => write!(f, "partner=\"{name}\"; give none, fp or sve"),
            Self::Word(word, known) => write!(f, "unknown word \"{word}\"; one of {known}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn errors_say_what_to_do() {
        let checker = |bootargs| format!("{}", Checker::parse(bootargs).unwrap_err());
        assert_eq!(
            checker("workload=x"),
            "unknown workload \"x\"; one of never, always, alternating, random, bursts, \
             resume-point"
        );
        assert_eq!(
            checker("seed=-1"),
            "seed=\"-1\" is not a number; give seed=N"
        );
        assert_eq!(checker("p=101"), "p=101 is above 100; give p=PERCENT");
        assert_eq!(
            checker("registers=v"),
            "unknown registers \"v\"; one of fp, sve, sme"
        );
        assert_eq!(
            checker("vl=100"),
            "vl=100 is no vector length; give max, vary or a multiple of 128 up to 2048"
        );
        let unknown = checker("quiet");
        assert!(unknown.starts_with("unknown word \"quiet\"; one of workload, "));
        let bench = |bootargs| format!("{}", Bench::parse(bootargs).unwrap_err());
        assert_eq!(bench("rounds=0"), "rounds=0; give 1 to 10000");
        assert_eq!(bench("partner=zz"), "partner=\"zz\"; give none, fp or sve");
        assert_eq!(
            bench("only"),
            "unknown word \"only\"; one of rounds, only, partner, count=off"
        );
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn no_text_panics(bootargs: String) {
            let _ = Checker::parse(&bootargs).map_err(|error| format!("{error}"));
            let _ = Bench::parse(&bootargs).map_err(|error| format!("{error}"));
        }

        #[test]
        fn numbers_round_trip(seed: u64, windows: u64, exits: u64, p in 0..=100u64) {
            let bootargs = format!("seed={seed} windows={windows} exits={exits} p={p}");
            let settings = Checker::parse(&bootargs).unwrap();
            prop_assert_eq!(
                (settings.seed, settings.windows, settings.exits, settings.percent),
                (seed, windows, exits, p)
            );
        }
    }
}
