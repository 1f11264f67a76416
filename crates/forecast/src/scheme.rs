//! The schemes by name, and what is fixed about each: its kind of window, and when it gives the
//! registers back.

use core::{fmt, str::FromStr};

/// A rule for switching a guest's FP/SIMD registers.
///
/// [`docs/schemes.md`](https://github.com/trapcast/trapcast/blob/main/docs/schemes.md) has each rule event by event, and where it was used.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u32)]
pub enum Scheme {
    /// Never switches and never traps: the negative control, which corrupts and leaks.
    None = 0,
    /// Switches on every entry and every exit.
    Eager,
    /// Traps the first use after every entry; the host has its registers back on every exit.
    PerEntry,
    /// As [`PerEntry`](Self::PerEntry), but the entry after a window that trapped is eager.
    LastTrap,
    /// Traps the first use after the load of the vCPU; keeps the registers until its put.
    UntilPut,
    /// As [`UntilPut`](Self::UntilPut), but loads eagerly once five windows in a row used the
    /// registers, until an 8-bit count of them wraps.
    Counter,
    /// As [`UntilPut`](Self::UntilPut), but a trap buys 64 windows that are loaded eagerly.
    Credit,
    /// The registers stay with their last owner, across put and load, until another owner uses them.
    Owner,
    /// As [`Owner`](Self::Owner), but an entry that finds another owner's registers in the CPU loads
    /// the guest's if that is expected to cost less.
    Forecast,
    /// As [`Owner`](Self::Owner), but an entry that finds another owner's registers in the CPU loads the
    /// guest's: nothing traps.
    EagerOwner,
    /// As [`UntilPut`](Self::UntilPut), but the first entry after the load of the vCPU loads the registers:
    /// nothing traps.
    EagerUntilPut,
    /// As [`UntilPut`](Self::UntilPut), but the put saves the guest's registers and loads nobody's.
    Kvm,
}

/// What one decision of a scheme covers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Window {
    /// From an entry into the guest to the exit that ends it.
    Entry,
    /// From the load of the vCPU onto a core to its put.
    Load,
    /// From an entry that finds another owner's registers in the CPU until the guest uses its own, is
    /// asked again at an entry that finds the same, or is put.
    Absence,
}

/// When a scheme gives the CPU's registers back to the host.
///
/// Each has a bit of its own, as a bit is faster to test than a number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Release {
    /// On every exit.
    Exit = 0,
    /// When the vCPU is put.
    Put = 0b0001,
    /// They are saved when the vCPU is put, and nobody's are loaded; the host's come back when it uses them.
    Drop = 0b0010,
    /// Only when another owner uses them.
    OnDemand = 0b0100,
    /// The scheme does not manage the registers at all.
    Unmanaged = 0b1000,
}

impl Release {
    /// Whether it is [`Put`](Self::Put).
    #[inline]
    pub const fn gives_back_at_put(self) -> bool {
        self as u8 & Self::Put as u8 != 0
    }
}

impl Scheme {
    /// Every scheme, in the order in which tables show them.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Eager,
        Self::PerEntry,
        Self::LastTrap,
        Self::UntilPut,
        Self::EagerUntilPut,
        Self::Kvm,
        Self::Counter,
        Self::Credit,
        Self::Owner,
        Self::EagerOwner,
        Self::Forecast,
    ];

    /// Those of others: all that have a [`Rule`](crate::Rule).
    pub const RULES: [Self; Self::ALL.len() - 1] = {
        let [rules @ .., Self::Forecast] = Self::ALL else {
            panic!("forecast is not last")
        };
        rules
    };

    /// The name by which users choose the scheme.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Eager => "eager",
            Self::PerEntry => "per-entry",
            Self::LastTrap => "last-trap",
            Self::UntilPut => "until-put",
            Self::Counter => "counter",
            Self::Credit => "credit",
            Self::Owner => "owner",
            Self::Forecast => "forecast",
            Self::EagerOwner => "eager-owner",
            Self::EagerUntilPut => "eager-until-put",
            Self::Kvm => "kvm",
        }
    }

    /// What one decision of this scheme covers.
    pub const fn window(self) -> Window {
        match self {
            Self::None | Self::Eager | Self::PerEntry | Self::LastTrap => Window::Entry,
            Self::UntilPut
            | Self::EagerUntilPut
            | Self::Kvm
            | Self::Counter
            | Self::Credit
            | Self::Owner => Window::Load,
            Self::EagerOwner | Self::Forecast => Window::Absence,
        }
    }

    /// When this scheme gives the registers back to the host.
    pub const fn release(self) -> Release {
        match self {
            Self::None => Release::Unmanaged,
            Self::Eager | Self::PerEntry | Self::LastTrap => Release::Exit,
            Self::UntilPut | Self::EagerUntilPut | Self::Counter | Self::Credit => Release::Put,
            Self::Kvm => Release::Drop,
            Self::Owner | Self::EagerOwner | Self::Forecast => Release::OnDemand,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No scheme has this number or name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownScheme;

impl fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown scheme; one of")?;
        for scheme in Scheme::ALL {
            write!(f, " {scheme}")?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownScheme {}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(name: &str) -> Result<Self, UnknownScheme> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == name)
            .ok_or(UnknownScheme)
    }
}

/// The scheme of a number, as a configuration holds it. [`None`](Scheme::None), which leaks registers, is no choice of
/// a configuration's: 0 is what one holds that nobody has filled in.
impl TryFrom<u32> for Scheme {
    type Error = UnknownScheme;

    fn try_from(number: u32) -> Result<Self, UnknownScheme> {
        Self::ALL
            .into_iter()
            .find(|scheme| *scheme as u32 == number && *scheme != Self::None)
            .ok_or(UnknownScheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_their_scheme() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            let expected = match scheme {
                Scheme::None => Err(UnknownScheme),
                _ => Ok(scheme),
            };
            assert_eq!(Scheme::try_from(scheme as u32), expected);
        }
        // Settings and reports hold numbers: none ever changes its meaning.
        let numbers = Scheme::ALL.map(|scheme| scheme as u32);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 10, 11, 5, 6, 7, 9, 8]);
        assert_eq!(
            Scheme::try_from(Scheme::ALL.len() as u32),
            Err(UnknownScheme)
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let sentence = "lazy".parse::<Scheme>().unwrap_err().to_string();
        for scheme in Scheme::ALL {
            assert!(sentence.contains(scheme.name()), "{sentence}");
        }
    }
}
