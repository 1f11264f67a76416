//! A lazy switch for guests of every kind on one core: with FP/SIMD alone, with SVE, with SME. It holds
//! code for AArch64 alone and is empty elsewhere.
#![no_std]
#![cfg(target_arch = "aarch64")]

use core::ptr::NonNull;

use trapcast_fpsimd::{Gates, Opening, RegisterFile, Svcr};

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

    /// Before each return into a guest, and before anything of EL1 runs for it. If its registers are not in
    /// the core, everything traps.
    ///
    /// No trap protects PSTATE.SM, which decides by which field of `CPACR_EL1` the guest's accesses are
    /// checked, before any gate: so it is the guest's own from here on.
    ///
    /// # Safety
    /// `guest` and the host's file are valid, and this core's alone, for as long as it may hold their
    /// registers.
    pub unsafe fn before_entry(&mut self, guest: NonNull<RegisterFile>) {
        // SAFETY: at EL2, with E2H as given to `new`. The registers are saved to their owner's file, and
        // loaded from the guest's. Open gates mean that they are the guest's.
        unsafe {
            if self.owner != guest {
                // In streaming mode a load brings everything.
                if guest.as_ref().least().sme {
                    self.trapped(guest);
                } else if self.owner_streams() {
                    self.trapped(self.host);
                }
            }
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

    /// Whether the registers in the core are in streaming mode.
    ///
    /// # Safety
    /// At EL2, with E2H as given to [`new`](Self::new). Opens the gates.
    unsafe fn owner_streams(&self) -> bool {
        // SAFETY: as the caller vouches; who has SME has a core with it.
        unsafe {
            let has_sme = self.owner.as_ref().most().sme;
            if has_sme {
                self.gates.unlock(Opening::ALL);
            }
            has_sme && Svcr::read().streaming()
        }
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
