//! A lazy switch for guests of every kind on one core: with FP/SIMD alone, with SVE, with SME. It holds
//! code for AArch64 alone and is empty elsewhere.
#![no_std]
#![cfg(target_arch = "aarch64")]

use core::ptr::NonNull;

use trapcast_fpsimd::{Gates, Opening, RegisterFile};

/// What one physical core needs to know.
pub struct VectorCore {
    gates: Gates,
    host: NonNull<RegisterFile>,
    owner: NonNull<RegisterFile>,
}

impl VectorCore {
    /// At boot, at EL2, with HCR_EL2.E2H as you have set it and SVCR = 0. The host's file is
    /// `RegisterFile::with_fp(FpSimd::ZERO)`.
    pub const fn new(e2h: bool, host: NonNull<RegisterFile>) -> Self {
        Self {
            gates: Gates::new(e2h),
            host,
            owner: host,
        }
    }

    /// Before each return into a guest. If its registers are not in the core, everything traps.
    ///
    /// # Safety
    /// `guest` and the host's file are valid, and this core's alone, for as long as it may hold their
    /// registers.
    pub unsafe fn before_entry(&self, guest: NonNull<RegisterFile>) {
        // SAFETY: at EL2, with E2H as given to `new`. Open gates mean that the registers are the
        // guest's.
        unsafe {
            self.gates.set(if self.owner == guest {
                guest.as_ref().most()
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
    pub unsafe fn trapped(&mut self, guest: NonNull<RegisterFile>) {
        // SAFETY: as in `before_entry`; the gates that both need are open, what the core holds was loaded
        // here, and the build is soft-float.
        unsafe {
            let held = self.owner.as_ref().most();
            let opening = guest.as_ref().most();
            self.gates.unlock(held.union(opening));
            RegisterFile::save(self.owner, held);
            RegisterFile::load(guest, opening);
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
