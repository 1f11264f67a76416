//! A second CPU that answers SGIs: it takes each one and says how many instructions EL2 has spent on
//! its core so far.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::cpus::give_way;
use super::{entry, gic, pmu};

/// Its number, which is its affinity.
const CPU: u32 = 1;

/// SGIs that it has answered, counted from 1 on: it answers before the first, when it is up.
static ANSWERED: AtomicU64 = AtomicU64::new(0);
/// Instructions of EL2 on its core when it answered last.
static COUNT: AtomicU32 = AtomicU32::new(0);
static DISMISSED: AtomicBool = AtomicBool::new(false);

/// What the second CPU does until it is dismissed.
pub fn answer() {
    if let Err(error) = pmu::enable() {
        entry::fail(&error);
    }
    let mut handled = gic::SGIS_HANDLED.load(Ordering::Relaxed);
    while !DISMISSED.load(Ordering::Relaxed) {
        COUNT.store(pmu::count(), Ordering::Relaxed);
        ANSWERED.fetch_add(1, Ordering::Release);
        while gic::SGIS_HANDLED.load(Ordering::Relaxed) == handled {
            give_way();
        }
        handled = gic::SGIS_HANDLED.load(Ordering::Relaxed);
    }
}

/// Sends the second CPU an SGI and waits until it has answered.
#[inline(always)]
pub fn call() {
    let before = wait_for(|answered| answered > 0);
    gic::send_sgi(CPU);
    wait_for(|answered| answered > before);
}

/// Ends what the second CPU does.
pub fn dismiss() {
    DISMISSED.store(true, Ordering::Relaxed);
    gic::send_sgi(CPU);
}

/// Instructions of EL2 on its core when it answered last; 0 if it is off.
#[inline(always)]
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

#[inline(always)]
fn wait_for(enough: impl Fn(u64) -> bool) -> u64 {
    loop {
        let answered = ANSWERED.load(Ordering::Acquire);
        if enough(answered) {
            return answered;
        }
        give_way();
    }
}
