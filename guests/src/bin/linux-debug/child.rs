//! The child that is debugged: stops itself, and then goes round and round by a few instructions.

use core::arch::global_asm;
use core::cell::UnsafeCell;

/// The words that watchpoints watch: the child stores to the first and loads the second.
#[repr(C, align(64))]
pub struct Words(UnsafeCell<[u32; 16]>);

// SAFETY: only the child's code accesses them, in memory of its own.
unsafe impl Sync for Words {}

/// See [`Words`].
pub static WORDS: Words = Words(UnsafeCell::new([0; 16]));

/// Where the second word is.
pub const LOADED: u64 = 32;

global_asm!(
    r#"
    .section .text.child, "ax"
    .balign 16
    // x0: the process, x1: the words. Does not return.
    .global child_body, child_loop, child_call, child_target, child_end, probed
    child_body:
        mov     x19, x1
        mov     x1, #19                 // SIGSTOP
        mov     x8, #129                // kill
        svc     #0
    child_loop:
        add     x20, x20, #1
        nop
        str     w20, [x19]
        ldr     w21, [x19, #32]
        mov     x8, #172                // getpid
    child_call:
        svc     #0
        cbz     x20, child_loop
    child_target:
        add     x22, x22, #1
        nop
    child_end:
        b       child_loop

    probed:                             // returns 5
        mov     x0, #2
        add     x0, x0, #3
        ret
    "#
);

unsafe extern "C" {
    /// What the child runs.
    pub fn child_body(process: u64, words: *const Words) -> !;
    static child_loop: u8;
    static child_call: u8;
    static child_target: u8;
    static child_end: u8;
    /// What the uprobe is on.
    pub safe fn probed() -> u64;
}

fn address(symbol: *const u8) -> u64 {
    symbol.expose_provenance() as u64
}

/// The first instruction of the loop.
pub fn loop_start() -> u64 {
    address(&raw const child_loop)
}

/// The system call in it.
pub fn system_call() -> u64 {
    address(&raw const child_call)
}

/// What breakpoints are on.
pub fn target() -> u64 {
    address(&raw const child_target)
}

/// The branch at its end.
pub fn loop_end() -> u64 {
    address(&raw const child_end)
}

/// The store and the load of a word.
pub fn accesses() -> [u64; 2] {
    [loop_start() + 8, loop_start() + 12]
}
