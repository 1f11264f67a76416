//! What trapping and moving one class of registers costs on one machine.

/// The costs of one register class at one size, all in the same unit: cycles of a real core, or
/// instructions of an emulated one.
///
/// A use of registers that are elsewhere, behind a closed gate, costs `trap + gate + isb` and then
/// `save + load`; a load at the entry costs `save + load`, and `gate + isb` before it if the gate
/// was closed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Costs {
    /// A trap from the guest to EL2 and back, without what it moves or writes there.
    pub trap: u32,
    /// The same where the registers are in the CPU already and only the gate was armed.
    pub probe: u32,
    /// Saving the registers.
    pub save: u32,
    /// Loading them.
    pub load: u32,
    /// Writing the gate: CPTR_EL2, or CPACR_EL1 where HCR_EL2.E2H = 1.
    pub gate: u32,
    /// The ISB that synchronises the gate at EL2.
    pub isb: u32,
}

impl Costs {
    /// Nothing costs anything.
    pub const FREE: Self = Self {
        trap: 0,
        probe: 0,
        save: 0,
        load: 0,
        gate: 0,
        isb: 0,
    };

    /// Returns the costs of a larger register file, one of `bytes` where this one has `of`: saving and
    /// loading it takes in proportion.
    ///
    /// # Panics
    /// If `of` is zero.
    pub const fn scaled(&self, bytes: u32, of: u32) -> Self {
        Self {
            save: scale(self.save, bytes, of),
            load: scale(self.load, bytes, of),
            ..*self
        }
    }

    /// Returns what an exchange costs: one save and one load.
    pub const fn exchange(&self) -> u64 {
        self.save as u64 + self.load as u64
    }

    /// Returns what opening the gate at EL2 costs.
    pub const fn unlock(&self) -> u64 {
        self.gate as u64 + self.isb as u64
    }
}

const fn scale(cost: u32, bytes: u32, of: u32) -> u32 {
    let cost = cost as u64 * bytes as u64 / of as u64;
    if cost > u32::MAX as u64 {
        u32::MAX
    } else {
        cost as u32
    }
}
