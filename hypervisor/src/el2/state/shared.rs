//! What other cores see and set of a core. The rest of it is its own alone: nobody else makes a reference to it.

use ::core::{
    ptr::null_mut,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
};

use trapcast_trace::report::MAX_CORES;

use crate::el2::arch::register_file::{Area, RegisterFile};

/// What of a core others see and set. What is looked at before each entry stands first.
#[repr(C)]
pub struct Shared {
    /// Whether the queue or another core wants this one's attention.
    pub changed: AtomicBool,
    /// Where the registers are kept that are in the core, once it has run its last guest.
    kept: AtomicPtr<RegisterFile>,
}

impl Shared {
    const fn new() -> Self {
        Self {
            changed: AtomicBool::new(false),
            kept: AtomicPtr::new(null_mut()),
        }
    }

    /// The core keeps these registers, and runs no guest any more.
    pub fn keeps(&self, area: Area) {
        self.kept.store(area.0.as_ptr(), Ordering::Release);
    }
}

/// That of each core, by its number.
static SHARED: [Shared; MAX_CORES] = [const { Shared::new() }; MAX_CORES];

/// Cores that are up.
static UP: AtomicUsize = AtomicUsize::new(0);

/// Returns what others see of core `number`.
pub fn of(number: usize) -> &'static Shared {
    &SHARED[number]
}

/// Counts the core that calls it as up.
pub fn announce() {
    UP.fetch_add(1, Ordering::Release);
}

/// Returns how many cores are up.
pub fn count() -> usize {
    UP.load(Ordering::Acquire)
}

/// Returns whether the registers that are kept in `area` are in any core, of cores that have said so by
/// [`Shared::keeps`] and run no guest any more.
pub fn any_keeps(area: Area) -> bool {
    let mut all = SHARED.iter();
    all.any(|core| core.kept.load(Ordering::Acquire) == area.0.as_ptr())
}
