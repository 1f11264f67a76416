//! The EL1 physical timer of a vCPU: its registers, which trap, and what its interrupt's line follows from.
//!
//! The core's own EL1 physical timer is not used: EL2 has a timer of its own, which also tells it when a
//! guest's expires. So a vCPU that does not use the physical timer has nothing to save and load for it.
//!
//! Source: Arm ARM (DDI 0487), "The Generic Timer in AArch64 state", "Operation of the CompareValue views of
//! the timers", "Operation of the TimerValue views of the timers", and CNTP_CTL_EL0.

use crate::{slots::NEVER, syndrome::SystemRegister};

/// Its interrupt, PPI 14.
pub const INTID: u32 = 30;

/// CNTP_CTL_EL0.
const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;

/// A register of the timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Register {
    /// CNTP_TVAL_EL0.
    TimerValue,
    /// CNTP_CTL_EL0.
    Control,
    /// CNTP_CVAL_EL0.
    CompareValue,
}

impl Register {
    /// Returns the register of the timer that `register` is, if it is one.
    #[inline]
    pub fn decode(register: SystemRegister) -> Option<Self> {
        let all = [Self::TimerValue, Self::Control, Self::CompareValue];
        let coordinates = (
            register.op0(),
            register.op1(),
            register.crn(),
            register.crm(),
        );
        let index = usize::from(register.op2());
        all.get(index)
            .copied()
            .filter(|_| coordinates == (3, 3, 14, 2))
    }
}

/// The timer of one vCPU. Times are in ticks of the physical counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PhysicalTimer {
    /// CNTP_CTL_EL0.ENABLE and IMASK.
    control: u64,
    compare_value: u64,
    /// When the line rises, if EL2 does not know yet that it has.
    deadline: u64,
}

impl PhysicalTimer {
    /// The timer after reset: disabled.
    pub const RESET: Self = Self {
        control: 0,
        compare_value: 0,
        deadline: NEVER,
    };

    /// When EL2 has to call [`PhysicalTimer::look`]; [`NEVER`] if only a write can change the line.
    #[inline(always)]
    pub const fn deadline(&self) -> u64 {
        self.deadline
    }

    /// What the guest reads.
    pub const fn read(&self, register: Register, now: u64) -> u64 {
        match register {
            Register::TimerValue => self.compare_value.wrapping_sub(now) & 0xffff_ffff,
            Register::Control if self.is_enabled() && now >= self.compare_value => {
                self.control | ISTATUS
            }
            Register::Control => self.control,
            Register::CompareValue => self.compare_value,
        }
    }

    /// The guest writes a register. Returns whether the line is high.
    pub const fn write(&mut self, register: Register, value: u64, now: u64) -> bool {
        match register {
            Register::TimerValue => {
                let signed = (value as u32).cast_signed() as i64;
                self.compare_value = now.wrapping_add(signed.cast_unsigned());
            }
            Register::Control => self.control = value & (ENABLE | IMASK),
            Register::CompareValue => self.compare_value = value,
        }
        self.look(now)
    }

    /// Returns whether the line is high.
    pub const fn look(&mut self, now: u64) -> bool {
        let signals = self.is_enabled() && self.control & IMASK == 0;
        let high = signals && now >= self.compare_value;
        self.deadline = if signals && !high {
            self.compare_value
        } else {
            NEVER
        };
        high
    }

    const fn is_enabled(&self) -> bool {
        self.control & ENABLE != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn register(op1: u8, crn: u8, crm: u8, op2: u8) -> Option<Register> {
        Register::decode(SystemRegister::new(3, op1, crn, crm, op2))
    }

    #[test]
    fn registers_have_their_numbers() {
        assert_eq!(register(3, 14, 2, 0), Some(Register::TimerValue));
        assert_eq!(register(3, 14, 2, 1), Some(Register::Control));
        assert_eq!(register(3, 14, 2, 2), Some(Register::CompareValue));
        // What follows, the virtual timer's, EL2's, the counter.
        for (op1, crm, op2) in [(3, 2, 3), (3, 3, 0), (4, 2, 1), (3, 0, 1)] {
            assert_eq!(register(op1, 14, crm, op2), None);
        }
    }

    /// (CTL, CVAL, what CTL reads, the line, when to look) at 1000.
    #[test]
    fn line_and_status_follow_the_condition() {
        for (control, compare_value, read, line, deadline) in [
            (0b00, 0, 0b000, false, NEVER),
            (0b01, 1000, 0b101, true, NEVER),
            (0b01, 1001, 0b001, false, 1001),
            (0b01, u64::MAX, 0b001, false, NEVER),
            (0b11, 1000, 0b111, false, NEVER),
            (0b11, 1001, 0b011, false, NEVER),
            (0b10, 0, 0b010, false, NEVER),
            (u64::MAX, 0, 0b111, false, NEVER),
            (0b100, 0, 0b000, false, NEVER),
        ] {
            let mut timer = PhysicalTimer::RESET;
            timer.write(Register::CompareValue, compare_value, 1000);
            assert_eq!(timer.write(Register::Control, control, 1000), line);
            assert_eq!(timer.read(Register::Control, 1000), read, "{control:#b}");
            assert_eq!(timer.deadline(), deadline);
        }
    }

    #[test]
    fn timer_value_is_a_signed_distance() {
        for (value, compare_value) in [
            (0, 1000),
            (7, 1007),
            (0x7fff_ffff, 1000 + 0x7fff_ffff),
            (0xffff_ffff, 999),
            (0xffff_ffff_ffff_fff0, 1000 - 16),
            (0x8000_0000, 1000_u64.wrapping_sub(0x8000_0000)),
        ] {
            let mut timer = PhysicalTimer::RESET;
            timer.write(Register::TimerValue, value, 1000);
            assert_eq!(timer.read(Register::CompareValue, 1000), compare_value);
            assert_eq!(timer.read(Register::TimerValue, 1000), value & 0xffff_ffff);
        }
    }

    proptest! {
        /// Who looks at the deadline alone knows the line at any time.
        #[test]
        fn nothing_is_missed(
            compare_value in any::<u64>().prop_map(|value| value >> (value % 64)),
            control in 0..4u64,
            set_at in 0..1u64 << 40,
            later in 0..1u64 << 60,
        ) {
            let mut timer = PhysicalTimer::RESET;
            timer.write(Register::CompareValue, compare_value, set_at);
            let mut high = timer.write(Register::Control, control, set_at);
            let now = set_at + later;
            if timer.deadline() <= now {
                let deadline = timer.deadline();
                prop_assert!(!high && deadline > set_at);
                high = timer.look(deadline);
                prop_assert_eq!(timer.deadline(), NEVER);
            }
            prop_assert_eq!(high, control == 1 && now >= compare_value);
        }
    }
}
