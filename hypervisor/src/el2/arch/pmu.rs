//! A guest's half of the PMU: the cycle counter, the event counters below MDCR_EL2.HPMN, and what controls them.
//!
//! It goes with the vCPUs that may use it. Others are kept from it by traps, so that it stays in the core while
//! they run there, and counts on; it is exchanged when the next vCPU that may use it is loaded, or its own moves.

use crate::el2::arch::meter::GUEST_COUNTERS;
use crate::{mrs, msr};

/// The bits of a guest's counters in PMCNTENSET_EL0 and its like.
const GUEST: u64 = 1 << 31 | ((1 << GUEST_COUNTERS) - 1);
/// PMCR_EL0.C and P: reset counters when they are written.
const PMCR_C_P: u64 = 1 << 2 | 1 << 1;

/// Declares the registers that are saved and loaded as they are.
macro_rules! registers {
    ($($register:ident = $name:literal,)*) => {
        /// The registers of a vCPU, by their names in the Arm ARM. Zero after reset.
        #[derive(Clone, Debug, Default)]
        pub struct Pmu {
            $($register: u64,)*
            pmcr: u64,
            enabled: u64,
            interrupts: u64,
            overflows: u64,
        }

        impl Pmu {
            /// Saves the core's registers. None of the guest's counters counts any more.
            pub fn save(&mut self) {
                self.enabled = mrs!("pmcntenset_el0") & GUEST;
                // SAFETY: the guest's counters alone.
                unsafe { msr!("pmcntenclr_el0", GUEST) }
                $(self.$register = mrs!($name);)*
                self.pmcr = mrs!("pmcr_el0") & !PMCR_C_P;
                self.interrupts = mrs!("pmintenset_el1") & GUEST;
                self.overflows = mrs!("pmovsset_el0") & GUEST;
            }

            /// Loads the core's registers.
            ///
            /// # Safety
            /// Those of the vCPU before were saved.
            pub unsafe fn load(&self) {
                // SAFETY: EL2's own counters and their controls are no part of it.
                unsafe {
                    msr!("pmcntenclr_el0", GUEST);
                    $(msr!($name, self.$register);)*
                    msr!("pmcr_el0", self.pmcr);
                    msr!("pmintenclr_el1", GUEST);
                    msr!("pmintenset_el1", self.interrupts);
                    msr!("pmovsclr_el0", GUEST);
                    msr!("pmovsset_el0", self.overflows);
                    msr!("pmcntenset_el0", self.enabled);
                }
            }
        }
    };
}

registers! {
    selr = "pmselr_el0",
    userenr = "pmuserenr_el0",
    ccfiltr = "pmccfiltr_el0",
    ccntr = "pmccntr_el0",
    evtyper0 = "pmevtyper0_el0",
    evtyper1 = "pmevtyper1_el0",
    evtyper2 = "pmevtyper2_el0",
    evtyper3 = "pmevtyper3_el0",
    evcntr0 = "pmevcntr0_el0",
    evcntr1 = "pmevcntr1_el0",
    evcntr2 = "pmevcntr2_el0",
    evcntr3 = "pmevcntr3_el0",
}

const _: () = assert!(
    GUEST_COUNTERS == 4,
    "the counters above are all of a guest's"
);
