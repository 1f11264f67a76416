//! The cores' stacks: where each begins, and the pages between them that are never mapped.

use ::core::ops::Range;

use trapcast_trace::report::MAX_CORES;

/// What is never mapped below a core's stack.
const GUARD: usize = 0x1000;
/// A core's stack.
const STACK: usize = 0x4_0000;
/// A core's stack for exceptions at EL2 itself, when its stack may be what went wrong. It stands at
/// the end of what the core has, and all between the two is never mapped.
const EMERGENCY_STACK: usize = 0x4000;
/// From one core's stacks to the next one's, as a power of two.
pub const SHIFT: usize = 19;
const STRIDE: usize = 1 << SHIFT;
/// From the start of a core's stacks to the top of its stack.
pub const TOP: usize = GUARD + STACK;

const _: () = assert!(TOP + GUARD + EMERGENCY_STACK <= STRIDE && MAX_CORES == 16);

unsafe extern "C" {
    safe static stacks_start: u8;
    safe static stacks_end: u8;
}

/// Returns the top of a core's stack.
pub fn top(core: usize) -> u64 {
    (start() + core * STRIDE + TOP) as u64
}

/// Returns where the first page that is never mapped begins.
pub fn start() -> usize {
    &raw const stacks_start as usize
}

/// Returns the address behind all stacks.
pub fn end() -> usize {
    &raw const stacks_end as usize
}

/// Returns the memory of all stacks, without the pages that are never mapped.
pub fn mapped() -> impl Iterator<Item = Range<usize>> {
    (0..MAX_CORES).flat_map(|core| {
        let (start, end) = (start() + core * STRIDE, start() + (core + 1) * STRIDE);
        [start + GUARD..start + TOP, end - EMERGENCY_STACK..end]
    })
}
