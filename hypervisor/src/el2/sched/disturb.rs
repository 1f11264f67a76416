//! Disturbance for tests, with `disturb=SEED`: time slices of random lengths, vCPUs that go from core
//! to core all the time, and the host's own use of the registers in between.
//!
//! All of it happens where the EL2 timer interrupts; without the setting, that costs one test.

use trapcast_fpsimd::FpSimd;
use trapcast_hypervisor::disturbance::{Disturbance, Disturbed};

use crate::el2::{arch::timer, entry::dispatch::Next, sched::scheduler, state::core::Core};

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

impl Core {
    /// Sets this core up to be disturbed, by the series that belongs to `seed`, with time slices of
    /// at most the one that it has.
    pub fn set_disturbance(&mut self, seed: u64) {
        let longest = self.turn.slice;
        let shortest = longest.min(self.turn.second / SHORTEST);
        self.disturbance = Some(Disturbance::new(seed, self.number, shortest, longest));
    }

    /// The EL2 timer has interrupted: what becomes of the vCPU that ran, if one did.
    #[inline]
    pub fn time_is_up(&mut self) -> Next {
        match self.disturbance.as_mut().map(Disturbance::next) {
            None => Next::Schedule,
            Some(disturbed) => self.disturb(disturbed),
        }
    }

    #[inline(never)]
    fn disturb(&mut self, disturbed: Disturbed) -> Next {
        if disturbed.host_uses {
            // SAFETY: the section has the registers to itself, with the gate open.
            self.with_host_simd(|_| unsafe { FpSimd::load(&NOISE) });
        }
        self.turn.slice = disturbed.slice;
        let vcpus = scheduler::lock().scatter();
        match disturbed.turn {
            Some(turn) => {
                self.turn.last = turn as usize % vcpus;
                Next::Schedule
            }
            None => {
                // As `changed` says, the timer is set anew before the entry.
                self.turn.slice_end = timer::now() + disturbed.slice;
                self.shared
                    .changed
                    .store(true, ::core::sync::atomic::Ordering::Relaxed);
                Next::Continue
            }
        }
    }
}
