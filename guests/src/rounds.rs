//! Rounds: what a guest is told that does the same things again and again, each time by other random numbers.

use crate::bootargs::{Error, number};

/// The words that [`Rounds`] knows.
const WORDS: &str = "seed=, rounds=, reset";

/// What such a guest is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rounds {
    /// `seed=N`: where the generator starts.
    pub seed: u64,
    /// `rounds=N`: how many rounds.
    pub rounds: u64,
    /// `reset`: after them, reset the VM once, and do it all again.
    pub reset: bool,
}

impl Rounds {
    /// What holds without bootargs.
    pub const DEFAULT: Self = Self {
        seed: 1,
        rounds: 100,
        reset: false,
    };

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// Names the first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, Error<'_>> {
        let mut rounds = Self::DEFAULT;
        for word in bootargs.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("seed", value)) => rounds.seed = number("seed", value)?,
                Some(("rounds", value)) => rounds.rounds = number("rounds", value)?,
                None if word == "reset" => rounds.reset = true,
                _ => return Err(Error::Word(word, WORDS)),
            }
        }
        Ok(rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn every_word_counts() {
        let expected = Rounds {
            seed: 7,
            rounds: 20,
            reset: true,
        };
        assert_eq!(Rounds::parse("seed=7 reset rounds=20"), Ok(expected));
        assert_eq!(Rounds::parse(""), Ok(Rounds::DEFAULT));
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = |bootargs| format!("{}", Rounds::parse(bootargs).unwrap_err());
        assert_eq!(
            error("rounds=x"),
            "rounds=\"x\" is not a number; give rounds=N"
        );
        assert_eq!(
            error("again"),
            "unknown word \"again\"; one of seed=, rounds=, reset"
        );
    }
}
