//! Instructions of each class of registers, each tried out: it works, or it is undefined.

use core::arch::asm;

use super::exceptions;

/// What an instruction needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// FP/SIMD.
    Fp,
    /// SVE.
    Sve,
    /// SME.
    Sme,
}

/// One instruction, or a few that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    /// Its name.
    pub name: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// Executes it, and returns whether it worked; if not, it was undefined.
    pub works: fn() -> bool,
}

/// Makes an [`Instruction`] that may change X0. The last one counts.
macro_rules! instruction {
    ($needs:ident, $name:literal, $($code:literal),+) => {
        Instruction {
            name: $name,
            needs: Needs::$needs,
            works: || {
                let done: u64;
                // SAFETY: leaves all registers as they were, but for X0 and those that only code
                // that says so uses. If it is undefined, the handler goes on at the label.
                unsafe {
                    asm!(
                        ".arch_extension fp",
                        ".arch_extension simd",
                        ".arch_extension sve",
                        ".arch_extension sme",
                        "adr {done}, 2f",
                        "str {done}, [{recovery}]",
                        "mov {done}, #0",
                        $($code,)+
                        "mov {done}, #1",
                        "2: str xzr, [{recovery}]",
                        ".arch_extension nosme",
                        ".arch_extension nosve",
                        ".arch_extension nosimd",
                        ".arch_extension nofp",
                        recovery = in(reg) exceptions::RECOVERY.as_ptr(),
                        done = out(reg) done,
                        out("x0") _,
                        options(nostack),
                    );
                }
                done != 0
            },
        }
    };
}

/// Registers that hold zeroes still do so after these, but FPSR after a change of streaming mode.
pub const INSTRUCTIONS: [Instruction; 21] = [
    instruction!(Fp, "MOV-V", "mov v0.16b, v0.16b"),
    instruction!(Fp, "FADD", "fadd s31, s31, s31"),
    instruction!(
        Fp,
        "LDR-Q",
        "ldr q31, [sp, #-16]!",
        "add sp, sp, #16",
        "eor v31.16b, v31.16b, v31.16b"
    ),
    instruction!(Fp, "FPCR", "mrs x0, fpcr", "msr fpcr, x0"),
    instruction!(Fp, "FPSR", "mrs x0, fpsr", "msr fpsr, x0"),
    instruction!(Sve, "MOV-Z", "mov z0.d, z0.d"),
    instruction!(Sve, "MOV-P", "mov p0.b, p0.b"),
    instruction!(Sve, "RDFFR", "rdffr p0.b"),
    instruction!(Sve, "SETFFR", "setffr", "pfalse p0.b", "wrffr p0.b"),
    instruction!(Sve, "RDVL", "rdvl x0, #1"),
    instruction!(Sve, "ADDVL", "addvl x0, x0, #1"),
    instruction!(Sve, "CNTB", "cntb x0"),
    instruction!(
        Sve,
        "ZCR_EL1",
        "mrs x0, S3_0_C1_C2_0",
        "msr S3_0_C1_C2_0, x0"
    ),
    instruction!(Sme, "RDSVL", "rdsvl x0, #1"),
    instruction!(Sme, "ADDSVL", "addsvl x0, x0, #1"),
    instruction!(Sme, "SVCR", "mrs x0, S3_3_C4_C2_2", "msr S3_3_C4_C2_2, x0"),
    instruction!(Sme, "SMSTART-SM", "smstart sm", "smstop sm"),
    instruction!(Sme, "SMSTART-ZA", "smstart za", "zero {{za}}", "smstop za"),
    instruction!(Sme, "SMSTART", "smstart", "smstop"),
    instruction!(
        Sme,
        "SMCR_EL1",
        "mrs x0, S3_0_C1_C2_6",
        "msr S3_0_C1_C2_6, x0"
    ),
    instruction!(Sme, "SMIDR_EL1", "mrs x0, S3_1_C0_C0_6"),
];

/// Reads SMPRI_EL1, which only a CPU with FEAT_FGT can keep from a guest without SME.
pub const SMPRI: Instruction = instruction!(Sme, "SMPRI_EL1", "mrs x0, S3_0_C1_C2_4");

/// Reads TPIDR2_EL0. It is a register of SME, and cannot be kept from a guest without SME by every
/// CPU that has it (that takes FEAT_FGT): what it holds must be the guest's own then.
pub const TPIDR2: Instruction = instruction!(Sme, "TPIDR2_EL0", "mrs x0, S3_3_C13_C0_5");
