//! What deciding costs: the instructions that EL2 takes under each scheme beyond those that move registers, trap, or
//! set the gate.

use trapcast_forecast::Scheme;

/// Instructions of EL2 by which a scheme costs more than `owner`, which decides nothing, on the same events.
///
/// Written from what `cargo xtask bench` counts under QEMU on `neoverse-n1`; `docs/profiles.md` says how. The test
/// `the_table_of_decisions_still_holds` measures it again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Decision {
    /// Each time that the scheme is asked at an entry.
    pub asked: u32,
    /// Each time that it is told what became of a window.
    pub told: u32,
}

impl Decision {
    /// Returns what `scheme` takes.
    pub const fn of(scheme: Scheme) -> Self {
        let (asked, told) = match scheme {
            Scheme::None => (50, 0),
            Scheme::Eager => (84, 0),
            Scheme::PerEntry => (48, 0),
            Scheme::LastTrap => (54, 0),
            Scheme::UntilPut | Scheme::Owner | Scheme::EagerOwner => (0, 0),
            Scheme::EagerUntilPut => (38, 0),
            Scheme::Kvm => (19, 0),
            Scheme::Counter => (10, 0),
            Scheme::Credit => (7, 0),
            Scheme::Forecast => (32, 34),
        };
        Self { asked, told }
    }

    /// Returns the instructions of so many decisions, and of as many outcomes as it was told.
    pub const fn instructions(self, asked: u64, told: u64) -> u64 {
        (self.asked as u64)
            .saturating_mul(asked)
            .saturating_add((self.told as u64).saturating_mul(told))
    }
}
