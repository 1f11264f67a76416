//! Bootargs: the words by which whoever starts a guest tells it what to do.

use core::fmt;

use crate::classes::{Length, RegisterSet, Shares};
use crate::hostile::Kind;
use crate::plan::{WORK_INSTRUCTIONS, Workload};
use crate::rng;

/// The keys that [`Checker`] knows.
const CHECKER_KEYS: &str = "workload, seed, windows, exits, p, work, timer, fault, verbose, \
     registers, sve-percent, sme-percent, vl, svl";

/// The keys that [`Bench`] knows.
const BENCH_KEYS: &str = "rounds, only, partner";

/// The keys that [`Streaming`] knows.
const STREAMING_KEYS: &str = "registers, seed, windows, fault";
/// The keys that [`Timers`] knows.
const TIMERS_KEYS: &str = "checks, seed, rounds";

/// The keys that [`Reader`] knows.
const READER_KEYS: &str = "bytes, no-fifos";

/// What the checker is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Checker {
    /// `workload=NAME`: which windows use the registers.
    pub workload: Workload,
    /// `seed=N`: where the generators start.
    pub seed: u64,
    /// `windows=N`: how many windows to run.
    pub windows: u64,
    /// `exits=K`: each K-th window ends by a WFI, the others by a hypercall; with 0, none does.
    pub exits: u64,
    /// `p=PERCENT`: the workload's probability.
    pub percent: u64,
    /// `work=N`: the most instructions of integer work before a use, and after it; not more than 2^32 - 1.
    pub work: u64,
    /// `timer=MICROSECONDS`: the virtual timer expires after at most so many, by chance, again and again,
    /// and how late its interrupts come is counted; no window ends by a WFI. At most 100, so that what a guest beside this one delays is told apart.
    pub timer: Option<u64>,
    /// `fault=N`: window N, if it uses the registers, leaves a wrong bit in one of them, so that a
    /// test can see the checker report it at the next use.
    pub fault: Option<u64>,
    /// `verbose`: tell how far the run has come.
    pub verbose: bool,
    /// `registers=fp|sve|sme`: which registers to use.
    pub registers: RegisterSet,
    /// `sme-percent=` of the windows that use registers use ZA and streaming mode, `sve-percent=` of
    /// the others SVE, as far as `registers` has these.
    pub shares: Shares,
    /// `vl=BITS|max|vary`: the vector length to select.
    pub length: Length,
    /// `svl=BITS|max|vary`: the streaming vector length to select.
    pub streaming_length: Length,
}

impl Checker {
    /// What a checker without bootargs does.
    pub const DEFAULT: Self = Self {
        workload: Workload::Random,
        seed: 1,
        windows: 1000,
        exits: 1,
        percent: 50,
        work: WORK_INSTRUCTIONS.1,
        timer: None,
        fault: None,
        verbose: false,
        registers: RegisterSet::Fp,
        shares: Shares { sme: 30, sve: 50 },
        length: Length::Max,
        streaming_length: Length::Max,
    };

    /// The seed of CPU `cpu`: that of the settings is the first one's.
    #[must_use]
    pub const fn seed_of(&self, cpu: usize) -> u64 {
        rng::seed_of(self.seed, cpu as u64)
    }

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut settings = Self::DEFAULT;
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("workload", name)) => {
                    settings.workload = name.parse().map_err(|()| Error::Workload(name))?;
                }
                Some(("seed", value)) => settings.seed = number("seed", value)?,
                Some(("windows", value)) => settings.windows = number("windows", value)?,
                Some(("exits", value)) => settings.exits = number("exits", value)?,
                Some(("p", value)) => settings.percent = percent("p", value)?,
                Some(("registers", name)) => {
                    settings.registers = name.parse().map_err(|()| Error::Registers(name))?;
                }
                Some(("sve-percent", value)) => {
                    settings.shares.sve = percent("sve-percent", value)?;
                }
                Some(("sme-percent", value)) => {
                    settings.shares.sme = percent("sme-percent", value)?;
                }
                Some(("vl", value)) => settings.length = length("vl", value)?,
                Some(("svl", value)) => settings.streaming_length = length("svl", value)?,
                Some(("work", value)) => {
                    settings.work = number("work", value)?.min(u32::MAX.into());
                }
                Some(("timer", value)) => {
                    settings.timer = Some(number("timer", value)?.min(100));
                }
                Some(("fault", value)) => settings.fault = Some(number("fault", value)?),
                None if word == "verbose" => settings.verbose = true,
                _ => return Err(Error::Word(word, CHECKER_KEYS)),
            }
        }
        Ok(settings)
    }
}

/// What the guest that tries accesses under every setting is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Streaming {
    /// `registers=fp|sve|sme`: which registers to use.
    pub registers: RegisterSet,
    /// `seed=N`: where the generators start.
    pub seed: u64,
    /// `windows=N`: how many accesses to try.
    pub windows: u64,
    /// `fault=N`: window N leaves a wrong bit in a register.
    pub fault: Option<u64>,
}

impl Streaming {
    /// What it does without bootargs.
    pub const DEFAULT: Self = Self {
        registers: RegisterSet::Fp,
        seed: 1,
        windows: 1000,
        fault: None,
    };

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut settings = Self::DEFAULT;
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("registers", name)) => {
                    settings.registers = name.parse().map_err(|()| Error::Registers(name))?;
                }
                Some(("seed", value)) => settings.seed = number("seed", value)?,
                Some(("windows", value)) => settings.windows = number("windows", value)?,
                Some(("fault", value)) => settings.fault = Some(number("fault", value)?),
                _ => return Err(Error::Word(word, STREAMING_KEYS)),
            }
        }
        Ok(settings)
    }
}

/// What the bench is to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bench<'a> {
    /// `rounds=N`: measured rounds of each benchmark.
    pub rounds: usize,
    /// `only=NAME`: the one benchmark to run.
    pub only: Option<&'a str>,
    /// `partner=USE`: no benchmark, but the other VM of one.
    pub partner: Option<Use>,
}

/// Which registers a benchmark that shares its core uses between two switches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// `none`: general ones.
    None,
    /// `fp`: those of FP/SIMD.
    Fp,
    /// `sve`: those of SVE, at the longest length that there is.
    Sve,
}

impl core::str::FromStr for Use {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "none" => Ok(Self::None),
            "fp" => Ok(Self::Fp),
            "sve" => Ok(Self::Sve),
            _ => Err(()),
        }
    }
}

impl<'a> Bench<'a> {
    /// The most rounds that there is room for.
    pub const MAX_ROUNDS: usize = 10_000;

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &'a str) -> Result<Self, Error<'a>> {
        let mut settings = Self {
            rounds: 1000,
            only: None,
            partner: None,
        };
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("rounds", value)) => {
                    settings.rounds = usize::try_from(number("rounds", value)?)
                        .ok()
                        .filter(|rounds| (1..=Self::MAX_ROUNDS).contains(rounds))
                        .ok_or(Error::Rounds(value))?;
                }
                Some(("only", name)) => settings.only = Some(name),
                Some(("partner", name)) => {
                    settings.partner = Some(name.parse().map_err(|()| Error::Use(name))?);
                }
                _ => return Err(Error::Word(word, BENCH_KEYS)),
            }
        }
        Ok(settings)
    }
}

/// What the guest `timers` is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// `checks=NAME`: which checks.
    pub checks: TimerChecks,
    /// `seed=N`: where the generators start.
    pub seed: u64,
    /// `rounds=N`: how many, of those checks that go by chance.
    pub rounds: u64,
}

/// Checks of the timers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimerChecks {
    /// `alone`: on one CPU.
    Alone,
    /// `pair`: on two, of which one looks at and changes the other's interrupts.
    Pair,
    /// `again`: on two, of which one is turned off and on, and all of which begin anew once: for a VM only.
    Again,
    /// `moves`: on all CPUs, waits of any length, while the hypervisor moves these from core to core.
    Moves,
    /// `values`: any values in the registers.
    Values,
    /// `binary-point`: one that ends QEMU, if no hypervisor is in its way.
    BinaryPoint,
}

impl TimerChecks {
    const NAMES: [(&str, Self); 6] = [
        ("alone", Self::Alone),
        ("pair", Self::Pair),
        ("again", Self::Again),
        ("moves", Self::Moves),
        ("values", Self::Values),
        ("binary-point", Self::BinaryPoint),
    ];
}

impl Timers {
    /// What a guest without bootargs does.
    pub const DEFAULT: Self = Self {
        checks: TimerChecks::Alone,
        seed: 1,
        rounds: 1000,
    };

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut settings = Self::DEFAULT;
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("checks", name)) => {
                    let known = TimerChecks::NAMES.iter().find(|(known, _)| *known == name);
                    settings.checks = known.ok_or(Error::Checks(name))?.1;
                }
                Some(("seed", value)) => settings.seed = number("seed", value)?,
                Some(("rounds", value)) => settings.rounds = number("rounds", value)?,
                _ => return Err(Error::Word(word, TIMERS_KEYS)),
            }
        }
        Ok(settings)
    }
}

impl fmt::Display for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TimerChecks::NAMES
            .iter()
            .find(|(_, checks)| *checks == self.checks);
        let name = name.map_or("", |(name, _)| name);
        write!(f, "checks={name} seed={} rounds={}", self.seed, self.rounds)
    }
}

/// What the reader is to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reader {
    /// `bytes=N`: how many bytes.
    pub bytes: u64,
    /// `no-fifos`: the UART holds one byte.
    pub fifos: bool,
}

impl Reader {
    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut settings = Self {
            bytes: 1000,
            fifos: true,
        };
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("bytes", value)) => settings.bytes = number("bytes", value)?,
                None if word == "no-fifos" => settings.fifos = false,
                _ => return Err(Error::Word(word, READER_KEYS)),
            }
        }
        Ok(settings)
    }
}

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
    fn every_checker_key_counts() {
        let bootargs = "workload=bursts seed=7  windows=20 exits=3 p=29 work=70 timer=8 fault=5 \
                        verbose registers=sme sve-percent=1 sme-percent=2 vl=384 svl=vary";
        let expected = Checker {
            workload: Workload::Bursts,
            seed: 7,
            windows: 20,
            exits: 3,
            percent: 29,
            work: 70,
            timer: Some(8),
            fault: Some(5),
            verbose: true,
            registers: RegisterSet::Sme,
            shares: Shares { sme: 2, sve: 1 },
            length: Length::Bits(384),
            streaming_length: Length::Vary,
        };
        assert_eq!(Checker::parse(bootargs), Ok(expected));
        assert_eq!(Checker::parse(""), Ok(Checker::DEFAULT));
    }

    #[test]
    fn every_streaming_key_counts() {
        let expected = Streaming {
            registers: RegisterSet::Sve,
            seed: 3,
            windows: 9,
            fault: Some(4),
        };
        let bootargs = "registers=sve seed=3 windows=9 fault=4";
        assert_eq!(Streaming::parse(bootargs), Ok(expected));
        assert_eq!(Streaming::parse(""), Ok(Streaming::DEFAULT));
        let unknown = format!("{}", Streaming::parse("vl=max").unwrap_err());
        assert_eq!(
            unknown,
            format!("unknown word \"vl=max\"; one of {STREAMING_KEYS}")
        );
    }

    #[test]
    fn every_bench_key_counts() {
        let expected = Bench {
            rounds: 5,
            only: Some("hvc-null"),
            partner: Some(Use::Fp),
        };
        let bootargs = "only=hvc-null rounds=5 partner=fp";
        assert_eq!(Bench::parse(bootargs), Ok(expected));
    }

    #[test]
    fn every_reader_key_counts() {
        let expected = Reader {
            bytes: 7,
            fifos: false,
        };
        assert_eq!(Reader::parse("no-fifos bytes=7"), Ok(expected));
        assert_eq!(Reader::parse("").map(|settings| settings.fifos), Ok(true));
        let error = Reader::parse("fifos=on").map_err(|error| format!("{error}"));
        assert_eq!(
            error,
            Err("unknown word \"fifos=on\"; one of bytes, no-fifos".into())
        );
    }

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
        assert_eq!(
            checker("quiet"),
            format!("unknown word \"quiet\"; one of {CHECKER_KEYS}")
        );
        let bench = |bootargs| format!("{}", Bench::parse(bootargs).unwrap_err());
        assert_eq!(bench("rounds=0"), "rounds=0; give 1 to 10000");
        assert_eq!(bench("partner=zz"), "partner=\"zz\"; give none, fp or sve");
        assert_eq!(
            bench("only"),
            format!("unknown word \"only\"; one of {BENCH_KEYS}")
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
