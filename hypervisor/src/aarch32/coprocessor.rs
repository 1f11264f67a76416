//! Trapped accesses of AArch32 to coprocessors 14 and 15, and VMRS: which System register each of them
//! is in AArch64 state.
//!
//! Source: Arm ARM (DDI 0487), "ISS encoding for an exception from an MCR or MRC access", the same "from
//! an MCRR or MRRC access", and the registers' "Configuration" sections.

use crate::syndrome::{ExceptionClass, Syndrome, SystemRegister};

/// An access that trapped. Registers are in the AArch64 view; 31 reads as zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CoprocessorAccess {
    /// The System register that it is.
    pub register: SystemRegister,
    /// The general register, or that of bits 31:0.
    pub rt: u8,
    /// The general register of bits 63:32, for MCRR and MRRC.
    pub rt2: Option<u8>,
    /// A read: MRC, MRRC or VMRS.
    pub read: bool,
}

/// Replaces the identification registers that are reserved: it reads as zero.
const RESERVED_ID: SystemRegister = SystemRegister::new(3, 0, 0, 7, 7);

impl CoprocessorAccess {
    /// Whether it is an MRC whose destination is APSR_nzcv: of DBGDSCRint, which alone may have it.
    pub const fn reads_to_flags(self) -> bool {
        self.read && self.rt == 31 && self.rt2.is_none()
    }

    /// Decodes the syndrome of class `CP15_32`, `CP15_64`, `CP14_32`, `CP14_64` or `VMRS`.
    pub const fn new(syndrome: Syndrome) -> Self {
        let iss = syndrome.iss();
        let class = syndrome.class().0;
        let rt = (iss >> 5 & 0x1f) as u8;
        let crm = (iss >> 1 & 0xf) as u8;
        let read = iss & 1 != 0;
        if class == ExceptionClass::CP15_64.0 || class == ExceptionClass::CP14_64.0 {
            let opc1 = (iss >> 16 & 0xf) as u8;
            return Self {
                register: pair(class == ExceptionClass::CP15_64.0, opc1, crm),
                rt,
                rt2: Some((iss >> 10 & 0x1f) as u8),
                read,
            };
        }
        let (opc1, opc2) = ((iss >> 14 & 0b111) as u8, (iss >> 17 & 0b111) as u8);
        let crn = (iss >> 10 & 0xf) as u8;
        let register = if class == ExceptionClass::CP15_32.0 {
            cp15(opc1, crn, crm, opc2)
        } else if class == ExceptionClass::CP14_32.0 {
            SystemRegister::new(2, opc1, crn, crm, opc2)
        } else {
            vmrs(crn)
        };
        Self {
            register,
            rt,
            rt2: None,
            read,
        }
    }
}

/// What MCR and MRC of coprocessor 15 name.
const fn cp15(opc1: u8, crn: u8, crm: u8, opc2: u8) -> SystemRegister {
    match (opc1, crn, crm, opc2) {
        // In AArch64 state these are MVFR<n>_EL1.
        (0, 0, 3, 0..=2) => RESERVED_ID,
        // ACTLR2 is the upper half of ACTLR_EL1, of which nothing does anything here.
        (0, 1, 0, 3) => SystemRegister::new(3, 0, 1, 0, 1),
        // CNTP_TVAL and CNTP_CTL.
        (0, 14, 2, 0 | 1) => SystemRegister::new(3, 3, 14, 2, opc2),
        // Operations on caches are System instructions.
        (_, 7, ..) => SystemRegister::new(1, opc1, crn, crm, opc2),
        _ => SystemRegister::new(3, opc1, crn, crm, opc2),
    }
}

/// What MCRR and MRRC name.
const fn pair(is_cp15: bool, opc1: u8, crm: u8) -> SystemRegister {
    match (is_cp15, opc1, crm) {
        // ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R.
        (true, 0..=2, 12) => SystemRegister::new(3, 0, 12, 11, 5 + opc1),
        // CNTPCT and CNTP_CVAL.
        (true, 0, 14) => SystemRegister::new(3, 3, 14, 0, 1),
        (true, 2, 14) => SystemRegister::new(3, 3, 14, 2, 2),
        // No register of this name is there.
        (true, ..) => SystemRegister::new(3, 1, 0, crm, opc1 & 0b111),
        // DBGDRAR and DBGDSAR.
        (false, ..) => SystemRegister::new(2, opc1 & 0b111, crm, 0, 0),
    }
}

/// What VMRS of register number `reg` names.
const fn vmrs(reg: u8) -> SystemRegister {
    match reg {
        // MVFR2, MVFR1, MVFR0.
        5..=7 => SystemRegister::new(3, 0, 0, 3, 7 - reg),
        _ => RESERVED_ID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(class: ExceptionClass, iss: u64) -> CoprocessorAccess {
        CoprocessorAccess::new(Syndrome::new(u64::from(class.0) << 26 | 1 << 25 | iss))
    }

    /// ISS of MCR or MRC `opc1, rt, crn, crm, opc2`, always executed.
    fn single([opc1, rt, crn, crm, opc2]: [u64; 5], read: u64) -> u64 {
        0x1e << 20 | opc2 << 17 | opc1 << 14 | crn << 10 | rt << 5 | crm << 1 | read
    }

    #[test]
    fn registers_of_coprocessor_15_keep_their_coordinates() {
        for (operands, expected) in [
            ([0, 3, 0, 1, 4], (3, 0, 0, 1, 4)),     // ID_MMFR0
            ([0, 3, 0, 3, 4], (3, 0, 0, 3, 4)),     // ID_PFR2
            ([0, 3, 1, 0, 1], (3, 0, 1, 0, 1)),     // ACTLR
            ([0, 3, 1, 0, 3], (3, 0, 1, 0, 1)),     // ACTLR2
            ([0, 3, 12, 11, 1], (3, 0, 12, 11, 1)), // ICC_DIR
            ([0, 3, 7, 14, 2], (1, 0, 7, 14, 2)),   // DCCISW
            ([0, 3, 0, 3, 1], (3, 0, 0, 7, 7)),     // reserved
        ] {
            let (op0, op1, crn, crm, op2) = expected;
            let found = access(ExceptionClass::CP15_32, single(operands, 0));
            let register = SystemRegister::new(op0, op1, crn, crm, op2);
            assert_eq!(found.register, register, "{operands:?}");
            assert_eq!((found.rt, found.rt2, found.read), (3, None, false));
        }
    }

    #[test]
    fn an_sgi_comes_by_a_pair() {
        let iss = |opc1: u64| 0x1e << 20 | opc1 << 16 | 18 << 10 | 5 << 5 | 12 << 1;
        for (opc1, op2) in [(0, 5), (1, 6), (2, 7)] {
            let found = access(ExceptionClass::CP15_64, iss(opc1));
            assert_eq!(found.register, SystemRegister::new(3, 0, 12, 11, op2));
            assert_eq!((found.rt, found.rt2, found.read), (5, Some(18), false));
        }
        // CNTHP_CVAL is no register that anybody answers.
        let timer = access(ExceptionClass::CP15_64, 6 << 16 | 14 << 1).register;
        assert_eq!((timer.op0(), timer.op1(), timer.crn()), (3, 1, 0));
    }

    #[test]
    fn physical_timer_and_counter_are_those_of_aarch64() {
        for (opc2, register) in [(0, (2, 0)), (1, (2, 1))] {
            let found = access(ExceptionClass::CP15_32, single([0, 3, 14, 2, opc2], 0));
            let (crm, op2) = register;
            assert_eq!(found.register, SystemRegister::new(3, 3, 14, crm, op2));
        }
        for (opc1, (crm, op2)) in [(0, (0, 1)), (2, (2, 2))] {
            let found = access(ExceptionClass::CP15_64, opc1 << 16 | 14 << 1 | 1);
            assert_eq!(found.register, SystemRegister::new(3, 3, 14, crm, op2));
            assert!(found.read && found.rt2.is_some());
        }
    }

    #[test]
    fn debug_registers_are_those_of_op0_2() {
        let found = access(ExceptionClass::CP14_32, single([0, 31, 0, 1, 0], 1));
        assert_eq!(found.register, SystemRegister::new(2, 0, 0, 1, 0));
        assert!(found.read && found.reads_to_flags());
        let to_r3 = access(ExceptionClass::CP14_32, single([0, 3, 0, 1, 0], 1));
        assert!(!to_r3.reads_to_flags());
        let pair = access(ExceptionClass::CP14_64, 1 << 1 | 1).register;
        assert_eq!(pair, SystemRegister::new(2, 0, 1, 0, 0));
    }

    #[test]
    fn vmrs_names_media_and_vfp_feature_registers() {
        for (reg, op2) in [(7, 0), (6, 1), (5, 2)] {
            let found = access(ExceptionClass::VMRS, single([7, 2, reg, 0, 0], 1));
            assert_eq!(found.register, SystemRegister::new(3, 0, 0, 3, op2));
            assert!(found.read);
        }
    }
}
