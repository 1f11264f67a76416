//! What differs for a guest in AArch32 state: conditions, IT blocks, banked registers, and the exceptions
//! that it takes in its own modes.
//!
//! Source: Arm ARM (DDI 0487), part G, and D1.20.1 "Mapping of the general-purpose registers between the
//! Execution states".

mod coprocessor;
#[cfg(test)]
mod tests;

pub use coprocessor::CoprocessorAccess;

use crate::syndrome::Syndrome;

/// PSTATE.nRW as SPSR_EL2 has it (M\[4\]): AArch32 state.
pub const PSTATE_AARCH32: u64 = 1 << 4;
/// Supervisor mode with A, I and F masked, A32, little-endian: a vCPU after reset.
pub const RESET_PSTATE: u64 = masked(MODE_SVC);
/// SCTLR after reset: the MMU off, CP15BEN, nTWI and nTWE set, and what is RES1 in Armv8.0.
pub const RESET_SCTLR: u64 = 0x00c5_0838;

/// System mode, which has no SPSR.
pub const MODE_SYSTEM: u64 = 0x1f;
const MODE: u64 = 0x1f;
const MODE_FIQ: u64 = 0x11;
const MODE_IRQ: u64 = 0x12;
const MODE_SVC: u64 = 0x13;
const MODE_ABORT: u64 = 0x17;
const MODE_UNDEFINED: u64 = 0x1b;

const PSTATE_T: u64 = 1 << 5;
const PSTATE_F: u64 = 1 << 6;
const PSTATE_I: u64 = 1 << 7;
const PSTATE_A: u64 = 1 << 8;
const PSTATE_E: u64 = 1 << 9;
const PSTATE_IL: u64 = 1 << 20;
const PSTATE_PAN: u64 = 1 << 22;
const PSTATE_SSBS: u64 = 1 << 23;
const PSTATE_SS: u64 = 1 << 21;
/// DIT as SPSR_EL2 has it; SPSR has it where SPSR_EL2 has SS.
const PSTATE_DIT: u64 = 1 << 24;
const SPSR_DIT: u64 = 1 << 21;
/// N, Z, C and V.
const PSTATE_NZCV: u64 = 0xf << 28;
/// IT\[7:2\] and IT\[1:0\].
const PSTATE_IT: u64 = 0x3f << 10 | 0b11 << 25;

/// SCTLR.V: vectors at the high address.
const SCTLR_V: u64 = 1 << 13;
/// SCTLR.SPAN: PSTATE.PAN stays as it is at an exception.
const SCTLR_SPAN: u64 = 1 << 23;
/// SCTLR.EE: big-endian at exceptions.
const SCTLR_EE: u64 = 1 << 25;
/// SCTLR.TE: exceptions are taken in T32.
const SCTLR_TE: u64 = 1 << 30;
/// SCTLR.DSSBS: what PSTATE.SSBS becomes at an exception.
const SCTLR_DSSBS: u64 = 1 << 31;
const HIGH_VECTORS: u64 = 0xffff_0000;

/// TTBCR.EAE: long descriptors, and so the long format of DFSR and IFSR.
const TTBCR_EAE: u64 = 1 << 31;

/// The mode of `pstate`, if it is one that has an SPSR.
pub const fn exception_mode(pstate: u64) -> Option<u64> {
    match pstate & MODE {
        mode @ (MODE_FIQ | MODE_IRQ | MODE_SVC | MODE_ABORT | MODE_UNDEFINED) => Some(mode),
        _ => None,
    }
}

/// PSTATE of this mode, with A, I and F masked, in A32.
pub const fn masked(mode: u64) -> u64 {
    mode | PSTATE_A | PSTATE_I | PSTATE_F
}

/// PSTATE of a vCPU that PSCI turns on at `entry`, and where it begins: bit 0 chooses T32.
pub const fn entry(entry: u64) -> (u64, u64) {
    let thumb = if entry & 1 != 0 { PSTATE_T } else { 0 };
    (entry & 0xffff_fffe, RESET_PSTATE | thumb)
}

/// Returns whether the instruction that trapped has passed its condition. The architecture allows a
/// trap of one that has not: then it is to be skipped.
///
/// For the classes whose ISS has CV and COND: WFx, accesses to coprocessors, SMC.
pub const fn condition_passed(syndrome: Syndrome, pstate: u64) -> bool {
    let iss = syndrome.iss();
    let cv = iss >> 24 & 1 != 0;
    let it = it_state(pstate);
    let condition = if cv {
        iss >> 20 & 0xf
    } else if it & 0xf != 0 {
        it >> 4
    } else {
        // T32 outside an IT block.
        0b1110
    };
    holds(condition, pstate)
}

/// Whether a condition holds for the flags N, Z, C, V (Arm ARM, `ConditionHolds`).
const fn holds(condition: u32, pstate: u64) -> bool {
    let (n, z, c, v) = (
        pstate >> 31 & 1 != 0,
        pstate >> 30 & 1 != 0,
        pstate >> 29 & 1 != 0,
        pstate >> 28 & 1 != 0,
    );
    let result = match condition >> 1 {
        0b000 => z,
        0b001 => c,
        0b010 => n,
        0b011 => v,
        0b100 => c && !z,
        0b101 => n == v,
        0b110 => n == v && !z,
        _ => return true,
    };
    result != (condition & 1 != 0)
}

/// PSTATE behind an MRC whose destination is APSR_nzcv: the flags are bits 31:28 of what it read.
pub const fn with_flags(pstate: u64, value: u64) -> u64 {
    pstate & !PSTATE_NZCV | value & PSTATE_NZCV
}

const fn it_state(pstate: u64) -> u32 {
    ((pstate >> 10 & 0x3f) as u32) << 2 | (pstate >> 25 & 0b11) as u32
}

/// PSTATE behind an instruction that was skipped: it advances the IT block, if it was in one
/// (Arm ARM, `AArch32.ITAdvance`).
pub const fn advanced(pstate: u64) -> u64 {
    let it = it_state(pstate);
    let next = if it & 0b111 == 0 {
        0
    } else {
        it & 0xe0 | it << 1 & 0x1f
    } as u64;
    pstate & !PSTATE_IT | next >> 2 << 10 | (next & 0b11) << 25
}

/// Returns the AArch64 view, 0 to 30, of register `n` as an instruction in this mode names it.
///
/// A syndrome should have the view already. QEMU's has it for coprocessor accesses, and the number in the
/// instruction for loads and stores. The number of a banked register is 16 or more, and stays as it is;
/// so this handles both.
pub const fn view_of_register(pstate: u64, n: u8) -> u8 {
    match (pstate & MODE, n) {
        (MODE_FIQ, 8..=14) => n + 16,
        (MODE_IRQ, 13 | 14) => 16 + (14 - n),
        (MODE_SVC, 13 | 14) => 18 + (14 - n),
        (MODE_ABORT, 13 | 14) => 20 + (14 - n),
        (MODE_UNDEFINED, 13 | 14) => 22 + (14 - n),
        _ => n,
    }
}

/// An exception that EL2 lets the guest take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exception {
    /// The instruction does not exist.
    Undefined,
    /// No memory answers an instruction's fetch.
    PrefetchAbort,
    /// No memory answers a load or store.
    DataAbort,
}

/// How the guest enters its handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// The handler's address.
    pub pc: u64,
    /// PSTATE there.
    pub pstate: u64,
    /// What the mode's SPSR holds.
    pub spsr: u64,
    /// What the mode's link register holds.
    pub link: u64,
    /// The AArch64 view of that link register.
    pub link_register: usize,
}

impl Exception {
    /// Takes the exception at `pc` in state `pstate`, with the guest's SCTLR and VBAR (Arm ARM,
    /// `AArch32.EnterMode`).
    pub const fn take(self, pc: u64, pstate: u64, sctlr: u64, vbar: u64, has_pan: bool) -> Taken {
        let thumb = pstate & PSTATE_T != 0;
        let (mode, vector, offset, masked, link_register) = match self {
            Self::Undefined => {
                let offset = if thumb { 2 } else { 4 };
                (MODE_UNDEFINED, 0x04, offset, PSTATE_I, 22)
            }
            Self::PrefetchAbort => (MODE_ABORT, 0x0c, 4, PSTATE_I | PSTATE_A, 20),
            Self::DataAbort => (MODE_ABORT, 0x10, 8, PSTATE_I | PSTATE_A, 20),
        };
        let base = if sctlr & SCTLR_V != 0 {
            HIGH_VECTORS
        } else {
            vbar & 0xffff_ffe0
        };
        let replaced = MODE | PSTATE_T | PSTATE_E | PSTATE_IL | PSTATE_SS | PSTATE_SSBS | PSTATE_IT;
        let mut next = pstate & !replaced | mode | masked;
        if sctlr & SCTLR_TE != 0 {
            next |= PSTATE_T;
        }
        if sctlr & SCTLR_EE != 0 {
            next |= PSTATE_E;
        }
        if sctlr & SCTLR_DSSBS != 0 {
            next |= PSTATE_SSBS;
        }
        if has_pan && sctlr & SCTLR_SPAN == 0 {
            next |= PSTATE_PAN;
        }
        let mut spsr = pstate & !(PSTATE_SS | PSTATE_DIT);
        if pstate & PSTATE_DIT != 0 {
            spsr |= SPSR_DIT;
        }
        Taken {
            pc: base + vector,
            pstate: next,
            spsr,
            link: (pc + offset) & 0xffff_ffff,
            link_register,
        }
    }
}

/// DFSR or IFSR of a synchronous external abort, in the format that TTBCR chooses.
pub const fn external_abort_status(ttbcr: u64, write: bool) -> u64 {
    let status = if ttbcr & TTBCR_EAE != 0 {
        1 << 9 | 0b01_0000
    } else {
        0b0_1000
    };
    status | (write as u64) << 11
}
