//! The host as a user of the FP/SIMD registers: its own values, and sections of EL2 code that use
//! the registers for a while, as Linux does between `kernel_neon_begin` and `kernel_neon_end`.
//!
//! EL2 has no such section of its own: what it does for guests needs no FP/SIMD. `disturb` has them, so
//! that tests find out whether one would be safe.

use trapcast_fpsimd::FpSimd;
use trapcast_switch::Class;

use crate::el2::{arch::register_file::RegisterFile, state::core::Core};

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

/// Runs `section` with the registers free for EL2's own code to use, by way of the functions of
/// `trapcast-fpsimd` that do so.
pub fn with<T>(core: &mut Core, section: impl FnOnce() -> T) -> T {
    check_canary(core);
    let result = borrowed(core, section);
    core.report.host_uses += 1;
    core.recorder.host_used();
    result
}

/// The end of a run: the host takes its registers back from whoever has them, and looks what became of them. It is no use
/// that counts.
pub fn end(core: &mut Core) {
    if core.switch.owner() != core.host {
        borrowed(core, || ());
    }
    check_canary(core);
}

/// Saves the registers for their owner, runs `section`, and loads the host's.
fn borrowed<T>(core: &mut Core, section: impl FnOnce() -> T) -> T {
    match core.switch.host_begin() {
        Some((owner, held)) => {
            core.unlock(held);
            // SAFETY: the gate is open, and the area is the owner's, whose registers are in the core.
            unsafe { RegisterFile::save(owner, held, core.e2h) }
        }
        None => core.unlock(Class::Fp),
    }
    let result = section();
    let host = core.switch.host_end();
    // SAFETY: as above; the section's own values are of no use any more.
    unsafe { FpSimd::load(host.fp()) }
    result
}

/// If the host owns the registers, checks that they hold what it left in them.
pub fn check_canary(core: &mut Core) {
    if core.switch.owner() != core.host {
        return;
    }
    core.unlock(Class::Fp);
    let mut found = FpSimd::ZERO;
    // SAFETY: the gate is open, and saving to a place of our own changes nothing else.
    unsafe { FpSimd::save(&mut found) }
    core.report.canary_checks += 1;
    // By elements: a comparison of the whole would be a call of `bcmp`, byte by byte.
    let kept = found.v.iter().zip(&CANARY.v).all(|(a, b)| a == b)
        && found.fpsr == CANARY.fpsr
        && found.fpcr == CANARY.fpcr;
    core.report.canary_mismatches += u64::from(!kept);
}
