//! The PMU: one event counter that counts the instructions of EL2, and of nobody else.
//!
//! Source: Arm ARM, "The Performance Monitors Extension", "PMEVTYPERn_EL0", "PMCR_EL0",
//! "PMCEID0_EL0".

use core::arch::asm;

use super::exceptions;
use crate::{read_sysreg, write_sysreg};

/// The event INST_RETIRED: instructions that were architecturally executed.
const INST_RETIRED: u64 = 0x08;
/// PMEVTYPER: P (not EL1), U (not EL0), NSH (EL2).
const EL2_ONLY: u64 = 1 << 31 | 1 << 30 | 1 << 27;
/// PMCR: E, enables the event counters.
const PMCR_ENABLE: u64 = 1;

/// Lets event counter 0 count the instructions of EL2.
///
/// # Errors
///
/// Says what this machine lacks for it.
pub fn enable() -> Result<(), &'static str> {
    let version = read_sysreg!("id_aa64dfr0_el1") >> 8 & 0xf;
    if version == 0 || version == 0xf {
        return Err("this CPU shows no PMU; a hypervisor must let the guest have it");
    }
    let Some(pmcr) = try_pmcr() else {
        return Err("PMCR_EL0 is undefined; a hypervisor must let the guest have the PMU");
    };
    if pmcr >> 11 & 0x1f == 0 {
        return Err("the PMU has no event counter; a hypervisor must let the guest have one");
    }
    if read_sysreg!("pmceid0_el0") >> INST_RETIRED & 1 == 0 {
        return Err("the PMU has no event INST_RETIRED; QEMU has it with -icount");
    }
    // SAFETY: counting changes nothing but counters.
    unsafe { write_sysreg!("pmevtyper0_el0", INST_RETIRED | EL2_ONLY) };
    // SAFETY: as above.
    unsafe { write_sysreg!("pmcntenset_el0", 1) };
    // SAFETY: as above.
    unsafe { write_sysreg!("pmcr_el0", pmcr | PMCR_ENABLE) };
    Ok(())
}

/// The counter: the lower 32 bits of the number of instructions.
#[inline(always)]
pub fn count() -> u32 {
    let count: u64;
    // SAFETY: reads a counter, after all that stands before in program order.
    unsafe { asm!("isb", "mrs {}, pmevcntr0_el0", "isb", out(reg) count, options(nostack)) };
    count as u32
}

/// PMCR_EL0, or `None` if it is undefined.
fn try_pmcr() -> Option<u64> {
    let value: u64;
    let defined: u64;
    // SAFETY: reads a register. If that is undefined, the handler goes on at the label, with all
    // registers as they were.
    unsafe {
        asm!(
            "adr {defined}, 2f",
            "str {defined}, [{recovery}]",
            "mov {value}, #0",
            "mov {defined}, #0",
            "mrs {value}, pmcr_el0",
            "mov {defined}, #1",
            "2: str xzr, [{recovery}]",
            recovery = in(reg) exceptions::RECOVERY.as_ptr(),
            value = out(reg) value,
            defined = out(reg) defined,
            options(nostack, preserves_flags),
        );
    }
    (defined != 0).then_some(value)
}
