//! Loads, stores and maintenance of every form, as code to try.

use core::arch::global_asm;

/// Bytes from one form to the next.
const STRIDE: u64 = 16;

// Each form accesses memory at X0 or close to it, may change X0 to X7, and ends by RET.
global_asm!(
    r#"
    .macro form first, second=nop
        .balign {stride}
        \first
        \second
        ret
    .endm

    .section .text.accesses, "ax"
    .balign {stride}
    hostile_accesses:
    // One register of any size: the forms with a valid syndrome.
        form "ldrb w1, [x0]"
        form "ldrh w1, [x0]"
        form "ldr w1, [x0]"
        form "ldr x1, [x0]"
        form "ldrsb w1, [x0]"
        form "ldrsb x1, [x0]"
        form "ldrsh w1, [x0]"
        form "ldrsh x1, [x0]"
        form "ldrsw x1, [x0]"
        form "ldr xzr, [x0]"
        form "strb w1, [x0]"
        form "strh w1, [x0]"
        form "str w1, [x0]"
        form "str x1, [x0]"
        form "str wzr, [x0]"
        form "ldar w1, [x0]"
        form "stlr w1, [x0]"
        form "ldr w0, [x0]"
        form "str x0, [x0]"
        form "ldtr w1, [x0]"
        form "sttr w1, [x0]"
    hostile_accesses_simple:
    // Pairs, writeback, exclusives, registers of SIMD: no valid syndrome.
        form "ldp x1, x2, [x0]"
        form "stp x1, x2, [x0]"
        form "ldp w1, w2, [x0]"
        form "ldpsw x1, x2, [x0]"
        form "ldnp x1, x2, [x0]"
        form "ldp x1, x2, [x0], #16"
        form "stp x1, x2, [x0, #-16]!"
        form "ldr w1, [x0], #4"
        form "str w1, [x0], #4"
        form "ldr x1, [x0, #-8]!"
        form "strb w1, [x0, #1]!"
        form "ldxr w1, [x0]", "stxr w2, w1, [x0]"
        form "ldxr x1, [x0]", "stxr w2, x3, [x0]"
        form "ldaxp x1, x2, [x0]", "stlxp w3, x1, x2, [x0]"
        .arch_extension simd
        form "ldr q0, [x0]"
        form "str q0, [x0]"
        form "ld1 {{v0.16b, v1.16b}}, [x0]"
        .arch_extension nosimd
        .arch_extension nofp
        .arch_extension lse
        form "cas w1, w2, [x0]"
        form "casal x1, x2, [x0]"
        form "casp x2, x3, x4, x5, [x0]"
        form "swp x1, x2, [x0]"
        form "ldadd w1, w2, [x0]"
        form "stset x1, [x0]"
        .arch_extension nolse
    hostile_accesses_all:
    // Those that need not access anything.
        form "dc zva, x0"
        form "dc civac, x0"
        form "dc cvac, x0"
        form "dc ivac, x0"
        form "dc cvau, x0"
        form "ic ivau, x0"
        form "prfm pldl1keep, [x0]"
        form "at s1e1r, x0"
        form "at s1e1w, x0"
        form "at s1e0r, x0"
        form "stxr w2, w1, [x0]"
    .balign {stride}
    hostile_accesses_end:
    .purgem form
    "#,
    stride = const STRIDE,
);

unsafe extern "C" {
    static hostile_accesses: u8;
    static hostile_accesses_simple: u8;
    static hostile_accesses_all: u8;
    static hostile_accesses_end: u8;
}

/// Which forms to choose from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forms {
    /// Those that load or store one general register.
    Simple,
    /// All that load or store.
    Accesses,
    /// Maintenance, address translation and hints, too.
    All,
}

/// How many forms there are.
#[must_use]
pub fn count(forms: Forms) -> u64 {
    let end = match forms {
        Forms::Simple => &raw const hostile_accesses_simple,
        Forms::Accesses => &raw const hostile_accesses_all,
        Forms::All => &raw const hostile_accesses_end,
    };
    // The padding in front of a form belongs to the one before.
    (address(end) - address(&raw const hostile_accesses)).div_ceil(STRIDE)
}

/// The address of form `number`, counted over all of them.
#[must_use]
pub fn form(number: u64) -> u64 {
    address(&raw const hostile_accesses) + number * STRIDE
}

fn address(symbol: *const u8) -> u64 {
    symbol.expose_provenance() as u64
}
