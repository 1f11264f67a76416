//! How late the virtual timer's interrupts come, from the expiry to the handler, in ticks of the counter.
//!
//! A CPU that shares its core with others is away from it at times, and its interrupts then wait for its
//! turn: such delays are counted apart. So the CPU says again and again that it runs.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::cpus::{self, MAX_CPUS};
use super::timer;
use crate::{println, read_sysreg};

/// Ticks from which on a CPU that did not say that it runs counts as having been away: 66 microseconds of
/// 62.5 MHz, several times the longest window, and a fraction of a time slice.
const AWAY: usize = 4096;

/// No interrupt is awaited.
const NEVER: u64 = u64::MAX;

/// What is known of one CPU.
struct Delays {
    /// When it last said that it runs.
    seen: AtomicU64,
    /// When the timer expires, or [`NEVER`].
    deadline: AtomicU64,
    /// How often the interrupt came so many ticks late.
    counts: [AtomicU32; AWAY],
    /// How often the CPU was away meanwhile.
    away: AtomicU32,
}

static DELAYS: [Delays; MAX_CPUS] = [const {
    Delays {
        seen: AtomicU64::new(0),
        deadline: AtomicU64::new(NEVER),
        counts: [const { AtomicU32::new(0) }; AWAY],
        away: AtomicU32::new(0),
    }
}; MAX_CPUS];

/// This CPU runs now. If it waits for no interrupt, the timer expires in `ticks()` from now.
pub fn run_on(ticks: impl FnOnce() -> u64) {
    let delays = &DELAYS[cpus::current()];
    let now = read_sysreg!("cntvct_el0");
    delays.seen.store(now, Ordering::Relaxed);
    if delays.deadline.load(Ordering::Relaxed) == NEVER {
        let deadline = now + ticks();
        delays.deadline.store(deadline, Ordering::Relaxed);
        timer::set_at(deadline);
    }
}

/// The timer's interrupt has come, at `now`. Counts how late, if [`run_on`] waits for it.
pub fn came(now: u64) {
    let delays = &DELAYS[cpus::current()];
    let deadline = delays.deadline.swap(NEVER, Ordering::Relaxed);
    if deadline == NEVER {
        return;
    }
    let unseen = now - delays.seen.load(Ordering::Relaxed);
    let count = match delays.counts.get(now.saturating_sub(deadline) as usize) {
        Some(count) if unseen < AWAY as u64 => count,
        _ => &delays.away,
    };
    count.fetch_add(1, Ordering::Relaxed);
}

/// Stops the timer, and prints how often the interrupts of this CPU came how late, in one line.
pub fn print() {
    timer::stop();
    let cpu = cpus::current();
    println!("delay cpu={cpu} {}", DELAYS[cpu]);
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "away={}", self.away.load(Ordering::Relaxed))?;
        for (ticks, count) in self.counts.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count != 0 {
                write!(f, " {ticks}:{count}")?;
            }
        }
        Ok(())
    }
}
