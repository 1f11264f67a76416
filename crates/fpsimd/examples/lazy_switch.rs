//! How another hypervisor takes the crate: a lazy switch of the FP/SIMD registers. The README shows
//! this file. It holds code for AArch64 alone and is empty elsewhere.
#![no_std]
#![cfg(target_arch = "aarch64")]

use trapcast_fpsimd::{Cptr, FpSimd, Opening};

/// What one physical core needs to know.
pub struct FpCore {
    cptr: Cptr,
    host: FpSimd,
    guest_owns: bool,
}

impl FpCore {
    /// At boot, at EL2, with HCR_EL2.E2H as you have set it.
    pub const fn new(e2h: bool) -> Self {
        Self {
            cptr: Cptr::new(e2h, Opening::FP),
            host: FpSimd::ZERO,
            guest_owns: false,
        }
    }

    /// Before each return into the guest: its uses trap unless the registers are its own.
    pub fn before_entry(&self) {
        // SAFETY: at EL2, with E2H as given to `new`. An open gate means that the guest owns the
        // registers.
        unsafe { self.cptr.set(self.guest_owns) }
    }

    /// At an exception from the guest with ESR_EL2.EC = 0x07. Then return to the same instruction.
    pub fn trapped(&mut self, guest: &FpSimd) {
        // SAFETY: at EL2, with E2H as given to `new`; the guest gets the registers below.
        unsafe { self.cptr.unlock() }
        // SAFETY: both are register files, the gate is open, and the build is soft-float.
        unsafe { FpSimd::exchange(&mut self.host, guest) }
        self.guest_owns = true;
    }

    /// When the host wants its registers back: at each exit, or as late as when the vCPU is put.
    pub fn give_back(&mut self, guest: &mut FpSimd) {
        if core::mem::take(&mut self.guest_owns) {
            // SAFETY: as in `trapped`; no guest runs before the next `before_entry`.
            unsafe { self.cptr.unlock() }
            // SAFETY: as in `trapped`.
            unsafe { FpSimd::exchange(guest, &self.host) }
        }
    }
}
