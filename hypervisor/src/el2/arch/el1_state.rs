//! The EL1 state of a vCPU that is not the core's resident one: system registers and timer.

use crate::{mrs, msr};

/// Declares the registers that EL2 reaches under two names: with HCR_EL2.E2H = 1 by an alias, as
/// their own name then stands for EL2's.
macro_rules! el1_registers {
    (
        aliased { $($aliased:ident = $name:literal | $alias:literal,)* }
        shared { $($shared:ident = $only:literal,)* }
    ) => {
        /// The EL1 and EL0 system registers of a vCPU, by their names in the Arm ARM.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct El1 {
            $(pub $aliased: u64,)*
            $(pub $shared: u64,)*
        }

        impl El1 {
            /// Saves the core's registers.
            pub fn save(&mut self, e2h: bool) {
                if e2h {
                    $(self.$aliased = mrs!($alias);)*
                } else {
                    $(self.$aliased = mrs!($name);)*
                }
                $(self.$shared = mrs!($only);)*
            }

            /// Loads the core's registers.
            ///
            /// # Safety
            /// No guest runs with them before its own stage-2 tables are in place.
            pub unsafe fn load(&self, e2h: bool) {
                // SAFETY: EL1 and EL0 state has no effect at EL2.
                unsafe {
                    if e2h {
                        $(msr!($alias, self.$aliased);)*
                    } else {
                        $(msr!($name, self.$aliased);)*
                    }
                    $(msr!($only, self.$shared);)*
                }
            }
        }
    };
}

// The _EL12 and _EL02 aliases (Arm ARM, D19 "op0=0b11, op1=0b101") by number: the assembler knows
// their names for newer targets only.
el1_registers! {
    aliased {
    sctlr = "sctlr_el1" | "s3_5_c1_c0_0",
    cpacr = "cpacr_el1" | "s3_5_c1_c0_2",
    ttbr0 = "ttbr0_el1" | "s3_5_c2_c0_0",
    ttbr1 = "ttbr1_el1" | "s3_5_c2_c0_1",
    tcr = "tcr_el1" | "s3_5_c2_c0_2",
    spsr = "spsr_el1" | "s3_5_c4_c0_0",
    elr = "elr_el1" | "s3_5_c4_c0_1",
    afsr0 = "afsr0_el1" | "s3_5_c5_c1_0",
    afsr1 = "afsr1_el1" | "s3_5_c5_c1_1",
    esr = "esr_el1" | "s3_5_c5_c2_0",
    far = "far_el1" | "s3_5_c6_c0_0",
    mair = "mair_el1" | "s3_5_c10_c2_0",
    amair = "amair_el1" | "s3_5_c10_c3_0",
    vbar = "vbar_el1" | "s3_5_c12_c0_0",
    contextidr = "contextidr_el1" | "s3_5_c13_c0_1",
    cntkctl = "cntkctl_el1" | "s3_5_c14_c1_0",
    cntv_ctl = "cntv_ctl_el0" | "s3_5_c14_c3_1",
    cntv_cval = "cntv_cval_el0" | "s3_5_c14_c3_2",
    }
    shared {
    sp_el0 = "sp_el0",
    sp_el1 = "sp_el1",
    tpidr_el0 = "tpidr_el0",
    tpidrro_el0 = "tpidrro_el0",
    tpidr_el1 = "tpidr_el1",
    par = "par_el1",
    csselr = "csselr_el1",
    }
}

impl El1 {
    /// The registers of a vCPU after reset: SCTLR_EL1 as given, everything else zero.
    pub fn reset(sctlr: u64) -> Self {
        Self {
            sctlr,
            ..Self::default()
        }
    }
}

/// SCTLR_EL1 with all of its functions off: the bits that are RES1 in Armv8.0.
pub const SCTLR_RES1: u64 = 0x30d0_0800;

/// Declares the pointer authentication keys, which exist in pairs of 64 bits.
macro_rules! keys {
    ($($key:ident = $low:literal, $high:literal;)*) => {
        /// The pointer authentication keys of a vCPU (FEAT_PAuth).
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct Keys {
            $(pub $key: [u64; 2],)*
        }

        impl Keys {
            /// Saves the core's keys. Only for a core with FEAT_PAuth.
            pub fn save(&mut self) {
                $(self.$key = [mrs!($low), mrs!($high)];)*
            }

            /// Loads the core's keys.
            ///
            /// # Safety
            /// The core has FEAT_PAuth. EL2's own code does not use it.
            pub unsafe fn load(&self) {
                // SAFETY: the keys have no effect at EL2, whose code signs nothing.
                unsafe {
                    $(
                        msr!($low, self.$key[0]);
                        msr!($high, self.$key[1]);
                    )*
                }
            }
        }
    };
}

keys! {
    apia = "s3_0_c2_c1_0", "s3_0_c2_c1_1";
    apib = "s3_0_c2_c1_2", "s3_0_c2_c1_3";
    apda = "s3_0_c2_c2_0", "s3_0_c2_c2_1";
    apdb = "s3_0_c2_c2_2", "s3_0_c2_c2_3";
    apga = "s3_0_c2_c3_0", "s3_0_c2_c3_1";
}

/// EL1 and EL0 registers that only some cores have, and that a guest reaches whether it is shown
/// their feature or not.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    present: Present,
    keys: Keys,
    /// VDISR_EL2, which is a guest's DISR_EL1 (FEAT_RAS).
    vdisr: u64,
    /// TPIDR2_EL0 and SMPRI_EL1 (FEAT_SME), which the gate of SME does not stand before.
    tpidr2: u64,
    smpri: u64,
}

/// Which of them are switched.
#[derive(Clone, Copy, Debug, Default)]
struct Present {
    pauth: bool,
    ras: bool,
    /// Those of SME: not for a guest without it on a core that can trap them.
    sme: bool,
    /// Whether it can: FEAT_FGT.
    fine_grained_traps: bool,
}

/// HFGRTR_EL2 and HFGWTR_EL2, nSMPRI_EL1 and nTPIDR2_EL0: no trap. Their other bits trap nothing.
const NSMPRI_NTPIDR2: u64 = 0b11 << 54;

impl Extensions {
    /// Returns those of a vCPU that has not run, which is allowed SME or not.
    pub fn new(allowed_sme: bool) -> Self {
        Self {
            present: Present {
                pauth: has_pauth(),
                ras: has_ras(),
                sme: has_sme() && (allowed_sme || !has_fine_grained_traps()),
                fine_grained_traps: has_fine_grained_traps(),
            },
            ..Self::default()
        }
    }

    /// Makes them what a vCPU finds after reset.
    pub fn reset(&mut self) {
        *self = Self {
            present: self.present,
            ..Self::default()
        };
    }

    /// Saves those that are switched.
    pub fn save(&mut self) {
        let present = self.present;
        if present.pauth {
            self.keys.save();
        }
        if present.ras {
            self.vdisr = mrs!("s3_4_c12_c1_1");
        }
        if present.sme {
            self.tpidr2 = mrs!("s3_3_c13_c0_5");
            self.smpri = mrs!("s3_0_c1_c2_4");
        }
    }

    /// Loads those that are switched, and traps those of SME if they are not, where that can be.
    ///
    /// # Safety
    /// The vCPU that they belong to is entered next.
    pub unsafe fn load(&self) {
        let present = self.present;
        // SAFETY: they have no effect at EL2; each exists where its feature does.
        unsafe {
            if present.pauth {
                self.keys.load();
            }
            if present.ras {
                msr!("s3_4_c12_c1_1", self.vdisr);
            }
            if present.fine_grained_traps {
                let traps = if present.sme { NSMPRI_NTPIDR2 } else { 0 };
                msr!("s3_4_c1_c1_4", traps);
                msr!("s3_4_c1_c1_5", traps);
            }
            if present.sme {
                msr!("s3_3_c13_c0_5", self.tpidr2);
                msr!("s3_0_c1_c2_4", self.smpri);
            }
        }
    }
}

/// Returns whether the core has FEAT_RAS (ID_AA64PFR0_EL1.RAS).
pub fn has_ras() -> bool {
    mrs!("id_aa64pfr0_el1") >> 28 & 0xf != 0
}

/// Returns whether the core has FEAT_FGT (ID_AA64MMFR0_EL1.FGT).
fn has_fine_grained_traps() -> bool {
    mrs!("id_aa64mmfr0_el1") >> 56 & 0xf != 0
}

/// Returns whether the core has FEAT_SME (ID_AA64PFR1_EL1.SME).
fn has_sme() -> bool {
    mrs!("id_aa64pfr1_el1") >> 24 & 0xf != 0
}

/// Returns whether the core has FEAT_PAuth: ID_AA64ISAR1_EL1.{APA, API, GPA, GPI} or ISAR2's.
pub fn has_pauth() -> bool {
    const APA_API_GPA_GPI: u64 = 0xff << 24 | 0xff << 4;
    mrs!("id_aa64isar1_el1") & APA_API_GPA_GPI != 0
}

/// Declares the registers that only AArch32 has.
macro_rules! aarch32_registers {
    ($($register:ident = $name:literal,)*) => {
        /// The state of an AArch32 vCPU beside that of `El1`, by names of the Arm ARM.
        #[derive(Clone, Debug, Default)]
        #[allow(missing_docs)]
        pub struct El1Aarch32 {
            $($register: u64,)*
        }

        impl El1Aarch32 {
            /// Saves the core's registers. Only on a core with AArch32 at EL1.
            pub fn save(&mut self) {
                $(self.$register = mrs!($name);)*
            }

            /// Loads the core's registers.
            ///
            /// # Safety
            /// The core has AArch32 at EL1, and the vCPU that they belong to is entered next.
            pub unsafe fn load(&self) {
                // SAFETY: they concern AArch32 state below EL2 alone.
                unsafe {
                    $(msr!($name, self.$register);)*
                }
            }
        }
    };
}

// The general registers of other modes are x16 to x30; SPSR_svc is SPSR_EL1.
aarch32_registers! {
    spsr_irq = "s3_4_c4_c3_0",
    spsr_abt = "s3_4_c4_c3_1",
    spsr_und = "s3_4_c4_c3_2",
    spsr_fiq = "s3_4_c4_c3_3",
    dacr32 = "s3_4_c3_c0_0",
    ifsr32 = "s3_4_c5_c0_1",
}
