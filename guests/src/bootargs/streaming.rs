//! What the guest that tries accesses under every setting is to do.

use super::{Error, number};
use crate::classes::RegisterSet;

/// The keys that [`Streaming`] knows.
const KEYS: &str = "registers, seed, windows, fault";

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
                _ => return Err(Error::Word(word, KEYS)),
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
        assert_eq!(unknown, format!("unknown word \"vl=max\"; one of {KEYS}"));
    }
}
