//! The guest's own translation regime: the MMU on, over tables that show it all of its address space,
//! or off.
//!
//! | from | what |
//! |---|---|
//! | 0 | devices, as device memory |
//! | 1 GiB | its own memory, which only EL1 may use |
//! | 2 GiB | [`USER`]: 2 MiB of its own memory for EL0, which may write and execute it |
//! | 3 GiB | devices, as normal memory |
//! | 4 GiB to 512 GiB | the same intermediate physical addresses |
//! | 512 GiB and up | intermediate physical addresses of up to 48 bits |
//! | upper half | tables that lie wherever `TTBR1_EL1` says |
//!
//! Source: Arm ARM, "VMSAv8-64 translation table format descriptors", "TCR_EL1", "SCTLR_EL1".

use core::arch::asm;
use core::cell::UnsafeCell;

/// Where EL0 finds its memory, and bytes of it.
pub const USER: u64 = 0x8000_0000;
/// See [`USER`].
pub const USER_SIZE: u64 = 2 << 20;

/// Addresses whose translation is not what [`values::Map`](super::values::Map) takes it for.
pub const ALIASES: core::ops::Range<u64> = 0x8000_0000..0x1_0000_0000;

/// What one entry of a level-1 table translates: 1 GiB.
const GIB_SHIFT: u64 = 30;

const TABLE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const EL0: u64 = 1 << 6;
const PXN: u64 = 1 << 53;
const NORMAL: u64 = BLOCK | ACCESSED | INNER_SHAREABLE;
const DEVICE: u64 = BLOCK | ACCESSED | 1 << 2;
/// Attribute 0 is Normal write-back, attribute 1 Device-nGnRE.
const MAIR: u64 = 0x04_ff;
/// 48 bits of address in both halves, 4 KiB granules, write-back walks, 48 bits of output.
const TCR: u64 =
    16 | 1 << 8 | 1 << 10 | 3 << 12 | (16 | 1 << 8 | 1 << 10 | 3 << 12 | 2 << 14) << 16 | 5 << 32;
/// nTWI, nTWE and the bits that are RES1 in Armv8.0; M, C and I.
const SCTLR_OFF: u64 = 0x30d0_0800 | 1 << 16 | 1 << 18;
const SCTLR_ON: u64 = SCTLR_OFF | 1 << 0 | 1 << 2 | 1 << 12;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: only `fill` writes tables, before any of them is used.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Fills all entries.
    ///
    /// # Safety
    ///
    /// Only while the MMU does not use the table.
    unsafe fn fill(&self, descriptor: impl Fn(u64) -> u64) {
        // SAFETY: nothing else refers to the table, by this function's contract.
        let entries = unsafe { &mut *self.0.get() };
        for (index, entry) in (0..).zip(entries) {
            *entry = descriptor(index);
        }
    }

    fn address(&self) -> u64 {
        self.0.get().expose_provenance() as u64
    }
}

static LEVEL0: Table = Table::new();
static NEAR: Table = Table::new();
static FAR: Table = Table::new();
static USER_LEVEL2: Table = Table::new();

/// Makes the tables; `user` is the memory for EL0, aligned to [`USER_SIZE`].
///
/// # Safety
///
/// Once, by one vCPU, before [`on`].
pub unsafe fn make_tables(user: u64) {
    let near = |index: u64| match index {
        0 => DEVICE,
        2 => USER_LEVEL2.address() | TABLE,
        3 => NORMAL,
        index => NORMAL | index << GIB_SHIFT,
    };
    // SAFETY: none of the tables is used yet, by this function's contract.
    unsafe {
        LEVEL0.fill(|index| {
            TABLE
                | if index == 0 {
                    NEAR.address()
                } else {
                    FAR.address()
                }
        });
        NEAR.fill(near);
        FAR.fill(|index| if index == 0 { 0 } else { NORMAL | index << 39 });
        USER_LEVEL2.fill(|index| {
            if index == 0 {
                NORMAL | EL0 | PXN | user
            } else {
                0
            }
        });
    }
}

/// Turns the MMU on; the upper half's tables begin at `upper`.
///
/// # Safety
///
/// The tables are made. `upper` is any address, as long as nothing uses the upper half.
pub unsafe fn on(upper: u64) {
    // SAFETY: the tables map code, stack and data as they are with the MMU off.
    unsafe {
        asm!(
            "msr mair_el1, {mair}",
            "msr tcr_el1, {tcr}",
            "msr ttbr0_el1, {lower}",
            "msr ttbr1_el1, {upper}",
            "tlbi vmalle1",
            "dsb ish",
            "isb",
            "msr sctlr_el1, {sctlr}",
            "isb",
            mair = in(reg) MAIR,
            tcr = in(reg) TCR,
            lower = in(reg) LEVEL0.address(),
            upper = in(reg) upper & 0x0000_ffff_ffff_f000,
            sctlr = in(reg) SCTLR_ON,
            options(nostack, preserves_flags),
        );
    }
}

/// Turns the MMU off.
pub fn off() {
    // SAFETY: code, stack and data lie where the tables had them.
    unsafe {
        asm!(
            "msr sctlr_el1, {sctlr}",
            "isb",
            sctlr = in(reg) SCTLR_OFF,
            options(nostack, preserves_flags),
        );
    }
}
