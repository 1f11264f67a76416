//! What a profile's costs are counted in, and how sure they are.

use serde::{Deserialize, Serialize};

/// What costs are counted in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Clock cycles of a real core.
    Cycles,
    /// Instructions of an emulated one.
    Instructions,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 2] = [Self::Cycles, Self::Instructions];

    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Instructions => "instructions",
        }
    }
}

/// What the figure for a trap is of, and so on which side of an FP trap's cost it lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrapIs {
    /// Of a trap of an FP instruction.
    Trap,
    /// Of more than that, such as a whole hypercall: an FP trap costs no more.
    AtMost,
    /// Of a part of it, such as an entry to EL2 and a return: an FP trap costs no less.
    AtLeast,
}

impl TrapIs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Trap, Self::AtMost, Self::AtLeast];

    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::AtMost => "at-most",
            Self::AtLeast => "at-least",
        }
    }

    /// The sign before T, with a space behind it; nothing where it is T.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Trap => "",
            Self::AtMost => "≤ ",
            Self::AtLeast => "≥ ",
        }
    }

    /// The sign before p\*, which falls as T rises.
    pub const fn sign_of_break_even(self) -> &'static str {
        match self {
            Self::Trap => "",
            Self::AtMost => "≥ ",
            Self::AtLeast => "≤ ",
        }
    }
}

/// How sure a figure is, the surest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Measured by the author of the profile.
    Measured,
    /// Read in the source that is named.
    #[serde(rename = "read in the source")]
    Read,
    /// A third party's citation of the source was read.
    #[serde(rename = "cited by a third party")]
    Cited,
    /// Computed from such figures, or from several of them.
    Derived,
    /// Recalled, and checked nowhere.
    Recalled,
}

impl Certainty {
    /// Every certainty, the surest first.
    pub const ALL: [Self; 5] = [
        Self::Measured,
        Self::Read,
        Self::Cited,
        Self::Derived,
        Self::Recalled,
    ];

    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Read => "read in the source",
            Self::Cited => "cited by a third party",
            Self::Derived => "derived",
            Self::Recalled => "recalled",
        }
    }

    /// Its mark, for tables.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Measured => "[M]",
            Self::Read => "[V]",
            Self::Cited => "[C]",
            Self::Derived => "[D]",
            Self::Recalled => "[?]",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_profiles_use_the_same_names() {
        for unit in Unit::ALL {
            assert_eq!(serde_json::to_value(unit).unwrap(), unit.name());
        }
        for trap_is in TrapIs::ALL {
            assert_eq!(serde_json::to_value(trap_is).unwrap(), trap_is.name());
        }
        for certainty in Certainty::ALL {
            assert_eq!(serde_json::to_value(certainty).unwrap(), certainty.name());
        }
    }
}
