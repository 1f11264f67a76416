//! Instructions by their encodings.
//!
//! Source: Arm ARM (DDI 0487), "A64 Base Instructions", "System instruction class encoding space".

/// RET by X30.
pub const RET: u32 = 0xd65f_03c0;

/// `HVC #immediate`.
#[must_use]
pub const fn hvc(immediate: u16) -> u32 {
    0xd400_0002 | (immediate as u32) << 5
}

/// `SMC #immediate`.
#[must_use]
pub const fn smc(immediate: u16) -> u32 {
    0xd400_0003 | (immediate as u32) << 5
}

/// An access to a system register or a system instruction, of one general register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemAccess {
    /// MRS or SYSL rather than MSR or SYS.
    pub read: bool,
    /// 1 for system instructions, 2 for debug registers, 3 for all others.
    pub op0: u8,
    /// Below 8.
    pub op1: u8,
    /// Below 16.
    pub crn: u8,
    /// Below 16.
    pub crm: u8,
    /// Below 8.
    pub op2: u8,
}

/// A register or instruction as (op0, op1, CRn, CRm, op2).
type Name = (u8, u8, u8, u8, u8);
const SCTLR_EL1: Name = (3, 0, 1, 0, 0);
const ICC_BPR0_EL1: Name = (3, 0, 12, 8, 3);
const ICC_BPR1_EL1: Name = (3, 0, 12, 12, 3);

/// `SCTLR_EL1.M` and `EE`: no code of this guest could go on with them changed.
const SCTLR_M_EE: u64 = 1 | 1 << 25;

impl SystemAccess {
    /// Those with op0 from 1 to 3, by number: 0 to [`SystemAccess::NUMBERS`] - 1, of which one in four
    /// (op0 = 0) is none.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        let field = |shift: u32, width: u32| (number >> shift & ((1 << width) - 1)) as u8;
        let op0 = field(15, 2);
        if op0 == 0 {
            return None;
        }
        Some(Self {
            read: field(14, 1) != 0,
            op0,
            op1: field(11, 3),
            crn: field(7, 4),
            crm: field(3, 4),
            op2: field(0, 3),
        })
    }

    /// The numbers of [`SystemAccess::numbered`].
    pub const NUMBERS: u32 = 1 << 17;

    /// The instruction, with the general register `rt`; 31 is XZR.
    #[must_use]
    pub const fn instruction(self, rt: u8) -> u32 {
        0xd500_0000
            | (self.read as u32) << 21
            | (self.op0 as u32) << 19
            | (self.op1 as u32) << 16
            | (self.crn as u32) << 12
            | (self.crm as u32) << 8
            | (self.op2 as u32) << 5
            | rt as u32
    }

    /// `value`, without what would keep this guest itself, or the machine, from going on.
    ///
    /// There is one value that QEMU itself does not survive, whatever runs in it: it takes 8 for a valid
    /// binary point, keeps three bits of it, and ends at an assertion. So binary points are below 8.
    #[must_use]
    pub fn harmless(self, value: u64) -> u64 {
        match (self.op0, self.op1, self.crn, self.crm, self.op2) {
            SCTLR_EL1 => value & !SCTLR_M_EE,
            ICC_BPR0_EL1 | ICC_BPR1_EL1 => value & 7,
            _ => value,
        }
    }

    /// Whether no EL1 has it: the registers of EL2, of EL3 and of Secure state, and the `_EL12`
    /// aliases.
    #[must_use]
    pub const fn is_above_el1(self) -> bool {
        matches!((self.op0, self.op1), (3, 4..=7) | (1, 4 | 6))
    }
}

/// All numbers of [`SystemAccess::numbered`], each once in a round, in an order that looks random.
#[derive(Clone, Debug)]
pub struct EverySystemAccess(u32);

impl EverySystemAccess {
    /// Starts the round at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed as u32 % SystemAccess::NUMBERS)
    }

    /// The next access.
    pub fn next_access(&mut self) -> SystemAccess {
        loop {
            // A linear congruential generator of full period, by the theorem of Hull and Dobell.
            self.0 = (self.0.wrapping_mul(0x5deb5).wrapping_add(0x3039)) % SystemAccess::NUMBERS;
            if let Some(access) = SystemAccess::numbered(self.0) {
                return access;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// As an assembler has them.
    #[test]
    fn instructions_are_encoded_as_the_architecture_says() {
        assert_eq!(hvc(0), 0xd400_0002);
        assert_eq!(hvc(0xffff), 0xd41f_ffe2);
        assert_eq!(smc(1), 0xd400_0023);
        let midr = SystemAccess {
            read: true,
            op0: 3,
            op1: 0,
            crn: 0,
            crm: 0,
            op2: 0,
        };
        assert_eq!(midr.instruction(5), 0xd538_0005);
        // MSR VBAR_EL1, X1.
        let vbar = SystemAccess {
            read: false,
            crn: 12,
            ..midr
        };
        assert_eq!(vbar.instruction(1), 0xd518_c001);
        // TLBI VMALLE1.
        let tlbi = SystemAccess {
            read: false,
            op0: 1,
            crn: 8,
            crm: 7,
            ..midr
        };
        assert_eq!(tlbi.instruction(31), 0xd508_871f);
    }

    #[test]
    fn a_round_has_every_encoding_once() {
        let mut every = EverySystemAccess::new(12345);
        let all = SystemAccess::NUMBERS as usize * 3 / 4;
        let round: HashSet<u32> = (0..all)
            .map(|_| every.next_access().instruction(0))
            .collect();
        assert_eq!(round.len(), all);
        assert_eq!(all, 3 * 2 * 8 * 16 * 16 * 8);
    }

    #[test]
    fn the_mmu_stays_as_it_is() {
        let mut sctlr = SystemAccess::numbered(3 << 15).unwrap();
        sctlr.crn = 1;
        assert_eq!(sctlr.harmless(u64::MAX), !(1 | 1 << 25));
        sctlr.op2 = 1;
        assert_eq!(sctlr.harmless(u64::MAX), u64::MAX);
    }

    #[test]
    fn values_stay_within_what_the_machine_survives() {
        for crm in [8, 12] {
            let bpr = SystemAccess {
                read: false,
                op0: 3,
                op1: 0,
                crn: 12,
                crm,
                op2: 3,
            };
            assert_eq!(bpr.harmless(8), 0);
        }
    }
}
