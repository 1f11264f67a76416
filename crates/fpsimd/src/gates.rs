//! The gates of the three classes, each opened or closed apart: CPTR_EL2 for any [`Opening`].

use crate::{Cptr, Opening};

/// The values of CPTR_EL2 for every [`Opening`].
///
/// A hypervisor that only opens and closes one set of classes takes [`Cptr`], which this makes.
///
/// The order of the classes is the architecture's: an open SVE gate implies FP/SIMD, and so does an
/// open SME gate, by which a guest could enter streaming mode, which zeroes all Z registers. So open a
/// gate only for a guest whose registers of that class *and of those below* are in the core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gates {
    values: [u64; 8],
}

impl Gates {
    /// Returns the values for HCR_EL2.E2H as it is set.
    pub const fn new(e2h: bool) -> Self {
        let mut values = [0; 8];
        let mut index = 0;
        while index < values.len() {
            values[index] = Opening::from_index(index).cptr(e2h);
            index += 1;
        }
        Self { values }
    }

    /// Returns the register's value for this opening.
    #[inline]
    pub const fn value(&self, opening: Opening) -> u64 {
        self.values[opening.index()]
    }

    /// Returns the two values that [`Cptr::new`] would for this opening.
    pub const fn cptr(&self, open: Opening) -> Cptr {
        Cptr::of(self.value(open), self.value(Opening::NONE))
    }
}

#[cfg(any(target_arch = "aarch64", doc))]
impl Gates {
    /// Sets the gates for the guest. Takes effect at the exception return, which synchronizes.
    ///
    /// # Safety
    /// Runs at EL2, with HCR_EL2.E2H as given to [`Gates::new`]. The guest entered next may see and
    /// change the registers of each class that is opened.
    #[inline]
    pub unsafe fn set(&self, opening: Opening) {
        let value = self.value(opening);
        // SAFETY: CPTR_EL2 is accessible at EL2 and changes what traps; memory and flags stay.
        unsafe {
            core::arch::asm!("msr cptr_el2, {}", in(reg) value, options(nostack, preserves_flags));
        }
    }

    /// Opens the gates for EL2 itself, at once. Closed ones trap EL2's own moves too.
    ///
    /// # Safety
    /// As for [`set`](Self::set).
    #[inline]
    pub unsafe fn unlock(&self, opening: Opening) {
        // SAFETY: as above; the ISB makes the write visible to the instructions that follow.
        unsafe {
            self.set(opening);
            core::arch::asm!("isb", options(nostack, preserves_flags));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opening_has_its_own_value() {
        for e2h in [false, true] {
            let gates = Gates::new(e2h);
            for index in 0..8 {
                let opening = Opening::from_index(index);
                assert_eq!(opening.index(), index);
                assert_eq!(gates.value(opening), opening.cptr(e2h));
                assert_eq!(gates.cptr(opening), Cptr::new(e2h, opening));
            }
        }
    }

    #[test]
    fn what_zeroes_z_registers_is_not_open_while_they_are_closed() {
        let sme = Opening {
            sme: true,
            ..Opening::NONE
        };
        for e2h in [false, true] {
            assert_eq!(sme.cptr(e2h), Opening { fp: true, ..sme }.cptr(e2h));
        }
    }
}
