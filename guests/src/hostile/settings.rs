//! What the hostile guest is told by its bootargs.

use super::Kinds;
use crate::bootargs::{Error, number};

/// The keys that [`Settings`] knows.
const KEYS: &str = "seed, operations, kinds, vcpus";

/// vCPUs that there is room for.
const MAX_VCPUS: u64 = 8;

/// What the hostile guest is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// `seed=N`: where the generator starts.
    pub seed: u64,
    /// `operations=N`: how many operations to try.
    pub operations: u64,
    /// `kinds=NAME,...`: which kinds of operations.
    pub kinds: Kinds,
    /// `vcpus=N`: how many vCPUs share them.
    pub vcpus: u64,
}

impl Settings {
    /// What it does without bootargs.
    pub const DEFAULT: Self = Self {
        seed: 1,
        operations: 10_000,
        kinds: Kinds::DEFAULT,
        vcpus: 1,
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
                Some(("seed", value)) => settings.seed = number("seed", value)?,
                Some(("operations", value)) => settings.operations = number("operations", value)?,
                Some(("vcpus", value)) => {
                    settings.vcpus = number("vcpus", value)?;
                    if !(1..=MAX_VCPUS).contains(&settings.vcpus) {
                        return Err(Error::Vcpus(value));
                    }
                }
                Some(("kinds", names)) => {
                    settings.kinds = names.parse().map_err(|()| Error::Kinds(names))?;
                }
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
    fn every_key_counts() {
        let expected = Settings {
            seed: 7,
            operations: 20,
            kinds: "mmio,wfi".parse().unwrap(),
            vcpus: 2,
        };
        let parsed = Settings::parse("seed=7 operations=20 vcpus=2 kinds=wfi,mmio");
        assert_eq!(parsed, Ok(expected));
        assert_eq!(Settings::parse(""), Ok(Settings::DEFAULT));
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = |bootargs| format!("{}", Settings::parse(bootargs).unwrap_err());
        assert_eq!(
            error("kinds=hvc,magic"),
            "unknown kinds \"hvc,magic\"; names with commas between them, of hvc, smc, sysreg, mmio, \
             stage2, gic, mmu, jump, storm, wfi, user, reset, and not reset alone"
        );
        assert_eq!(
            error("operations=x"),
            "operations=\"x\" is not a number; give operations=N"
        );
        assert_eq!(error("vcpus=9"), "vcpus=9; give 1 to 8");
        assert_eq!(error("n=1"), format!("unknown word \"n=1\"; one of {KEYS}"));
    }
}
