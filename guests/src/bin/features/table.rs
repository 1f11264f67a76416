//! Every field of every identification register that a guest may be shown, and how it is known to be true.
//!
//! Source: Arm ARM (DDI 0487), the descriptions of the registers; the results of instructions follow from
//! their descriptions there.

use trapcast_guests::identification::Rule::{Tells, Untold, Uses};
use trapcast_guests::identification::{Level, Register};
use trapcast_guests::read_sysreg;

use crate::run::{executes, gives};
use crate::{system, translation};

macro_rules! register {
    ($name:literal, $encoding:literal, $($fields:tt)*) => {
        Register { name: $name, read: || read_sysreg!($encoding), fields: &[$($fields)*] }
    };
}

const PREDICTION: &str =
    "what another context trained would be predicted: seen by measuring time alone";
const HINT: &str = "a hint, that is a NOP where it is not there";
const SIZES: &str =
    "this board has no caches; with others, maintenance by line would leave some out";
const IDENTITY: &str = "a name: drivers would choose another core's workarounds";

/// FPCR bits that are kept: AH, FIZ and NEP; EBF.
const FPCR_AFP: u64 = 0b111;
const FPCR_EBF: u64 = 1 << 13;

pub const REGISTERS: &[Register] = &[
    register! { "ID_AA64PFR0_EL1", "s3_0_c0_c4_0",
        ("EL0", 0, 4, Uses(&[(1, system::at_el0)])),
        ("EL1", 4, 4, Uses(&[(1, system::at_el1)])),
        ("FP", 16, 4, Tells(|value| floating_point(value, SCALAR))),
        ("AdvSIMD", 20, 4, Tells(|value| floating_point(value, VECTOR))),
        ("GIC", 24, 4, Uses(&[(1, system::interrupts)])),
        ("SVE", 32, 4, Uses(&[(1, gives!(1; "cntb x0", "cmp x0, #16", "cset x0, hs"))])),
        // Its effect is on time alone.
        ("DIT", 48, 4, Uses(&[(1, gives!(1 << 24; "msr dit, #1", "mrs x0, dit", "msr dit, #0"))])),
        ("CSV2", 56, 4, Untold(&[1], PREDICTION)),
        ("CSV3", 60, 4, Untold(&[1], "data that a fault kept back would be used in speculation")),
    },
    register! { "ID_AA64PFR1_EL1", "s3_0_c0_c4_1",
        ("BT", 0, 4, Uses(&[(1, translation::branch_targets)])),
        ("SSBS", 4, 4, Uses(&[(1, system::speculative_store_bypass), (2, gives!(1 << 12; "msr ssbs, #1",
            "mrs x0, ssbs", "msr ssbs, #0"))])),
        ("SME", 24, 4, Uses(&[(1, gives!(1; "rdsvl x0, #1", "cmp x0, #16", "cset x0, hs")),
            (2, executes!("smstart za", "zero {{zt0}}", "smstop za"))])),
        ("CSV2_frac", 32, 4, Untold(&[1], PREDICTION)),
    },
    register! { "ID_AA64ZFR0_EL1", "s3_0_c0_c4_4",
        ("SVEver", 0, 4, Uses(&[(1, gives!(3; "mov z0.d, #1", "mov z1.d, #2", "mov z2.d, #1",
            "bsl z0.d, z0.d, z1.d, z2.d", "fmov x0, d0")), (2, executes!("bfmlslb z0.s, z1.h, z2.h"))])),
        ("AES", 4, 4, Uses(&[(1, gives!(AES_OF_ZERO; "mov z0.d, #0", "mov z1.d, #0", "aese z0.b, z0.b, z1.b",
            "fmov x0, d0")), (2, gives!(5; "mov z1.d, #3", "pmullb z0.q, z1.d, z1.d", "fmov x0, d0"))])),
        ("BitPerm", 16, 4, Uses(&[(1, gives!(0x0a0a_0a0a_0a0a_0a0a; "mov w2, #0xa5", "mov z1.b, w2", "mov w2, #0xf0",
            "mov z2.b, w2", "bext z0.b, z1.b, z2.b", "fmov x0, d0"))])),
        ("BF16", 20, 4, Uses(&[(1, gives!(0x4000_0000_4000_0000; "mov w2, #0x3f80", "mov z1.h, w2", "mov z0.d, #0",
            "bfdot z0.s, z1.h, z1.h", "fmov x0, d0")), (2, || keeps_in_fpcr(FPCR_EBF))])),
        ("SHA3", 32, 4, Uses(&[(1, gives!(2; "mov z1.d, #0", "mov z2.d, #1", "rax1 z0.d, z1.d, z2.d",
            "fmov x0, d0"))])),
        ("SM4", 40, 4, Uses(&[(1, gives!(SM4_OF_ZERO; "mov z0.d, #0", "mov z1.d, #0", "sm4e z0.s, z0.s, z1.s",
            "fmov x0, d0"))])),
        ("I8MM", 44, 4, Uses(&[(1, gives!(0x8_0000_0008; "mov z0.d, #0", "mov z1.b, #1", "smmla z0.s, z1.b, z1.b",
            "fmov x0, d0"))])),
        ("F32MM", 52, 4, Uses(&[(1, gives!(0x4000_0000_4000_0000; "mov z0.d, #0", "fmov z1.s, #1.0",
            "fmmla z0.s, z1.s, z1.s", "fmov x0, d0"))])),
        // It takes vectors of 256 bits.
        ("F64MM", 56, 4, Uses(&[(1, gives!(0x4000_0000_0000_0000; "mov x0, #0x4000000000000000", "cntb x2",
            "cmp x2, #32", "b.lo 3f", "mov z0.d, #0", "fmov z1.d, #1.0", "fmmla z0.d, z1.d, z1.d", "fmov x0, d0",
            "3:"))])),
    },
    register! { "ID_AA64SMFR0_EL1", "s3_0_c0_c4_5",
        ("F32F32", 32, 1, Uses(&[(1, gives!(0x3f80_0000; "smstart", "zero {{za}}", "ptrue p0.b", "fmov z0.s, #1.0",
            "fmopa za0.s, p0/m, p0/m, z0.s, z0.s", "mov w12, #0", "mova z1.s, p0/m, za0h.s[w12, 0]",
            "lastb w0, p0, z1.s", "smstop"))])),
        ("B16F32", 34, 1, Uses(&[(1, gives!(0x4000_0000; "smstart", "zero {{za}}", "ptrue p0.b", "mov w2, #0x3f80",
            "mov z0.h, w2", "bfmopa za0.s, p0/m, p0/m, z0.h, z0.h", "mov w12, #0", "mova z1.s, p0/m, za0h.s[w12, 0]",
            "lastb w0, p0, z1.s", "smstop"))])),
        ("F16F32", 35, 1, Uses(&[(1, gives!(0x4000_0000; "smstart", "zero {{za}}", "ptrue p0.b", "fmov z0.h, #1.0",
            "fmopa za0.s, p0/m, p0/m, z0.h, z0.h", "mov w12, #0", "mova z1.s, p0/m, za0h.s[w12, 0]",
            "lastb w0, p0, z1.s", "smstop"))])),
        ("I8I32", 36, 4, Uses(&[(0xf, gives!(4; "smstart", "zero {{za}}", "ptrue p0.b", "mov z0.b, #1",
            "smopa za0.s, p0/m, p0/m, z0.b, z0.b", "mov w12, #0", "mova z1.s, p0/m, za0h.s[w12, 0]",
            "lastb w0, p0, z1.s", "smstop"))])),
        ("F64F64", 48, 1, Uses(&[(1, gives!(0x3ff0_0000_0000_0000; "smstart", "zero {{za}}", "ptrue p0.b",
            "fmov z0.d, #1.0", "fmopa za0.d, p0/m, p0/m, z0.d, z0.d", "mov w12, #0",
            "mova z1.d, p0/m, za0h.d[w12, 0]", "lastb x0, p0, z1.d", "smstop"))])),
        ("I16I64", 52, 4, Uses(&[(0xf, gives!(4; "smstart", "zero {{za}}", "ptrue p0.b", "mov z0.h, #1",
            "smopa za0.d, p0/m, p0/m, z0.h, z0.h", "mov w12, #0", "mova z1.d, p0/m, za0h.d[w12, 0]",
            "lastb x0, p0, z1.d", "smstop"))])),
        ("FA64", 63, 1, Uses(&[(1, gives!(2; "mrs x3, s3_0_c1_c2_6", "orr x2, x3, #1 << 31", "msr s3_0_c1_c2_6, x2",
            "smstart sm", "movi v0.16b, #0", "mov w2, #1", "ins v0.d[0], x2", "add v0.2d, v0.2d, v0.2d",
            "umov x0, v0.d[0]", "smstop sm", "msr s3_0_c1_c2_6, x3"))])),
    },
    register! { "ID_AA64DFR0_EL1", "s3_0_c0_c5_0",
        ("DebugVer", 0, 4, Uses(&[(6, system::debug)])),
        // What STALL counts with 4 is up to the core. PMMIR_EL1 comes with 5, PMCR_EL0.LP with 6.
        ("PMUVer", 8, 4, Uses(&[(1, system::counters), (4, || true), (5, executes!("mrs x0, s3_0_c9_c14_6")),
            (6, gives!(1 << 7; "mov x2, #1 << 7", "msr pmcr_el0, x2", "mrs x0, pmcr_el0", "and x0, x0, x2",
            "msr pmcr_el0, xzr"))])),
        ("BRPs", 12, 4, Tells(system::breakpoints)),
        ("WRPs", 20, 4, Tells(system::watchpoints)),
        ("CTX_CMPs", 28, 4, Tells(system::contexts)),
        ("DoubleLock", 36, 4, Tells(system::double_lock)),
    },
    register! { "ID_AA64ISAR0_EL1", "s3_0_c0_c6_0",
        ("AES", 4, 4, Uses(&[(1, gives!(AES_OF_ZERO; "movi v0.16b, #0", "movi v1.16b, #0", "aese v0.16b, v1.16b",
            "fmov x0, d0")), (2, gives!(5; "mov x2, #3", "fmov d1, x2", "pmull v0.1q, v1.1d, v1.1d",
            "fmov x0, d0"))])),
        ("SHA1", 8, 4, Uses(&[(1, gives!(0x4000_0000; "mov w2, #1", "fmov s1, w2", "sha1h s0, s1", "fmov w0, s0"))])),
        ("SHA2", 12, 4, Uses(&[(1, gives!(0x0200_4000; "movi v0.16b, #0", "mov w2, #1", "fmov s1, w2",
            "sha256su0 v0.4s, v1.4s", "umov w0, v0.s[3]")), (2, gives!(0x8100_0000_0000_0000; "movi v0.16b, #0",
            "mov x2, #1", "fmov d1, x2", "sha512su0 v0.2d, v1.2d", "umov x0, v0.d[1]"))])),
        ("CRC32", 16, 4, Uses(&[(1, gives!(0x7707_3096; "mov w2, #1", "crc32b w0, wzr, w2"))])),
        ("Atomic", 20, 4, Uses(&[(2, gives!(12; "mov x2, #5", "mov x3, #7", "str x2, [x1]", "ldaddal x3, x4, [x1]",
            "ldr x0, [x1]")), (3, gives!(7; "mov x2, #5", "mov x3, #7", "stp x2, x2, [x1]", "swpp x3, x2, [x1]",
            "ldr x0, [x1]"))])),
        ("RDM", 28, 4, Uses(&[(1, gives!(0x2000; "movi v0.16b, #0", "mov w2, #0x4000", "dup v1.4h, w2",
            "sqrdmlah v0.4h, v1.4h, v1.4h", "umov w0, v0.h[0]"))])),
        ("SHA3", 32, 4, Uses(&[(1, gives!(2; "movi v1.16b, #0", "mov x2, #1", "dup v2.2d, x2",
            "rax1 v0.2d, v1.2d, v2.2d", "fmov x0, d0"))])),
        ("SM3", 36, 4, Uses(&[(1, gives!(0x8_0000; "movi v1.16b, #0", "movi v2.16b, #0", "mov w2, #1",
            "dup v3.4s, w2", "sm3ss1 v0.4s, v3.4s, v1.4s, v2.4s", "umov w0, v0.s[3]"))])),
        ("SM4", 40, 4, Uses(&[(1, gives!(SM4_OF_ZERO; "movi v0.16b, #0", "movi v1.16b, #0", "sm4e v0.4s, v1.4s",
            "fmov x0, d0"))])),
        ("DP", 44, 4, Uses(&[(1, gives!(4; "movi v0.16b, #0", "movi v1.16b, #1", "udot v0.4s, v1.16b, v1.16b",
            "umov w0, v0.s[0]"))])),
        ("FHM", 48, 4, Uses(&[(1, gives!(0x3f80_0000; "movi v0.16b, #0", "mov w2, #0x3c00", "dup v1.4h, w2",
            "fmlal v0.2s, v1.2h, v1.2h", "umov w0, v0.s[0]"))])),
        ("TS", 52, 4, Uses(&[(1, gives!(1 << 29; "msr nzcv, xzr", "cfinv", "mrs x0, nzcv")), (2, gives!(1 << 30;
            "mov x2, #0x30000000", "msr nzcv, x2", "axflag", "mrs x0, nzcv"))])),
        ("TLB", 56, 4, Uses(&[(1, executes!("tlbi vmalle1os", "dsb osh", "isb")), (2, executes!("tlbi rvae1is, xzr",
            "dsb ish", "isb"))])),
        ("RNDR", 60, 4, Uses(&[(1, gives!(1; "mrs x2, rndr", "mrs x3, rndr", "cmp x2, x3", "cset x0, ne"))])),
    },
    register! { "ID_AA64ISAR1_EL1", "s3_0_c0_c6_1",
        ("DPB", 0, 4, Uses(&[(1, executes!("dc cvap, x1")), (2, executes!("dc cvadp, x1"))])),
        ("APA", 4, 4, Uses(PAUTH)),
        ("API", 8, 4, Uses(PAUTH)),
        ("JSCVT", 12, 4, Uses(&[(1, gives!(5; "mov x2, #0x500000", "movk x2, #0x41f0, lsl #48", "fmov d0, x2",
            "fjcvtzs w0, d0"))])),
        ("FCMA", 16, 4, Uses(&[(1, gives!(0x3ff0_0000_0000_0000; "fmov v1.2d, #2.0", "fmov v2.2d, #1.0",
            "fcadd v0.2d, v1.2d, v2.2d, #90", "fmov x0, d0"))])),
        ("LRCPC", 20, 4, Uses(&[(1, gives!(9; "mov x2, #9", "str x2, [x1]", "ldapr x0, [x1]")), (2, gives!(8;
            "mov x2, #8", "stlur x2, [x1, #8]", "ldapur x0, [x1, #8]")), (3, gives!(7; "mov x2, #7",
            "stp x2, x2, [x1]", "ldiapp x0, x2, [x1]"))])),
        ("GPA", 24, 4, Uses(&[(1, system::generic_authentication)])),
        ("GPI", 28, 4, Uses(&[(1, system::generic_authentication)])),
        ("FRINTTS", 32, 4, Uses(&[(1, gives!(0x3ff0_0000_0000_0000; "fmov d1, #1.5", "frint32z d0, d1",
            "fmov x0, d0"))])),
        ("SB", 36, 4, Uses(&[(1, executes!("sb"))])),
        ("SPECRES", 40, 4, Uses(&[(1, executes!("cfp rctx, xzr", "dvp rctx, xzr", "cpp rctx, xzr")),
            (2, executes!("sys #3, c7, c3, #6, xzr"))])),
        ("BF16", 44, 4, Uses(&[(1, gives!(0x4000_0000_4000_0000; "movi v0.16b, #0", "mov w2, #0x3f80",
            "dup v1.8h, w2", "bfdot v0.4s, v1.8h, v1.8h", "fmov x0, d0")), (2, || keeps_in_fpcr(FPCR_EBF))])),
        ("DGH", 48, 4, Untold(&[1], HINT)),
        ("I8MM", 52, 4, Uses(&[(1, gives!(0x8_0000_0008; "movi v0.16b, #0", "movi v1.16b, #1",
            "smmla v0.4s, v1.16b, v1.16b", "fmov x0, d0"))])),
        // DSB ISHnXS.
        ("XS", 56, 4, Uses(&[(1, executes!("tlbi vmalle1nxs", ".inst 0xd5033a3f", "isb"))])),
    },
    register! { "ID_AA64ISAR2_EL1", "s3_0_c0_c6_2",
        // Estimates of 12 bits instead of 8, with FPCR.AH.
        ("RPRES", 4, 4, Uses(&[(1, gives!(1; "mrs x3, fpcr", "orr x2, x3, #0b10", "msr fpcr, x2", "fmov s1, #3.0",
            "frecpe s0, s1", "msr fpcr, x3", "fmov w2, s0", "tst w2, #0x7800", "cset x0, ne"))])),
        ("GPA3", 8, 4, Uses(&[(1, system::generic_authentication)])),
        ("APA3", 12, 4, Uses(PAUTH)),
        ("BC", 20, 4, Uses(&[(1, gives!(1; "mov x0, #1", "cmp x0, x0", "bc.eq 3f", "mov x0, #0", "3:"))])),
        ("PAC_frac", 24, 4, Untold(&[1], "codes of some addresses are longer than others")),
        ("CLRBHB", 28, 4, Untold(&[1], HINT)),
        ("RPRFM", 48, 4, Untold(&[1], HINT)),
        ("CSSC", 52, 4, Uses(&[(1, gives!(5; "mov x0, #-5", "abs x0, x0"))])),
    },
    register! { "ID_AA64MMFR0_EL1", "s3_0_c0_c7_0",
        ("PARange", 0, 4, Tells(translation::physical_range)),
        ("ASIDBits", 4, 4, Uses(&[(2, translation::wide_asids)])),
        ("BigEnd", 8, 4, Uses(&[(1, system::big_endian)])),
        ("BigEndEL0", 16, 4, Uses(&[(1, system::big_endian_at_el0)])),
        ("TGran16", 20, 4, Uses(&[(1, translation::granule_16k), (2, translation::granule_16k_52)])),
        ("TGran64", 24, 4, Tells(|value| value == 0xf || value == 0 && translation::granule_64k())),
        ("TGran4", 28, 4,
            Tells(|value| translation::granule_4k() && (value == 0 || value == 1 && translation::granule_4k_52()))),
        ("TGran16_2", 32, 4, Untold(&[1], NO_STAGE_2)),
        ("TGran64_2", 36, 4, Untold(&[1], NO_STAGE_2)),
        ("TGran4_2", 40, 4, Untold(&[1], NO_STAGE_2)),
        ("ExS", 44, 4, Uses(&[(1, system::exceptions_without_synchronisation)])),
    },
    register! { "ID_AA64MMFR1_EL1", "s3_0_c0_c7_1",
        ("HAFDBS", 0, 4, Uses(&[(1, translation::access_flag), (2, translation::dirty_state)])),
        ("HPDS", 12, 4, Uses(&[(1, translation::hierarchical_permissions), (2, translation::hardware_use)])),
        ("PAN", 20, 4, Uses(&[(1, translation::privileged_access_never),
            (2, translation::address_translation_with_pan), (3, translation::pan_of_code)])),
        ("ETS", 36, 4, Untold(&[1, 2], "a table's new entry would be missed by an access behind its store")),
        ("AFP", 44, 4, Uses(&[(1, || keeps_in_fpcr(FPCR_AFP))])),
        ("nTLBPA", 48, 4, Untold(&[1], "invalidation would leave intermediate entries behind")),
        ("ECBHB", 60, 4, Untold(&[1], PREDICTION)),
    },
    register! { "ID_AA64MMFR2_EL1", "s3_0_c0_c7_2",
        ("CnP", 0, 4, Uses(&[(1, translation::common_not_private)])),
        ("UAO", 4, 4, Uses(&[(1, translation::user_access_override)])),
        ("LSM", 8, 4, Uses(&[(1, system::load_multiple_order)])),
        ("VARange", 16, 4, Uses(&[(1, translation::addresses_of_52_bits)])),
        ("CCIDX", 20, 4, Uses(&[(1, system::wide_cache_geometry)])),
        ("ST", 28, 4, Uses(&[(1, translation::small_tables)])),
        ("AT", 32, 4, Uses(&[(1, gives!(0; "add x1, x1, #4", "str xzr, [x1]", "ldar x0, [x1]"))])),
        ("IDS", 36, 4, Uses(&[(1, system::identification_trap)])),
        ("TTL", 48, 4, Uses(&[(1, translation::invalidation_with_level)])),
        ("BBM", 52, 4, Uses(&[(1, translation::no_break_before_make), (2, translation::no_break_before_make)])),
        ("E0PD", 60, 4, Uses(&[(1, translation::kept_from_el0)])),
    },
    register! { "DCZID_EL0", "dczid_el0",
        ("BS", 0, 4, Tells(|words| read_sysreg!("dczid_el0") >> 4 & 1 != 0 || system::zeroed(words))),
        ("DZP", 4, 1, Untold(&[1], "DC ZVA would do nothing: what should be zero is not")),
    },
    register! { "CTR_EL0", "ctr_el0",
        ("all", 0, 64, Untold(&[], SIZES)),
    },
    register! { "CLIDR_EL1", "clidr_el1",
        ("all", 0, 64, Untold(&[], SIZES)),
    },
    register! { "CCSIDR_EL1", "ccsidr_el1",
        ("all", 0, 64, Untold(&[], SIZES)),
    },
    register! { "MIDR_EL1", "midr_el1",
        ("all", 0, 64, Untold(&[], IDENTITY)),
    },
    register! { "MPIDR_EL1", "mpidr_el1",
        ("all", 0, 64, Untold(&[], "CPU_ON would turn on another vCPU")),
    },
];

const NO_STAGE_2: &str = "a guest's EL2 would choose it: there is none";

/// The other registers of the space, which are zero: CRm and Op2 of S3_0_C0.
pub fn others() -> impl Iterator<Item = (u8, u8, u64)> {
    macro_rules! rows {
        ($($crm:literal: $($op2:literal)*;)*) => {
            [$($(($crm, $op2, read_sysreg!("s3_0_c0_c" $crm "_" $op2)),)*)*]
        };
    }
    rows! {
        1: 0 1 2 3 4 5 6 7;
        2: 0 1 2 3 4 5 6 7;
        3: 0 1 2 3 4 5 6 7;
        4: 2 3 6 7;
        5: 1 2 3 4 5 6 7;
        6: 3 4 5 6 7;
        7: 3 4 5 6 7;
    }
    .into_iter()
}

/// Address authentication, by any algorithm. What 2 and 3 change is which bits of a code differ.
const PAUTH: &[Level] = &[
    (1, system::pointer_authentication),
    (2, system::pointer_authentication),
    (3, system::pointer_authentication),
    (4, system::authentication_fault),
    (5, system::combined_authentication_fault),
];

/// AESE of zero by zero: the S-box's first byte, in all.
const AES_OF_ZERO: u64 = 0x6363_6363_6363_6363;
/// Four rounds of SM4 of zero by zero.
const SM4_OF_ZERO: u64 = 0x2d2d_2d2d_5b5b_5b5b;

/// 1 and 1 are 2, in single and half precision.
const SCALAR: [fn() -> bool; 2] = [
    gives!(0x4000_0000; "fmov s1, #1.0", "fadd s0, s1, s1", "fmov w0, s0"),
    gives!(0x4000; "mov w2, #0x3c00", "fmov h1, w2", "fadd h0, h1, h1", "fmov w0, h0"),
];
const VECTOR: [fn() -> bool; 2] = [
    gives!(0x4000_0000_4000_0000; "fmov v1.4s, #1.0", "fadd v0.4s, v1.4s, v1.4s", "fmov x0, d0"),
    gives!(0x4000_4000_4000_4000; "fmov v1.8h, #1.0", "fadd v0.8h, v1.8h, v1.8h", "fmov x0, d0"),
];

fn floating_point(value: u8, [single, half]: [fn() -> bool; 2]) -> bool {
    match value {
        0 => single(),
        1 => single() && half(),
        _ => value == 0xf && !single(),
    }
}

/// FPCR keeps these bits.
fn keeps_in_fpcr(bits: u64) -> bool {
    let kept = crate::run::run(
        crate::run::el1!(
            "mrs x3, fpcr",
            "msr fpcr, x0",
            "mrs x0, fpcr",
            "msr fpcr, x3"
        ),
        trapcast_guests::hostile::attempt::EL1_MASKED,
        bits,
        0,
    );
    kept.vector.is_none() && kept.registers[0] & bits == bits
}
