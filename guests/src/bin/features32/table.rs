//! Every field of every identification register that an AArch32 guest may be shown, and how it is known to be true.
//!
//! Source: Arm ARM (DDI 0487), the descriptions of the registers; the results of instructions follow from
//! their descriptions there.

use trapcast_guests::identification::Register;
use trapcast_guests::identification::Rule::{Tells, Untold, Uses};
use trapcast_guests::read_coprocessor;

use crate::run::{code, executes, gives, gives_t32};
use crate::uses;

macro_rules! register {
    ($name:literal, $operands:literal, $($fields:tt)*) => {
        Register { name: $name, read: || read_coprocessor!($operands), fields: &[$($fields)*] }
    };
}

const PREDICTION: &str =
    "what another context trained would be predicted: seen by measuring time alone";
const SHARED: &str = "another CPU would see old data, or keep old translations";
const CACHES: &str = "this board has no caches; with others, old data would be seen";
const BASE: &str = "no guest could begin without it";

/// MVFR0 to MVFR2: 0 where they are undefined, as they are without FP.
macro_rules! mvfr {
    ($name:literal, $vmrs:literal, $($fields:tt)*) => {
        Register { name: $name, read: || mvfr(code!($vmrs)), fields: &[$($fields)*] }
    };
}

fn mvfr(code: u32) -> u64 {
    crate::run::result(code).unwrap_or(0).into()
}

pub const REGISTERS: &[Register] = &[
    register! { "ID_PFR0", "p15, 0, {}, c0, c1, 0",
        ("State0", 0, 4, Uses(&[(1, gives!(7; "mov r0, #7"))])),
        ("State1", 4, 4, Uses(&[(3, gives_t32!(7; "movw r0, #7"))])),
        ("State2", 8, 4, Uses(&[(1, executes!("bxj lr"))])),
        ("CSV2", 16, 4, Untold(&[1], PREDICTION)),
        ("DIT", 24, 4, Uses(&[(1, gives!(1 << 21; "mrs r3, cpsr", "orr r2, r3, #1 << 21", "msr cpsr_s, r2",
            "mrs r0, cpsr", "msr cpsr_s, r3", "and r0, r0, #1 << 21"))])),
    },
    register! { "ID_PFR1", "p15, 0, {}, c0, c1, 1",
        ("ProgMod", 0, 4, Uses(&[(1, gives!(0x1f; "mrs r3, cpsr", "cps #0x1f", "mrs r0, cpsr", "msr cpsr_c, r3",
            "and r0, r0, #0x1f"))])),
        ("GenTimer", 16, 4, Uses(&[(1, uses::counters)])),
        ("GIC", 28, 4, Uses(&[(1, uses::interrupts)])),
    },
    register! { "ID_DFR0", "p15, 0, {}, c0, c1, 2",
        ("CopDbg", 0, 4, Uses(&[(6, uses::debug)])),
        ("PerfMon", 24, 4, Uses(&[(3, uses::cycles)])),
    },
    register! { "ID_MMFR0", "p15, 0, {}, c0, c1, 4",
        ("VMSA", 0, 4, Uses(&[(5, uses::long_descriptors)])),
        ("OuterShr", 8, 4, Untold(&[1, 0xf], SHARED)),
        ("ShareLvl", 12, 4, Untold(&[1], SHARED)),
        ("AuxReg", 20, 4, Uses(&[(1, executes!("mrc p15, 0, r0, c1, c0, 1")),
            (2, executes!("mrc p15, 0, r0, c1, c0, 1", "mrc p15, 0, r0, c5, c1, 0",
            "mrc p15, 0, r0, c5, c1, 1"))])),
        ("InnerShr", 28, 4, Untold(&[1, 0xf], SHARED)),
    },
    register! { "ID_MMFR1", "p15, 0, {}, c0, c1, 5",
        ("BPred", 28, 4, Untold(&[4], "a branch would go where it went before the code was changed")),
    },
    register! { "ID_MMFR2", "p15, 0, {}, c0, c1, 6",
        ("UniTLB", 16, 4, Uses(&[(6, executes!("mcr p15, 0, r1, c8, c7, 0", "mcr p15, 0, r1, c8, c7, 1",
            "mcr p15, 0, r1, c8, c7, 2", "mcr p15, 0, r1, c8, c7, 3", "mcr p15, 0, r1, c8, c7, 5",
            "mcr p15, 0, r1, c8, c3, 7", "dsb", "isb"))])),
        // CP15ISB, CP15DSB, CP15DMB.
        ("MemBarr", 20, 4, Uses(&[(2, executes!(".inst 0xee070f95", ".inst 0xee070f9a", ".inst 0xee070fba"))])),
        ("WFIStall", 24, 4, Uses(&[(1, uses::interrupts)])),
    },
    register! { "ID_MMFR3", "p15, 0, {}, c0, c1, 7",
        ("CMaintVA", 0, 4, Uses(&[(1, executes!("mcr p15, 0, r1, c7, c14, 1", "mcr p15, 0, r1, c7, c10, 1",
            "mcr p15, 0, r1, c7, c5, 1", "mcr p15, 0, r1, c7, c5, 0"))])),
        ("CMaintSW", 4, 4, Uses(&[(1, executes!("mov r2, #0", "mcr p15, 0, r2, c7, c14, 2",
            "mcr p15, 0, r2, c7, c10, 2"))])),
        ("BPMaint", 8, 4, Uses(&[(2, executes!("mcr p15, 0, r1, c7, c5, 6", "mcr p15, 0, r1, c7, c5, 7"))])),
        ("MaintBcst", 12, 4, Untold(&[2], SHARED)),
        ("PAN", 16, 4, Uses(&[(1, gives!(1 << 22; "setpan #1", "mrs r0, cpsr", "setpan #0", "and r0, r0, #1 << 22")),
            (2, uses::privileged_access_never)])),
        ("CohWalk", 20, 4, Untold(&[1], SHARED)),
        ("CMemSz", 24, 4, Untold(&[1, 2], CACHES)),
        ("Supersec", 28, 4, Tells(uses::supersections)),
    },
    register! { "ID_ISAR0", "p15, 0, {}, c0, c2, 0",
        ("BitCount", 4, 4, Uses(&[(1, gives!(31; "mov r2, #1", "clz r0, r2"))])),
        ("BitField", 8, 4, Uses(&[(1, gives!(0x50; "mov r2, #5", "mov r0, #0", "bfi r0, r2, #4, #4"))])),
        ("CmpBranch", 12, 4, Uses(&[(1, gives_t32!(7; "movs r2, #0", "movs r0, #7", "cbz r2, 3f", "movs r0, #0",
            "3:"))])),
        ("Debug", 20, 4, Uses(&[(1, uses::software_breakpoint)])),
        ("Divide", 24, 4, Uses(&[(1, gives_t32!(3; "movs r2, #7", "movs r3, #2", "udiv r0, r2, r3")),
            (2, gives!(0xffff_fffd; "mov r2, #7", "mvn r3, #1", "sdiv r0, r2, r3"))])),
    },
    register! { "ID_ISAR1", "p15, 0, {}, c0, c2, 1",
        // SETEND BE, SETEND LE.
        ("Endian", 0, 4, Uses(&[(1, gives!(0x4433_2211; "movw r2, #0x3344", "movt r2, #0x1122", "str r2, [r1]",
            ".inst 0xf1010200", "ldr r0, [r1]", ".inst 0xf1010000"))])),
        // The vectors return by it.
        ("Except", 4, 4, Uses(&[(1, uses::software_breakpoint)])),
        ("Except_AR", 8, 4, Uses(&[(1, gives!(7; "mrs r2, cpsr", "adr r0, 3f", "push {{r0, r2}}", "mov r0, #0",
            "rfeia sp!", "mov r0, #1", "3: add r0, r0, #7", "srsdb sp!, #0x13", "add sp, sp, #8"))])),
        ("Extend", 12, 4, Uses(&[(1, gives!(0xffff_fff0; "mov r2, #0xf0", "sxtb r0, r2")), (2, gives!(0x00ff_0080;
            "movw r2, #0x0080", "movt r2, #0x00ff", "uxtb16 r0, r2"))])),
        ("IfThen", 16, 4, Uses(&[(1, gives_t32!(7; "movs r0, #5", "cmp r0, r0", "it eq", "moveq r0, #7"))])),
        ("Immediate", 20, 4, Uses(&[(1, gives!(0x1234_5678; "movw r0, #0x5678", "movt r0, #0x1234"))])),
        ("Interwork", 24, 4, Uses(&[(3, gives!(7; "mov r3, lr", "adr r2, 3f", "mov r0, #0", "mov pc, r2",
            "mov r0, #1", "3: add r0, r0, #7", "mov lr, r3"))])),
        ("Jazelle", 28, 4, Uses(&[(1, executes!("bxj lr"))])),
    },
    register! { "ID_ISAR2", "p15, 0, {}, c0, c2, 2",
        ("LoadStore", 0, 4, Uses(&[(1, gives!(9; "mov r2, #8", "mov r3, #9", "strd r2, r3, [r1]",
            "ldrd r2, r3, [r1]", "mov r0, r3")), (2, gives!(9; "mov r2, #9", "stl r2, [r1]", "lda r0, [r1]"))])),
        ("MemHint", 4, 4, Uses(&[(4, executes!("pld [r1]", "pli [r1]", "pldw [r1]"))])),
        ("MultiAccessInt", 8, 4, Untold(&[1, 2], "an interrupt within LDM would come later, or its loads twice")),
        ("Mult", 12, 4, Uses(&[(2, gives!(4; "mov r2, #2", "mov r3, #3", "mov r12, #10", "mls r0, r2, r3, r12"))])),
        ("MultS", 16, 4, Uses(&[(1, gives!(6; "mov r2, #2", "mov r3, #3", "smull r0, r12, r2, r3")), (2, gives!(6;
            "mov r2, #2", "mov r3, #3", "smulbb r0, r2, r3")), (3, gives!(12; "mov r2, #2", "movt r2, #3",
            "smuad r0, r2, r2", "sub r0, r0, #1"))])),
        ("MultU", 20, 4, Uses(&[(1, gives!(6; "mov r2, #2", "mov r3, #3", "umull r0, r12, r2, r3")), (2, gives!(7;
            "mov r0, #1", "mov r12, #0", "mov r2, #2", "mov r3, #3", "umaal r0, r12, r2, r3"))])),
        ("PSR_AR", 24, 4, Uses(&[(1, gives!(1 << 30; "mov r2, #1 << 30", "msr cpsr_f, r2", "mrs r0, cpsr",
            "and r0, r0, #0xf << 28"))])),
        ("Reversal", 28, 4, Uses(&[(1, gives!(0x0100_0000; "mov r2, #1", "rev r0, r2")), (2, gives!(0x8000_0000;
            "mov r2, #1", "rbit r0, r2"))])),
    },
    register! { "ID_ISAR3", "p15, 0, {}, c0, c2, 3",
        ("Saturate", 0, 4, Uses(&[(1, gives!(0x7fff_ffff; "mvn r2, #1 << 31", "qadd r0, r2, r2"))])),
        ("SIMD", 4, 4, Uses(&[(1, gives!(7; "mov r2, #100", "usat r0, #3, r2")), (3, gives!(0x0202_0202;
            "movw r2, #0x0101", "movt r2, #0x0101", "uadd8 r0, r2, r2"))])),
        ("SVC", 8, 4, Untold(&[1], BASE)),
        ("SynchPrim", 12, 4, Uses(&[(1, gives!(0; "ldrex r2, [r1]", "strex r0, r2, [r1]")), (2, gives!(0;
            "ldrexd r2, r3, [r1]", "strexd r0, r2, r3, [r1]", "clrex"))])),
        ("TabBranch", 16, 4, Uses(&[(1, gives_t32!(7; "movs r0, #0", "tbb [pc, r0]", "4: .byte (3f - 4b) / 2, 0",
            "movs r0, #1", "3: adds r0, #7"))])),
        ("T32Copy", 20, 4, Uses(&[(1, gives_t32!(7; "movs r2, #7", "mov r0, r2"))])),
        ("TrueNOP", 24, 4, Uses(&[(1, executes!("nop"))])),
    },
    register! { "ID_ISAR4", "p15, 0, {}, c0, c2, 4",
        ("Unpriv", 0, 4, Uses(&[(1, gives!(9; "mov r2, #9", "strt r2, [r1]", "mov r3, r1", "ldrt r0, [r3]")),
            (2, gives!(9; "mov r2, #9", "strh r2, [r1]", "mov r3, r1", "ldrht r0, [r3]"))])),
        ("WithShifts", 4, 4, Uses(&[(1, gives!(8; "mov r2, #2", "mov r0, r2, lsl #2")), (4, gives!(0xc; "mov r2, #3",
            "mov r3, #2", "mov r0, r2, lsl r3"))])),
        ("Writeback", 8, 4, Uses(&[(1, gives!(4; "mov r2, r1", "ldr r0, [r2, #4]!", "sub r0, r2, r1"))])),
        ("Barrier", 16, 4, Uses(&[(1, executes!("dmb", "dsb", "isb"))])),
        ("SynchPrim_frac", 20, 4, Uses(&[(3, gives!(0; "ldrexd r2, r3, [r1]", "strexd r0, r2, r3, [r1]"))])),
        ("PSR_M", 24, 4, Uses(&[])),
    },
    register! { "ID_ISAR5", "p15, 0, {}, c0, c2, 5",
        ("SEVL", 0, 4, Uses(&[(1, executes!("sevl", "wfe"))])),
        ("AES", 4, 4, Uses(&[(1, gives!(0x6363_6363; "vmov.i8 q0, #0", "vmov.i8 q1, #0", "aese.8 q0, q1",
            "vmov r0, s0")), (2, gives!(5; "mov r2, #3", "mov r3, #0", "vmov d2, r2, r3", "vmull.p64 q0, d2, d2",
            "vmov r0, s0"))])),
        ("SHA1", 8, 4, Uses(&[(1, gives!(0x4000_0000; "mov r2, #1", "vmov.i8 q1, #0", "vmov s4, r2",
            "sha1h.32 q0, q1", "vmov r0, s0"))])),
        ("SHA2", 12, 4, Uses(&[(1, gives!(0x0200_4000; "vmov.i8 q0, #0", "vmov.i8 q1, #0", "mov r2, #1",
            "vmov s4, r2", "sha256su0.32 q0, q1", "vmov r0, s3"))])),
        ("CRC32", 16, 4, Uses(&[(1, gives!(0x7707_3096; "mov r2, #1", "mov r0, #0", "crc32b r0, r0, r2"))])),
        ("RDM", 24, 4, Uses(&[(1, gives!(0x2000_2000; "vmov.i8 q0, #0", "vmov.i16 d2, #0x4000",
            "vqrdmlah.s16 d0, d2, d2", "vmov r0, s0"))])),
        ("VCMA", 28, 4, Uses(&[(1, gives!(0x3f80_0000; "vmov.f32 d2, #2.0", "vmov.f32 d4, #1.0",
            "vcadd.f32 d0, d2, d4, #90", "vmov r0, s0"))])),
    },
    register! { "ID_MMFR4", "p15, 0, {}, c0, c2, 6",
        ("AC2", 4, 4, Uses(&[(1, executes!("mrc p15, 0, r0, c1, c0, 3"))])),
        ("CnP", 12, 4, Untold(&[1], SHARED)),
        ("HPDS", 16, 4, Untold(&[1, 2], "with long descriptors, what a table forbids would stay forbidden")),
        ("LSM", 20, 4, Uses(&[])),
        ("CCIDX", 24, 4, Untold(&[1], CACHES)),
    },
    register! { "ID_ISAR6", "p15, 0, {}, c0, c2, 7",
        ("JSCVT", 0, 4, Uses(&[(1, gives!(5; "mov r2, #0x500000", "movw r3, #0", "movt r3, #0x41f0",
            "vmov d1, r2, r3", "vjcvt.s32.f64 s0, d1", "vmov r0, s0"))])),
        // VUDOT.U8 Q0, Q1, Q1.
        ("DP", 4, 4, Uses(&[(1, gives!(4; "vmov.i8 q0, #0", "vmov.i8 q1, #1", ".inst 0xfc220d52",
            "vmov r0, s0"))])),
        // VFMAL.F16 D0, S4, S4.
        ("FHM", 8, 4, Uses(&[(1, gives!(0x3f80_0000; "vmov.i8 d0, #0", "movw r2, #0x3c00", "movt r2, #0x3c00",
            "vmov s4, r2", ".inst 0xfc220812", "vmov r0, s0"))])),
        ("SB", 12, 4, Uses(&[(1, executes!("sb"))])),
        ("SPECRES", 16, 4, Uses(&[(1, executes!("mov r2, #0", "mcr p15, 0, r2, c7, c3, 4",
            "mcr p15, 0, r2, c7, c3, 5", "mcr p15, 0, r2, c7, c3, 7"))])),
        // VDOT.BF16 Q0, Q1, Q1.
        ("BF16", 20, 4, Uses(&[(1, gives!(0x4000_0000; "vmov.i8 q0, #0", "movw r2, #0x3f80", "vdup.16 q1, r2",
            ".inst 0xfc020d42", "vmov r0, s0"))])),
        // VSMMLA.S8 Q0, Q1, Q1.
        ("I8MM", 24, 4, Uses(&[(1, gives!(8; "vmov.i8 q0, #0", "vmov.i8 q1, #1", ".inst 0xfc220c42",
            "vmov r0, s0"))])),
    },
    mvfr! { "MVFR0", "vmrs r0, mvfr0",
        ("SIMDReg", 0, 4, Uses(&[(2, gives!(7; "mov r2, #7", "vmov.32 d31[0], r2", "vmov.32 r0, d31[0]"))])),
        ("FPSP", 4, 4, Uses(&[(2, gives!(0x4000_0000; "vmov.f32 s1, #1.0", "vadd.f32 s0, s1, s1", "vmov r0, s0"))])),
        ("FPDP", 8, 4, Uses(&[(2, gives!(0x4000_0000; "vmov.f64 d1, #1.0", "vadd.f64 d0, d1, d1",
            "vmov r2, r0, d0"))])),
        ("FPTrap", 12, 4, Uses(&[(1, gives!(1 << 9; "vmrs r3, fpscr", "orr r2, r3, #1 << 9", "vmsr fpscr, r2",
            "vmrs r0, fpscr", "vmsr fpscr, r3", "and r0, r0, #1 << 9"))])),
        ("FPDivide", 16, 4, Uses(&[(1, gives!(0x3f00_0000; "vmov.f32 s1, #1.0", "vmov.f32 s2, #2.0",
            "vdiv.f32 s0, s1, s2", "vmov r0, s0"))])),
        ("FPSqrt", 20, 4, Uses(&[(1, gives!(0x4000_0000; "vmov.f32 s1, #4.0", "vsqrt.f32 s0, s1", "vmov r0, s0"))])),
        ("FPShVec", 24, 4, Uses(&[(1, gives!(1 << 16; "vmrs r3, fpscr", "orr r2, r3, #1 << 16", "vmsr fpscr, r2",
            "vmrs r0, fpscr", "vmsr fpscr, r3", "and r0, r0, #1 << 16"))])),
        // 1/3, rounded up.
        ("FPRound", 28, 4, Uses(&[(1, gives!(1; "vmrs r3, fpscr", "vmov.f32 s1, #1.0", "vmov.f32 s2, #5.0",
            "vdiv.f32 s0, s1, s2", "eor r2, r3, #0b11 << 22", "vmsr fpscr, r2", "vdiv.f32 s4, s1, s2",
            "vmsr fpscr, r3", "vmov r0, s0", "vmov r2, s4", "sub r0, r0, r2"))])),
    },
    mvfr! { "MVFR1", "vmrs r0, mvfr1",
        // 2^-149 and as much more.
        ("FPFtZ", 0, 4, Uses(&[(1, gives!(2; "mov r2, #1", "vmov s1, r2", "vadd.f32 s0, s1, s1",
            "vmov r0, s0"))])),
        // A NaN's bits are kept.
        ("FPDNaN", 4, 4, Uses(&[(1, gives!(0x7fc0_0001; "movw r2, #1", "movt r2, #0x7fc0", "vmov s1, r2",
            "vadd.f32 s0, s1, s1", "vmov r0, s0"))])),
        ("SIMDLS", 8, 4, Uses(&[(1, gives!(9; "mov r2, #9", "str r2, [r1]", "vld1.32 {{d0}}, [r1]",
            "vmov r0, s0"))])),
        ("SIMDInt", 12, 4, Uses(&[(1, gives!(0x0202_0202; "vmov.i8 d1, #1", "vadd.i8 d0, d1, d1", "vmov r0, s0"))])),
        ("SIMDSP", 16, 4, Uses(&[(1, gives!(0x4000_0000; "vmov.f32 d1, #1.0", "vadd.f32 d0, d1, d1",
            "vmov r0, s0"))])),
        ("SIMDHP", 20, 4, Uses(&[(1, gives!(0x3f80_0000; "movw r2, #0x3c00", "vdup.16 d2, r2", "vcvt.f32.f16 q0, d2",
            "vmov r0, s0")), (2, gives!(0x4000_4000; ".arch_extension fp16", "movw r2, #0x3c00", "vdup.16 d2, r2",
            "vadd.f16 d0, d2, d2", "vmov r0, s0"))])),
        ("FPHP", 24, 4, Uses(&[(1, gives!(0x3f80_0000; "movw r2, #0x3c00", "vmov s1, r2", "vcvtb.f32.f16 s0, s1",
            "vmov r0, s0")), (2, gives!(0x3ff0_0000; "movw r2, #0x3c00", "vmov s2, r2", "vcvtb.f64.f16 d0, s2",
            "vmov r2, r0, d0")), (3, gives!(0x4000; ".arch_extension fp16", "movw r2, #0x3c00", "vmov s1, r2",
            "vadd.f16 s0, s1, s1", "vmov r0, s0"))])),
        ("SIMDFMAC", 28, 4, Uses(&[(1, gives!(0x4000_0000; "vmov.f32 d1, #1.0", "vmov.f32 d0, #1.0",
            "vfma.f32 d0, d1, d1", "vmov r0, s0"))])),
    },
    mvfr! { "MVFR2", "vmrs r0, mvfr2",
        ("SIMDMisc", 0, 4, Uses(&[(1, gives!(2; "vmov.f32 d1, #1.5", "vcvta.s32.f32 d0, d1", "vmov r0, s0")),
            (2, gives!(0x4000_0000; "vmov.f32 d1, #1.5", "vrinta.f32 d0, d1", "vmov r0, s0")), (3, gives!(0x3f80_0000;
            "vmov.f32 d1, #1.0", "vmov.f32 d2, #0.5", "vmaxnm.f32 d0, d1, d2", "vmov r0, s0"))])),
        ("FPMisc", 4, 4, Uses(&[(1, gives!(0x3f80_0000; "cmp r1, r1", "vmov.f32 s1, #1.0", "vmov.f32 s2, #0.5",
            "vseleq.f32 s0, s1, s2", "vmov r0, s0")), (2, gives!(2; "vmov.f32 s1, #1.5", "vcvta.s32.f32 s0, s1",
            "vmov r0, s0")), (3, gives!(0x4000_0000; "vmov.f32 s1, #1.5", "vrinta.f32 s0, s1", "vmov r0, s0")),
            (4, gives!(0x3f80_0000; "vmov.f32 s1, #1.0", "vmov.f32 s2, #0.5", "vmaxnm.f32 s0, s1, s2",
            "vmov r0, s0"))])),
    },
    register! { "ID_PFR2", "p15, 0, {}, c0, c3, 4",
        ("CSV3", 0, 4, Untold(&[1], "data that a fault kept back would be used in speculation")),
        ("SSBS", 4, 4, Uses(&[(1, gives!(1 << 23; "mrs r3, cpsr", "orr r2, r3, #1 << 23", "msr cpsr_s, r2",
            "mrs r0, cpsr", "msr cpsr_s, r3", "and r0, r0, #1 << 23"))])),
    },
    register! { "ID_MMFR5", "p15, 0, {}, c0, c3, 6",
        ("ETS", 0, 4, Untold(&[1, 2], "a table's new entry would be missed by an access behind its store")),
        ("nTLBPA", 4, 4, Untold(&[1], "invalidation would leave intermediate entries behind")),
    },
    // ID_AFR0, ID_DFR1 and the rest of the space.
    register! { "ID_AFR0", "p15, 0, {}, c0, c1, 3", },
    register! { "c0, c3, 3", "p15, 0, {}, c0, c3, 3", },
    register! { "ID_DFR1", "p15, 0, {}, c0, c3, 5", },
    register! { "c0, c3, 7", "p15, 0, {}, c0, c3, 7", },
    register! { "c0, c4, 0", "p15, 0, {}, c0, c4, 0", },
];
