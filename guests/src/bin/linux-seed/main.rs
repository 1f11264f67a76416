//! A static Linux program that gives the kernel its entropy, so that no program waits for it.
//!
//! A board without a source of entropy keeps the first reader of random numbers waiting for about a second,
//! which Linux spends on collecting jitter. The bytes are always the same ones: a run is to repeat exactly.
//!
//! It exits with 0, or with 1 where the kernel does not take them. It has no C library and no stack.
//!
//! Source: Linux, include/uapi/linux/random.h (RNDADDENTROPY), include/uapi/asm-generic/unistd.h.

#![no_std]
#![no_main]

core::arch::global_asm!(
    r#"
    .equ OPENAT, 56
    .equ IOCTL, 29
    .equ EXIT, 93
    .equ AT_FDCWD, -100
    .equ O_WRONLY, 1
    .equ RNDADDENTROPY, 0x40085203      // _IOW('R', 3, int[2])

    .section .text.start, "ax"
    .global _start
    _start:
        mov     x0, #AT_FDCWD
        adr     x1, path
        mov     x2, #O_WRONLY
        mov     x3, #0
        mov     x8, #OPENAT
        svc     #0
        mov     x1, #(RNDADDENTROPY & 0xffff)
        movk    x1, #(RNDADDENTROPY >> 16), lsl #16
        adr     x2, pool
        mov     x8, #IOCTL
        svc     #0                      // of an error number, if the file could not be opened
        cmp     x0, #0
        cset    x0, ne
        mov     x8, #EXIT
        svc     #0

    path:
        .asciz  "/dev/random"
        .balign 8
    pool:                               // struct rand_pool_info
        .word   256                     // bits of entropy
        .word   32                      // bytes
        .ascii  "the same seed for every one run."
    "#
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
