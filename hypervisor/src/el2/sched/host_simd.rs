//! The host as a user of the FP/SIMD registers: its own values, and sections of EL2 code that use
//! the registers for a while, as Linux does between `kernel_neon_begin` and `kernel_neon_end`.

use trapcast_fpsimd::FpSimd;
use trapcast_switch::Class;

use crate::el2::{
    arch::{meter::Meter, register_file::RegisterFile},
    state::core::Core,
};

/// What the host keeps in its registers.
pub const CANARY: FpSimd = {
    let mut canary = FpSimd::ZERO;
    let mut n = 0;
    while n < canary.v.len() {
        canary.v[n] = 0x7472_6170_6361_7374_c0de_0000_0000_0000 | (n as u128 * 0x0101);
        n += 1;
    }
    // Flags that arithmetic would set, and a rounding mode that is not the default.
    canary.fpsr = 0x1f;
    canary.fpcr = 0b01 << 22;
    canary
};

impl Core {
    /// Runs `section` with the registers free for EL2's own code to use, by way of the functions of
    /// `trapcast-fpsimd` that do so.
    pub fn with_host_simd<T>(&mut self, section: impl FnOnce(&mut Meter) -> T) -> T {
        self.check_canary();
        self.unlock(self.switch.held());
        let (owner, held) = self.switch.host_begin();
        // SAFETY: the gate is open, and the area is the owner's, whose registers are in the core.
        unsafe {
            if held == Class::Fp {
                FpSimd::save(owner.fp());
            } else {
                RegisterFile::save(owner, held, self.e2h);
            }
        }
        let result = section(&mut self.meter);
        let host = self.switch.host_end();
        // SAFETY: as above; the section's own values are of no use any more.
        unsafe { FpSimd::load(host.fp()) }
        self.report.host_uses += 1;
        self.recorder.host_used();
        result
    }

    /// If the host owns the registers, checks that they hold what it left in them.
    pub fn check_canary(&mut self) {
        if self.switch.owner() != self.host {
            return;
        }
        self.unlock(Class::Fp);
        let mut found = FpSimd::ZERO;
        // SAFETY: the gate is open, and saving to a place of our own changes nothing else.
        unsafe { FpSimd::save(&mut found) }
        self.report.canary_checks += 1;
        // By elements: a comparison of the whole would be a call of `bcmp`, byte by byte.
        let kept = found.v.iter().zip(&CANARY.v).all(|(a, b)| a == b)
            && found.fpsr == CANARY.fpsr
            && found.fpcr == CANARY.fpcr;
        self.report.canary_mismatches += u64::from(!kept);
    }
}
