//! Disturbance for tests, with `disturb=SEED`: time slices of random lengths, vCPUs that go from core
//! to core all the time, and the host's own use of the registers in between.
//!
//! All of it happens where the EL2 timer interrupts; without the setting, that costs one test.

use trapcast_fpsimd::FpSimd;
use trapcast_hypervisor::disturbance::{Disturbance, Disturbed};

use crate::el2::{
    arch::timer,
    sched::{
        host_simd,
        scheduler::{self, Next},
    },
    state::core::Core,
};

/// The shortest random time slice, in parts of a second.
const SHORTEST: u64 = 50_000;

/// What the host puts into the registers.
const NOISE: FpSimd = {
    let mut noise = FpSimd::ZERO;
    let mut n = 0;
    while n < noise.v.len() {
        noise.v[n] = 0x6e6f_6973_6500_0000_0000_0000_6e6f_6973 + ((n as u128) << 64);
        n += 1;
    }
    // QC and Inexact; rounding towards zero.
    noise.fpsr = 1 << 27 | 1 << 4;
    noise.fpcr = 0b11 << 22;
    noise
};

/// Sets this core up to be disturbed, by the series that belongs to `seed`, with time slices of
/// at most the one that it has.
pub fn set_up(core: &mut Core, seed: u64) {
    let longest = core.turn.slice;
    let shortest = longest.min(core.turn.second / SHORTEST);
    core.disturbance = Some(Disturbance::new(seed, core.number, shortest, longest));
}

/// The EL2 timer has interrupted: what becomes of the vCPU that ran, if one did.
#[inline]
pub fn time_is_up(core: &mut Core) -> Next {
    match core.disturbance.as_mut().map(Disturbance::next) {
        None => Next::Schedule,
        Some(disturbed) => disturb(core, disturbed),
    }
}

#[inline(never)]
fn disturb(core: &mut Core, disturbed: Disturbed) -> Next {
    if disturbed.host_uses {
        // SAFETY: the section has the registers to itself, with the gate open.
        host_simd::with(core, || unsafe { FpSimd::load(&NOISE) });
    }
    core.turn.slice = disturbed.slice;
    let vcpus = scheduler::lock().scatter();
    match disturbed.turn {
        Some(turn) => {
            core.turn.last = turn as usize % vcpus;
            Next::Schedule
        }
        None => {
            // As `changed` says, the timer is set anew before the entry.
            core.turn.slice_end = timer::now() + disturbed.slice;
            core.shared
                .changed
                .store(true, ::core::sync::atomic::Ordering::Relaxed);
            Next::Continue
        }
    }
}
