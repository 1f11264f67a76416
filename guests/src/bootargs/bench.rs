//! What the bench is to measure.

use super::{Error, number};

/// The keys that [`Bench`] knows.
const KEYS: &str = "rounds, only, partner, count=off";

/// What the bench is to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bench<'a> {
    /// `rounds=N`: measured rounds of each benchmark.
    pub rounds: usize,
    /// `only=NAME`: the one benchmark to run.
    pub only: Option<&'a str>,
    /// `partner=USE`: no benchmark, but the other VM of one.
    pub partner: Option<Use>,
    /// Whether it counts by the PMU; `count=off`: somebody counts who sees it from outside.
    pub count: bool,
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
            count: true,
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
                Some(("count", "off")) => settings.count = false,
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
    fn every_bench_key_counts() {
        let expected = Bench {
            rounds: 5,
            only: Some("hvc-null"),
            partner: Some(Use::Fp),
            count: false,
        };
        let bootargs = "only=hvc-null rounds=5 partner=fp count=off";
        assert_eq!(Bench::parse(bootargs), Ok(expected));
    }
}
