//! What the observer wants to know of an A64 instruction, from its encoding.
//!
//! Source: Arm ARM (DDI 0487), chapter C4, "A64 Instruction Set Encoding".

/// Registers that an instruction uses of those that a hypervisor has to switch.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// FP and Advanced SIMD, FPCR and FPSR.
    Fp = 0,
    /// SVE, and ZCR_EL1.
    Sve = 1,
    /// SME, SVCR and SMCR_EL1.
    Sme = 2,
}

impl Class {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Fp, Self::Sve, Self::Sme];
}

/// What an instruction is to the observer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Instruction {
    /// `ERET`, `ERETAA` or `ERETAB`.
    ExceptionReturn,
    /// It uses registers of this class.
    Uses(Class),
    /// It writes VMPIDR_EL2.
    WritesVmpidr,
    /// It writes ICH_VMCR_EL2.
    WritesVmcr,
    /// It acknowledges an interrupt: reads ICC_IAR0_EL1 or ICC_IAR1_EL1 into the general-purpose register of
    /// this number, 31 being none.
    Acknowledges(u8),
    /// It works on general-purpose registers only and never raises an exception.
    Plain,
    /// Anything else.
    Other,
}

/// The system registers, as op0, op1, CRn, CRm and op2 stand in an instruction.
const fn register(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
}

const VMPIDR_EL2: u32 = register(3, 4, 0, 0, 5);
const ICH_VMCR_EL2: u32 = register(3, 4, 12, 11, 7);
const ICC_IAR0_EL1: u32 = register(3, 0, 12, 8, 0);
const ICC_IAR1_EL1: u32 = register(3, 0, 12, 12, 0);
const FPCR: u32 = register(3, 3, 4, 4, 0);
const FPSR: u32 = register(3, 3, 4, 4, 1);
const SVCR: u32 = register(3, 3, 4, 2, 2);
const ZCR_EL1: u32 = register(3, 0, 1, 2, 0);
const SMCR_EL1: u32 = register(3, 0, 1, 2, 6);

impl Instruction {
    /// Returns what the instruction of this encoding is.
    pub const fn of(word: u32) -> Self {
        match word >> 25 & 0xf {
            0b0000 if word >> 31 != 0 => Self::Uses(Class::Sme),
            0b0010 => Self::Uses(Class::Sve),
            0b1000 | 0b1001 => Self::Plain,
            0b1010 | 0b1011 => Self::of_branches_and_system(word),
            0b0100 | 0b0110 | 0b1100 | 0b1110 if word >> 26 & 1 != 0 => Self::Uses(Class::Fp),
            0b0111 | 0b1111 => Self::Uses(Class::Fp),
            // PAuth, among the instructions of one source, may trap.
            0b0101 | 0b1101 if word & 0x7fff_0000 == 0x5ac1_0000 => Self::Other,
            // So may a PACGA, among those of two.
            0b0101 | 0b1101 if word & 0xffe0_fc00 == 0x9ac0_3000 => Self::Other,
            0b0101 | 0b1101 => Self::Plain,
            _ => Self::Other,
        }
    }

    const fn of_branches_and_system(word: u32) -> Self {
        const ERET: u32 = 0xd69f_03e0;
        const ERETAA: u32 = 0xd69f_0bff;
        const ERETAB: u32 = 0xd69f_0fff;
        if matches!(word, ERET | ERETAA | ERETAB) {
            return Self::ExceptionReturn;
        }
        // MSR (immediate) of SVCR: SMSTART and SMSTOP.
        if word & 0xffff_f0ff == 0xd503_407f {
            return Self::Uses(Class::Sme);
        }
        let number = word >> 5 & 0xffff;
        match (word & 0xfff0_0000, number) {
            (0xd510_0000, VMPIDR_EL2) => Self::WritesVmpidr,
            (0xd510_0000, ICH_VMCR_EL2) => Self::WritesVmcr,
            (0xd530_0000, ICC_IAR0_EL1 | ICC_IAR1_EL1) => Self::Acknowledges(word as u8 & 0x1f),
            (0xd510_0000 | 0xd530_0000, FPCR | FPSR) => Self::Uses(Class::Fp),
            (0xd510_0000 | 0xd530_0000, SVCR | SMCR_EL1) => Self::Uses(Class::Sme),
            (0xd510_0000 | 0xd530_0000, ZCR_EL1) => Self::Uses(Class::Sve),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_by_their_encodings() {
        use Class::{Fp, Sme, Sve};
        use Instruction::*;
        // As an assembler has them.
        let cases = [
            (0xd69f_03e0, ExceptionReturn, "eret"),
            (0xd69f_0bff, ExceptionReturn, "eretaa"),
            (0xd65f_03c0, Other, "ret"),
            (0x1e61_2800, Uses(Fp), "fadd d0, d0, d1"),
            (0x4e21_8400, Uses(Fp), "add v0.16b, v0.16b, v1.16b"),
            (0x3dc0_0000, Uses(Fp), "ldr q0, [x0]"),
            (0xad00_0400, Uses(Fp), "stp q0, q1, [x0]"),
            (0x4c00_2000, Uses(Fp), "st1 {v0.16b-v3.16b}, [x0]"),
            (0x1c00_0040, Uses(Fp), "ldr s0, literal"),
            (0x9e66_0000, Uses(Fp), "fmov x0, d0"),
            (0xd53b_4400, Uses(Fp), "mrs x0, fpcr"),
            (0xd51b_4420, Uses(Fp), "msr fpsr, x0"),
            (0x0460_e3e0, Uses(Sve), "cnth x0"),
            (0x85c0_4000, Uses(Sve), "ld1rw z0.s, p0/z, [x0]"),
            (0xa540_a000, Uses(Sve), "ld1w z0.s, p0/z, [x0]"),
            (0xd518_1200, Uses(Sve), "msr zcr_el1, x0"),
            (0xe100_0000, Uses(Sme), "ldr za[w12, 0], [x0]"),
            (0xc008_00ff, Uses(Sme), "zero {za}"),
            (0xd503_477f, Uses(Sme), "smstart"),
            (0xd503_427f, Uses(Sme), "smstop sm"),
            (0xd53b_4240, Uses(Sme), "mrs x0, svcr"),
            (0xd51c_00a0, WritesVmpidr, "msr vmpidr_el2, x0"),
            (0xd53c_00a0, Other, "mrs x0, vmpidr_el2"),
            (0xd51c_cbe1, WritesVmcr, "msr ich_vmcr_el2, x1"),
            (0xd538_cc03, Acknowledges(3), "mrs x3, icc_iar1_el1"),
            (0xd538_c81f, Acknowledges(31), "mrs xzr, icc_iar0_el1"),
            (0x9100_0400, Plain, "add x0, x0, #1"),
            (0xd280_0020, Plain, "mov x0, #1"),
            (0xaa01_03e0, Plain, "mov x0, x1"),
            (0x9bc2_7c20, Plain, "umulh x0, x1, x2"),
            (0xdac1_0020, Other, "pacia x0, x1"),
            (0x9ac2_3020, Other, "pacga x0, x1, x2"),
            (0xf940_0000, Other, "ldr x0, [x0]"),
            (0xa9be_7bfd, Other, "stp x29, x30, [sp, #-32]!"),
            (0x1400_0001, Other, "b"),
            (0xd400_0002, Other, "hvc #0"),
            (0xd503_207f, Other, "wfi"),
            (0x0000_0000, Other, "udf #0"),
            (0xd518_1002, Other, "a register that is none of these"),
        ];
        for (word, expected, text) in cases {
            assert_eq!(Instruction::of(word), expected, "{word:#x}: {text}");
        }
    }
}
