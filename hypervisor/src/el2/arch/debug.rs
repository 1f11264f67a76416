//! A vCPU's debug registers in the core.
//!
//! MDSCR_EL1 is written at each load of a vCPU, the others only if its guest has enabled them. What another
//! guest left in them generates nothing meanwhile, and no guest reads the core's registers itself.

use trapcast_hypervisor::{
    debug::{Change, DebugRegisters, Features, MDSCR_MDE, Point},
    guest_image::ExecutionState,
    syndrome::SystemRegister,
};

use crate::{mrs, msr};

/// Writes one of a row of registers, given by its number.
macro_rules! write_point {
    ($n:expr, $point:expr, $value:literal, $control:literal: $($number:literal)*) => {
        match $n {
            $($number => {
                // Off while its halves do not fit together.
                msr!(concat!($control, $number, "_el1"), 0);
                msr!(concat!($value, $number, "_el1"), $point.value);
                msr!(concat!($control, $number, "_el1"), $point.control);
            })*
            _ => {}
        }
    };
}

/// Writes breakpoint `n`.
///
/// # Safety
/// The core has it, and the vCPU that it belongs to is entered next.
unsafe fn write_breakpoint(n: usize, point: Point) {
    // SAFETY: debug exceptions that are taken to EL1 are not generated at EL2.
    unsafe {
        write_point!(n, point, "dbgbvr", "dbgbcr": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// Writes watchpoint `n`.
///
/// # Safety
/// As for [`write_breakpoint`].
unsafe fn write_watchpoint(n: usize, point: Point) {
    // SAFETY: as above.
    unsafe {
        write_point!(n, point, "dbgwvr", "dbgwcr": 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// Writes DBGVCR32_EL2, where it is.
///
/// # Safety
/// As for [`write_breakpoint`].
unsafe fn write_vector_catch(registers: &DebugRegisters) {
    if ExecutionState::AArch32.is_supported(mrs!("id_aa64pfr0_el1")) {
        // SAFETY: the register is there, and concerns AArch32 state below EL2 alone.
        unsafe { msr!("s2_4_c0_c7_0", registers.vector_catch().into()) }
    }
}

/// Puts a vCPU's registers into the core.
///
/// # Safety
/// The vCPU that they belong to is entered next.
#[inline(always)]
pub unsafe fn load(registers: &DebugRegisters) {
    let mdscr = registers.mdscr_in_core();
    // SAFETY: as above.
    unsafe {
        msr!("mdscr_el1", mdscr);
        if mdscr & MDSCR_MDE != 0 {
            load_points(registers);
        }
    }
}

/// # Safety
/// As for [`load`].
#[inline(never)]
unsafe fn load_points(registers: &DebugRegisters) {
    let features = features();
    // SAFETY: the core has so many; the caller vouches for the rest.
    unsafe {
        for n in 0..features.breakpoints {
            write_breakpoint(n, registers.breakpoint_in_core(n));
        }
        for n in 0..features.watchpoints {
            write_watchpoint(n, registers.watchpoint_in_core(n));
        }
        write_vector_catch(registers);
    }
}

/// Reads a register for the resident vCPU, if it has it.
pub fn read(
    registers: &mut DebugRegisters,
    aarch32: bool,
    register: SystemRegister,
) -> Option<u64> {
    if aarch32 {
        take_entry(registers);
    }
    registers.read(register, aarch32, features())
}

/// Takes what debug exceptions of the resident AArch32 guest have left in the core.
pub fn take_entry(registers: &mut DebugRegisters) {
    registers.take_entry(mrs!("mdscr_el1"));
}

/// Writes a register of the resident vCPU; `false` if it has it not.
pub fn write(
    registers: &mut DebugRegisters,
    aarch32: bool,
    register: SystemRegister,
    value: u64,
) -> bool {
    if aarch32 {
        take_entry(registers);
    }
    let Some(change) = registers.write(register, aarch32, features(), value) else {
        return false;
    };
    let enabled = registers.mdscr_in_core() & MDSCR_MDE != 0;
    // SAFETY: the vCPU is resident, and is entered before any other; the core has what it has.
    unsafe {
        match change {
            Change::Control => load(registers),
            Change::Breakpoint(n) if enabled => {
                write_breakpoint(n, registers.breakpoint_in_core(n));
            }
            Change::Watchpoint(n) if enabled => {
                write_watchpoint(n, registers.watchpoint_in_core(n));
            }
            Change::VectorCatch if enabled => write_vector_catch(registers),
            _ => {}
        }
    }
    true
}

/// What debug features the core has.
fn features() -> Features {
    Features::of(mrs!("id_aa64dfr0_el1"))
}
