//! Exception vectors: interrupts are handled, the first FP/SIMD instruction after FPEXC.EN was cleared
//! sets it again, an SVC ends a stay in user mode, and what a check provokes is noted; the rest is fatal.
//!
//! Source: Arm ARM, "AArch32 state exception handling", "Exception vectors and the exception base
//! address".

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use super::{gic, psci, timer, window};
use crate::{println, read_coprocessor, write_coprocessor};

/// Kinds of exceptions, as the vectors number them.
pub const UNDEFINED: u32 = 1;
/// See [`UNDEFINED`].
pub const PREFETCH_ABORT: u32 = 2;
/// See [`UNDEFINED`].
pub const DATA_ABORT: u32 = 3;

global_asm!(
    r#"
    .section .text.vectors, "ax"
    .balign 32
    .global vectors
    vectors:
        b       9f                      @ not used
        b       undefined
        b       {leave_user}            @ SVC
        b       prefetch_abort
        b       data_abort
        b       9f                      @ not used
        b       irq
    9:  mov     r0, #0                  @ FIQ
        mov     r1, lr
        b       {fatal}

    @ Calls the handler with the kind of exception and the address of the instruction, which is \offset
    @ below the link register, and goes on where it says.
    .macro handle kind, offset
        sub     lr, lr, #\offset
        push    {{r0-r3, r12, lr}}
        mov     r0, #\kind
        mov     r1, lr
        bl      {handler}
        str     r0, [sp, #20]
        ldm     sp!, {{r0-r3, r12, pc}}^
    .endm

    undefined:
        handle  {undefined}, 4
    prefetch_abort:
        handle  {prefetch_abort}, 4
    data_abort:
        handle  {data_abort}, 8

    irq:
        sub     lr, lr, #4
        push    {{r0-r3, r12, lr}}
        bl      {interrupt}
        ldm     sp!, {{r0-r3, r12, pc}}^
    .purgem handle
    "#,
    handler = sym handler,
    interrupt = sym interrupt,
    fatal = sym fatal,
    leave_user = sym window::leave_user,
    undefined = const UNDEFINED,
    prefetch_abort = const PREFETCH_ABORT,
    data_abort = const DATA_ABORT,
);

unsafe extern "C" {
    static vectors: u8;
}

/// Where to go on after the next exception that a check provokes; 0 if none is expected.
static RECOVERY: AtomicU32 = AtomicU32::new(0);
/// The kind of the last one that came.
static KIND: AtomicU32 = AtomicU32::new(0);
/// The instruction that it came from.
static PLACE: AtomicU32 = AtomicU32::new(0);

/// Makes the vectors those of this CPU.
pub fn install() {
    let address = (&raw const vectors).expose_provenance() as u64;
    // SAFETY: VBAR; the address is that of a table of vectors, aligned to 32 bytes.
    unsafe { write_coprocessor!("p15, 0, {}, c12, c0, 0", address) };
}

/// Expects an exception, after which the program goes on at `recovery`.
pub fn expect(recovery: u32) {
    KIND.store(0, Ordering::Relaxed);
    RECOVERY.store(recovery, Ordering::Relaxed);
}

/// Returns the kind of the exception that came, 0 if none did, and the instruction that it came from.
/// None is expected any more.
pub fn came() -> (u32, u32) {
    RECOVERY.store(0, Ordering::Relaxed);
    (KIND.load(Ordering::Relaxed), PLACE.load(Ordering::Relaxed))
}

/// Handles an exception of the instruction at `address`, and returns where to go on.
extern "C" fn handler(kind: u32, address: u32) -> u32 {
    let recovery = RECOVERY.load(Ordering::Relaxed);
    if recovery != 0 {
        KIND.store(kind, Ordering::Relaxed);
        PLACE.store(address, Ordering::Relaxed);
        recovery
    } else if kind == UNDEFINED && window::enable_fp() {
        address
    } else {
        fatal(kind, address)
    }
}

/// Handles an interrupt.
extern "C" fn interrupt() {
    match gic::acknowledge() {
        gic::VIRTUAL_TIMER => {
            timer::handle();
            gic::end(gic::VIRTUAL_TIMER);
        }
        gic::SGI => {
            gic::end(gic::SGI);
            gic::SGIS_HANDLED.fetch_add(1, Ordering::Relaxed);
        }
        gic::FIRST_SPECIAL.. => {}
        other => {
            println!("error: interrupt {other} was never enabled");
            psci::system_off();
        }
    }
}

/// Reports an exception that nothing handles, and powers the machine off.
extern "C" fn fatal(kind: u32, address: u32) -> ! {
    let dfsr = read_coprocessor!("p15, 0, {}, c5, c0, 0");
    let dfar = read_coprocessor!("p15, 0, {}, c6, c0, 0");
    let ifsr = read_coprocessor!("p15, 0, {}, c5, c0, 1");
    println!("exception {kind} at {address:#x} DFSR={dfsr:#x} DFAR={dfar:#x} IFSR={ifsr:#x}");
    psci::system_off()
}
