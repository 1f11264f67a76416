//! What an AArch32 guest reads from its identification registers.
//!
//! Not shown: EL2, EL3 and SMC, external debug, trace, RAS and AMU, and what
//! AArch32 has no more since Armv8 (ThumbEE, SWP).
//!
//! Source: Arm ARM (DDI 0487), the descriptions of `ID_*_EL1` and `MVFR<n>_EL1`.

use super::{
    Allowed, Register,
    Rule::{Is, Pmu, Simd, UpTo, UpToOrNone},
};

const REGISTERS: &[Register] = &[
    // ID_PFR0
    Register {
        crm: 1,
        op2: 0,
        fields: &[
            ("State0", 0, UpTo(1)),
            ("State1", 4, UpTo(3)),
            ("State2", 8, UpTo(1)),
            ("CSV2", 16, UpTo(1)),
            ("DIT", 24, UpTo(1)),
        ],
    },
    // ID_PFR1
    Register {
        crm: 1,
        op2: 1,
        fields: &[
            ("ProgMod", 0, UpTo(1)),
            ("GenTimer", 16, UpTo(1)),
            // The CPU interface is the hardware's virtual one.
            ("GIC", 28, Is(1)),
        ],
    },
    // ID_DFR0
    Register {
        crm: 1,
        op2: 2,
        // Armv8.0's debug; DBGDIDR says how much of it.
        fields: &[("CopDbg", 0, Is(6)), ("PerfMon", 24, Pmu(3))],
    },
    // ID_MMFR0
    Register {
        crm: 1,
        op2: 4,
        fields: &[
            ("VMSA", 0, UpTo(5)),
            ("OuterShr", 8, UpToOrNone(1)),
            ("ShareLvl", 12, UpTo(1)),
            ("AuxReg", 20, UpTo(2)),
            ("InnerShr", 28, UpToOrNone(1)),
        ],
    },
    // ID_MMFR1
    Register {
        crm: 1,
        op2: 5,
        fields: &[("BPred", 28, UpTo(4))],
    },
    // ID_MMFR2
    Register {
        crm: 1,
        op2: 6,
        fields: &[
            ("UniTLB", 16, UpTo(6)),
            ("MemBarr", 20, UpTo(2)),
            ("WFIStall", 24, UpTo(1)),
        ],
    },
    // ID_MMFR3
    Register {
        crm: 1,
        op2: 7,
        fields: &[
            ("CMaintVA", 0, UpTo(1)),
            ("CMaintSW", 4, UpTo(1)),
            ("BPMaint", 8, UpTo(2)),
            ("MaintBcst", 12, UpTo(2)),
            // Without PAN: SETPAN is undefined under QEMU 7.2, which shows it.
            ("CohWalk", 20, UpTo(1)),
            ("CMemSz", 24, UpTo(2)),
            ("Supersec", 28, UpToOrNone(0)),
        ],
    },
    // ID_ISAR0
    Register {
        crm: 2,
        op2: 0,
        fields: &[
            ("BitCount", 4, UpTo(1)),
            ("BitField", 8, UpTo(1)),
            ("CmpBranch", 12, UpTo(1)),
            ("Debug", 20, UpTo(1)),
            ("Divide", 24, UpTo(2)),
        ],
    },
    // ID_ISAR1
    Register {
        crm: 2,
        op2: 1,
        fields: &[
            ("Endian", 0, UpTo(1)),
            ("Except", 4, UpTo(1)),
            ("Except_AR", 8, UpTo(1)),
            ("Extend", 12, UpTo(2)),
            ("IfThen", 16, UpTo(1)),
            ("Immediate", 20, UpTo(1)),
            ("Interwork", 24, UpTo(3)),
            ("Jazelle", 28, UpTo(1)),
        ],
    },
    // ID_ISAR2
    Register {
        crm: 2,
        op2: 2,
        fields: &[
            ("LoadStore", 0, UpTo(2)),
            ("MemHint", 4, UpTo(4)),
            ("MultiAccessInt", 8, UpTo(2)),
            ("Mult", 12, UpTo(2)),
            ("MultS", 16, UpTo(3)),
            ("MultU", 20, UpTo(2)),
            ("PSR_AR", 24, UpTo(1)),
            ("Reversal", 28, UpTo(2)),
        ],
    },
    // ID_ISAR3
    Register {
        crm: 2,
        op2: 3,
        fields: &[
            ("Saturate", 0, UpTo(1)),
            ("SIMD", 4, UpTo(3)),
            ("SVC", 8, UpTo(1)),
            ("SynchPrim", 12, UpTo(2)),
            ("TabBranch", 16, UpTo(1)),
            ("T32Copy", 20, UpTo(1)),
            ("TrueNOP", 24, UpTo(1)),
        ],
    },
    // ID_ISAR4
    Register {
        crm: 2,
        op2: 4,
        fields: &[
            ("Unpriv", 0, UpTo(2)),
            ("WithShifts", 4, UpTo(4)),
            ("Writeback", 8, UpTo(1)),
            ("Barrier", 16, UpTo(1)),
            ("SynchPrim_frac", 20, UpTo(3)),
            ("PSR_M", 24, UpTo(1)),
        ],
    },
    // ID_ISAR5
    Register {
        crm: 2,
        op2: 5,
        fields: &[
            ("SEVL", 0, UpTo(1)),
            ("AES", 4, Simd(2)),
            ("SHA1", 8, Simd(1)),
            ("SHA2", 12, Simd(1)),
            ("CRC32", 16, UpTo(1)),
            ("RDM", 24, Simd(1)),
            ("VCMA", 28, Simd(1)),
        ],
    },
    // ID_MMFR4
    Register {
        crm: 2,
        op2: 6,
        fields: &[
            ("AC2", 4, UpTo(1)),
            ("CnP", 12, UpTo(1)),
            ("HPDS", 16, UpTo(2)),
            ("LSM", 20, UpTo(1)),
            ("CCIDX", 24, UpTo(1)),
        ],
    },
    // ID_ISAR6
    Register {
        crm: 2,
        op2: 7,
        fields: &[
            ("JSCVT", 0, Simd(1)),
            ("DP", 4, Simd(1)),
            ("FHM", 8, Simd(1)),
            ("SB", 12, UpTo(1)),
            ("SPECRES", 16, UpTo(2)),
            ("BF16", 20, Simd(1)),
            ("I8MM", 24, Simd(1)),
        ],
    },
    // MVFR0
    Register {
        crm: 3,
        op2: 0,
        fields: &[
            ("SIMDReg", 0, Simd(2)),
            ("FPSP", 4, Simd(2)),
            ("FPDP", 8, Simd(2)),
            ("FPTrap", 12, Simd(1)),
            ("FPDivide", 16, Simd(1)),
            ("FPSqrt", 20, Simd(1)),
            ("FPShVec", 24, Simd(1)),
            ("FPRound", 28, Simd(1)),
        ],
    },
    // MVFR1
    Register {
        crm: 3,
        op2: 1,
        fields: &[
            ("FPFtZ", 0, Simd(1)),
            ("FPDNaN", 4, Simd(1)),
            ("SIMDLS", 8, Simd(1)),
            ("SIMDInt", 12, Simd(1)),
            ("SIMDSP", 16, Simd(1)),
            ("SIMDHP", 20, Simd(2)),
            ("FPHP", 24, Simd(3)),
            ("SIMDFMAC", 28, Simd(1)),
        ],
    },
    // MVFR2
    Register {
        crm: 3,
        op2: 2,
        fields: &[("SIMDMisc", 0, Simd(3)), ("FPMisc", 4, Simd(4))],
    },
    // ID_PFR2
    Register {
        crm: 3,
        op2: 4,
        fields: &[("CSV3", 0, UpTo(1)), ("SSBS", 4, UpTo(1))],
    },
    // ID_MMFR5
    Register {
        crm: 3,
        op2: 6,
        fields: &[("ETS", 0, UpTo(2)), ("nTLBPA", 4, UpTo(1))],
    },
];

/// What an AArch32 guest reads from the register that is `S3_0_C0_C<crm>_<op2>` to EL2, where EL2 reads
/// `physical`. MVFR0 to MVFR2 are those of CRm 3, whatever instruction reads them.
pub fn aarch32_guest_value(crm: u8, op2: u8, physical: u64, allowed: Allowed) -> u64 {
    super::value_in(REGISTERS, crm, op2, physical, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Allowed = Allowed {
        pauth: true,
        fp: true,
        sve: true,
        sme: true,
        pmu: true,
    };

    #[test]
    fn a_cortex_a57_shows_what_a_guest_may_use() {
        for (name, crm, op2, physical, shown) in [
            ("ID_PFR0", 1, 0, 0x0000_0131, 0x0000_0131),
            ("ID_PFR1", 1, 1, 0x0001_1011, 0x1001_0001),
            ("ID_DFR0", 1, 2, 0x0301_0066, 0x0300_0006),
            ("ID_MMFR0", 1, 4, 0x1010_1105, 0x1010_1105),
            ("ID_MMFR1", 1, 5, 0x4000_0000, 0x4000_0000),
            ("ID_MMFR2", 1, 6, 0x0126_0000, 0x0126_0000),
            ("ID_MMFR3", 1, 7, 0x0210_2211, 0x0210_2211),
            ("ID_ISAR0", 2, 0, 0x0210_1110, 0x0210_1110),
            ("ID_ISAR1", 2, 1, 0x1311_2111, 0x1311_2111),
            ("ID_ISAR2", 2, 2, 0x2123_2042, 0x2123_2042),
            ("ID_ISAR3", 2, 3, 0x0111_2131, 0x0111_2131),
            ("ID_ISAR4", 2, 4, 0x0001_1142, 0x0001_0142),
            ("ID_ISAR5", 2, 5, 0x0001_1121, 0x0001_1121),
            ("MVFR0", 3, 0, 0x1011_0222, 0x1011_0222),
            ("MVFR1", 3, 1, 0x1211_1111, 0x1211_1111),
            ("MVFR2", 3, 2, 0x0000_0043, 0x0000_0043),
        ] {
            assert_eq!(
                aarch32_guest_value(crm, op2, physical, ALL),
                shown,
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_forbidden_shows_on_a_core_that_has_everything() {
        for physical in [0xffff_ffff, 0x1111_1111, 0x2222_2222] {
            for (name, crm, op2, shift) in [
                ("State3", 1, 0, 12),
                ("AMU", 1, 0, 20),
                ("RAS", 1, 0, 28),
                ("Security", 1, 1, 4),
                ("MProgMod", 1, 1, 8),
                ("Virtualization", 1, 1, 12),
                ("Sec_frac", 1, 1, 20),
                ("Virt_frac", 1, 1, 24),
                ("CopSDbg", 1, 2, 4),
                ("MMapDbg", 1, 2, 8),
                ("CopTrc", 1, 2, 12),
                ("MMapTrc", 1, 2, 16),
                ("TraceFilt", 1, 2, 28),
                ("SMC", 2, 4, 12),
                ("XNX", 2, 6, 8),
                ("EVT", 2, 6, 28),
            ] {
                let shown = aarch32_guest_value(crm, op2, physical, ALL);
                assert_eq!(shown >> shift & 0xf, 0, "{name}");
            }
        }
    }

    #[test]
    fn the_pmu_is_shown_to_those_who_may_use_it() {
        let nothing = Allowed::default();
        assert_eq!(aarch32_guest_value(1, 2, 0x0301_0066, nothing), 6);
        assert_eq!(aarch32_guest_value(4, 0, u64::MAX, ALL), 0, "AArch64's");
    }

    #[test]
    fn without_fp_no_register_of_media_features_shows_any() {
        for op2 in 0..3 {
            let shown = aarch32_guest_value(3, op2, 0x2222_2222, Allowed::default());
            assert_eq!(shown, 0, "MVFR{op2}");
        }
        let crypto = aarch32_guest_value(2, 5, 0x0001_1121, Allowed::default());
        assert_eq!(crypto, 0x0001_0001);
    }
}
