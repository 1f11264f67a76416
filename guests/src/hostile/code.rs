//! Instructions made at run time, each followed by RET.

use core::arch::asm;
use core::cell::UnsafeCell;

use super::attempt::MAX_VCPUS;
use super::instructions::RET;

/// Instructions that each vCPU has room for.
pub const SLOTS: usize = 128;

#[repr(C, align(4096))]
struct Code(UnsafeCell<[[[u32; 2]; SLOTS]; MAX_VCPUS]>);

// SAFETY: each vCPU makes and tries its own instructions only.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([[[0, RET]; SLOTS]; MAX_VCPUS]));

fn slot(vcpu: usize, index: usize) -> *mut [u32; 2] {
    let first = CODE.0.get().cast::<[u32; 2]>();
    first.wrapping_add(vcpu % MAX_VCPUS * SLOTS + index % SLOTS)
}

/// Where instruction `index` of vCPU `vcpu` is.
#[must_use]
pub fn address(vcpu: usize, index: usize) -> u64 {
    slot(vcpu, index).expose_provenance() as u64
}

/// Replaces an instruction of vCPU `vcpu`, which calls it.
pub fn make(vcpu: usize, index: usize, instruction: u32) {
    // SAFETY: only this vCPU runs it, and it does not now; `publish` follows before it does.
    unsafe { slot(vcpu, index).write_volatile([instruction, RET]) };
}

/// Makes new instructions visible to fetches of this vCPU.
pub fn publish() {
    // SAFETY: barriers and maintenance.
    unsafe { asm!("dsb ish", "ic iallu", "dsb ish", "isb", options(nostack)) };
}
