//! One window of guest code: the exit that opens it, integer work, and a use of the registers, in
//! supervisor or in user mode. All FP instructions of the AArch32 checker are here.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{psci, timer};
use crate::pattern32::{FPEXC_EN, Registers};
use crate::plan::{Place, Window};

/// What the body of a window works on.
#[derive(Debug)]
#[repr(C)]
struct Job {
    work_before: u32,
    work_after: u32,
    uses: u32,
    operand: u32,
    result: u32,
    found: Registers,
    next: Registers,
}

struct Shared(UnsafeCell<Job>);

// SAFETY: one CPU, and only `run` and what it calls get at the contents.
unsafe impl Sync for Shared {}

static JOB: Shared = Shared(UnsafeCell::new(Job {
    work_before: 0,
    work_after: 0,
    uses: 0,
    operand: 0,
    result: 0,
    found: Registers::ZERO,
    next: Registers::ZERO,
}));

/// Whether a window runs that uses the registers.
static USING: AtomicBool = AtomicBool::new(false);
/// How often such a window found FP disabled.
static ENABLED: AtomicU32 = AtomicU32::new(0);
/// FPEXC when it did.
static FPEXC: AtomicU32 = AtomicU32::new(0);

/// Instructions in one turn of the work loop.
const INSTRUCTIONS_PER_TURN: u64 = 4;

global_asm!(
    r#"
    .fpu    neon-vfpv4
    @ \count turns of a loop that does nothing of use. Changes \count, r12.
    .macro integer_work count
    21: eor     r12, r12, \count
        ror     r12, r12, #7
        subs    \count, \count, #1
        bne     21b
    .endm

    @ The body of a window. r0: the Job. Changes r1 to r3, r12 and, in a window that uses the registers,
    @ all of D0-D31 and FPSCR.
    .macro window_body
        ldr     r1, [r0, #{work_before}]
        integer_work r1
        ldr     r1, [r0, #{uses}]
        cmp     r1, #0
        beq     22f
        add     r2, r0, #{found}
        vstmia  r2!, {{d0-d15}}
        vstmia  r2!, {{d16-d31}}
        vmrs    r3, fpscr
        str     r3, [r2]

        @ Four lanes of x * 3 + x + x * 3: exact for small x.
        ldr     r3, [r0, #{operand}]
        vdup.32 q0, r3
        vcvt.f32.u32 q0, q0
        vmov.f32 q1, #3.0
        vmul.f32 q2, q0, q1
        vadd.f32 q2, q2, q0
        vmla.f32 q2, q0, q1
        vpadd.f32 d4, d4, d5
        vpadd.f32 d4, d4, d4
        vcvt.u32.f32 d4, d4
        vmov.32 r3, d4[0]
        str     r3, [r0, #{result}]

        add     r2, r0, #{next}
        vldmia  r2!, {{d0-d15}}
        vldmia  r2!, {{d16-d31}}
        ldr     r3, [r2]
        vmsr    fpscr, r3
    22: ldr     r1, [r0, #{work_after}]
        integer_work r1
    .endm

    .global kernel_body, user_body, leave_user, read_fpexc, write_fpexc
    .section .text.window, "ax"
    kernel_body:
        window_body
        bx      lr

    user_body:                          @ returns at the SVC
        push    {{r4-r11, lr}}
        cps     #0x10
        window_body
        svc     #0
    leave_user:                         @ the vector for SVC, with IRQs masked
        pop     {{r4-r11, lr}}
        cpsie   i
        bx      lr

    read_fpexc:
        vmrs    r0, fpexc
        bx      lr
    write_fpexc:
        vmsr    fpexc, r0
        isb
        bx      lr
    .purgem window_body
    .purgem integer_work
    "#,
    work_before = const offset_of!(Job, work_before),
    work_after = const offset_of!(Job, work_after),
    uses = const offset_of!(Job, uses),
    operand = const offset_of!(Job, operand),
    result = const offset_of!(Job, result),
    found = const offset_of!(Job, found),
    next = const offset_of!(Job, next),
);

unsafe extern "C" {
    fn kernel_body(job: *mut Job);
    fn user_body(job: *mut Job);
    /// The vector for SVC.
    pub fn leave_user();
    safe fn read_fpexc() -> u32;
    safe fn write_fpexc(value: u32);
}

/// How the exit that opens a window comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// WFI, until the virtual timer fires.
    Wait,
    /// An HVC.
    Call,
}

/// What a window that uses the registers found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The registers before the window changed them.
    pub registers: Registers,
    /// The sum that it calculated.
    pub sum: u32,
    /// How often it ran into an UNDEFINED instruction because FPEXC.EN was clear.
    pub enabled: u32,
}

/// The sum that a window with the operand `operand`, below 2^16, must calculate.
#[must_use]
pub fn expected_sum(operand: u32) -> u32 {
    operand * 4 * 7
}

/// Opens a window.
pub fn open(opening: Opening) {
    match opening {
        Opening::Wait => timer::wait(),
        Opening::Call => {
            psci::call(psci::VERSION);
        }
    }
}

/// Runs one window: works, and, if the plan says so, takes the registers as they are, calculates with
/// `operand` (below 2^16) and leaves `next` in the registers. With `look_first`, supervisor mode reads
/// FPEXC before it uses other registers.
///
/// Returns what it found, if it used the registers.
pub fn run(window: &Window, operand: u32, next: &Registers, look_first: bool) -> Option<Found> {
    let job = JOB.0.get();
    let fresh = Job {
        work_before: (window.work_before / INSTRUCTIONS_PER_TURN) as u32,
        work_after: (window.work_after / INSTRUCTIONS_PER_TURN) as u32,
        uses: window.uses.into(),
        operand,
        result: 0,
        found: Registers::ZERO,
        next: *next,
    };
    // SAFETY: no other code runs that uses the job.
    unsafe { job.write(fresh) };
    let looked = (window.uses && look_first).then(|| read_fpexc());
    ENABLED.store(0, Ordering::Relaxed);
    USING.store(window.uses, Ordering::Relaxed);
    // SAFETY: the job is valid; no Rust code uses the FP registers. User mode comes back by SVC with
    // the stack pointer and callee-saved registers of now.
    unsafe {
        match window.place {
            Place::Kernel => kernel_body(job),
            Place::User => user_body(job),
        }
    }
    USING.store(false, Ordering::Relaxed);
    // SAFETY: as above; the body has filled it in.
    let mut done = unsafe { job.read() };
    let enabled = ENABLED.load(Ordering::Relaxed);
    window.uses.then(|| {
        let found_disabled = || (enabled != 0).then(|| FPEXC.load(Ordering::Relaxed));
        done.found.fpexc = looked
            .or_else(found_disabled)
            .unwrap_or_else(|| read_fpexc());
        write_fpexc(next.fpexc);
        Found {
            registers: done.found,
            sum: done.result,
            enabled,
        }
    })
}

/// An UNDEFINED instruction: if it is one of a window's, and FP is disabled, enables FP. Returns
/// whether the instruction is to be tried again.
pub fn enable_fp() -> bool {
    if !USING.swap(false, Ordering::Relaxed) {
        return false;
    }
    let fpexc = read_fpexc();
    if fpexc & FPEXC_EN != 0 {
        return false;
    }
    USING.store(true, Ordering::Relaxed);
    ENABLED.fetch_add(1, Ordering::Relaxed);
    FPEXC.store(fpexc, Ordering::Relaxed);
    write_fpexc(fpexc | FPEXC_EN);
    true
}
