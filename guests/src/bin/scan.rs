//! The guest `scan`: reads and writes every encoding of a System register of AArch64 state, and looks whether one
//! changes that nobody of this VM has written: see `trapcast_guests::scan`.

#![no_std]
#![no_main]

use trapcast_guests::hostile::attempt::{EL1_MASKED, attempt, install};
use trapcast_guests::hostile::{code, regime};
use trapcast_guests::scan::{AArch64, Access, Name, Reading};
use trapcast_guests::{read_sysreg, write_sysreg};

trapcast_guests::entry!(trapcast_guests::scan::main::<Guest>);

const ISB: u32 = 0xd503_3fdf;
const RET: u32 = 0xd65f_03c0;

/// What attempts go through: SCTLR_EL1, SPSR_EL1, ELR_EL1, ESR_EL1, FAR_EL1.
const SCTLR: Name = Name([3, 0, 1, 0, 0]);
const SPSR: Name = Name([3, 0, 4, 0, 0]);
const ELR: Name = Name([3, 0, 4, 0, 1]);
const ESR: Name = Name([3, 0, 5, 2, 0]);
const FAR: Name = Name([3, 0, 6, 0, 0]);

/// This guest.
pub struct Guest;

impl Access for Guest {
    type Of = AArch64;

    fn code(instruction: u32) -> [u32; 4] {
        [instruction, ISB, RET, RET]
    }

    fn prepare() {
        regime::off();
        install();
        code::publish();
    }

    fn run(code: u64, value: u64) -> Reading {
        let mut registers = [0; 31];
        registers[0] = value;
        // SAFETY: this is vCPU 0, whose interrupts are masked; the MMU is off, and what is written leaves
        // it so.
        let outcome = unsafe { attempt(0, code, EL1_MASKED, &registers) };
        outcome.vector.is_none().then_some(outcome.registers[0])
    }

    fn read_direct(name: Name) -> Option<u64> {
        match name {
            SCTLR => Some(read_sysreg!("sctlr_el1")),
            SPSR => Some(read_sysreg!("spsr_el1")),
            ELR => Some(read_sysreg!("elr_el1")),
            ESR => Some(read_sysreg!("esr_el1")),
            FAR => Some(read_sysreg!("far_el1")),
            _ => None,
        }
    }

    fn write_direct(name: Name, value: u64) {
        // SAFETY: of SCTLR_EL1 what is about EL0; the others say how an exception came.
        unsafe {
            match name {
                SCTLR => write_sysreg!("sctlr_el1", value),
                SPSR => write_sysreg!("spsr_el1", value),
                ELR => write_sysreg!("elr_el1", value),
                ESR => write_sysreg!("esr_el1", value),
                FAR => write_sysreg!("far_el1", value),
                _ => {}
            }
        }
    }
}
