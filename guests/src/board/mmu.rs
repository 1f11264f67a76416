//! The MMU: an identity map with cacheable memory, in which no page is both writable and
//! executable, and EL0 reaches its own pages and the GIC only.
//!
//! Source: Arm ARM, "VMSAv8-64 translation table format descriptors", "TCR_EL1", "MAIR_EL1",
//! "SCTLR_EL1".

use core::arch::asm;
use core::cell::UnsafeCell;

/// The RAM that is mapped, as a half-open range of addresses.
pub const RAM: (u64, u64) = (0x4000_0000, 0x8000_0000);

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
const GIC_BLOCK: u64 = 0x0800_0000;
const UART_BLOCK: u64 = 0x0900_0000;

const TABLE: u64 = 0b11;
const PAGE_DESCRIPTOR: u64 = 0b11;
const BLOCK_DESCRIPTOR: u64 = 0b01;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AP[1]: EL0 may do what EL1 may.
const EL0: u64 = 1 << 6;
/// AP[2]: nobody may write.
const READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;

/// Memory, index 0 in MAIR_EL1: normal, write-back.
const NORMAL: u64 = ACCESSED | INNER_SHAREABLE;
/// Device registers, index 1 in MAIR_EL1: Device-nGnRE.
const DEVICE: u64 = ACCESSED | 1 << 2 | PXN | UXN;
const MAIR: u64 = 0x04_ff;

const DATA: u64 = NORMAL | PXN | UXN;
const TEXT: u64 = NORMAL | READ_ONLY | UXN;
const RODATA: u64 = NORMAL | READ_ONLY | PXN | UXN;
const USER_TEXT: u64 = NORMAL | READ_ONLY | EL0 | PXN;
const USER_DATA: u64 = NORMAL | EL0 | PXN | UXN;

/// T0SZ=25 (39-bit addresses, from level 1), write-back walks, inner shareable, 4 KiB, EPD1,
/// IPS=1 (36-bit physical addresses).
const TCR: u64 = 25 | 0b01 << 8 | 0b01 << 10 | 0b11 << 12 | 1 << 23 | 0b001 << 32;
/// M, C, SA, SA0, I, nTWI, nTWE (EL0 may wait) and the bits that are RES1 in Armv8.0.
const SCTLR: u64 = 0x30d0_0800 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12 | 1 << 16 | 1 << 18;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: only `enable` writes tables, once, before anything runs concurrently.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Makes entry number `index` the descriptor `descriptor`.
    ///
    /// # Safety
    ///
    /// Only before the MMU is on.
    unsafe fn set(&self, index: usize, descriptor: u64) {
        // SAFETY: nothing else refers to the table before the MMU is on; the index is checked.
        unsafe { (&mut *self.0.get())[index] = descriptor };
    }

    fn address(&self) -> u64 {
        self.0.get().expose_provenance() as u64
    }
}

static LEVEL1: Table = Table::new();
static DEVICES: Table = Table::new();
static MEMORY: Table = Table::new();
static IMAGE: Table = Table::new();

unsafe extern "C" {
    static __image_start: u8;
    static __user_text_start: u8;
    static __user_text_end: u8;
    static __data_start: u8;
    static __user_data_start: u8;
    static __user_data_end: u8;
    static __image_end: u8;
}

fn symbol(symbol: *const u8) -> u64 {
    symbol.expose_provenance() as u64
}

/// The first address behind the image and its stack.
#[must_use]
pub fn image_end() -> u64 {
    symbol(&raw const __image_end)
}

/// The image and its stack, as a half-open range of addresses.
#[must_use]
pub fn image() -> (u64, u64) {
    (symbol(&raw const __image_start), image_end())
}

/// The attributes of the image's page at `address`.
fn image_attributes(address: u64) -> u64 {
    if address < symbol(&raw const __user_text_start) {
        TEXT
    } else if address < symbol(&raw const __user_text_end) {
        USER_TEXT
    } else if address < symbol(&raw const __data_start) {
        RODATA
    } else if address < symbol(&raw const __user_data_start) {
        DATA
    } else if address < symbol(&raw const __user_data_end) {
        USER_DATA
    } else {
        DATA
    }
}

/// Fills the tables, and turns the first CPU's MMU on.
///
/// # Safety
///
/// Call once, first, at EL1 with the MMU off, in an image that lies where it was linked to be.
pub unsafe fn enable() {
    let set = |table: &Table, index: u64, descriptor| {
        // SAFETY: the MMU is off, by this function's contract.
        unsafe { table.set(index as usize, descriptor) };
    };
    let image = symbol(&raw const __image_start);
    set(&LEVEL1, 0, DEVICES.address() | TABLE);
    set(&LEVEL1, 1, MEMORY.address() | TABLE);
    set(
        &DEVICES,
        GIC_BLOCK / BLOCK,
        GIC_BLOCK | DEVICE | EL0 | BLOCK_DESCRIPTOR,
    );
    set(
        &DEVICES,
        UART_BLOCK / BLOCK,
        UART_BLOCK | DEVICE | BLOCK_DESCRIPTOR,
    );
    for index in 0..512 {
        let block = RAM.0 + index * BLOCK;
        set(&MEMORY, index, block | DATA | BLOCK_DESCRIPTOR);
        let page = image + index * PAGE;
        set(
            &IMAGE,
            index,
            page | image_attributes(page) | PAGE_DESCRIPTOR,
        );
    }
    set(&MEMORY, (image - RAM.0) / BLOCK, IMAGE.address() | TABLE);
    // SAFETY: the tables are filled.
    unsafe { turn_on() };
}

/// Turns this CPU's MMU and caches on; lets EL1 and EL0 use FP.
///
/// # Safety
///
/// With the MMU off, when the tables are filled.
pub unsafe fn turn_on() {
    // SAFETY: the tables map the code that runs, its stack and its data as they are now; the
    // values are those of the Arm ARM. Nothing is in the TLBs that differs from the tables.
    unsafe {
        asm!(
            "msr mair_el1, {mair}",
            "msr tcr_el1, {tcr}",
            "msr ttbr0_el1, {ttbr}",
            "msr cpacr_el1, {cpacr}",
            "tlbi vmalle1",
            "dsb ish",
            "isb",
            "msr sctlr_el1, {sctlr}",
            "isb",
            mair = in(reg) MAIR,
            tcr = in(reg) TCR,
            ttbr = in(reg) LEVEL1.address(),
            cpacr = in(reg) 0b11u64 << 20,
            sctlr = in(reg) SCTLR,
            options(nostack, preserves_flags),
        );
    }
}
