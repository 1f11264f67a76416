//! Uses of what the MMU has: tables of this guest's own for the upper half of the addresses, by any granule.
//!
//! Source: Arm ARM, D8 "The AArch64 Virtual Memory System Architecture", "TCR_EL1".

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome};
use trapcast_guests::memory::BLOCK;
use trapcast_guests::{read_sysreg, write_sysreg};

use crate::run::{DATA_ABORT, SVC, el0, el1, result, run};

/// Bytes of memory that the tables and their pages take, aligned to as much.
pub const SIZE: u64 = BLOCK;

/// Where it is.
static MEMORY: AtomicU64 = AtomicU64::new(0);

/// Says where it is: RAM that nobody else uses.
pub fn give(memory: u64) {
    MEMORY.store(memory, Ordering::Relaxed);
}

/// Room of a table, and of a page, of the largest granule.
const ROOM: u64 = 1 << 16;

const TABLE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AP[1]: EL0 may do what EL1 may. AP[2]: nobody may write.
const AT_EL0: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const NOT_GLOBAL: u64 = 1 << 11;
const GUARDED: u64 = 1 << 50;
const DIRTY_BIT_MODIFIER: u64 = 1 << 51;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const NEVER: u64 = PXN | UXN;
const TABLE_READ_ONLY: u64 = 1 << 62;

const PAGE: u64 = TABLE | INNER_SHAREABLE;
const BLOCK_ENTRY: u64 = 0b01 | INNER_SHAREABLE;

/// TCR_EL1: what the upper half goes by, write-back and inner shareable; and single controls.
const UPPER: u64 = 0xffff << 16;
const WALKS: u64 = 0b01 << 24 | 0b01 << 26 | 0b11 << 28;
const IPS_SHIFT: u64 = 32;
const AS: u64 = 1 << 36;
const HA: u64 = 1 << 39;
const HD: u64 = 1 << 40;
const HPD1: u64 = 1 << 42;
const E0PD1: u64 = 1 << 56;
const DS: u64 = 1 << 59;

/// SPSR_EL1.
const PAN: u64 = 1 << 22;
const UAO: u64 = 1 << 23;

/// DFSC without its level.
const ADDRESS_SIZE: u64 = 0;
const TRANSLATION: u64 = 1;
const ACCESS_FLAG: u64 = 2;
const PERMISSION: u64 = 3;

/// The two pages, what is in them, and the tables behind them.
fn page(n: u64) -> u64 {
    MEMORY.load(Ordering::Relaxed) + n * ROOM
}

const FIRST: u64 = 0xaaaa;
const SECOND: u64 = 0xbbbb;

fn table(level: u64) -> u64 {
    page(2 + level)
}

fn write(address: u64, value: u64) {
    // SAFETY: in the memory that is for this, of which only the MMU knows besides.
    unsafe { ptr::with_exposed_provenance_mut::<u64>(address as usize).write_volatile(value) };
}

fn read(address: u64) -> u64 {
    // SAFETY: as above.
    unsafe { ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() }
}

fn publish() {
    // SAFETY: barriers and maintenance.
    unsafe {
        asm!(
            "dsb ish",
            "tlbi vmalle1",
            "ic iallu",
            "dsb ish",
            "isb",
            options(nostack)
        )
    };
}

/// A map of the upper half: pages, from its first address on.
struct Map {
    /// The granule's bits, and those of the addresses.
    granule: u64,
    bits: u64,
    /// What all tables' entries for tables have besides.
    tables: u64,
    /// Controls in TCR_EL1 besides.
    controls: u64,
}

impl Map {
    const PLAIN: Self = Self {
        granule: 12,
        bits: 39,
        tables: 0,
        controls: 0,
    };

    /// Makes the tables, the first pages of which have these entries, and begins to use them. Returns the first
    /// page's address.
    fn on(&self, pages: &[u64]) -> u64 {
        let levels = (self.bits - self.granule).div_ceil(self.granule - 3);
        for level in 0..levels {
            write(table(level), table(level + 1) | TABLE | self.tables);
        }
        for (at, entry) in (table(levels - 1)..).step_by(8).zip(pages) {
            write(at, *entry);
        }
        write(page(0), FIRST);
        write(page(1), SECOND);
        let granule = [0b10, 0b01, 0b11][(self.granule as usize - 12) / 2];
        let size = (64 - self.bits) << 16 | granule << 30;
        // SAFETY: the lower half, in which this program is, stays as it is.
        unsafe { write_sysreg!("ttbr1_el1", table(0)) };
        let tcr = read_sysreg!("tcr_el1") & !UPPER & !(HA | HD | HPD1 | E0PD1 | AS | DS);
        let tcr = tcr & !(0xffff << 16) | size | WALKS | self.controls;
        // SAFETY: as above.
        unsafe { write_sysreg!("tcr_el1", tcr) };
        publish();
        u64::MAX << self.bits
    }

    /// The same with one page.
    fn on_page(&self, attributes: u64) -> u64 {
        self.on(&[page(0) | PAGE | ACCESSED | NEVER | attributes])
    }
}

fn load(address: u64, spsr: u64) -> Outcome {
    run(el1!("ldr x0, [x0]"), EL1_MASKED | spsr, address, 0)
}

fn store(address: u64) -> Outcome {
    run(el1!("str x1, [x0]"), EL1_MASKED, address, SECOND)
}

fn load_at_el0(address: u64) -> Outcome {
    run(el0!("ldr x0, [x0]"), EL0, address, 0)
}

/// Whether it ended by a Data Abort of this kind.
fn fails(outcome: &Outcome, kind: u64) -> bool {
    let is_abort = matches!(outcome.class(), Some(DATA_ABORT | 0x25));
    is_abort && outcome.esr & 0x3f >> 2 << 2 == kind << 2
}

/// Whether it ended as it should, with this in X0.
fn finds(outcome: &Outcome, value: u64) -> bool {
    let ended = matches!(outcome.class(), None | Some(SVC));
    ended && outcome.registers[0] == value
}

fn clear_pan() {
    result(el1!("msr pan, #0"));
}

/// Addresses of `bits` by a granule of so many bits are translated.
fn translates(granule: u64, bits: u64) -> bool {
    let map = Map {
        granule,
        bits,
        ..Map::PLAIN
    };
    finds(&load(map.on_page(0), 0), FIRST)
}

/// FEAT_LPA2: 52 bits by a granule that else has 48.
fn translates_52(granule: u64) -> bool {
    let map = Map {
        granule,
        bits: 52,
        controls: DS,
        ..Map::PLAIN
    };
    // What says how pages are shared stands in TCR_EL1 then.
    finds(
        &load(map.on(&[page(0) | TABLE | ACCESSED | NEVER]), 0),
        FIRST,
    )
}

pub fn granule_16k() -> bool {
    translates(14, 36)
}

pub fn granule_16k_52() -> bool {
    translates_52(14)
}

pub fn granule_4k_52() -> bool {
    translates_52(12)
}

pub fn granule_64k() -> bool {
    translates(16, 42)
}

pub fn granule_4k() -> bool {
    translates(12, 39)
}

pub fn addresses_of_52_bits() -> bool {
    translates(16, 52)
}

/// FEAT_TTST: 24 bits, and not one more.
pub fn small_tables() -> bool {
    let below = (u64::MAX << 24) - 4096;
    translates(12, 24) && fails(&load(below, 0), TRANSLATION)
}

/// The last physical address of those that there are is one; the next one is none.
pub fn physical_range(range: u8) -> bool {
    let Some(bits) = [32, 36, 40, 42, 44, 48, 52].get(usize::from(range)) else {
        return false;
    };
    let (granule, size) = if *bits == 52 { (16, 42) } else { (12, 39) };
    let tcr = read_sysreg!("tcr_el1");
    // SAFETY: all of this program is within 32 bits.
    unsafe { write_sysreg!("tcr_el1", tcr & !(0b111 << IPS_SHIFT)) };
    let map = Map {
        granule,
        bits: size,
        controls: u64::from(range) << IPS_SHIFT,
        ..Map::PLAIN
    };
    // Bits 48 to 51 stand in bits 12 to 15.
    let at = |address: u64| address & 0x0000_ffff_ffff_f000 | address >> 48 << 12;
    let at = |address| at(address) | PAGE | ACCESSED | NEVER;
    let (top, page) = (1u64 << bits, 1 << granule);
    let base = map.on(&[at(top - page), at(top)]);
    let is_range = !fails(&load(base, 0), ADDRESS_SIZE);
    let is_end = *bits >= 48 || fails(&load(base + page, 0), ADDRESS_SIZE);
    // SAFETY: as it was.
    unsafe { write_sysreg!("tcr_el1", tcr) };
    is_range && is_end
}

/// FEAT_HAFDBS: the Access flag is set by the first access, if that is asked for.
pub fn access_flag() -> bool {
    let unaccessed = page(0) | PAGE | NEVER;
    let fault = fails(&load(Map::PLAIN.on(&[unaccessed]), 0), ACCESS_FLAG);
    let managed = Map {
        controls: HA,
        ..Map::PLAIN
    };
    let found = finds(&load(managed.on(&[unaccessed]), 0), FIRST);
    fault && found && read(table(2)) & ACCESSED != 0
}

/// The dirty state too.
pub fn dirty_state() -> bool {
    let map = Map {
        controls: HA | HD,
        ..Map::PLAIN
    };
    let stored = store(map.on_page(READ_ONLY | DIRTY_BIT_MODIFIER));
    stored.class().is_none() && read(table(2)) & READ_ONLY == 0 && read(page(0)) == SECOND
}

/// FEAT_HPDS: what a table forbids can be left out of account.
pub fn hierarchical_permissions() -> bool {
    let with = |controls| Map {
        tables: TABLE_READ_ONLY,
        controls,
        ..Map::PLAIN
    };
    fails(&store(with(0).on_page(0)), PERMISSION) && store(with(HPD1).on_page(0)).class().is_none()
}

/// FEAT_HPDS2: four bits more of TCR_EL1 say that descriptors' bits are for the hardware's makers.
pub fn hardware_use() -> bool {
    let hwu = 0xf << 47;
    Map {
        controls: HPD1 | hwu,
        ..Map::PLAIN
    }
    .on_page(0);
    read_sysreg!("tcr_el1") & hwu == hwu
}

/// FEAT_PAN: EL1 does not reach what EL0 does.
pub fn privileged_access_never() -> bool {
    let base = Map::PLAIN.on_page(AT_EL0);
    let kept_out = fails(&load(base, PAN), PERMISSION);
    clear_pan();
    kept_out && finds(&load(base, 0), FIRST)
}

/// FEAT_PAN2: AT goes by it, too.
pub fn address_translation_with_pan() -> bool {
    let base = Map::PLAIN.on_page(AT_EL0);
    let at = el1!("at s1e1rp, x0", "isb", "mrs x0, par_el1", "and x0, x0, #1");
    let with = run(at, EL1_MASKED | PAN, base, 0);
    clear_pan();
    finds(&with, 1) && finds(&run(at, EL1_MASKED, base, 0), 0)
}

/// FEAT_PAN3: what EL0 may execute counts as well.
pub fn pan_of_code() -> bool {
    const EPAN: u64 = 1 << 57;
    let base = Map::PLAIN.on(&[page(0) | PAGE | ACCESSED | PXN]);
    let sctlr = read_sysreg!("sctlr_el1");
    let before = finds(&load(base, PAN), FIRST);
    clear_pan();
    // SAFETY: this program does not set PSTATE.PAN but for what is tried.
    unsafe { write_sysreg!("sctlr_el1", sctlr | EPAN) };
    let after = fails(&load(base, PAN), PERMISSION);
    clear_pan();
    // SAFETY: as it was.
    unsafe { write_sysreg!("sctlr_el1", sctlr) };
    before && after
}

/// FEAT_UAO: an unprivileged load is a privileged one.
pub fn user_access_override() -> bool {
    let base = Map::PLAIN.on_page(0);
    let load = |spsr| run(el1!("ldtr x0, [x0]"), EL1_MASKED | spsr, base, 0);
    fails(&load(0), PERMISSION) && finds(&load(UAO), FIRST)
}

/// FEAT_TTCNP: TTBR1_EL1.CnP is kept, and its tables are used.
pub fn common_not_private() -> bool {
    let base = Map::PLAIN.on_page(0);
    let ttbr = read_sysreg!("ttbr1_el1") | 1;
    // SAFETY: this CPU's tables are those of no other.
    unsafe { write_sysreg!("ttbr1_el1", ttbr) };
    finds(&load(base, 0), FIRST) && read_sysreg!("ttbr1_el1") == ttbr
}

/// ASIDs of 16 bits: two that differ in the upper ones are two.
pub fn wide_asids() -> bool {
    let map = Map {
        controls: AS,
        ..Map::PLAIN
    };
    let ttbr = read_sysreg!("ttbr0_el1");
    let select = |asid: u64| {
        // SAFETY: the same tables; this program's own pages are global.
        unsafe { write_sysreg!("ttbr0_el1", ttbr | asid << 48) };
        read_sysreg!("ttbr0_el1") >> 48 == asid
    };
    let kept = select(0x0101);
    let base = map.on_page(NOT_GLOBAL);
    let one = load(base, 0);
    write(table(2), page(1) | PAGE | ACCESSED | NEVER | NOT_GLOBAL);
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    let kept = select(0x0201) && kept;
    let other = load(base, 0);
    select(0);
    // SAFETY: as it was.
    unsafe { write_sysreg!("ttbr0_el1", ttbr) };
    kept && finds(&one, FIRST) && finds(&other, SECOND)
}

/// FEAT_TTL: invalidation with the level of the entry.
pub fn invalidation_with_level() -> bool {
    let base = Map::PLAIN.on_page(0);
    let before = load(base, 0);
    write(table(2), page(1) | PAGE | ACCESSED | NEVER);
    // Granule of 4 KiB, level 3.
    let argument = base >> 12 & 0xfff_ffff_ffff | 0b01_11 << 44;
    let invalidate = el1!("dsb ish", "tlbi vaale1, x0", "dsb ish", "isb");
    let done = run(invalidate, EL1_MASKED, argument, 0).class().is_none();
    done && finds(&before, FIRST) && finds(&load(base, 0), SECOND)
}

/// FEAT_BBM: a block becomes a table, and a table a block, without a break between.
pub fn no_break_before_make() -> bool {
    let base = Map::PLAIN.on_page(0);
    let as_table = read(table(1));
    let as_block = page(0) | BLOCK_ENTRY | ACCESSED | NEVER;
    [as_block, as_table, as_block].into_iter().all(|entry| {
        write(table(1), entry);
        // SAFETY: a barrier.
        unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
        finds(&load(base, 0), FIRST)
    })
}

/// FEAT_E0PD: no address of the upper half is one of EL0's.
pub fn kept_from_el0() -> bool {
    let closed = Map {
        controls: E0PD1,
        ..Map::PLAIN
    };
    finds(&load_at_el0(Map::PLAIN.on_page(AT_EL0)), FIRST)
        && fails(&load_at_el0(closed.on_page(AT_EL0)), TRANSLATION)
}

/// FEAT_BTI: a branch into a guarded page ends where it may.
pub fn branch_targets() -> bool {
    const BRANCH_TARGET: u64 = 0x0d;
    const NOP_RET: u64 = 0xd65f_03c0_d503_201f;
    const BTI_J_RET: u64 = 0xd65f_03c0_d503_249f;
    let base = Map::PLAIN.on(&[page(0) | PAGE | ACCESSED | UXN | GUARDED | READ_ONLY]);
    let lands = |instructions: u64| {
        write(page(0), instructions);
        publish();
        run(el1!("br x0"), EL1_MASKED, base, 0).class()
    };
    lands(NOP_RET) == Some(BRANCH_TARGET) && lands(BTI_J_RET).is_none()
}
