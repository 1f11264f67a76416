//! Uses of what is neither one instruction nor the MMU's: pointer authentication, byte order, debug, counters,
//! interrupts.

use trapcast_guests::board::debug::{
    AT_EL0, ENABLE, LOADS, MDE, Point, WHOLE, set_breakpoint, set_control, set_double_lock,
    set_os_lock, set_watchpoint,
};
use trapcast_guests::board::gic;
use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome};
use trapcast_guests::{read_sysreg, write_sysreg};

use crate::run::{SVC, el0, el1, memory, result, result_at_el0, run};

/// Classes of ESR_EL1.
const TRAPPED_SYSTEM: u64 = 0x18;
const FPAC: u64 = 0x1c;
const BREAKPOINT: u64 = 0x30;
const WATCHPOINT: u64 = 0x34;

const SCTLR_M: u64 = 1 << 0;
const SCTLR_EOS: u64 = 1 << 11;
const SCTLR_EIS: u64 = 1 << 22;
const SCTLR_E0E: u64 = 1 << 24;
const SCTLR_EE: u64 = 1 << 25;
/// LSMAOE and nTLSMD.
const SCTLR_LSM: u64 = 0b11 << 28;
const SCTLR_ENIA: u64 = 1 << 31;

/// What is loaded in the other byte order.
const WORD: u64 = 0x1122_3344;
const SWAPPED: u64 = 0x4433_2211;

/// Runs `body` with SCTLR_EL1 changed.
fn with_sctlr<T>(change: impl Fn(u64) -> u64, body: impl FnOnce() -> T) -> T {
    let sctlr = read_sysreg!("sctlr_el1");
    // SAFETY: the callers' changes leave out what this program relies on.
    unsafe { write_sysreg!("sctlr_el1", change(sctlr)) };
    let result = body();
    // SAFETY: as it was.
    unsafe { write_sysreg!("sctlr_el1", sctlr) };
    result
}

/// Whether these bits can be 0 and 1.
fn sctlr_keeps(bits: u64) -> bool {
    let read = || read_sysreg!("sctlr_el1") & bits;
    with_sctlr(|sctlr| sctlr | bits, read) == bits && with_sctlr(|sctlr| sctlr & !bits, read) == 0
}

pub fn at_el0() -> bool {
    result_at_el0(el0!("mov x0, #7")) == Some(7)
}

pub fn at_el1() -> bool {
    read_sysreg!("currentel") == 1 << 2
}

/// FEAT_ExS: exceptions need not synchronise. That they do not cannot be told.
pub fn exceptions_without_synchronisation() -> bool {
    sctlr_keeps(SCTLR_EIS | SCTLR_EOS)
}

/// FEAT_LSMAOC: for AArch32 at EL0. That its loads are in order cannot be told.
pub fn load_multiple_order() -> bool {
    sctlr_keeps(SCTLR_LSM)
}

/// Big-endian data at EL1, with the MMU off, as its tables are data too; and at EL0.
pub fn big_endian() -> bool {
    let sctlr = read_sysreg!("sctlr_el1");
    let swapped = el1!(
        "mov w2, #0x3344",
        "movk w2, #0x1122, lsl #16",
        "str w2, [x1]",
        "dc civac, x1",
        "dsb sy",
        "mrs x3, sctlr_el1",
        "msr sctlr_el1, x0",
        "isb",
        "ldr w0, [x1]",
        "msr sctlr_el1, x3",
        "isb",
    );
    let outcome = run(swapped, EL1_MASKED, sctlr & !SCTLR_M | SCTLR_EE, memory());
    outcome.vector.is_none() && outcome.registers[0] == SWAPPED && big_endian_at_el0()
}

pub fn big_endian_at_el0() -> bool {
    let store = el1!("str w0, [x1]");
    run(store, EL1_MASKED, WORD, memory());
    let load = || result_at_el0(el0!("ldr w0, [x1]"));
    with_sctlr(|sctlr| sctlr | SCTLR_E0E, load) == Some(SWAPPED)
}

/// FEAT_IDST: an identification register that may not be read is told as a system register.
pub fn identification_trap() -> bool {
    let outcome = run(el0!("mrs x0, id_aa64pfr0_el1"), EL0, 0, 0);
    outcome.class() == Some(TRAPPED_SYSTEM)
}

/// FEAT_CCIDX: the geometry of a cache is in 64 bits.
pub fn wide_cache_geometry() -> bool {
    read_sysreg!("ccsidr_el1") >> 32 != 0
}

/// FEAT_SSBS: PSTATE.SSBS goes with SPSR_EL1.
pub fn speculative_store_bypass() -> bool {
    const SSBS: u64 = 1 << 12;
    let of = |spsr| run(el0!("nop"), EL0 | spsr, 0, 0).spsr & SSBS;
    of(SSBS) == SSBS && of(0) == 0
}

/// A pointer with a modifier, signed or authenticated.
fn sign(begin: u64, pointer: u64, modifier: u64) -> Outcome {
    run(begin, EL1_MASKED, pointer, modifier)
}

/// Sets the keys, and lets the instructions work.
fn with_keys<T>(body: impl FnOnce() -> T) -> T {
    result(el1!(
        "mov x2, #0x1234",
        "msr apiakeylo_el1, x2",
        "msr apiakeyhi_el1, x2",
        "msr apgakeylo_el1, x2",
        "msr apgakeyhi_el1, x2",
    ));
    with_sctlr(|sctlr| sctlr | SCTLR_ENIA, body)
}

/// FEAT_PAuth: what is signed is authenticated by the same modifier, and by no other.
pub fn pointer_authentication() -> bool {
    let pointer = memory();
    with_keys(|| {
        let rounds = (0..8).map(|modifier| {
            let signed = sign(el1!("pacia x0, x1"), pointer, modifier).registers[0];
            let good = sign(el1!("autia x0, x1"), signed, modifier);
            let bad = sign(el1!("autia x0, x1"), signed, modifier + 1);
            let refused = bad.vector.is_some() || bad.registers[0] != pointer;
            (signed != pointer, good.registers[0] == pointer && refused)
        });
        // A code of 0 may come about by chance.
        let (signed, told) = rounds.fold((0, 0), |(signed, told), (is_signed, is_told)| {
            (signed + u64::from(is_signed), told + u64::from(is_told))
        });
        signed >= 6 && told >= 6
    })
}

/// FEAT_FPAC: what is not authentic is an exception.
pub fn authentication_fault() -> bool {
    let wrong = memory() | 0x5a << 48;
    with_keys(|| sign(el1!("autia x0, x1"), wrong, 0).class()) == Some(FPAC)
}

/// FEAT_FPACCOMBINE: in RETAA, too.
pub fn combined_authentication_fault() -> bool {
    let wrong = memory() | 0x5a << 48;
    with_keys(|| sign(el1!("mov x30, x0", "retaa"), wrong, 0).class()) == Some(FPAC)
}

/// The generic code: it depends on the modifier, and is the upper half of a register.
pub fn generic_authentication() -> bool {
    with_keys(|| {
        let of = |modifier| sign(el1!("pacga x0, x0, x1"), memory(), modifier);
        let (one, other) = (of(1), of(2));
        let codes = [one.registers[0], other.registers[0]];
        let is_there = one.vector.is_none() && codes[0] != codes[1];
        is_there && codes.iter().all(|code| code & 0xffff_ffff == 0)
    })
}

/// The code that debug exceptions come from, at EL0: its second instruction. There is one.
#[inline(never)]
fn target() -> u64 {
    el0!("nop", "ldr w0, [x1]")
}

/// Which debug exception comes of it, with debug exceptions on.
fn debugged() -> Option<u64> {
    set_os_lock(false);
    // SAFETY: `run` copes with what comes of it.
    unsafe { set_control(MDE) };
    let class = run(target(), EL0, 0, memory()).class();
    // SAFETY: off again.
    unsafe { set_control(0) };
    class
}

fn is_hit(n: usize, set: unsafe fn(usize, Point), point: Point, class: u64) -> bool {
    // SAFETY: what matches is what is tried.
    unsafe { set(n, point) };
    let hit = debugged() == Some(class);
    // SAFETY: off again.
    unsafe { set(n, Point::default()) };
    hit && debugged() == Some(SVC)
}

fn at_target(control: u64) -> Point {
    Point {
        value: target() + 4,
        control: ENABLE | WHOLE | AT_EL0 | control,
    }
}

/// All breakpoints are hit.
pub fn breakpoints(last: u8) -> bool {
    (0..=last.into()).all(|n| is_hit(n, set_breakpoint, at_target(0), BREAKPOINT))
}

/// The same of watchpoints.
pub fn watchpoints(last: u8) -> bool {
    let point = Point {
        value: memory(),
        control: ENABLE | WHOLE | AT_EL0 | LOADS,
    };
    (0..=last.into()).all(|n| is_hit(n, set_watchpoint, point, WATCHPOINT))
}

/// Breakpoints that compare contexts: the last ones. One of them that matches lets the first be hit.
pub fn contexts(last: u8) -> bool {
    const ADDRESS: u64 = 1 << 20;
    const CONTEXT: u64 = 3 << 20;
    const LINK_SHIFT: u64 = 16;
    let all = (read_sysreg!("id_aa64dfr0_el1") >> 12 & 0xf) as usize;
    (0..=usize::from(last)).all(|back| {
        let Some(n @ 1..) = all.checked_sub(back) else {
            return true;
        };
        [(7, BREAKPOINT), (8, SVC)].into_iter().all(|(id, class)| {
            let context = Point {
                value: 7,
                control: ENABLE | WHOLE | AT_EL0 | CONTEXT,
            };
            // SAFETY: no other code reads these registers.
            unsafe {
                set_breakpoint(n, context);
                write_sysreg!("contextidr_el1", id);
                set_breakpoint(0, at_target(ADDRESS | (n as u64) << LINK_SHIFT));
            }
            let found = debugged();
            // SAFETY: off again.
            unsafe {
                set_breakpoint(0, Point::default());
                set_breakpoint(n, Point::default());
            }
            found == Some(class)
        })
    })
}

/// Debug exceptions, of which `breakpoints` tries all.
pub fn debug() -> bool {
    is_hit(0, set_breakpoint, at_target(0), BREAKPOINT)
}

/// The OS Double Lock is there, or not.
pub fn double_lock(field: u8) -> bool {
    set_double_lock(true);
    let locked = read_sysreg!("osdlr_el1") & 1 != 0;
    set_double_lock(false);
    match field {
        0 => locked && read_sysreg!("osdlr_el1") & 1 == 0,
        _ => field == 0xf && !locked,
    }
}

/// The cycle counter counts, and all other counters that there are keep what is written.
pub fn counters() -> bool {
    let counts = el1!(
        "mov x2, #1 << 31",
        "msr pmccfiltr_el0, xzr",
        "msr pmcntenset_el0, x2",
        "mov x3, #1",
        "msr pmcr_el0, x3",
        "isb",
        "mrs x4, pmccntr_el0",
        "mov x5, #1000",
        "3: mrs x0, pmccntr_el0",
        "subs x5, x5, #1",
        "ccmp x0, x4, #0, ne",
        "b.eq 3b",
        "cmp x0, x4",
        "cset x0, ne",
        "msr pmcr_el0, xzr",
        "msr pmcntenclr_el0, x2",
    );
    let keep = el1!(
        "mrs x2, pmcr_el0",
        "ubfx x2, x2, #11, #5",
        "mov x0, #1",
        "3: cbz x2, 4f",
        "sub x2, x2, #1",
        "msr pmselr_el0, x2",
        "add x3, x2, #0x123",
        "isb",
        "msr pmxevcntr_el0, x3",
        "isb",
        "mrs x4, pmxevcntr_el0",
        "cmp w4, w3",
        "csel x0, x0, xzr, eq",
        "b 3b",
        "4:",
    );
    result(counts) == Some(1) && result(keep) == Some(1)
}

/// The CPU interface by system registers: an SGI to itself is pending, is acknowledged, and ends.
pub fn interrupts() -> bool {
    const PENDING: u64 = 1 << 7;
    gic::mask();
    gic::send_sgi(0);
    let pending = (0..100_000).any(|_| read_sysreg!("isr_el1") & PENDING != 0);
    let acknowledged = gic::acknowledge() == gic::SGI;
    if acknowledged {
        gic::end(gic::SGI);
    }
    pending && acknowledged && read_sysreg!("isr_el1") & PENDING == 0
}

/// DC ZVA zeroes as much as DCZID_EL0.BS says, and no more.
pub fn zeroed(words: u8) -> bool {
    #[repr(C, align(2048))]
    struct Block(core::cell::UnsafeCell<[u8; 4096]>);
    // SAFETY: one CPU.
    unsafe impl Sync for Block {}
    static BLOCK: Block = Block(core::cell::UnsafeCell::new([0; 4096]));
    let bytes = 4usize << words;
    // SAFETY: nobody else has it.
    unsafe { BLOCK.0.get().write_volatile([0xff; 4096]) };
    let at = BLOCK.0.get().expose_provenance() as u64;
    let done = run(el1!("dc zva, x0"), EL1_MASKED, at, 0).vector.is_none();
    // SAFETY: as above.
    let found = unsafe { BLOCK.0.get().read_volatile() };
    let zeroes = found.iter().take_while(|byte| **byte == 0).count();
    done && zeroes == bytes && found[bytes..].iter().all(|byte| *byte == 0xff)
}
