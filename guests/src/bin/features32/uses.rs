//! Uses of more than a few instructions.

use trapcast_guests::board::{debug, exceptions, gic};
use trapcast_guests::{read_coprocessor, read_coprocessor_pair};

use crate::run::{code, memory, result, run};

/// Lets floating point be used.
pub fn open() {
    result(code!("mov r0, #1 << 30", "vmsr fpexc, r0"));
}

/// BKPT is a debug event.
pub fn software_breakpoint() -> bool {
    run(code!("bkpt #0")).1 == exceptions::PREFETCH_ABORT
}

/// A breakpoint, a watchpoint, and what tells them.
pub fn debug() -> bool {
    let recovery = code!("nop");
    let mut mismatches = 0;
    debug::run(
        |action| {
            exceptions::expect(recovery);
            action();
            exceptions::came()
        },
        |_, expected, found| mismatches += u32::from(expected != found),
    );
    mismatches == 0
}

/// An SGI to itself is pending, is acknowledged, and ends.
pub fn interrupts() -> bool {
    const PENDING: u64 = 1 << 7;
    gic::mask();
    gic::send_sgi(0);
    let isr = || read_coprocessor!("p15, 0, {}, c12, c1, 0") & PENDING;
    let pending = (0..100_000).any(|_| isr() != 0);
    // WFI finds it, and does not wait.
    let waited = result(code!("wfi")).is_some();
    let acknowledged = gic::acknowledge() == gic::SGI;
    if acknowledged {
        gic::end(gic::SGI);
    }
    let ended = isr() == 0;
    gic::unmask();
    pending && waited && acknowledged && ended
}

/// Both counters count.
pub fn counters() -> bool {
    let physical = || read_coprocessor_pair!("p15, 0, {}, {}, c14");
    let virtual_one = || read_coprocessor_pair!("p15, 1, {}, {}, c14");
    let (before, also) = (physical(), virtual_one());
    (0..100_000).any(|_| physical() > before && virtual_one() > also)
}

/// The cycle counter counts.
pub fn cycles() -> bool {
    let counts = code!(
        "mov r2, #1 << 31",
        "mcr p15, 0, r2, c9, c12, 1",
        "mov r2, #1",
        "mcr p15, 0, r2, c9, c12, 0",
        "isb",
        "mrc p15, 0, r2, c9, c13, 0",
        "mov r3, #1000",
        "3: mrc p15, 0, r0, c9, c13, 0",
        "subs r3, r3, #1",
        "cmpne r0, r2",
        "beq 3b",
        "subs r0, r0, r2",
        "movne r0, #1",
        "mov r2, #0",
        "mcr p15, 0, r2, c9, c12, 0",
    );
    result(counts) == Some(1)
}

/// Long descriptors: what AT says of [`memory`], which user mode reaches, by the instructions between the others.
/// The MMU is off while the tables change.
macro_rules! by_long_descriptors {
    ($($line:expr),+) => {
        code!(
            "push {{r4-r10}}",
            "mrc p15, 0, r4, c1, c0, 0",
            "mrc p15, 0, r5, c2, c0, 2",
            "mrc p15, 0, r6, c2, c0, 0",
            "mrc p15, 0, r7, c10, c2, 0",
            "bic r8, r4, #1",
            "mcr p15, 0, r8, c1, c0, 0",
            "isb",
            // TTBCR.EAE, addresses of 32 bits; one kind of memory; a block of 1 GiB.
            "mov r9, #1 << 31",
            "mcr p15, 0, r9, c2, c0, 2",
            "mov r9, #0xff",
            "mcr p15, 0, r9, c10, c2, 0",
            "mov r10, #0",
            "mcrr p15, 0, r1, r10, c2",
            "movw r9, #0x741",
            "movt r9, #0x4000",
            "str r9, [r1, #8]",
            "str r10, [r1, #12]",
            "dsb",
            "mcr p15, 0, r10, c8, c7, 0",
            "dsb",
            "isb",
            "mcr p15, 0, r4, c1, c0, 0",
            "isb",
            $($line,)+
            "isb",
            "mrrc p15, 0, r0, r9, c7",
            "mcr p15, 0, r8, c1, c0, 0",
            "isb",
            "mcr p15, 0, r5, c2, c0, 2",
            "mcr p15, 0, r6, c2, c0, 0",
            "mcr p15, 0, r7, c10, c2, 0",
            "mcr p15, 0, r10, c8, c7, 0",
            "dsb",
            "isb",
            "mcr p15, 0, r4, c1, c0, 0",
            "isb",
            "pop {{r4-r10}}",
        )
    };
}

/// PAR of a long descriptor: LPAE, F.
const LPAE: u32 = 1 << 11;
const FAILED: u32 = 1 << 0;

/// Whether addresses are translated by long descriptors.
pub fn long_descriptors() -> bool {
    let par = result(by_long_descriptors!("mcr p15, 0, r1, c7, c8, 0"));
    par.is_some_and(|par| par & (LPAE | FAILED) == LPAE && par >> 12 == memory() >> 12)
}

/// FEAT_PAN2: PL1 does not reach what user mode does, as AT says.
pub fn privileged_access_never() -> bool {
    let par = result(by_long_descriptors!(
        "setpan #1",
        "mcr p15, 0, r1, c7, c9, 0",
        "setpan #0"
    ));
    let without = result(by_long_descriptors!("mcr p15, 0, r1, c7, c9, 0"));
    par.is_some_and(|par| par & FAILED != 0) && without.is_some_and(|par| par & FAILED == 0)
}

/// A supersection of 16 MiB is translated as one.
pub fn supersections(field: u8) -> bool {
    const UNUSED: u32 = 0x1000_0000;
    const TARGET: u32 = 0x4000_0000;
    let table = read_coprocessor!("p15, 0, {}, c2, c0, 0") as u32 & !0x3fff;
    for index in 0..16 {
        let entry = table + (UNUSED >> 20 << 2) + 4 * index;
        // SAFETY: entries of this guest's table, for addresses that nothing uses.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u32>(entry as usize)
                .write_volatile(TARGET | 1 << 18 | 0b11 << 10 | 0b10);
        }
    }
    let at = code!(
        "ldr r2, [r1]",
        "dsb",
        "mcr p15, 0, r2, c8, c7, 1",
        "dsb",
        "isb",
        "mcr p15, 0, r2, c7, c8, 0",
        "isb",
        "mrc p15, 0, r0, c7, c4, 0"
    );
    let word = core::ptr::with_exposed_provenance_mut::<u32>(memory() as usize);
    // SAFETY: nobody else's memory.
    unsafe { word.write_volatile(UNUSED + 0x50_0000) };
    let par = result(at);
    // PAR.SS.
    let is_one = par.is_some_and(|par| par & 0b11 == 0b10 && par >> 24 == TARGET >> 24);
    is_one == (field == 0)
}
