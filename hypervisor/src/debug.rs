//! A vCPU's debug registers: what it reads and writes of them, and what of that has to be in the core.
//!
//! Every access traps (MDCR_EL2.TDA, TDOSA and TDRA), so that what is here is all there is of them: a vCPU that is put has
//! nothing to save. What generates debug exceptions is in the core while the vCPU is resident. No external
//! debugger is attached to a VM: its Debug Communications Channel is empty and takes everything.
//!
//! Source: Arm ARM (DDI 0487), D2 "AArch64 Self-hosted Debug", G2 "AArch32 Self-hosted Debug", H6 "Debug Reset and
//! Powerdown Support", and the descriptions of the registers.

use crate::syndrome::SystemRegister;

/// The most breakpoints, and the most watchpoints, that there are.
pub const MAX: usize = 16;

/// MDSCR_EL1.SS: software step. TDCC: EL0's accesses to the channel trap to EL1. KDE: debug exceptions
/// from EL1 itself.
const MDSCR_SS: u64 = 1 << 0;
const MDSCR_TDCC: u64 = 1 << 12;
const MDSCR_KDE: u64 = 1 << 13;
/// MDSCR_EL1.MDE: breakpoints, watchpoints and vector catches.
pub const MDSCR_MDE: u64 = 1 << 15;
/// DBGDSCRext.MOE, of AArch32: how the last debug exception came about.
const MDSCR_MOE: u64 = 0xf << 2;
/// MDSCR_EL1.{ERR, HDE, TDA, INTdis, TXU, RXO, TXfull, RXfull, TFO}: what a powerdown saves of EDSCR,
/// writable while the OS Lock is locked.
const MDSCR_SAVED: u64 =
    1 << 6 | 1 << 14 | 1 << 21 | 0b11 << 22 | 1 << 26 | 1 << 27 | 1 << 29 | 1 << 30 | 1 << 31;
/// What DBGDSCRint and MDCCSR_EL0 show of it: RXfull and TXfull; the former MDBGen, UDCCdis and MOE too.
const MDCCSR: u64 = 1 << 30 | 1 << 29;
const DBGDSCRINT: u64 = MDCCSR | MDSCR_MDE | MDSCR_TDCC | MDSCR_MOE;

/// DBGBCRn_EL1.{BT, LBN, SSC, HMC, BAS, PMC, E}.
const BCR: u64 = 0x00ff_e1e7;
/// DBGWCRn_EL1.{MASK, WT, LBN, SSC, HMC, BAS, LSC, PAC, E}.
const WCR: u64 = 0x1f1f_ffff;
/// DBGBCRn_EL1.E.
const ENABLE: u64 = 1;
/// DBGBCRn_EL1.BT\[3\]: the breakpoint matches a VMID or CONTEXTIDR_EL2, which no guest has.
const BT_OF_EL2: u64 = 1 << 23;

/// OSLSR_EL1.OSLM = 0b10: the OS Lock is implemented.
const OSLM: u64 = 1 << 3;
/// What locks by DBGOSLAR, of AArch32.
const OSLAR_KEY: u64 = 0xc5ac_ce55;
/// DBGCLAIMSET_EL1: there are eight tags.
const CLAIM_TAGS: u64 = 0xff;
/// DBGAUTHSTATUS_EL1.{NSNID, NSID}: implemented, and disabled, as no debugger is attached.
const AUTHSTATUS: u64 = 0b1010;
/// DBGDEVID: no masks of breakpoints, masks of watchpoints; DoubleLock.
const DEVID: u64 = 0xf << 8 | 1 << 4;
const DEVID_DOUBLE_LOCK: u64 = 1 << 20;

/// A breakpoint or watchpoint: DBGBVRn_EL1 or DBGWVRn_EL1, and DBGBCRn_EL1 or DBGWCRn_EL1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The value: an address or a context.
    pub value: u64,
    /// The control.
    pub control: u64,
}

/// How many of them a core has, and what else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Breakpoints.
    pub breakpoints: usize,
    /// Watchpoints.
    pub watchpoints: usize,
    /// Breakpoints that compare contexts: the last ones.
    pub contexts: usize,
    /// The OS Double Lock (FEAT_DoubleLock). Without it OSDLR_EL1 is RAZ/WI, and need not trap.
    pub double_lock: bool,
}

impl Features {
    /// Those of ID_AA64DFR0_EL1.
    pub const fn of(dfr0: u64) -> Self {
        const fn number(dfr0: u64, shift: u32) -> usize {
            (dfr0 >> shift & 0xf) as usize + 1
        }
        Self {
            breakpoints: number(dfr0, 12),
            watchpoints: number(dfr0, 20),
            contexts: number(dfr0, 28),
            double_lock: dfr0 >> 36 & 0xf == 0,
        }
    }

    /// DBGDIDR: these numbers, debug of Armv8.0, and that there is a DBGDEVID (bit 15, RES1).
    const fn dbgdidr(self) -> u64 {
        const fn field(number: usize, shift: u32) -> u64 {
            (number as u64 - 1) << shift
        }
        field(self.watchpoints, 28)
            | field(self.breakpoints, 24)
            | field(self.contexts, 20)
            | 6 << 16
            | 1 << 15
    }

    /// Whether breakpoint `n` compares contexts.
    const fn compares_contexts(self, n: usize) -> bool {
        n < self.breakpoints && n + self.contexts >= self.breakpoints
    }
}

/// What of the core a write to a register has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// MDSCR_EL1, and with MDE all else.
    Control,
    /// A breakpoint.
    Breakpoint(usize),
    /// A watchpoint.
    Watchpoint(usize),
    /// DBGVCR32_EL2.
    VectorCatch,
}

/// The debug registers of a vCPU.
#[derive(Clone, Debug)]
pub struct DebugRegisters {
    mdscr: u64,
    /// DBGVCR32_EL2: an AArch32 guest's DBGVCR.
    vector_catch: u32,
    breakpoints: [Point; MAX],
    watchpoints: [Point; MAX],
    /// OSLSR_EL1.OSLK.
    os_lock: bool,
    /// OSDLR_EL1.DLK.
    double_lock: bool,
    /// DBGPRCR_EL1.CORENPDRQ: no powerdown, and so no OS Double Lock.
    no_powerdown: bool,
    /// DBGCLAIMCLR_EL1.
    claim: u8,
}

impl DebugRegisters {
    /// After a cold reset: the OS Lock is locked. What is UNKNOWN then is zero.
    pub const RESET: Self = {
        let none = Point {
            value: 0,
            control: 0,
        };
        Self {
            mdscr: 0,
            vector_catch: 0,
            breakpoints: [none; MAX],
            watchpoints: [none; MAX],
            os_lock: true,
            double_lock: false,
            no_powerdown: false,
            claim: 0,
        }
    };

    /// The value of the core's MDSCR_EL1: a lock disables all debug exceptions but those of BRK and BKPT.
    pub const fn mdscr_in_core(&self) -> u64 {
        const QUIET: u64 = MDSCR_TDCC | MDSCR_MOE;
        let shown = if self.is_locked() {
            QUIET
        } else {
            QUIET | MDSCR_SS | MDSCR_KDE | MDSCR_MDE
        };
        self.mdscr & shown
    }

    /// The value of the core's DBGVCR32_EL2.
    pub const fn vector_catch(&self) -> u32 {
        self.vector_catch
    }

    /// The value of the core's breakpoint `n`.
    ///
    /// # Panics
    /// If it is not below [`MAX`], as for watchpoints.
    pub const fn breakpoint_in_core(&self, n: usize) -> Point {
        let mut point = self.breakpoints[n];
        if point.control & BT_OF_EL2 != 0 {
            point.control &= !ENABLE;
        }
        point
    }

    /// The value of the core's watchpoint `n`.
    ///
    /// # Panics
    /// As above.
    pub const fn watchpoint_in_core(&self, n: usize) -> Point {
        self.watchpoints[n]
    }

    /// Takes what a debug exception has left in the core's MDSCR_EL1: DBGDSCRext.MOE, in AArch32 state.
    pub const fn take_entry(&mut self, mdscr_in_core: u64) {
        self.mdscr = self.mdscr & !MDSCR_MOE | mdscr_in_core & MDSCR_MOE;
    }

    const fn is_locked(&self) -> bool {
        self.os_lock || self.double_lock && !self.no_powerdown
    }

    /// Reads a register of op0 = 2; none if this state has none of that name to read.
    pub const fn read(
        &self,
        register: SystemRegister,
        aarch32: bool,
        features: Features,
    ) -> Option<u64> {
        let Some(name) = Name::of(register, aarch32, features) else {
            return None;
        };
        Some(match name {
            Name::Mdscr => self.mdscr,
            Name::BreakpointValue(n) => self.breakpoints[n].value,
            Name::BreakpointUpper(n) => self.breakpoints[n].value >> 32,
            Name::BreakpointControl(n) => self.breakpoints[n].control,
            Name::WatchpointValue(n) => self.watchpoints[n].value,
            Name::WatchpointControl(n) => self.watchpoints[n].control,
            Name::VectorCatch => self.vector_catch as u64,
            Name::Oslsr => OSLM | (self.os_lock as u64) << 1,
            Name::Osdlr => self.double_lock as u64,
            Name::Dbgprcr => self.no_powerdown as u64,
            Name::ClaimSet => CLAIM_TAGS,
            Name::ClaimClear => self.claim as u64,
            Name::Status if aarch32 => self.mdscr & DBGDSCRINT,
            Name::Status => self.mdscr & MDCCSR,
            Name::Constant(value) => value,
            Name::Nothing => 0,
            Name::Oslar => return None,
        })
    }

    /// Writes a register of op0 = 2, and says what of the core changes by it; none if this state has none of
    /// that name to write.
    pub const fn write(
        &mut self,
        register: SystemRegister,
        aarch32: bool,
        features: Features,
        value: u64,
    ) -> Option<Change> {
        let Some(name) = Name::of(register, aarch32, features) else {
            return None;
        };
        // AArch32 reaches the lower half.
        let kept = if aarch32 { !0xffff_ffff } else { 0 };
        Some(match name {
            Name::Mdscr => {
                let mut writable = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE;
                if aarch32 {
                    writable |= MDSCR_MOE;
                }
                if self.os_lock {
                    writable |= MDSCR_SAVED;
                }
                self.mdscr = self.mdscr & !writable | value & writable;
                Change::Control
            }
            Name::BreakpointValue(n) => {
                self.breakpoints[n].value = self.breakpoints[n].value & kept | value;
                Change::Breakpoint(n)
            }
            Name::BreakpointUpper(n) => {
                let lower = self.breakpoints[n].value & 0xffff_ffff;
                self.breakpoints[n].value = lower | value << 32;
                Change::Breakpoint(n)
            }
            Name::BreakpointControl(n) => {
                self.breakpoints[n].control = value & BCR;
                Change::Breakpoint(n)
            }
            Name::WatchpointValue(n) => {
                self.watchpoints[n].value = self.watchpoints[n].value & kept | value & !0b11;
                Change::Watchpoint(n)
            }
            Name::WatchpointControl(n) => {
                self.watchpoints[n].control = value & WCR;
                Change::Watchpoint(n)
            }
            Name::VectorCatch => {
                self.vector_catch = value as u32;
                Change::VectorCatch
            }
            Name::Oslar => {
                self.os_lock = if aarch32 {
                    value == OSLAR_KEY
                } else {
                    value & 1 != 0
                };
                Change::Control
            }
            Name::Osdlr => {
                self.double_lock = value & 1 != 0;
                Change::Control
            }
            Name::Dbgprcr => {
                self.no_powerdown = value & 1 != 0;
                Change::Control
            }
            Name::ClaimSet => {
                self.claim |= value as u8;
                Change::None
            }
            Name::ClaimClear => {
                self.claim &= !(value as u8);
                Change::None
            }
            Name::Nothing => Change::None,
            Name::Oslsr | Name::Status | Name::Constant(_) => return None,
        })
    }
}

/// What a register is, in either state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// MDSCR_EL1, DBGDSCRext.
    Mdscr,
    /// DBGBVRn_EL1, DBGBVRn.
    BreakpointValue(usize),
    /// DBGBXVRn.
    BreakpointUpper(usize),
    /// DBGBCRn_EL1, DBGBCRn.
    BreakpointControl(usize),
    /// DBGWVRn_EL1, DBGWVRn.
    WatchpointValue(usize),
    /// DBGWCRn_EL1, DBGWCRn.
    WatchpointControl(usize),
    /// DBGVCR.
    VectorCatch,
    /// OSLAR_EL1, DBGOSLAR: to write.
    Oslar,
    /// OSLSR_EL1, DBGOSLSR: to read.
    Oslsr,
    /// OSDLR_EL1, DBGOSDLR.
    Osdlr,
    /// DBGPRCR_EL1, DBGPRCR.
    Dbgprcr,
    /// DBGCLAIMSET_EL1, DBGCLAIMSET.
    ClaimSet,
    /// DBGCLAIMCLR_EL1, DBGCLAIMCLR.
    ClaimClear,
    /// MDCCSR_EL0, DBGDSCRint: to read.
    Status,
    /// To read alone.
    Constant(u64),
    /// What belongs to the channel or to an external debugger, or is not there: RAZ/WI.
    Nothing,
}

impl Name {
    const fn of(register: SystemRegister, aarch32: bool, features: Features) -> Option<Self> {
        let (crn, crm, op2) = (register.crn(), register.crm(), register.op2());
        if register.op0() != 2 {
            return None;
        }
        if !aarch32 && register.op1() == 3 {
            return match (crn, crm, op2) {
                (0, 1, 0) => Some(Self::Status),
                // DBGDTR_EL0; DBGDTRRX_EL0 and DBGDTRTX_EL0.
                (0, 4 | 5, 0) => Some(Self::Nothing),
                _ => None,
            };
        }
        if register.op1() != 0 {
            return None;
        }
        let n = crm as usize;
        Some(match (crn, crm, op2) {
            (0, _, 4) if n < features.breakpoints => Self::BreakpointValue(n),
            (0, _, 5) if n < features.breakpoints => Self::BreakpointControl(n),
            (0, _, 6) if n < features.watchpoints => Self::WatchpointValue(n),
            (0, _, 7) if n < features.watchpoints => Self::WatchpointControl(n),
            (0, 2, 2) => Self::Mdscr,
            // OSDTRRX_EL1, MDCCINT_EL1, OSDTRTX_EL1, OSECCR_EL1, and those of AArch32 that they are.
            (0, 0, 2) | (0, 2, 0) | (0, 3, 2) | (0, 6, 2) => Self::Nothing,
            // MDRAR_EL1, DBGDRAR: no debug ROM.
            (1, 0, 0) => Self::Constant(0),
            (1, 0, 4) => Self::Oslar,
            (1, 1, 4) => Self::Oslsr,
            (1, 3, 4) if features.double_lock => Self::Osdlr,
            (1, 3, 4) => Self::Nothing,
            (1, 4, 4) => Self::Dbgprcr,
            (7, 8, 6) => Self::ClaimSet,
            (7, 9, 6) => Self::ClaimClear,
            (7, 14, 6) => Self::Constant(AUTHSTATUS),
            _ if !aarch32 => return None,
            (0, 0, 0) => Self::Constant(features.dbgdidr()),
            (0, 1, 0) => Self::Status,
            // DBGDTRRXint and DBGDTRTXint, DBGWFAR.
            (0, 5, 0) | (0, 6, 0) => Self::Nothing,
            (0, 7, 0) => Self::VectorCatch,
            (1, _, 1) if features.compares_contexts(n) => Self::BreakpointUpper(n),
            // DBGDSAR.
            (2, 0, 0) => Self::Constant(0),
            // DBGDEVID2, DBGDEVID1, DBGDEVID.
            (7, 0 | 1, 7) => Self::Constant(0),
            (7, 2, 7) if features.double_lock => Self::Constant(DEVID | DEVID_DOUBLE_LOCK),
            (7, 2, 7) => Self::Constant(DEVID),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
