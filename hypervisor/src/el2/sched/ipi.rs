//! How one core calls another: by SGI 0, which always means *look*.

use ::core::sync::atomic::Ordering;

use crate::el2::{arch::cpu_interface, state::shared};
use crate::mrs;

/// Makes a core look at its queue and at what others ask of it: calls it out of its guest, or out of
/// waiting.
pub fn call(number: usize) {
    shared::of(number).changed.store(true, Ordering::Release);
    if !is_current(number) {
        cpu_interface::send_call(number);
    }
}

/// Returns whether this is the core of that number.
pub fn is_current(number: usize) -> bool {
    number == current()
}

/// Returns the number of the core that asks: its affinity 0, as QEMU's board counts its first 16.
pub fn current() -> usize {
    (mrs!("mpidr_el1") & 0xff) as usize
}
