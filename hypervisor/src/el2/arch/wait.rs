//! How a core waits for another one: by YIELD, so that an emulator that runs its cores in turns goes on
//! to the next one, and a core of several threads to its next thread.

use ::core::arch::asm;

use spin::{
    RelaxStrategy,
    mutex::{SpinMutex, SpinMutexGuard},
};

/// Lets another core go on for a moment.
#[inline(always)]
pub fn spin_loop() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) }
}

/// Lets about half a microsecond pass on a core of 1 GHz, which is how late a look for an interrupt may be.
pub fn pause() {
    for _ in 0..256 {
        // SAFETY: no instruction; the compiler may not leave the loop out for it.
        unsafe { asm!("", options(nomem, nostack, preserves_flags)) }
    }
}

/// Waits until all that this core has read, written, cleaned and invalidated is complete.
#[inline(always)]
pub fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Waits for a lock by [`spin_loop`].
#[derive(Debug)]
pub struct Yield;

impl RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        spin_loop();
    }
}

/// A lock that cores wait for.
pub type Lock<T> = SpinMutex<T, Yield>;

/// What holds such a lock.
pub type Guard<T> = SpinMutexGuard<'static, T, Yield>;
