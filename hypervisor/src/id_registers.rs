//! What a guest reads from the identification registers: what it may use, and nothing else.
//!
//! The table below lists what is shown, field by field; a field that is not in it reads as zero,
//! and so does a register. That keeps from guests: what EL2 does not switch or emulate (MTE, GCS, RAS, MPAM,
//! AMU, NMI, trace and profiling: SPE, TRBE, BRBE), what another Exception level needs (EL2, VHE, nested
//! virtualisation, stage 2, EL3, Secure EL2, RME), what
//! only works if EL2 enables it in `HCRX_EL2` (MOPS, LS64, `TCR2_EL1`, `SCTLR2_EL1` and what builds
//! on them), WFIT, LORegions, TME, and whatever comes after this table was written. To an AArch64 guest
//! AArch32 is not there either, at EL0 and EL1, so that its identification registers read as zero; an
//! AArch32 guest has a table of its own, `aarch32.rs`.
//!
//! EL2 traps reads of these registers with `HCR_EL2.TID3`. That does not keep a guest from using
//! what it does not see: the traps of each feature do.
//!
//! Source: Arm ARM (DDI 0487), the descriptions of the `ID_AA64*_EL1` registers.

mod aarch32;

use crate::stage2::IPA_BITS;
pub use aarch32::aarch32_guest_value;

/// What a guest may use beyond what every guest may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Pointer authentication: EL2 switches the keys.
    pub pauth: bool,
    /// FP/SIMD, and SVE and SME above it.
    pub fp: bool,
    /// SVE.
    pub sve: bool,
    /// SME.
    pub sme: bool,
    /// The performance monitors.
    pub pmu: bool,
}

/// How a field is derived; all of them have 4 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The core's value, but no more than this.
    UpTo(u8),
    /// As `UpTo`; but 0b1111 means "not implemented", and 0 the least feature.
    UpToOrNone(u8),
    /// This, whatever the core has.
    Is(u8),
    /// FP/SIMD itself: as `UpToOrNone` if it is allowed, else "not implemented".
    Fp(u8),
    /// As `UpTo` if FP/SIMD is allowed, else 0: instructions on its registers.
    Simd(u8),
    /// As `UpTo` if SVE is allowed, else 0.
    Sve(u8),
    /// As `UpTo` if SME is allowed, else 0.
    Sme(u8),
    /// The core's value if pointer authentication is allowed, else 0.
    Pauth,
    /// As `UpTo` if the PMU is allowed and is an architected one (not 0b1111), else 0.
    Pmu(u8),
}

use Rule::{Fp, Is, Pauth, Pmu, Simd, Sme, Sve, UpTo, UpToOrNone};

/// One register, `S3_0_C0_C<crm>_<op2>`, and its fields: name, lowest bit, rule.
struct Register {
    crm: u8,
    op2: u8,
    fields: &'static [(&'static str, u32, Rule)],
}

const REGISTERS: &[Register] = &[
    // ID_AA64PFR0_EL1
    Register {
        crm: 4,
        op2: 0,
        fields: &[
            ("EL0", 0, Is(1)),
            ("EL1", 4, Is(1)),
            ("FP", 16, Fp(1)),
            ("AdvSIMD", 20, Fp(1)),
            // The CPU interface is the hardware's virtual one.
            ("GIC", 24, Is(1)),
            ("SVE", 32, Sve(1)),
            ("DIT", 48, UpTo(1)),
            // 2 and more have SCXTNUM_EL1, which EL2 does not switch.
            ("CSV2", 56, UpTo(1)),
            ("CSV3", 60, UpTo(1)),
        ],
    },
    // ID_AA64PFR1_EL1
    Register {
        crm: 4,
        op2: 1,
        fields: &[
            ("BT", 0, UpTo(1)),
            ("SSBS", 4, UpTo(2)),
            ("SME", 24, Sme(2)),
            // As CSV2.
            ("CSV2_frac", 32, UpTo(1)),
        ],
    },
    // ID_AA64ZFR0_EL1
    Register {
        crm: 4,
        op2: 4,
        fields: &[
            ("SVEver", 0, Sve(2)),
            ("AES", 4, Sve(2)),
            ("BitPerm", 16, Sve(1)),
            ("BF16", 20, Sve(2)),
            ("SHA3", 32, Sve(1)),
            ("SM4", 40, Sve(1)),
            ("I8MM", 44, Sve(1)),
            ("F32MM", 52, Sve(1)),
            ("F64MM", 56, Sve(1)),
        ],
    },
    // ID_AA64SMFR0_EL1; a field of one bit is given with three reserved bits.
    Register {
        crm: 4,
        op2: 5,
        fields: &[
            // With B16F32 and F16F32 in bits 34 and 35.
            ("F32F32", 32, Sme(0xf)),
            ("I8I32", 36, Sme(0xf)),
            ("F64F64", 48, Sme(1)),
            ("I16I64", 52, Sme(0xf)),
            ("SMEver", 56, Sme(1)),
            ("FA64", 60, Sme(0xf)),
        ],
    },
    // ID_AA64DFR0_EL1
    Register {
        crm: 5,
        op2: 0,
        fields: &[
            // Armv8.0's, with all of the core's breakpoints and watchpoints.
            ("DebugVer", 0, Is(6)),
            ("PMUVer", 8, Pmu(6)),
            ("BRPs", 12, UpTo(0xf)),
            ("WRPs", 20, UpTo(0xf)),
            ("CTX_CMPs", 28, UpTo(0xf)),
            ("DoubleLock", 36, UpTo(0xf)),
        ],
    },
    // ID_AA64ISAR0_EL1
    Register {
        crm: 6,
        op2: 0,
        fields: &[
            ("AES", 4, Simd(2)),
            ("SHA1", 8, Simd(1)),
            ("SHA2", 12, Simd(2)),
            ("CRC32", 16, UpTo(1)),
            ("Atomic", 20, UpTo(3)),
            ("RDM", 28, Simd(1)),
            ("SHA3", 32, Simd(1)),
            ("SM3", 36, Simd(1)),
            ("SM4", 40, Simd(1)),
            ("DP", 44, Simd(1)),
            ("FHM", 48, Simd(1)),
            ("TS", 52, UpTo(2)),
            ("TLB", 56, UpTo(2)),
            ("RNDR", 60, UpTo(1)),
        ],
    },
    // ID_AA64ISAR1_EL1
    Register {
        crm: 6,
        op2: 1,
        fields: &[
            ("DPB", 0, UpTo(2)),
            ("APA", 4, Pauth),
            ("API", 8, Pauth),
            ("JSCVT", 12, Simd(1)),
            ("FCMA", 16, Simd(1)),
            ("LRCPC", 20, UpTo(3)),
            ("GPA", 24, Pauth),
            ("GPI", 28, Pauth),
            ("FRINTTS", 32, Simd(1)),
            ("SB", 36, UpTo(1)),
            ("SPECRES", 40, UpTo(2)),
            ("BF16", 44, Simd(2)),
            ("DGH", 48, UpTo(1)),
            ("I8MM", 52, Simd(1)),
            ("XS", 56, UpTo(1)),
        ],
    },
    // ID_AA64ISAR2_EL1
    Register {
        crm: 6,
        op2: 2,
        fields: &[
            ("RPRES", 4, Simd(1)),
            ("GPA3", 8, Pauth),
            ("APA3", 12, Pauth),
            ("BC", 20, UpTo(1)),
            ("PAC_frac", 24, Pauth),
            ("CLRBHB", 28, UpTo(1)),
            ("RPRFM", 48, UpTo(1)),
            ("CSSC", 52, UpTo(1)),
        ],
    },
    // ID_AA64MMFR0_EL1
    Register {
        crm: 7,
        op2: 0,
        fields: &[
            ("PARange", 0, UpTo(PA_RANGE)),
            ("ASIDBits", 4, UpTo(2)),
            ("BigEnd", 8, UpTo(1)),
            ("BigEndEL0", 16, UpTo(1)),
            // Without 52-bit addresses.
            ("TGran16", 20, UpTo(1)),
            ("TGran64", 24, UpToOrNone(0)),
            ("TGran4", 28, UpToOrNone(0)),
            // The granules of stage 2: none.
            ("TGran16_2", 32, Is(1)),
            ("TGran64_2", 36, Is(1)),
            ("TGran4_2", 40, Is(1)),
            ("ExS", 44, UpTo(1)),
        ],
    },
    // ID_AA64MMFR1_EL1
    Register {
        crm: 7,
        op2: 1,
        fields: &[
            ("HAFDBS", 0, UpTo(2)),
            ("HPDS", 12, UpTo(2)),
            ("PAN", 20, UpTo(3)),
            ("ETS", 36, UpTo(2)),
            ("AFP", 44, Simd(1)),
            ("nTLBPA", 48, UpTo(1)),
            ("ECBHB", 60, UpTo(1)),
        ],
    },
    // ID_AA64MMFR2_EL1
    Register {
        crm: 7,
        op2: 2,
        fields: &[
            ("CnP", 0, UpTo(1)),
            ("UAO", 4, UpTo(1)),
            ("LSM", 8, UpTo(1)),
            ("VARange", 16, UpTo(1)),
            ("CCIDX", 20, UpTo(1)),
            ("ST", 28, UpTo(1)),
            ("AT", 32, UpTo(1)),
            ("IDS", 36, UpTo(1)),
            ("TTL", 48, UpTo(1)),
            ("BBM", 52, UpTo(2)),
            ("E0PD", 60, UpTo(1)),
        ],
    },
];

/// `PARange` for the widest physical address that is an IPA of stage 2.
const PA_RANGE: u8 = match IPA_BITS {
    0..36 => 0,
    36..40 => 1,
    40..42 => 2,
    42..44 => 3,
    44..48 => 4,
    _ => 5,
};

impl Register {
    fn guest_value(&self, physical: u64, allowed: Allowed) -> u64 {
        self.fields.iter().fold(0, |value, &(_, shift, rule)| {
            let field = (physical >> shift & 0xf) as u8;
            value | u64::from(rule.apply(field, allowed)) << shift
        })
    }
}

impl Rule {
    const NONE: u8 = 0xf;

    fn apply(self, field: u8, allowed: Allowed) -> u8 {
        match self {
            Self::UpTo(most) => field.min(most),
            Self::UpToOrNone(_) if field == Self::NONE => field,
            Self::UpToOrNone(most) => field.min(most),
            Self::Is(value) => value,
            Self::Fp(_) if !allowed.fp || field == Self::NONE => Self::NONE,
            Self::Fp(most) => field.min(most),
            Self::Simd(most) if allowed.fp => field.min(most),
            Self::Sve(most) if allowed.sve => field.min(most),
            Self::Sme(most) if allowed.sme => field.min(most),
            Self::Pauth if allowed.pauth => field,
            Self::Pmu(most) if allowed.pmu && field != Self::NONE => field.min(most),
            Self::Simd(_) | Self::Sve(_) | Self::Sme(_) | Self::Pauth | Self::Pmu(_) => 0,
        }
    }
}

/// What a guest reads from `S3_0_C0_C<crm>_<op2>` on a core where EL2 reads `physical`.
///
/// For the feature registers, CRm 1 to 7; others read as zero.
pub fn guest_value(crm: u8, op2: u8, physical: u64, allowed: Allowed) -> u64 {
    value_in(REGISTERS, crm, op2, physical, allowed)
}

/// What is shown of a register by a table.
fn value_in(table: &[Register], crm: u8, op2: u8, physical: u64, allowed: Allowed) -> u64 {
    table
        .iter()
        .find(|register| (register.crm, register.op2) == (crm, op2))
        .map_or(0, |register| register.guest_value(physical, allowed))
}

#[cfg(test)]
mod tests;
