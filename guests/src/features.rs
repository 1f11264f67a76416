//! Features: what a guest is told that its CPU has, so that it can check that it does.

use core::fmt;

use crate::vectors::MAX_GRANULES;

/// How much of an extension there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offered {
    /// `off`: none; its instructions and registers are undefined.
    No,
    /// `max`: with whatever vector lengths.
    Max,
    /// `BITS`: with this as its longest vector.
    Bits(usize),
}

impl Offered {
    /// Whether there is any.
    #[must_use]
    pub fn is_there(self) -> bool {
        self != Self::No
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::No),
            "max" => Some(Self::Max),
            _ => {
                let bits: usize = text.parse().ok()?;
                let known = bits.is_multiple_of(128) && (1..=MAX_GRANULES).contains(&(bits / 128));
                known.then_some(Self::Bits(bits))
            }
        }
    }
}

/// What there has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Features {
    /// `fp=on|off`: FP/SIMD.
    pub fp: bool,
    /// `sve=off|max|BITS`.
    pub sve: Offered,
    /// `sme=off|max|BITS`.
    pub sme: Offered,
    /// `rounds=N`: how often to check, with a WFI between.
    pub rounds: u64,
    /// `bare`: no hypervisor hides what is shown to no guest.
    pub bare: bool,
}

impl Features {
    /// What holds without bootargs.
    pub const DEFAULT: Self = Self {
        fp: true,
        sve: Offered::No,
        sme: Offered::No,
        rounds: 1,
        bare: false,
    };

    /// Reads bootargs: words separated by spaces, in any order; the last of two equal keys counts.
    ///
    /// # Errors
    ///
    /// The first word that cannot be followed.
    pub fn parse(bootargs: &str) -> Result<Self, UnknownWord<'_>> {
        let mut features = Self::DEFAULT;
        for word in bootargs.split_ascii_whitespace() {
            features.apply(word).ok_or(UnknownWord(word))?;
        }
        Ok(features)
    }

    fn apply(&mut self, word: &str) -> Option<()> {
        if word == "bare" {
            self.bare = true;
            return Some(());
        }
        match word.split_once('=')? {
            ("fp", "on") => self.fp = true,
            ("fp", "off") => self.fp = false,
            ("sve", value) => self.sve = Offered::parse(value)?,
            ("sme", value) => self.sme = Offered::parse(value)?,
            ("rounds", value) => self.rounds = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

/// A word of the bootargs that cannot be followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownWord<'a>(pub &'a str);

impl fmt::Display for UnknownWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown word \"{}\"; one of fp=on|off, sve=off|max|BITS, sme=off|max|BITS, rounds=N, bare",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn every_key_counts() {
        let expected = Features {
            fp: false,
            sve: Offered::Max,
            sme: Offered::Bits(512),
            rounds: 7,
            bare: true,
        };
        assert_eq!(
            Features::parse("fp=off sve=max sme=512 rounds=7 bare"),
            Ok(expected)
        );
        assert_eq!(Features::parse(""), Ok(Features::DEFAULT));
    }

    #[test]
    fn what_is_unknown_is_named() {
        for bad in [
            "fp",
            "fp=yes",
            "sve=on",
            "sve=100",
            "sme=4096",
            "rounds=-1",
            "x=1",
        ] {
            assert_eq!(Features::parse(bad), Err(UnknownWord(bad)));
        }
    }

    proptest! {
        #![proptest_config(crate::fixed_seed())]

        #[test]
        fn no_text_panics(bootargs: String) {
            let _ = Features::parse(&bootargs).map_err(|error| format!("{error}"));
        }
    }
}
