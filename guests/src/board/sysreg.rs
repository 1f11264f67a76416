//! System registers by name: `read!` and `write!` of one register.

/// Reads the system register of this name, which may be given in parts.
#[macro_export]
macro_rules! read_sysreg {
    ($($name:literal)+) => {{
        let value: u64;
        // SAFETY: reading this register at EL1 has no effect on memory or on the flow of control.
        unsafe {
            core::arch::asm!(
                concat!("mrs {}, ", $($name),+),
                out(reg) value,
                options(nostack, preserves_flags),
            );
        }
        value
    }};
}

/// Writes a value to the system register of this name and makes it take effect (`ISB`).
///
/// Must be called inside `unsafe`: the caller knows what the register does.
#[macro_export]
macro_rules! write_sysreg {
    ($($name:literal)+, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("msr ", $($name,)+ ", {}"),
            "isb",
            in(reg) value,
            options(nostack, preserves_flags),
        );
    }};
}

/// The instruction that masks IRQs.
#[macro_export]
macro_rules! mask_irqs {
    () => {
        "msr daifset, #2"
    };
}

/// The instruction that unmasks IRQs.
#[macro_export]
macro_rules! unmask_irqs {
    () => {
        "msr daifclr, #2"
    };
}
