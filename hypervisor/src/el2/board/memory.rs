//! EL2's own memory: its stage-1 tables, its heap, and the RAM that is left for guests.

use ::core::{arch::asm, ops::Range, ptr::NonNull, slice};

use aarch64_paging::{
    descriptor::{El1Attributes, El23Attributes},
    idmap::IdMap,
    paging::{El2, El2And0, MemoryRegion, TranslationRegime},
};
use buddy_system_allocator::LockedHeap;
use trapcast_hypervisor::{modules::Board, virt};
use trapcast_trace::{MAILBOX_ADDRESS, MAILBOX_SIZE};

use crate::el2::{
    arch::wait::Lock,
    board::{panic::fail, stacks},
};
use crate::{mrs, msr};

/// MAIR_EL2: attribute 0 is Device-nGnRE, attribute 1 is Normal write-back.
pub const MAIR: u64 = 0xff04;
/// TCR_EL2 with E2H = 0: 39 bits of virtual address, 4 KiB granule, walks write-back and inner
/// shareable, 40 bits of physical address; RES1.
pub const TCR: u64 = 1 << 31 | 1 << 23 | 2 << 16 | WALKS | 25;
/// The same with E2H = 1, and no second half of virtual addresses (EPD1).
pub const TCR_E2H: u64 = 2 << 32 | 2 << 30 | 25 << 16 | 1 << 23 | WALKS | 25;
const WALKS: u64 = 3 << 12 | 1 << 10 | 1 << 8;
/// SCTLR_EL2: MMU, data and instruction caches, stack alignment check; RES1 of either layout.
pub const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
/// SCTLR_EL2.WXN: what is writable is not executable.
const WXN: u64 = 1 << 19;

#[global_allocator]
static HEAP: LockedHeap<32> = LockedHeap::empty();

unsafe extern "C" {
    safe static image_start: u8;
    safe static text_end: u8;
    safe static rodata_end: u8;
    safe static heap_start: u8;
    safe static heap_end: u8;
    safe static image_end: u8;
}

/// RAM that nobody has yet.
static FREE: Lock<Range<u64>> = Lock::new(0..0);

/// Gives the heap its memory.
///
/// # Safety
/// Called once, before anything allocates.
pub unsafe fn init_heap() {
    let (start, end) = (&raw const heap_start as usize, &raw const heap_end as usize);
    // SAFETY: this memory is the heap's alone.
    unsafe { HEAP.lock().init(start, end - start) }
}

/// Returns the bytes of the FDT that QEMU left at the start of RAM.
pub fn board_fdt() -> &'static [u8] {
    // SAFETY: RAM that nobody writes: below the mailbox and the image, not among what is free.
    unsafe {
        slice::from_raw_parts(
            virt::FDT.start as *const u8,
            (virt::FDT.end - virt::FDT.start) as usize,
        )
    }
}

/// Replaces the initial tables by EL2's own: text executable and nothing else so, the rest of the
/// image and all other RAM writable or not as it must be, a page without mapping under each stack.
pub fn map(board: &Board, e2h: bool) {
    let ram = board_ram(board);
    if e2h {
        const DATA: El1Attributes = El1Attributes::VALID
            .union(El1Attributes::ACCESSED)
            .union(El1Attributes::INNER_SHAREABLE)
            .union(El1Attributes::ATTRIBUTE_INDEX_1)
            .union(El1Attributes::PXN)
            .union(El1Attributes::UXN);
        let rights = Rights {
            text: DATA
                .difference(El1Attributes::PXN)
                .union(El1Attributes::READ_ONLY),
            read_only: DATA.union(El1Attributes::READ_ONLY),
            data: DATA,
            device: DATA
                .difference(El1Attributes::ATTRIBUTE_INDEX_1)
                .difference(El1Attributes::INNER_SHAREABLE),
        };
        activate(IdMap::with_asid(0, 1, El2And0), &rights, &ram);
    } else {
        // AP[1] is RES1 in a regime of one Exception level.
        const DATA: El23Attributes = El23Attributes::VALID
            .union(El23Attributes::ACCESSED)
            .union(El23Attributes::INNER_SHAREABLE)
            .union(El23Attributes::ATTRIBUTE_INDEX_1)
            .union(El23Attributes::USER_RES1)
            .union(El23Attributes::XN);
        let rights = Rights {
            text: DATA
                .difference(El23Attributes::XN)
                .union(El23Attributes::READ_ONLY),
            read_only: DATA.union(El23Attributes::READ_ONLY),
            data: DATA,
            device: DATA
                .difference(El23Attributes::ATTRIBUTE_INDEX_1)
                .difference(El23Attributes::INNER_SHAREABLE),
        };
        activate(IdMap::new(1, El2), &rights, &ram);
    }
    let start = modules_end(board).max(&raw const image_end as u64);
    *FREE.lock() = start.next_multiple_of(BLOCK)..ram.end;
}

/// Returns the range of RAM that the image is in: on this board there is one.
fn board_ram(board: &Board) -> Range<u64> {
    let image = &raw const image_start as u64;
    board
        .memory
        .iter()
        .find(|range| range.contains(&image))
        .cloned()
        .unwrap_or_else(|| fail(format_args!("the image at {image:#x} is not in RAM")))
}

/// Returns the address behind the last module.
fn modules_end(board: &Board) -> u64 {
    let ends = board.guests.iter().flat_map(|guest| {
        [
            Some(guest.kernel.end),
            guest.ramdisk.as_ref().map(|ramdisk| ramdisk.end),
        ]
    });
    ends.flatten().max().unwrap_or(0)
}

/// Attributes of the four kinds of memory.
struct Rights<A> {
    text: A,
    read_only: A,
    data: A,
    device: A,
}

fn activate<R: TranslationRegime>(
    mut tables: IdMap<R>,
    rights: &Rights<R::Attributes>,
    ram: &Range<u64>,
) {
    let image = &raw const image_start as usize;
    let text = &raw const text_end as usize;
    let rodata = &raw const rodata_end as usize;
    let mailbox = MAILBOX_ADDRESS as usize;
    let of_board = |range: Range<u64>| range.start as usize..range.end as usize;
    let fixed = [
        (of_board(virt::GICD), rights.device),
        (of_board(virt::GICR), rights.device),
        (of_board(virt::UART), rights.device),
        (of_board(virt::FDT), rights.read_only),
        (mailbox..mailbox + MAILBOX_SIZE as usize, rights.data),
        (image..text, rights.text),
        (text..rodata, rights.read_only),
        (rodata..stacks::start(), rights.data),
        (stacks::end()..ram.end as usize, rights.data),
    ];
    let stacks = stacks::mapped().map(|stack| (stack, rights.data));
    for (range, attributes) in fixed.into_iter().chain(stacks) {
        let region = MemoryRegion::new(range.start, range.end);
        if let Err(error) = tables.map_range(&region, attributes) {
            fail(format_args!("cannot map {region} at EL2: {error}"));
        }
    }
    // SAFETY: they map all that EL2 uses where it is; they are never dropped.
    unsafe {
        tables.activate();
        asm!("tlbi alle2", "dsb ish", "isb", options(nostack));
        msr!("sctlr_el2", SCTLR | WXN);
        asm!("tlbi alle2", "dsb ish", "isb", options(nostack));
    }
    ::core::mem::forget(tables);
}

/// What a VM's memory is aligned to, so that it can be mapped by blocks.
const BLOCK: u64 = 0x20_0000;

/// Takes `size` bytes of free RAM for good, aligned to 2 MiB, and returns their address; `None` if
/// so much is not left.
pub fn take(size: u64) -> Option<u64> {
    let mut free = FREE.lock();
    let size = size.next_multiple_of(BLOCK);
    if free.end - free.start < size {
        return None;
    }
    let start = free.start;
    free.start += size;
    Some(start)
}

/// Returns how many bytes of RAM are free.
pub fn free() -> u64 {
    let free = FREE.lock();
    free.end - free.start
}

/// Returns a pointer to RAM by its address, which EL2 maps to itself.
///
/// # Panics
/// If the address is zero.
pub fn pointer<T>(physical: u64) -> NonNull<T> {
    NonNull::new(physical as *mut T).expect("RAM does not start at address zero")
}

/// Cleans and invalidates `bytes` at `start` to the point of coherency, so that a guest that runs
/// with its MMU off reads what EL2 wrote.
pub fn clean_to_coherency(start: *const u8, bytes: usize) {
    // CTR_EL0.DminLine: log2 of the words in the smallest data cache line.
    let line = 4usize << (mrs!("ctr_el0") >> 16 & 0xf);
    let mut at = start as usize;
    let end = at + bytes;
    while at < end {
        // SAFETY: cleaning a line of mapped memory changes no value.
        unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) }
        at += line;
    }
}

/// Makes instructions that EL2 wrote visible to fetches.
pub fn invalidate_instructions() {
    // SAFETY: only costs refetches.
    unsafe {
        asm!(
            "dsb ish",
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}
