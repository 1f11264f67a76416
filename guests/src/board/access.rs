//! One access to registers at EL0 or EL1, from which this guest always comes back: by an SVC, or by the
//! exception that it takes.
//!
//! The instructions exist twice, once in pages of each Exception level.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use super::cpus::{self, MAX_CPUS};
use super::{exceptions, gic};
use crate::access::{Access, Cpacr, Level};
use crate::vectors::Vector;
use crate::{read_sysreg, write_sysreg};

/// The register of each kind that is stored: Q, V, Z and P of this number.
pub const REGISTER: usize = 5;
/// The row of ZA.
pub const ROW: usize = 1;

/// Bytes from one access to the next.
const STRIDE: usize = 64;

/// What accesses store; EL0 can reach it.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct Stored {
    /// What was stored last, at the start.
    pub vector: Vector,
    /// Room for a predicate that has to be kept meanwhile.
    scratch: Vector,
}

#[repr(transparent)]
struct Shared(UnsafeCell<Stored>);

// SAFETY: each CPU has its own, and takes turns on it with EL0.
unsafe impl Sync for Shared {}

#[unsafe(link_section = ".user.bss")]
static STORED: [Shared; MAX_CPUS] = [const {
    Shared(UnsafeCell::new(Stored {
        vector: [0; 16],
        scratch: [0; 16],
    }))
}; MAX_CPUS];

global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .arch_extension sme

    // x0: where to store, x1: a device register to read first, or 0; x12: the row of ZA. Changes x1.
    .macro access
        .balign {stride}
        cbz     x1, 51f
        ldr     w1, [x1]
    51:
    .endm

    // In the order of `Access::ALL`, each with its SVC.
    .macro accesses
        access
        str     q{register}, [x0]
        svc     #0
        access
        st1     {{v{register}.16b}}, [x0]
        svc     #0
        access
        mrs     x1, fpcr
        str     x1, [x0]
        svc     #0
        access
        str     z{register}, [x0]
        svc     #0
        access
        str     p{register}, [x0]
        svc     #0
        access
        rdvl    x1, #1
        str     x1, [x0]
        svc     #0
        access
        str     p0, [x0, #8, mul vl]
        rdffr   p0.b
        str     p0, [x0]
        ldr     p0, [x0, #8, mul vl]
        svc     #0
        access
        mrs     x1, S3_0_C1_C2_0
        str     x1, [x0]
        svc     #0
        access
        rdsvl   x1, #1
        str     x1, [x0]
        svc     #0
        access
        mrs     x1, S3_3_C4_C2_2
        str     x1, [x0]
        svc     #0
        access
        str     za[w12, 0], [x0]
        svc     #0
        access
        st1b    {{za0h.b[w12, 0]}}, p{register}, [x0]
        svc     #0
        access
        mrs     x1, S3_0_C1_C2_6
        str     x1, [x0]
        svc     #0
    .endm

    .section .text.access, "ax"
    .balign {stride}
    kernel_accesses:
        accesses

    .balign 2048
    access_vectors:
    .rept 4                             // from EL1 with SP_EL0
        b       {fatal}
        .balign 128
    .endr
        b       52f                     // from EL1: synchronous
        .balign 128
    .rept 3
        b       {fatal}
        .balign 128
    .endr
        b       52f                     // from EL0: synchronous
        .balign 128
    .rept 7
        b       {fatal}
        .balign 128
    .endr
    52: mrs     x0, esr_el1
        ret

    // x0, x1, x12: for the access, x2: where it is, x3: SPSR_EL1. Returns ESR_EL1. An access changes
    // nothing that a call may not.
    try_access:
        mov     x12, x4
        msr     elr_el1, x2
        msr     spsr_el1, x3
        eret

    .section .user.text, "ax"
    .balign {stride}
    user_accesses:
        accesses

    .purgem accesses
    .purgem access
    .arch_extension nosme
    .arch_extension nosve
    .arch_extension nosimd
    .arch_extension nofp
    "#,
    stride = const STRIDE,
    register = const REGISTER,
    fatal = sym exceptions::fatal,
);

unsafe extern "C" {
    static kernel_accesses: u8;
    static user_accesses: u8;
    static access_vectors: u8;
    fn try_access(stored: *mut Stored, device: usize, code: u64, spsr: u64, row: usize) -> u64;
}

/// Sets `CPACR_EL1`.
pub fn set_cpacr(cpacr: Cpacr) {
    // SAFETY: whoever calls this uses registers that trap in `attempt` alone.
    unsafe { write_sysreg!("cpacr_el1", cpacr.bits()) };
}

/// Makes one access, after a read of an emulated device if `reads_device`. Returns `ESR_EL1`, an SVC's
/// if it worked, and what it has stored.
pub fn attempt(access: Access, el: Level, reads_device: bool) -> (u64, Stored) {
    /// SPSR_EL1 of both: all interrupts masked.
    const MASKED: u64 = 0xf << 6;
    const EL1H: u64 = 0b0101;
    let stored = STORED[cpus::current()].0.get();
    let (first, mode) = match el {
        Level::El0 => (&raw const user_accesses, 0),
        Level::El1 => (&raw const kernel_accesses, EL1H),
    };
    let code = first.expose_provenance() + access as usize * STRIDE;
    let device = if reads_device { gic::GICD_IIDR } else { 0 };
    let daif = read_sysreg!("daif");
    gic::mask();
    let vectors = (&raw const access_vectors).expose_provenance() as u64;
    // SAFETY: the address of a table of vectors, for what the access takes.
    unsafe { write_sysreg!("vbar_el1", vectors) };
    // SAFETY: there is room for the longest vector and predicate. The access comes back by a vector,
    // with nothing changed but registers that a call may change.
    let esr = unsafe { try_access(stored, device, code as u64, MASKED | mode, ROW) };
    exceptions::install();
    // SAFETY: as it was.
    unsafe { write_sysreg!("daif", daif) };
    // SAFETY: nobody else uses it now; any bytes are numbers.
    (esr, unsafe { stored.read() })
}
