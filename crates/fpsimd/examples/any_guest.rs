//! A lazy switch for guests of every kind on one core: with FP/SIMD alone, with SVE, with SME. It holds
//! code for AArch64 alone and is empty elsewhere.
#![no_std]
#![cfg(target_arch = "aarch64")]

use trapcast_fpsimd::{Area, Gates, Opening};

/// What one physical core needs to know.
pub struct VectorCore {
    gates: Gates,
    host: Area,
    owner: Area,
}

impl VectorCore {
    /// At boot, at EL2, with HCR_EL2.E2H as you have set it and SVCR = 0.
    pub const fn new(e2h: bool, host: Area) -> Self {
        Self {
            gates: Gates::new(e2h),
            host,
            owner: host,
        }
    }

    /// Before each return into a guest. If its registers are not in the core, everything traps.
    ///
    /// # Safety
    /// `guest` is valid for as long as the core may hold its registers.
    pub unsafe fn before_entry(&self, guest: Area) {
        // SAFETY: at EL2, with E2H as given to `new`. Open gates mean that the registers are the
        // guest's.
        unsafe {
            self.gates.set(if self.owner == guest {
                guest.opening()
            } else {
                Opening::NONE
            });
        }
    }

    /// At an exception from the guest with ESR_EL2.EC = 0x07, 0x19 or 0x1d, if the guest has that
    /// class; else it gets an UNDEFINED exception. Then return to the same instruction.
    ///
    /// # Safety
    /// As for [`before_entry`](Self::before_entry).
    pub unsafe fn trapped(&mut self, guest: Area) {
        // SAFETY: as in `before_entry`; the areas are register files, the gates that both need are
        // open, and the build is soft-float.
        unsafe {
            self.gates
                .unlock(self.owner.opening().union(guest.opening()));
            self.owner.exchange(guest);
        }
        self.owner = guest;
    }

    /// When the host wants its registers back, or the vCPU moves to another core.
    ///
    /// # Safety
    /// As for [`before_entry`](Self::before_entry).
    pub unsafe fn give_back(&mut self) {
        if self.owner != self.host {
            // SAFETY: as in `trapped`.
            unsafe { self.trapped(self.host) }
        }
    }
}
