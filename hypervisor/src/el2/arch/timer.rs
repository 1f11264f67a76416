//! The EL2 physical timer, and the deadline of a guest's virtual timer.
//!
//! CNTVOFF_EL2 is 0 for every guest, so that all counts are those of the physical counter. QEMU 7.2 adds it
//! to CNTV_CVAL_EL0 modulo 2^64 (`gt_recalc_timer`): with any other offset a guest could make that sum wrap,
//! by all ones for one, and QEMU's own timer would expire in the past for ever, for all VMs.

use trapcast_hypervisor::slots::NEVER;

use crate::{mrs, msr};

/// CNT*_CTL_EL0.ENABLE and IMASK.
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;

/// Returns the physical counter in ticks.
#[inline]
pub fn now() -> u64 {
    mrs!("cntpct_el0")
}

/// Lets the EL2 timer interrupt when the physical counter reaches `deadline`.
pub fn set_deadline(deadline: u64) {
    // SAFETY: the EL2 timer is EL2's own.
    unsafe {
        if deadline == NEVER {
            msr!("cnthp_ctl_el2", 0);
        } else {
            msr!("cnthp_cval_el2", deadline);
            msr!("cnthp_ctl_el2", ENABLE);
        }
    }
}

/// Stops the core's virtual timer, whose state was saved.
pub fn stop_virtual_timer(e2h: bool) {
    // SAFETY: no guest runs; the next one loads its own.
    unsafe {
        if e2h {
            msr!("s3_5_c14_c3_1", 0);
        } else {
            msr!("cntv_ctl_el0", 0);
        }
    }
}

/// Returns whether the virtual timer in the core asserts its interrupt.
pub fn virtual_timer_fires(e2h: bool) -> bool {
    const ISTATUS: u64 = 1 << 2;
    let ctl = if e2h {
        mrs!("s3_5_c14_c3_1")
    } else {
        mrs!("cntv_ctl_el0")
    };
    ctl & (ENABLE | IMASK | ISTATUS) == ENABLE | ISTATUS
}

/// Returns when the virtual timer in the core will interrupt.
pub fn virtual_deadline(e2h: bool) -> u64 {
    let (ctl, cval) = if e2h {
        (mrs!("s3_5_c14_c3_1"), mrs!("s3_5_c14_c3_2"))
    } else {
        (mrs!("cntv_ctl_el0"), mrs!("cntv_cval_el0"))
    };
    if ctl & (ENABLE | IMASK) == ENABLE {
        cval
    } else {
        NEVER
    }
}
