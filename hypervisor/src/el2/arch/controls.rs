//! EL2's controls of EL1 and EL0 that are the same for every guest, set once on each core, whatever
//! firmware has left in them.
//!
//! What differs between VMs or vCPUs is written when a vCPU is loaded (`residency.rs`): HCR_EL2, MDCR_EL2, VTCR_EL2,
//! VTTBR_EL2, VMPIDR_EL2, CNTVOFF_EL2, HFGRTR_EL2 and HFGWTR_EL2. CPTR_EL2, ZCR_EL2 and SMCR_EL2 are the
//! switch's (`register_file.rs`), CNTHCTL_EL2 `set_up.rs` has, ICH_* and ICC_SRE_EL2 the GIC. ACTLR_EL2 means what
//! the core's maker says, and stays as it is.
//!
//! Source: Arm ARM (DDI 0487), the list of registers of EL2 ("op1 = 4"), K18.

use crate::{mrs, msr};

/// MPAM2_EL2.TRAPMPAM1EL1 and TRAPMPAM0EL1: MPAM1_EL1 and MPAM0_EL1 trap.
const MPAM2_TRAPS: u64 = 1 << 49 | 1 << 48;
/// MPAMHCR_EL2.TRAP_MPAMIDR_EL1.
const MPAMHCR_TRAP: u64 = 1 << 31;
/// MPAMIDR_EL1.HAS_HCR: there is an MPAMHCR_EL2.
const MPAMIDR_HAS_HCR: u64 = 1 << 17;

/// Sets them. A feature that no guest is shown traps where EL2 can trap it, and nothing else does.
///
/// # Safety
/// On each core at its boot: no guest has run there.
pub unsafe fn init() {
    let field = |register: u64, shift: u32| register >> shift & 0xf;
    let (pfr0, pfr1) = (mrs!("id_aa64pfr0_el1"), mrs!("id_aa64pfr1_el1"));
    let (mmfr0, mmfr1) = (mrs!("id_aa64mmfr0_el1"), mrs!("id_aa64mmfr1_el1"));
    let dfr0 = mrs!("id_aa64dfr0_el1");
    // SAFETY: EL1 does not run yet, EL2 uses none of these features, and each register is there where its
    // feature is.
    unsafe {
        msr!("vpidr_el2", mrs!("midr_el1"));
        msr!("hstr_el2", 0);
        msr!("hacr_el2", 0);
        // No debug exceptions but those that a guest asks for, which neither the OS Lock, set at a cold reset, nor
        // the OS Double Lock keeps away.
        msr!("mdscr_el1", 0);
        msr!("osdlr_el1", 0);
        msr!("oslar_el1", 0);
        // FEAT_VHE.
        if field(mmfr1, 8) != 0 {
            msr!("s3_4_c13_c0_1", 0); // CONTEXTIDR_EL2
            msr!("s3_4_c14_c3_1", 0); // CNTHV_CTL_EL2
        }
        // FEAT_HCX: HCRX_EL2 enables what is shown to no guest.
        if field(mmfr1, 40) != 0 {
            msr!("s3_4_c1_c2_2", 0);
        }
        // FEAT_FGT and FEAT_FGT2: a bit of 0 does not trap, but for newer features, of which all trap.
        let fine_grained_traps = field(mmfr0, 56);
        if fine_grained_traps >= 1 {
            msr!("s3_4_c1_c1_4", 0); // HFGRTR_EL2
            msr!("s3_4_c1_c1_5", 0); // HFGWTR_EL2
            msr!("s3_4_c1_c1_6", 0); // HFGITR_EL2
            msr!("s3_4_c3_c1_4", 0); // HDFGRTR_EL2
            msr!("s3_4_c3_c1_5", 0); // HDFGWTR_EL2
            // FEAT_AMUv1: CPTR_EL2.TAM traps all of it.
            if field(pfr0, 44) != 0 {
                msr!("s3_4_c3_c1_6", 0); // HAFGRTR_EL2
            }
        }
        if fine_grained_traps >= 2 {
            msr!("s3_4_c3_c1_2", 0); // HFGRTR2_EL2
            msr!("s3_4_c3_c1_3", 0); // HFGWTR2_EL2
            msr!("s3_4_c3_c1_7", 0); // HFGITR2_EL2
            msr!("s3_4_c3_c1_0", 0); // HDFGRTR2_EL2
            msr!("s3_4_c3_c1_1", 0); // HDFGWTR2_EL2
        }
        // FEAT_SPE, FEAT_TRF, FEAT_BRBE: nothing is sampled, traced or recorded at EL2.
        if field(dfr0, 32) != 0 {
            msr!("s3_4_c9_c9_0", 0); // PMSCR_EL2
        }
        if field(dfr0, 40) != 0 {
            msr!("s3_4_c1_c2_1", 0); // TRFCR_EL2
        }
        if field(dfr0, 52) != 0 {
            msr!("s2_4_c9_c0_0", 0); // BRBCR_EL2
        }
        // FEAT_SME: streaming priorities are not mapped.
        if field(pfr1, 24) != 0 {
            msr!("s3_4_c1_c2_5", 0); // SMPRIMAP_EL2
        }
        // FEAT_MPAM.
        if field(pfr0, 40) != 0 || field(pfr1, 16) != 0 {
            msr!("s3_4_c10_c5_0", MPAM2_TRAPS); // MPAM2_EL2
            // MPAMIDR_EL1.
            if mrs!("s3_0_c10_c4_4") & MPAMIDR_HAS_HCR != 0 {
                msr!("s3_4_c10_c4_0", MPAMHCR_TRAP); // MPAMHCR_EL2
            }
        }
    }
}
