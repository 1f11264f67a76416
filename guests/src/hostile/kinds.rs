//! The kinds of operations, and sets of them.

use core::fmt;
use core::str::FromStr;

/// A kind of operation: a surface that EL2 shows to a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// HVC with any immediate and any registers, PSCI's functions with any arguments.
    Hvc,
    /// SMC, likewise.
    Smc,
    /// MRS, MSR, SYS and SYSL of every encoding with op0 from 1 to 3.
    Sysreg,
    /// Loads and stores of every form in and beside the emulated devices.
    Mmio,
    /// Loads and stores where there is nothing, anywhere in 48 bits.
    Stage2,
    /// Any values in the registers of the GIC, in memory and in the CPU interface.
    Gic,
    /// The MMU off, and on again; walks of tables that lie nowhere.
    Mmu,
    /// Jumps to where there is nothing.
    Jump,
    /// Interrupts to itself that are taken over and over, acknowledged or not.
    Storm,
    /// WFI with interrupts masked.
    Wfi,
    /// Random instructions at EL0, in AArch64 and AArch32 state.
    User,
    /// SYSTEM_RESET, once, in place of the end.
    Reset,
}

impl Kind {
    /// Every kind with its name and how often it is chosen, in parts of all. Those of no part happen
    /// at the end only.
    pub const ALL: [(Self, &'static str, u64); 12] = [
        (Self::Hvc, "hvc", 8),
        (Self::Smc, "smc", 4),
        (Self::Sysreg, "sysreg", 24),
        (Self::Mmio, "mmio", 24),
        (Self::Stage2, "stage2", 12),
        (Self::Gic, "gic", 16),
        (Self::Mmu, "mmu", 4),
        (Self::Jump, "jump", 4),
        (Self::Storm, "storm", 4),
        (Self::Wfi, "wfi", 1),
        (Self::User, "user", 4),
        (Self::Reset, "reset", 0),
    ];
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kinds(u16);

impl Kinds {
    /// All but [`Kind::Reset`].
    pub const DEFAULT: Self = Self((1 << Kind::Reset as u16) - 1);

    /// Whether `kind` is among them.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// All of them but `kind`, unless nothing would be left to choose from.
    #[must_use]
    pub fn without(self, kind: Kind) -> Self {
        let others = Self(self.0 & !(1 << kind as u16));
        if others.parts() > 0 { others } else { self }
    }

    /// The kind that the number `choice` stands for; all numbers below [`Kinds::parts`] have one.
    #[must_use]
    pub fn choose(self, choice: u64) -> Option<Kind> {
        let mut left = choice;
        for (kind, _, parts) in Kind::ALL {
            if self.contains(kind) {
                if left < parts {
                    return Some(kind);
                }
                left -= parts;
            }
        }
        None
    }

    /// The parts of all of its kinds together.
    #[must_use]
    pub fn parts(self) -> u64 {
        let members = Kind::ALL.iter().filter(|(kind, ..)| self.contains(*kind));
        members.map(|(_, _, parts)| parts).sum()
    }
}

impl FromStr for Kinds {
    type Err = ();

    /// Reads names with commas between them; at least one of them has to be an operation of its own.
    fn from_str(names: &str) -> Result<Self, ()> {
        let mut kinds = Self(0);
        for name in names.split(',') {
            let known = Kind::ALL.iter().find(|(_, known, _)| *known == name);
            kinds.0 |= 1 << known.ok_or(())?.0 as u16;
        }
        (kinds.parts() > 0).then_some(kinds).ok_or(())
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (kind, name, _) in Kind::ALL {
            if self.contains(kind) {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn names_round_trip() {
        for names in ["hvc", "mmio,gic,storm", "wfi,reset"] {
            assert_eq!(format!("{}", names.parse::<Kinds>().unwrap()), names);
        }
        for names in ["", "reset", "hvc,", "magic"] {
            assert_eq!(names.parse::<Kinds>(), Err(()), "{names}");
        }
        assert!(!Kinds::DEFAULT.contains(Kind::Reset));
        assert!(Kinds::DEFAULT.contains(Kind::User));
        assert!(!Kinds::DEFAULT.without(Kind::User).contains(Kind::User));
        let alone: Kinds = "user,reset".parse().unwrap();
        assert_eq!(alone.without(Kind::User), alone);
    }

    #[test]
    fn every_choice_is_a_member_and_every_member_is_chosen() {
        for names in [
            "smc,wfi",
            "hvc,smc,sysreg,mmio,stage2,gic,mmu,jump,storm,wfi,user",
        ] {
            let kinds: Kinds = names.parse().unwrap();
            let mut chosen = Kinds(0);
            for choice in 0..kinds.parts() {
                let kind = kinds.choose(choice).unwrap();
                assert!(kinds.contains(kind));
                chosen.0 |= 1 << kind as u16;
            }
            assert_eq!(chosen, kinds);
            assert_eq!(kinds.choose(kinds.parts()), None);
        }
    }
}
