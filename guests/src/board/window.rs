//! One window of guest code: the exit that opens it, integer work, and a use of the registers, at
//! EL1 or really at EL0.
//!
//! The body exists twice, once in pages of each exception level, so that the resume point of a
//! window tells where it runs. All FP instructions of the checker are here.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

use super::cpus::{self, MAX_CPUS};
use super::{exceptions, gic, psci, timer};
use crate::pattern::Registers;
use crate::plan::{Place, Window};

/// What the body of a window works on; EL0 can reach it.
#[derive(Debug)]
#[repr(C)]
struct Job {
    work_before: u64,
    work_after: u64,
    uses: u64,
    operand: u64,
    result: u64,
    found: Registers,
    next: Registers,
}

#[repr(C, align(4096))]
struct Shared(UnsafeCell<Job>);

// SAFETY: one CPU, and on it only `run`, which takes turns with EL0, gets at the contents.
unsafe impl Sync for Shared {}

#[unsafe(link_section = ".user.bss")]
static JOBS: [Shared; MAX_CPUS] = [const {
    Shared(UnsafeCell::new(Job {
        work_before: 0,
        work_after: 0,
        uses: 0,
        operand: 0,
        result: 0,
        found: Registers::ZERO,
        next: Registers::ZERO,
    }))
}; MAX_CPUS];

/// Instructions in one turn of the work loop.
const INSTRUCTIONS_PER_TURN: u64 = 4;

global_asm!(
    include_str!("../registers.s"),
    r#"
    // \count turns of a loop that does nothing of use. Changes \count, x9.
    .macro integer_work count
    21: eor     x9, x9, \count
        ror     x9, x9, #7
        subs    \count, \count, #1
        b.ne    21b
    .endm

    // The body of a window. x0: the Job. Changes x1 to x9 and, in a window that uses the
    // registers, all of V0-V31, FPSR and FPCR.
    .macro window_body
        ldr     x1, [x0, #{work_before}]
        integer_work x1
        ldr     x1, [x0, #{uses}]
        cbz     x1, 22f
        .arch_extension fp
        .arch_extension simd
        add     x2, x0, #{found}
        store_registers x2, x3, w3

        // Four lanes of x * 3 + x + x * 3: exact for small x, whatever FPCR's rounding mode.
        ldr     x3, [x0, #{operand}]
        dup     v0.4s, w3
        scvtf   v0.4s, v0.4s
        fmov    v1.4s, #3.0
        fmul    v2.4s, v0.4s, v1.4s
        fadd    v2.4s, v2.4s, v0.4s
        fmla    v2.4s, v0.4s, v1.4s
        faddp   v2.4s, v2.4s, v2.4s
        faddp   s2, v2.2s
        fcvtzs  w3, s2
        str     x3, [x0, #{result}]

        add     x2, x0, #{next}
        load_registers x2, x3, w3
        .arch_extension nosimd
        .arch_extension nofp
    22: ldr     x1, [x0, #{work_after}]
        integer_work x1
    .endm

    .global kernel_body, user_wait, user_call, user_body, enter_user, from_el0
    .section .text.window, "ax"
    kernel_body:
        window_body
        ret

    .section .user.text, "ax"
    user_wait:                          // the interrupt handler moves it on to the body
        wfi
        b       user_wait
    user_call:                          // x1: a device register to read
        ldr     w2, [x1]
    user_body:
        window_body
        svc     #0

    .purgem window_body
    .purgem integer_work
    .purgem store_registers
    .purgem load_registers

    .section .text.user, "ax"
    // x0: the Job, x1: a device register, x2: where to enter EL0. Returns at the SVC.
    enter_user:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        msr     elr_el1, x2
        msr     spsr_el1, xzr           // EL0, nothing masked
        eret
    leave_user:
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret

    from_el0:
        mrs     x0, esr_el1
        lsr     x0, x0, #26
        cmp     x0, #0x15               // SVC
        b.eq    leave_user
        b       {fatal}
    "#,
    work_before = const offset_of!(Job, work_before),
    work_after = const offset_of!(Job, work_after),
    uses = const offset_of!(Job, uses),
    operand = const offset_of!(Job, operand),
    result = const offset_of!(Job, result),
    found = const offset_of!(Job, found),
    next = const offset_of!(Job, next),
    fatal = sym exceptions::fatal,
);

unsafe extern "C" {
    static user_wait: u8;
    static user_call: u8;
    static user_body: u8;
    fn kernel_body(job: *mut Job);
    fn enter_user(job: *mut Job, device: usize, entry: *const u8);
    /// The vector for synchronous exceptions from EL0.
    pub fn from_el0();
}

/// How the exit that opens a window comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// WFI, until the virtual timer fires.
    Wait,
    /// A call: an HVC at EL1; at EL0, which has none, a read of an emulated device.
    Call,
}

/// What a window that uses the registers found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The registers before the window changed them.
    pub registers: Registers,
    /// The sum that it calculated.
    pub sum: u64,
}

/// The sum that a window with the operand `operand`, below 2^16, must calculate.
#[must_use]
pub fn expected_sum(operand: u64) -> u64 {
    operand * 4 * 7
}

/// Runs one window: opens it, works, and, if the plan says so, takes the registers as they are,
/// calculates with `operand` (below 2^16) and leaves `next` in the registers.
///
/// Returns what it found, if it used the registers.
pub fn run(window: &Window, opening: Opening, operand: u64, next: &Registers) -> Option<Found> {
    let job = JOBS[cpus::current()].0.get();
    let fresh = Job {
        work_before: window.work_before / INSTRUCTIONS_PER_TURN,
        work_after: window.work_after / INSTRUCTIONS_PER_TURN,
        uses: window.uses.into(),
        operand,
        result: 0,
        found: Registers::ZERO,
        next: *next,
    };
    // SAFETY: EL0 does not run, so nobody else accesses the job.
    unsafe { job.write(fresh) };
    match window.place {
        Place::Kernel => run_at_el1(opening, job),
        Place::User => run_at_el0(opening, job),
    }
    // SAFETY: as above; the body has filled it in.
    let done = unsafe { job.read() };
    window.uses.then_some(Found {
        registers: done.found,
        sum: done.result,
    })
}

fn run_at_el1(opening: Opening, job: *mut Job) {
    match opening {
        Opening::Wait => timer::wait(),
        Opening::Call => {
            psci::call(psci::VERSION);
        }
    }
    // SAFETY: the job is valid; no Rust code uses the FP registers.
    unsafe { kernel_body(job) };
}

fn run_at_el0(opening: Opening, job: *mut Job) {
    // Masked until EL0 unmasks: an interrupt must not come before EL0 waits for it.
    gic::mask();
    let entry = match opening {
        Opening::Wait => {
            timer::set(timer::WAIT_MICROSECONDS);
            &raw const user_wait
        }
        Opening::Call => &raw const user_call,
    };
    // SAFETY: the job is valid and, as the code, mapped for EL0; it comes back by SVC with the
    // stack pointer and callee-saved registers of now.
    unsafe { enter_user(job, gic::GICD_IIDR, entry) };
    gic::unmask();
}

/// Where to go on after an interrupt that was taken at `elr`: code at EL0 that waits for an
/// interrupt has found it, if it was the timer's; all other code goes on where it was.
pub fn resume_after_interrupt(elr: u64) -> u64 {
    let wait = (&raw const user_wait).expose_provenance() as u64;
    let wait_end = (&raw const user_call).expose_provenance() as u64;
    if (wait..wait_end).contains(&elr) && timer::fired() {
        (&raw const user_body).expose_provenance() as u64
    } else {
        elr
    }
}
