//! Reads and writes of system registers by name.
//!
//! A macro of our own rather than a crate of typed registers: half of what a world switch touches
//! (the `_EL12` and `_EL02` aliases, ICH_LR<n>_EL2) is in none of them.

/// Reads a system register, given by its name or, where the assembler does not know it, as
/// `S<op0>_<op1>_<Cn>_<Cm>_<op2>`.
///
/// Reading a register has no effect on memory; that the register exists is the caller's claim.
#[macro_export]
macro_rules! mrs {
    ($register:expr) => {{
        let value: u64;
        // SAFETY: reading this register at EL2 changes nothing that Rust code can see.
        #[allow(unused_unsafe)]
        unsafe {
            ::core::arch::asm!(
                concat!("mrs {}, ", $register),
                out(reg) value,
                options(nomem, nostack, preserves_flags)
            );
        }
        value
    }};
}

/// Writes a system register. To be used in an `unsafe` block that says why the new value is right.
#[macro_export]
macro_rules! msr {
    ($register:expr, $value:expr) => {{
        let value: u64 = $value;
        ::core::arch::asm!(
            concat!("msr ", $register, ", {}"),
            in(reg) value,
            options(nostack, preserves_flags)
        )
    }};
}

/// Waits until earlier writes to system registers have taken effect.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { ::core::arch::asm!("isb", options(nostack, preserves_flags)) }
}
