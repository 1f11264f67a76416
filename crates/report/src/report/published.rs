//! Figures that others have published, with their sources.

use super::words::PERCENT;

/// The share of windows that used the registers, as a publication has it.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// When.
    pub year: u32,
    /// From where.
    pub low: f64,
    /// To where; the same for a single figure.
    pub high: f64,
    /// Of what.
    pub of: &'static str,
    /// By whom.
    pub source: &'static str,
}

/// Every such figure that we know of.
pub const SHARES: [Published; 3] = [
    Published {
        year: 2018,
        low: 0.29,
        high: 0.29,
        of: "returns to user space and preemptions before which the registers had been touched",
        source: "C. Dall, in the thread of the patch “reduce guest fpsimd trap” for KVM/arm64; workloads \
                 unknown",
    },
    Published {
        year: 2015,
        low: 0.5,
        high: 0.7,
        of: "exits that needed the registers to be switched",
        source: "Linux commit 33c76a0b8126, on lmbench and hackbench",
    },
    Published {
        year: 2026,
        low: 0.83,
        high: 0.83,
        of: "context switches away from a vCPU that had used the FPU",
        source: "Xen on x86, March 2026, Windows guests",
    },
];

impl Published {
    /// The figure, as text has it.
    pub fn figure(&self) -> String {
        let (low, high) = (self.low * 100.0, self.high * 100.0);
        if self.low == self.high {
            format!("{low:.0}{PERCENT}")
        } else {
            format!("{low:.0}–{high:.0}{PERCENT}")
        }
    }
}
