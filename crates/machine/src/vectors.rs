//! Which register files a VM is offered: FP/SIMD, SVE and SME.

use std::{fmt, str::FromStr};

/// How much of SVE or SME there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Length {
    /// None.
    #[default]
    Off,
    /// The longest vectors that the core has.
    Max,
    /// Vectors of at most this many bits.
    Bits(u16),
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Max => f.write_str("max"),
            Self::Bits(bits) => bits.fmt(f),
        }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        match value {
            "off" => Ok(Self::Off),
            "max" => Ok(Self::Max),
            _ => value
                .parse()
                .ok()
                .filter(|bits: &u16| (128..=2048).contains(bits) && bits.is_multiple_of(128))
                .map(Self::Bits)
                .ok_or_else(|| {
                    "expected off, max or a number of bits, a multiple of 128 from 128 to 2048"
                        .to_string()
                }),
        }
    }
}

/// What a VM is offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegisterFiles {
    /// FP/SIMD.
    pub fp: bool,
    /// SVE.
    pub sve: Length,
    /// SME.
    pub sme: Length,
}

impl RegisterFiles {
    /// FP/SIMD alone.
    pub const FP: Self = Self {
        fp: true,
        sve: Length::Off,
        sme: Length::Off,
    };

    /// Whether there is SVE or SME.
    pub fn has_vectors(&self) -> bool {
        self.sve != Length::Off || self.sme != Length::Off
    }

    /// What differs from [`FP`](Self::FP), as settings of VM `number`, each with a space before it.
    pub fn settings(&self, number: usize) -> String {
        let Self { fp, sve, sme } = self;
        let mut words = String::new();
        if !fp {
            words += &format!(" vm{number}.fp=off");
        }
        for (name, length) in [("sve", sve), ("sme", sme)] {
            if *length != Length::Off {
                words += &format!(" vm{number}.{name}={length}");
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_off_max_or_a_multiple_of_128_bits() {
        for length in [
            Length::Off,
            Length::Max,
            Length::Bits(128),
            Length::Bits(2048),
        ] {
            assert_eq!(length.to_string().parse(), Ok(length));
        }
        for value in ["", "on", "100", "0", "2176"] {
            assert!(
                value.parse::<Length>().unwrap_err().contains("128"),
                "{value}"
            );
        }
    }

    #[test]
    fn only_what_differs_is_said() {
        assert_eq!(RegisterFiles::FP.settings(0), "");
        let all = RegisterFiles {
            fp: false,
            sve: Length::Max,
            sme: Length::Bits(256),
        };
        assert_eq!(all.settings(2), " vm2.fp=off vm2.sve=max vm2.sme=256");
    }
}
