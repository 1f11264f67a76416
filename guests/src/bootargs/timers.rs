//! What the guest `timers` is to do.

use core::fmt;

use super::{Error, number};

/// The keys that [`Timers`] knows.
const KEYS: &str = "checks, seed, rounds";

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
                _ => return Err(Error::Word(word, KEYS)),
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
