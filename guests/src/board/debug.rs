//! Self-hosted debug: breakpoints, watchpoints, software step, and the OS Lock and OS Double Lock.
//!
//! Source: Arm ARM, D2 "AArch64 Self-hosted Debug", "DBGBCRn_EL1", "DBGWCRn_EL1", "MDSCR_EL1".

use crate::{read_sysreg, write_sysreg};

/// MDSCR_EL1: software step.
pub const SS: u64 = 1 << 0;
/// MDSCR_EL1: debug exceptions from EL1 itself.
pub const KDE: u64 = 1 << 13;
/// MDSCR_EL1: breakpoints and watchpoints.
pub const MDE: u64 = 1 << 15;
/// DBGBCR and DBGWCR: enabled.
pub const ENABLE: u64 = 1;
/// DBGBCR.PMC and DBGWCR.PAC: at EL1, at EL0.
pub const AT_EL1: u64 = 0b01 << 1;
/// See [`AT_EL1`].
pub const AT_EL0: u64 = 0b10 << 1;
/// DBGBCR.BAS: an instruction of four bytes.
pub const WHOLE: u64 = 0xf << 5;
/// DBGWCR.LSC: loads, stores.
pub const LOADS: u64 = 0b01 << 3;
/// See [`LOADS`].
pub const STORES: u64 = 0b10 << 3;

/// A breakpoint or watchpoint: its value and its control register.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Point {
    /// DBGBVR or DBGWVR.
    pub value: u64,
    /// DBGBCR or DBGWCR.
    pub control: u64,
}

/// Reads and writes a row of registers by number.
macro_rules! row {
    ($read:ident, $write:ident, $what:literal, $value:literal, $control:literal: $($number:literal)*) => {
        #[doc = concat!("Reads ", $what, " `n`, which this CPU has.")]
        #[must_use]
        pub fn $read(n: usize) -> Point {
            match n {
                $($number => Point {
                    value: read_sysreg!($value $number "_el1"),
                    control: read_sysreg!($control $number "_el1"),
                },)*
                _ => Point::default(),
            }
        }

        #[doc = concat!("Writes ", $what, " `n`, which this CPU has.")]
        ///
        /// # Safety
        ///
        /// Where it matches, a handler copes.
        pub unsafe fn $write(n: usize, point: Point) {
            match n {
                $($number => {
                    // SAFETY: a register of this CPU; the caller's handler copes with the rest.
                    unsafe { write_sysreg!($control $number "_el1", 0) };
                    // SAFETY: as above.
                    unsafe { write_sysreg!($value $number "_el1", point.value) };
                    // SAFETY: as above.
                    unsafe { write_sysreg!($control $number "_el1", point.control) };
                })*
                _ => {}
            }
        }
    };
}

row!(breakpoint, set_breakpoint, "breakpoint", "dbgbvr", "dbgbcr": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
row!(watchpoint, set_watchpoint, "watchpoint", "dbgwvr", "dbgwcr": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// How many of each ID_AA64DFR0_EL1 shows.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Breakpoints.
    pub breakpoints: usize,
    /// Watchpoints.
    pub watchpoints: usize,
    /// Breakpoints that compare contexts: the last ones.
    pub contexts: usize,
    /// Whether there is an OS Double Lock.
    pub double_lock: bool,
}

impl Numbers {
    /// Returns those of this CPU.
    #[must_use]
    pub fn read() -> Self {
        let field = |shift: u32| (read_sysreg!("id_aa64dfr0_el1") >> shift & 0xf) as usize;
        Self {
            breakpoints: field(12) + 1,
            watchpoints: field(20) + 1,
            contexts: field(28) + 1,
            double_lock: field(36) == 0,
        }
    }
}

/// Reads MDSCR_EL1.
#[must_use]
pub fn control() -> u64 {
    read_sysreg!("mdscr_el1")
}

/// Writes MDSCR_EL1.
///
/// # Safety
///
/// A handler copes with the debug exceptions that it enables.
pub unsafe fn set_control(mdscr: u64) {
    // SAFETY: the caller's.
    unsafe { write_sysreg!("mdscr_el1", mdscr) };
}

/// Locks or unlocks the OS Lock.
pub fn set_os_lock(locked: bool) {
    // SAFETY: it keeps debug exceptions away, or lets them come, which [`set_control`] enables.
    unsafe { write_sysreg!("oslar_el1", locked.into()) };
}

/// Whether the OS Lock is locked.
#[must_use]
pub fn os_lock() -> bool {
    read_sysreg!("oslsr_el1") & 1 << 1 != 0
}

/// Locks or unlocks the OS Double Lock.
pub fn set_double_lock(locked: bool) {
    // SAFETY: as for the OS Lock.
    unsafe { write_sysreg!("osdlr_el1", locked.into()) };
}
