//! HCR_EL2: what it is while a guest runs.

use crate::el2::arch::el1_state::{has_pauth, has_ras};
use crate::{mrs, msr};

/// HCR_EL2.RW: EL1 is AArch64. HCR_EL2.E2H: the Virtualization Host Extensions.
pub const HCR_RW: u64 = 1 << 31;
/// See [`HCR_RW`].
pub const HCR_E2H: u64 = 1 << 34;

/// HCR_EL2 for every guest: stage 2 on, physical interrupts to EL2, WFI and SMC and what a guest
/// may not use trapped, broadcast of its maintenance to all cores.
const HCR: u64 = HCR_RW
    | 1 << 0 // VM
    | 1 << 1 // SWIO
    | 1 << 3 // FMO
    | 1 << 4 // IMO
    | 1 << 5 // AMO
    | 1 << 9 // FB
    | 1 << 10 // BSU: inner shareable
    | 1 << 13 // TWI
    | 1 << 16 // TID1
    | 1 << 18 // TID3
    | 1 << 19 // TSC
    | 1 << 20 // TIDCP
    | 1 << 21 // TACR
    | 1 << 22; // TSW
/// HCR_EL2.TLOR and TERR: the registers of limited ordering regions and of error records trap.
const HCR_TLOR: u64 = 1 << 35;
const HCR_TERR: u64 = 1 << 36;
/// HCR_EL2.APK and API: the guest's use of pointer authentication does not trap.
const HCR_PAUTH: u64 = 1 << 40 | 1 << 41;

/// Returns HCR_EL2 for guests on this core: bits of features that it has not are RES0.
pub fn guest_hcr(e2h: bool) -> u64 {
    let optional = [
        (e2h, HCR_E2H),
        (has_pauth(), HCR_PAUTH),
        (has_ras(), HCR_TERR),
        (mrs!("id_aa64mmfr1_el1") >> 16 & 0xf != 0, HCR_TLOR),
    ];
    optional
        .into_iter()
        .filter(|(present, _)| *present)
        .fold(HCR, |hcr, (_, bits)| hcr | bits)
}

/// HCR_EL2.TWE: WFE traps.
const HCR_TWE: u64 = 1 << 14;

/// Sets whether the WFE of the guest that is entered next traps. A guest that waits for another of its
/// vCPUs in a spin lock gives way by it; alone on the core it may as well wait there.
pub fn set_wfe_trap(trap: bool) {
    let hcr = mrs!("hcr_el2");
    let wanted = if trap { hcr | HCR_TWE } else { hcr & !HCR_TWE };
    if wanted != hcr {
        // SAFETY: only decides which instructions of a guest trap.
        unsafe { msr!("hcr_el2", wanted) }
    }
}
