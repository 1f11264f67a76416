//! What the observer reads of a core's system registers, and what follows from it: where an exception return
//! leads, and whether FP/SIMD, SVE and SME are open.
//!
//! Source: Arm ARM (DDI 0487), chapter D24.

use trapcast_trace::record::MARK;

use crate::instruction::Class;

/// HCR_EL2.VM: stage 2 is on.
const HCR_VM: u64 = 1 << 0;
/// HCR_EL2.TGE.
const HCR_TGE: u64 = 1 << 27;
/// HCR_EL2.E2H.
const HCR_E2H: u64 = 1 << 34;
/// TCR_EL1.A1: TTBR1_EL1 holds the current ASID.
const TCR_A1: u64 = 1 << 22;

/// HCR_EL2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hcr(pub u64);

impl Hcr {
    /// The hypervisor uses the Virtualization Host Extensions.
    pub const fn e2h(self) -> bool {
        self.0 & HCR_E2H != 0
    }

    /// EL0 belongs to a host at EL2.
    pub const fn is_host(self) -> bool {
        self.e2h() && self.0 & HCR_TGE != 0
    }

    /// EL0 and EL1 are behind stage 2, and none of them belongs to a host at EL2.
    pub const fn has_stage_2(self) -> bool {
        self.0 & HCR_VM != 0 && self.0 & HCR_TGE == 0
    }
}

/// The VMID of a VTTBR_EL2.
pub const fn vmid(vttbr: u64) -> u16 {
    (vttbr >> 48) as u16
}

/// Returns whether an SPSR_EL2 leads to EL0 or EL1, in AArch64 or AArch32 state.
pub const fn leads_below(spsr: u64) -> bool {
    const HYP: u64 = 0b1010;
    const MONITOR: u64 = 0b0110;
    match (spsr >> 4 & 1, spsr & 0xf) {
        (0, mode) => mode >> 2 < 2,
        (_, mode) => mode != HYP && mode != MONITOR,
    }
}

/// The current ASID.
pub const fn asid(tcr: u64, ttbr0: u64, ttbr1: u64) -> u16 {
    let holder = if tcr & TCR_A1 != 0 { ttbr1 } else { ttbr0 };
    (holder >> 48) as u16
}

/// Whether a vector of this offset is entered by a synchronous exception.
pub const fn is_synchronous(vector: u16) -> bool {
    vector & 0x180 == 0
}

/// The number of the register that was to be stored, 31 for zero, where ESR_EL2 is that of a store which stage 2 kept
/// from its address and whose syndrome says all of it: how a device is emulated. See ISS encoding for an exception from
/// a Data Abort.
pub const fn stored_register(esr: u32) -> Option<u8> {
    const DATA_ABORT: u32 = 0x24;
    const ISV: u32 = 1 << 24;
    const S1PTW: u32 = 1 << 7;
    const WNR: u32 = 1 << 6;
    let is_store = esr >> 26 == DATA_ABORT && esr & (ISV | WNR | S1PTW) == ISV | WNR;
    if is_store {
        Some((esr >> 16 & 0x1f) as u8)
    } else {
        None
    }
}

/// Whether a store of a value by FAR_EL2 says to a UART that the guest's work begins. A UART's data register is the first
/// of its page: UARTDR of a PL011 or SBSA UART.
pub const fn is_mark(far: u64, value: u64) -> bool {
    far & 0xfff == 0 && value as u32 == MARK as u32
}

/// The registers that open or close FP/SIMD, SVE and SME.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gates {
    /// HCR_EL2.
    pub hcr: Hcr,
    /// CPACR_EL1.
    pub cpacr: u64,
    /// CPTR_EL2.
    pub cptr: u64,
}

impl Gates {
    /// Returns whether an instruction of a class is executed at an exception level, 0 to 2, and not trapped.
    pub const fn is_open(self, class: Class, el: u8) -> bool {
        let is_host = self.hcr.is_host();
        // With a host at EL2, EL0's gate is CPTR_EL2 alone.
        let at_el1 = el == 2 || is_host || enabled(self.cpacr, class, el);
        let at_el2 = match self.hcr.e2h() {
            true => enabled(self.cptr, class, if is_host { el } else { 2 }),
            false => self.cptr >> trap_bit(class) & 1 == 0,
        };
        at_el1 && at_el2
    }
}

/// Whether a field of CPACR_EL1, or of a CPTR_EL2 of this layout, lets an exception level use a class.
const fn enabled(register: u64, class: Class, el: u8) -> bool {
    let shift = match class {
        Class::Sve => 16,
        Class::Fp => 20,
        Class::Sme => 24,
    };
    match register >> shift & 0b11 {
        0b11 => true,
        0b01 => el != 0,
        _ => false,
    }
}

/// The bit of CPTR_EL2 that closes a class where E2H is 0: TFP, TZ or TSM.
const fn trap_bit(class: Class) -> u32 {
    match class {
        Class::Fp => 10,
        Class::Sve => 8,
        Class::Sme => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_return_leads_where_its_spsr_says() {
        let below = [0x0, 0x4, 0x5, 0x3c5, 0x10, 0x13, 0x1f];
        let not_below = [0x8, 0x9, 0x3c9, 0xc, 0xd, 0x1a, 0x16];
        assert!(below.into_iter().all(leads_below));
        assert!(!not_below.into_iter().any(leads_below));
    }

    #[test]
    fn a_mark_is_a_store_of_stx_to_the_data_register_of_a_uart() {
        // A data abort of a word that X3 was to be stored from: ISV, SAS = 2, SRT = 3, WnR, a translation fault.
        const STORE: u32 = 0x24 << 26 | 1 << 25 | 1 << 24 | 2 << 22 | 3 << 16 | 1 << 6 | 0x07;
        assert_eq!(stored_register(STORE), Some(3));
        let others = [
            STORE & !(1 << 6),
            STORE & !(1 << 24),
            STORE | 1 << 7,
            STORE | 1 << 26,
            0,
        ];
        assert_eq!(others.map(stored_register), [None; 5]);
        assert!(is_mark(0xffff_8000_0800_0000, MARK.into()));
        // A register's upper half is not stored as a word.
        assert!(is_mark(0, 1 << 32 | u64::from(MARK)));
        assert!(!is_mark(0x0900_0004, MARK.into()));
        assert!(!is_mark(0x0900_0000, b'2'.into()));
        assert!(is_synchronous(0x400) && is_synchronous(0x600));
        assert!(!is_synchronous(0x480) && !is_synchronous(0x680));
    }

    #[test]
    fn a_host_at_el2_is_told_from_a_guest() {
        let cases = [
            // VM, TGE, E2H: has stage 2, is a host.
            ([false, false, false], (false, false)),
            ([true, false, false], (true, false)),
            ([true, false, true], (true, false)),
            ([true, true, true], (false, true)),
            ([false, true, true], (false, true)),
            ([true, true, false], (false, false)),
        ];
        for ([vm, tge, e2h], expected) in cases {
            let bits = [(vm, HCR_VM), (tge, HCR_TGE), (e2h, HCR_E2H)];
            let set = bits.iter().filter(|(is_set, _)| *is_set);
            let hcr = Hcr(set.map(|(_, bit)| bit).sum());
            assert_eq!((hcr.has_stage_2(), hcr.is_host()), expected, "{hcr:?}");
        }
    }

    #[test]
    fn gates_are_open_where_both_exception_levels_let_it_through() {
        const ALL: u64 = 0x0333_0000;
        let gates = |e2h: bool, tge: bool, cpacr, cptr| Gates {
            hcr: Hcr((u64::from(e2h) * HCR_E2H) | (u64::from(tge) * HCR_TGE)),
            cpacr,
            cptr,
        };
        // Gates; whether FP is open at EL0, EL1 and EL2.
        let cases = [
            (gates(false, false, ALL, 0), [true, true, true]),
            (gates(false, false, ALL, 1 << 10), [false, false, false]),
            (gates(false, false, 0, 0), [false, false, true]),
            (gates(false, false, 1 << 20, 0), [false, true, true]),
            (gates(true, false, ALL, ALL), [true, true, true]),
            (gates(true, false, ALL, 0), [false, false, false]),
            (gates(true, false, ALL, 1 << 20), [true, true, true]),
            // A host's EL0, whose CPACR_EL1 is somebody else's.
            (gates(true, true, 0, ALL), [true, true, true]),
            (gates(true, true, ALL, 1 << 20), [false, true, true]),
        ];
        for (gates, expected) in cases {
            let told = [0, 1, 2].map(|el| gates.is_open(Class::Fp, el));
            assert_eq!(told, expected, "{gates:x?}");
        }
        let sve_only_closed = gates(false, false, ALL, 1 << 8);
        let told = Class::ALL.map(|class| sve_only_closed.is_open(class, 0));
        assert_eq!(told, [true, false, true]);
    }

    #[test]
    fn the_asid_is_where_tcr_says() {
        assert_eq!(asid(0, 3 << 48, 4 << 48), 3);
        assert_eq!(asid(TCR_A1, 3 << 48, 4 << 48), 4);
    }
}
