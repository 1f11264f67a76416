//! Registers of devices, by instructions of one general register and no writeback: of others, a hypervisor that
//! emulates the device is not told what they do. A volatile access may become any of them.
//!
//! Source: Arm ARM, "ISS encoding for an exception from a Data Abort", ISV.

use core::arch::asm;

#[cfg(target_arch = "aarch64")]
macro_rules! access {
    ($instruction:literal) => {
        concat!($instruction, " {value:w}, [{register}]")
    };
}
#[cfg(target_arch = "arm")]
macro_rules! access {
    ($instruction:literal) => {
        concat!($instruction, " {value}, [{register}]")
    };
}

/// Reads a register of 32 bits.
///
/// # Safety
///
/// There is one, it is mapped as device memory, and nothing that this does to the device harms memory.
#[inline(always)]
pub unsafe fn read(register: usize) -> u32 {
    let value: u32;
    // SAFETY: the caller's.
    unsafe {
        asm!(
            access!("ldr"),
            value = out(reg) value,
            register = in(reg) register,
            options(nostack, preserves_flags),
        );
    }
    value
}

/// Writes a register of 32 bits.
///
/// # Safety
///
/// As for [`read`].
#[inline(always)]
pub unsafe fn write(register: usize, value: u32) {
    // SAFETY: the caller's.
    unsafe {
        asm!(
            access!("str"),
            value = in(reg) value,
            register = in(reg) register,
            options(nostack, preserves_flags),
        );
    }
}
