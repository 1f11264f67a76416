//! The two timers of EL1 by their registers.
//!
//! Source: Arm ARM, "The Generic Timer in AArch64 state", "Operation of the CompareValue views of the timers"
//! and of the TimerValue views.

use core::fmt;

use crate::board::gic;
use crate::board::ppi::Ppi;
use crate::{read_sysreg, write_sysreg};

/// `CNT*_CTL_EL0.ENABLE`, `IMASK` and `ISTATUS`.
pub const ENABLE: u64 = 1 << 0;
/// See [`ENABLE`].
pub const IMASK: u64 = 1 << 1;
/// See [`ENABLE`].
pub const ISTATUS: u64 = 1 << 2;

/// More ticks than any run takes.
pub const FAR: u64 = 1 << 40;

/// A timer of this CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Timer {
    /// CNTV_*, PPI 27.
    Virtual,
    /// CNTP_*, PPI 30.
    Physical,
}

impl Timer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Virtual, Self::Physical];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Virtual => Self::Physical,
            Self::Physical => Self::Virtual,
        }
    }

    /// Its interrupt, on CPU `cpu`.
    #[must_use]
    pub const fn ppi(self, cpu: usize) -> Ppi {
        let intid = match self {
            Self::Virtual => gic::VIRTUAL_TIMER,
            Self::Physical => gic::PHYSICAL_TIMER,
        };
        Ppi { cpu, intid }
    }

    /// Its counter, read after all that stands before.
    #[must_use]
    pub fn count(self) -> u64 {
        // SAFETY: a barrier.
        unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
        match self {
            Self::Virtual => read_sysreg!("cntvct_el0"),
            Self::Physical => read_sysreg!("cntpct_el0"),
        }
    }

    /// Its control register.
    #[must_use]
    pub fn control(self) -> u64 {
        match self {
            Self::Virtual => read_sysreg!("cntv_ctl_el0"),
            Self::Physical => read_sysreg!("cntp_ctl_el0"),
        }
    }

    /// Sets its control register.
    pub fn set_control(self, value: u64) {
        // SAFETY: IRQs are masked, so that none is taken unawares.
        unsafe {
            match self {
                Self::Virtual => write_sysreg!("cntv_ctl_el0", value),
                Self::Physical => write_sysreg!("cntp_ctl_el0", value),
            }
        }
    }

    /// Its CompareValue.
    #[must_use]
    pub fn compare_value(self) -> u64 {
        match self {
            Self::Virtual => read_sysreg!("cntv_cval_el0"),
            Self::Physical => read_sysreg!("cntp_cval_el0"),
        }
    }

    /// Sets its CompareValue.
    pub fn set_compare_value(self, value: u64) {
        // SAFETY: as above.
        unsafe {
            match self {
                Self::Virtual => write_sysreg!("cntv_cval_el0", value),
                Self::Physical => write_sysreg!("cntp_cval_el0", value),
            }
        }
    }

    /// Its TimerValue.
    #[must_use]
    pub fn timer_value(self) -> u32 {
        (match self {
            Self::Virtual => read_sysreg!("cntv_tval_el0"),
            Self::Physical => read_sysreg!("cntp_tval_el0"),
        }) as u32
    }

    /// Sets its TimerValue.
    pub fn set_timer_value(self, value: u32) {
        let value = u64::from(value);
        // SAFETY: as above.
        unsafe {
            match self {
                Self::Virtual => write_sysreg!("cntv_tval_el0", value),
                Self::Physical => write_sysreg!("cntp_tval_el0", value),
            }
        }
    }

    /// Makes its line high.
    pub fn raise(self) {
        self.expire_at(0);
    }

    /// Lets its line rise at `count`.
    pub fn expire_at(self, count: u64) {
        self.set_compare_value(count);
        self.set_control(ENABLE);
    }

    /// Makes its line low.
    pub fn stop(self) {
        self.set_control(0);
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Virtual => "virtual",
            Self::Physical => "physical",
        })
    }
}
