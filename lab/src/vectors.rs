//! Which register files a VM is offered: FP/SIMD, SVE and SME.

use std::fmt;

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
