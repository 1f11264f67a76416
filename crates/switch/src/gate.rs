//! The gate that stands between a guest and the registers, and when it has to be written.

/// Whether the guest's accesses to the FP/SIMD registers trap to EL2.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Gate {
    /// They do not.
    Open,
    /// They do.
    Closed,
}

/// How the gate of one core was last written, so that it is written only where it has to change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct GateRegister {
    gate: Gate,
}

impl GateRegister {
    /// Returns the register of a core whose gate stands as `gate`.
    pub const fn new(gate: Gate) -> Self {
        Self { gate }
    }

    /// The registers are about to be moved, or used by the hypervisor itself. Returns whether the
    /// gate has to be opened first, and synchronised: a closed gate traps the hypervisor too.
    #[inline]
    #[must_use = "the gate has to be opened"]
    pub fn unlock(&mut self) -> bool {
        self.set(Gate::Open)
    }

    /// The guest is about to be entered behind this gate. Returns whether it has to be written; the
    /// exception return synchronises it.
    #[inline]
    #[must_use = "the gate has to be written"]
    pub fn set(&mut self, gate: Gate) -> bool {
        let changes = self.gate != gate;
        if changes {
            self.gate = gate;
        }
        changes
    }
}
