//! What the checker is to do.

use super::{Error, length, number, percent};
use crate::classes::{Length, RegisterSet, Shares};
use crate::plan::{WORK_INSTRUCTIONS, Workload};
use crate::rng;

/// The keys that [`Checker`] knows.
const KEYS: &str = "workload, seed, windows, exits, p, work, timer, fault, verbose, \
     registers, sve-percent, sme-percent, vl, svl";

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
                _ => return Err(Error::Word(word, KEYS)),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
