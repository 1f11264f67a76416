//! Runs a few instructions and says what came of them, whatever exception they are taken as.

use core::arch::global_asm;
use core::cell::UnsafeCell;

use trapcast_guests::board::exceptions;

global_asm!(
    r#"
    .section .text.uses, "ax"
    .global features_run, features_recover
    features_run:                       @ r0: the instructions, r1: memory. Returns r0.
        push    {{r4, lr}}
        mov     r2, r0
        mov     r0, #0
        blx     r2
    features_recover:                   @ SP is as it was at the call.
        pop     {{r4, pc}}
    "#
);

unsafe extern "C" {
    fn features_run(begin: u32, memory: u32) -> u32;
    static features_recover: u8;
}

#[repr(C, align(64))]
struct Memory(UnsafeCell<[u32; 16]>);

// SAFETY: one CPU, and the instructions that are run.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; 16]));

/// The address of memory that nobody else uses.
pub fn memory() -> u32 {
    MEMORY.0.get().expose_provenance() as u32
}

/// What instructions leave in R0, and the kind of the exception that they end by, or 0. R1 is [`memory`].
pub fn run(begin: u32) -> (u32, u32) {
    exceptions::expect((&raw const features_recover).expose_provenance() as u32);
    // SAFETY: they change R0 to R3 and R12, and the memory that R1 names.
    let result = unsafe { features_run(begin, memory()) };
    (result, exceptions::came().0)
}

/// What instructions leave in R0; none if they end by an exception.
pub fn result(begin: u32) -> Option<u32> {
    let (result, kind) = run(begin);
    (kind == 0).then_some(result)
}

/// The address of a few instructions, which may leave what they like in R0, R2, R3 and R12.
macro_rules! code {
    ($($line:expr),+ $(,)?) => {{
        let address: u32;
        // SAFETY: an address. The instructions are elsewhere.
        unsafe {
            core::arch::asm!(
                ".pushsection .text.uses, \"ax\"",
                ".arch armv8.6-a",
                ".arch_extension crc",
                ".fpu crypto-neon-fp-armv8",
                ".balign 4",
                "2:",
                $($line,)+
                "bx lr",
                ".arm",
                ".popsection",
                "movw {address}, #:lower16:2b",
                "movt {address}, #:upper16:2b",
                address = out(reg) address,
                options(nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// A use that leaves this in R0.
macro_rules! gives {
    ($expected:expr; $($line:expr),+ $(,)?) => {
        || $crate::run::result($crate::run::code!($($line),+)) == Some($expected)
    };
}

/// The same in T32.
macro_rules! gives_t32 {
    ($expected:expr; $($line:expr),+ $(,)?) => {
        || {
            let code = $crate::run::code!("add r12, pc, #1", "bx r12", ".thumb", $($line),+);
            $crate::run::result(code) == Some($expected)
        }
    };
}

/// A use that is no exception.
macro_rules! executes {
    ($($line:expr),+ $(,)?) => {
        || $crate::run::result($crate::run::code!($($line),+)).is_some()
    };
}

pub(crate) use {code, executes, gives, gives_t32};
