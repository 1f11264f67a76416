//! How late the virtual timer's interrupts come, from the expiry to the handler, in ticks of the counter.
//!
//! A CPU that shares its core with others is away from it at times, and its interrupts then wait for its
//! turn: such delays are counted apart. They are told by their length, as the timer never expires long after
//! it was set: the time slice of the others has to be longer than that and [`AWAY`] together.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::cpus::{self, MAX_CPUS};
use super::timer;
use crate::{println, read_sysreg};

/// Delays of so many ticks or more are of a CPU that was away: 66 microseconds of 62.5 MHz, many times what
/// a hypervisor takes.
const AWAY: usize = 4096;

/// No interrupt is awaited.
const NEVER: u64 = u64::MAX;

/// What is known of one CPU.
struct Delays {
    /// When the timer expires, or [`NEVER`].
    deadline: AtomicU64,
    /// How often the interrupt came so many ticks late.
    counts: [AtomicU32; AWAY],
    /// How often the CPU was away meanwhile.
    away: AtomicU32,
}

static DELAYS: [Delays; MAX_CPUS] = [const {
    Delays {
        deadline: AtomicU64::new(NEVER),
        counts: [const { AtomicU32::new(0) }; AWAY],
        away: AtomicU32::new(0),
    }
}; MAX_CPUS];

/// Lets the timer of this CPU expire in `ticks()` from now, if its last interrupt has come.
pub fn go_on(ticks: impl FnOnce() -> u64) {
    let delays = &DELAYS[cpus::current()];
    if delays.deadline.load(Ordering::Relaxed) == NEVER {
        let deadline = read_sysreg!("cntvct_el0") + ticks();
        delays.deadline.store(deadline, Ordering::Relaxed);
        timer::set_at(deadline);
    }
}

/// The timer's interrupt has come, at `now`. Counts how late, if [`go_on`] waits for it.
pub fn came(now: u64) {
    let delays = &DELAYS[cpus::current()];
    let deadline = delays.deadline.swap(NEVER, Ordering::Relaxed);
    if deadline == NEVER {
        return;
    }
    let count = delays.counts.get((now - deadline) as usize);
    count
        .unwrap_or(&delays.away)
        .fetch_add(1, Ordering::Relaxed);
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
