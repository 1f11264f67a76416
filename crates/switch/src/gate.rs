//! The gate, the FP/SIMD trap of `CPTR_EL2`, and when it has to be written.

use crate::Class;

/// Which of the guest's accesses to the registers trap to EL2.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Gate {
    /// All.
    Closed,
    /// Those to classes above this one.
    Open(Class),
}

impl Gate {
    /// The number of the class that is open, 0 for none: a bit for each class that it includes.
    #[inline]
    pub const fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Open(class) => class as u8,
        }
    }
}

impl From<Option<Class>> for Gate {
    #[inline]
    fn from(open: Option<Class>) -> Self {
        match open {
            Some(class) => Self::Open(class),
            None => Self::Closed,
        }
    }
}

/// How the gate of one core was last written, so that it is written only where it has to change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct GateRegister {
    /// The gate's number.
    number: u8,
}

impl GateRegister {
    /// Returns the register of a core whose gate is `gate`.
    pub const fn new(gate: Gate) -> Self {
        Self {
            number: gate.number(),
        }
    }

    /// Registers up to `class` are about to be moved, or used by the hypervisor itself. Returns
    /// whether the gate has to be opened for them first, and synchronised: a closed gate traps the
    /// hypervisor too.
    #[inline]
    #[must_use = "the gate has to be opened"]
    pub fn unlock(&mut self, class: Class) -> bool {
        let closed = self.number < class as u8;
        if closed {
            self.number = class as u8;
        }
        closed
    }

    /// The guest is about to be entered behind this gate. Returns whether it has to be written; the
    /// exception return synchronises it.
    #[inline]
    #[must_use = "the gate has to be written"]
    pub fn set(&mut self, gate: Gate) -> bool {
        let changes = self.number != gate.number();
        if changes {
            self.number = gate.number();
        }
        changes
    }
}
