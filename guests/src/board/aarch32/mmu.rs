//! The MMU: an identity map of sections of 1 MiB with cacheable memory; user mode reaches all of it.
//!
//! Source: Arm ARM, "VMSAv8-32 Short-descriptor translation table format descriptors", "TTBR0", "DACR",
//! "SCTLR".

use core::{arch::asm, cell::UnsafeCell};

use crate::write_coprocessor;

/// The RAM that is mapped, as a half-open range of addresses.
pub const RAM: (u64, u64) = (0x4000_0000, 0x8000_0000);

/// Where the machine has nothing. Mapped as memory, so that it is the machine that refuses accesses.
pub const NOWHERE: u32 = 0x0b00_0000;

/// A section of domain 0 that both levels may read and write.
const SECTION: u32 = 0b10 | 0b11 << 10;
const EXECUTE_NEVER: u32 = 1 << 4;
/// Normal memory, write-back and write-allocate, shareable.
const NORMAL: u32 = SECTION | 0b001 << 12 | 1 << 3 | 1 << 2 | 1 << 16;
/// Device registers, which are shareable.
const DEVICE: u32 = SECTION | 1 << 2 | EXECUTE_NEVER;

/// The devices: GIC and UART.
const DEVICES: [u32; 2] = [0x0800_0000, 0x0900_0000];

/// SCTLR: M, C and I.
const SCTLR_ON: u64 = 1 << 0 | 1 << 2 | 1 << 12;
/// SCTLR: V, TRE and AFE, which change what vectors and descriptors mean.
const SCTLR_OFF: u64 = 1 << 13 | 1 << 28 | 1 << 29;

#[repr(C, align(16384))]
struct Table(UnsafeCell<[u32; 4096]>);

// SAFETY: only `enable` writes the table, once, before anything runs concurrently.
unsafe impl Sync for Table {}

static SECTIONS: Table = Table(UnsafeCell::new([0; 4096]));

unsafe extern "C" {
    static __image_end: u8;
}

/// The first address behind the image and its stacks.
#[must_use]
pub fn image_end() -> u64 {
    (&raw const __image_end).expose_provenance() as u64
}

/// Turns the MMU and the caches on.
///
/// # Safety
///
/// Once, first, on the only CPU, with the MMU off and the image where it was linked to be.
pub unsafe fn enable() {
    let sections = SECTIONS.0.get();
    let map = |address: u32, attributes: u32| {
        // SAFETY: nothing else refers to the table before the MMU is on; an address has 4096 sections.
        unsafe { (&mut *sections)[(address >> 20) as usize] = address | attributes };
    };
    for device in DEVICES {
        map(device, DEVICE);
    }
    map(NOWHERE, NORMAL);
    for address in (RAM.0 as u32..RAM.1 as u32).step_by(1 << 20) {
        map(address, NORMAL);
    }
    let table = sections.expose_provenance() as u64;
    let sctlr = crate::read_coprocessor!("p15, 0, {}, c1, c0, 0");
    // SAFETY: the table maps all that the program reaches, to itself.
    unsafe {
        asm!("dsb", options(nostack, preserves_flags));
        // TTBCR: short descriptors, all addresses by TTBR0.
        write_coprocessor!("p15, 0, {}, c2, c0, 2", 0);
        // TTBR0: inner and outer write-back, shareable.
        write_coprocessor!("p15, 0, {}, c2, c0, 0", table | 1 << 6 | 1 << 3 | 1 << 1);
        // DACR: domain 0 is checked.
        write_coprocessor!("p15, 0, {}, c3, c0, 0", 0b01);
        // TLBIALL.
        write_coprocessor!("p15, 0, {}, c8, c7, 0", 0);
        asm!("dsb", options(nostack, preserves_flags));
        write_coprocessor!("p15, 0, {}, c1, c0, 0", sctlr & !SCTLR_OFF | SCTLR_ON);
    }
}
