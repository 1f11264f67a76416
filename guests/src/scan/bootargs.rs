//! What a scan is told.

use crate::bootargs::{Error, number};

/// The words that [`Settings`] knows.
const WORDS: &str = "role=, seed=, rounds=, start=, pause=, reset";

/// What a guest does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// `writer`: writes all registers, and looks whether they stay so.
    Writer,
    /// `reader`: looks whether any changes.
    Reader,
}

/// What a scan is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `role=`: which of both.
    pub role: Role,
    /// `seed=N`: where the markers start.
    pub seed: u64,
    /// `rounds=N`: how many.
    pub rounds: u64,
    /// `start=MICROSECONDS`: when writing begins, by the board's counter; each reader has read all once by then.
    pub start: u64,
    /// `pause=MICROSECONDS`: for how long others run between two readings.
    pub pause: u64,
    /// `reset`: reset the VM once, after its rounds.
    pub reset: bool,
}

impl Settings {
    /// What holds without bootargs: that of a board without a hypervisor.
    pub const DEFAULT: Self = Self {
        role: Role::Writer,
        seed: 1,
        rounds: 2,
        start: 0,
        pause: 1000,
        reset: false,
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
                Some(("role", "writer")) => settings.role = Role::Writer,
                Some(("role", "reader")) => settings.role = Role::Reader,
                Some(("seed", value)) => settings.seed = number("seed", value)?,
                Some(("rounds", value)) => settings.rounds = number("rounds", value)?,
                Some(("start", value)) => settings.start = number("start", value)?,
                Some(("pause", value)) => settings.pause = number("pause", value)?,
                None if word == "reset" => settings.reset = true,
                _ => return Err(Error::Word(word, WORDS)),
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn every_word_counts() {
        let told = "role=reader seed=3 rounds=4 start=5 pause=6 reset";
        let expected = Settings {
            role: Role::Reader,
            seed: 3,
            rounds: 4,
            start: 5,
            pause: 6,
            reset: true,
        };
        assert_eq!(Settings::parse(told), Ok(expected));
        assert_eq!(Settings::parse("role=writer"), Ok(Settings::DEFAULT));
        let error = format!("{}", Settings::parse("role=x").unwrap_err());
        assert_eq!(error, format!("unknown word \"role=x\"; one of {WORDS}"));
    }
}
