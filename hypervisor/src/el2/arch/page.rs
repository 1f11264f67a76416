//! Filling a page of memory without the FP/SIMD registers, whosever they are.

use ::core::arch::asm;

use crate::mrs;

/// Bytes of a page that is filled at once.
pub const PAGE: usize = 0x1000;

/// DCZID_EL0.DZP: `DC ZVA` is prohibited.
const DZP: u64 = 1 << 4;

/// Bytes that one round of the loops below moves.
const STEP: usize = 64;
const _: () = assert!(PAGE.is_multiple_of(STEP));

/// Writes zeroes to the page at `page`: by `DC ZVA`, a block at a time, where it is permitted.
///
/// # Safety
/// `page` is valid for writes of [`PAGE`] bytes, is aligned to as many, and is Normal memory.
pub unsafe fn zero(page: *mut u8) {
    let dczid = mrs!("dczid_el0");
    // DCZID_EL0.BS: log2 of the words in a block, of which there are 512 at most.
    let block = 4_u64 << (dczid & 0xf);
    // SAFETY: both loops write just this page, which the caller vouches for.
    unsafe {
        if dczid & DZP == 0 {
            asm!(
                "0:",
                "dc zva, {at}",
                "add {at}, {at}, {block}",
                "cmp {at}, {end}",
                "b.ne 0b",
                at = inout(reg) page => _,
                block = in(reg) block,
                end = in(reg) page.wrapping_add(PAGE),
                options(nostack),
            );
        } else {
            asm!(
                "0:",
                "stp xzr, xzr, [{at}], #16",
                "stp xzr, xzr, [{at}], #16",
                "stp xzr, xzr, [{at}], #16",
                "stp xzr, xzr, [{at}], #16",
                "cmp {at}, {end}",
                "b.ne 0b",
                at = inout(reg) page => _,
                end = in(reg) page.wrapping_add(PAGE),
                options(nostack),
            );
        }
    }
}

/// Copies the bytes of `from` to `to`, as many as fit into both.
pub fn copy(to: &mut [u8], from: &[u8]) {
    let bytes = to.len().min(from.len());
    let steps = bytes - bytes % STEP;
    if steps != 0 {
        // SAFETY: the loop reads and writes just `steps` bytes, a positive multiple of its step, of slices
        // that are as long; Normal memory takes accesses of any alignment.
        unsafe {
            asm!(
                "0:",
                "ldp {a}, {b}, [{from}], #16",
                "ldp {c}, {d}, [{from}], #16",
                "stp {a}, {b}, [{to}], #16",
                "stp {c}, {d}, [{to}], #16",
                "ldp {a}, {b}, [{from}], #16",
                "ldp {c}, {d}, [{from}], #16",
                "stp {a}, {b}, [{to}], #16",
                "stp {c}, {d}, [{to}], #16",
                "cmp {to}, {end}",
                "b.ne 0b",
                from = inout(reg) from.as_ptr() => _,
                to = inout(reg) to.as_mut_ptr() => _,
                end = in(reg) to.as_mut_ptr().wrapping_add(steps),
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack),
            );
        }
    }
    to[steps..bytes].copy_from_slice(&from[steps..bytes]);
}
