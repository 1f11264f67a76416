//! System registers of AArch32 by the names that they have in AArch64 state: `read_sysreg!` and
//! `write_sysreg!` of one register, so that code which both states have is the same.

/// Reads the System register of this name, 32 or 64 bits wide, as a number of 64 bits.
#[macro_export]
macro_rules! read_sysreg {
    ("cntfrq_el0") => {
        $crate::read_coprocessor!("p15, 0, {}, c14, c0, 0")
    };
    ("icc_iar1_el1") => {
        $crate::read_coprocessor!("p15, 0, {}, c12, c12, 0")
    };
    ("isr_el1") => {
        $crate::read_coprocessor!("p15, 0, {}, c12, c1, 0")
    };
    ("cntv_ctl_el0") => {
        $crate::read_coprocessor!("p15, 0, {}, c14, c3, 1")
    };
    ("cntv_tval_el0") => {
        $crate::read_coprocessor!("p15, 0, {}, c14, c3, 0")
    };
    ("cntp_ctl_el0") => {
        $crate::read_coprocessor!("p15, 0, {}, c14, c2, 1")
    };
    ("cntp_tval_el0") => {
        $crate::read_coprocessor!("p15, 0, {}, c14, c2, 0")
    };
    ("cntpct_el0") => {
        $crate::read_coprocessor_pair!("p15, 0, {}, {}, c14")
    };
    ("cntvct_el0") => {
        $crate::read_coprocessor_pair!("p15, 1, {}, {}, c14")
    };
    ("cntp_cval_el0") => {
        $crate::read_coprocessor_pair!("p15, 2, {}, {}, c14")
    };
    ("cntv_cval_el0") => {
        $crate::read_coprocessor_pair!("p15, 3, {}, {}, c14")
    };
}

/// Writes a value to the System register of this name and makes it take effect (`ISB`).
///
/// Must be called inside `unsafe`: the caller knows what the register does.
#[macro_export]
macro_rules! write_sysreg {
    ("icc_sre_el1", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c12, c12, 5", $value)
    };
    ("icc_pmr_el1", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c4, c6, 0", $value)
    };
    ("icc_ctlr_el1", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c12, c12, 4", $value)
    };
    ("icc_igrpen1_el1", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c12, c12, 7", $value)
    };
    ("icc_eoir1_el1", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c12, c12, 1", $value)
    };
    ("cntv_ctl_el0", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c14, c3, 1", $value)
    };
    ("cntv_tval_el0", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c14, c3, 0", $value)
    };
    ("cntp_ctl_el0", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c14, c2, 1", $value)
    };
    ("cntp_tval_el0", $value:expr) => {
        $crate::write_coprocessor!("p15, 0, {}, c14, c2, 0", $value)
    };
    ("cntp_cval_el0", $value:expr) => {
        $crate::write_coprocessor_pair!("p15, 2, {}, {}, c14", $value)
    };
    ("icc_sgi1r_el1", $value:expr) => {
        $crate::write_coprocessor_pair!("p15, 0, {}, {}, c12", $value)
    };
    ("cntv_cval_el0", $value:expr) => {
        $crate::write_coprocessor_pair!("p15, 3, {}, {}, c14", $value)
    };
}

/// Reads what MRC of these operands reads.
#[macro_export]
macro_rules! read_coprocessor {
    ($operands:literal) => {{
        let value: u32;
        // SAFETY: reading this register has no effect on memory or on the flow of control.
        unsafe {
            core::arch::asm!(
                concat!("mrc ", $operands),
                out(reg) value,
                options(nostack, preserves_flags),
            );
        }
        u64::from(value)
    }};
}

/// Reads what MRRC of these operands reads, a counter or a timer's deadline, after an `ISB`.
#[macro_export]
macro_rules! read_coprocessor_pair {
    ($operands:literal) => {{
        let (low, high): (u32, u32);
        // SAFETY: as for `read_coprocessor!`.
        unsafe {
            core::arch::asm!(
                "isb",
                concat!("mrrc ", $operands),
                out(reg) low,
                out(reg) high,
                options(nostack, preserves_flags),
            );
        }
        u64::from(high) << 32 | u64::from(low)
    }};
}

/// Writes by MCR of these operands, and an `ISB`. Must be called inside `unsafe`.
#[macro_export]
macro_rules! write_coprocessor {
    ($operands:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("mcr ", $operands),
            "isb",
            in(reg) value as u32,
            options(nostack, preserves_flags),
        );
    }};
}

/// Writes by MCRR of these operands, and an `ISB`. Must be called inside `unsafe`.
#[macro_export]
macro_rules! write_coprocessor_pair {
    ($operands:literal, $value:expr) => {{
        let value: u64 = $value;
        core::arch::asm!(
            concat!("mcrr ", $operands),
            "isb",
            in(reg) value as u32,
            in(reg) (value >> 32) as u32,
            options(nostack, preserves_flags),
        );
    }};
}

/// The instruction that masks IRQs.
#[macro_export]
macro_rules! mask_irqs {
    () => {
        "cpsid i"
    };
}

/// The instruction that unmasks IRQs.
#[macro_export]
macro_rules! unmask_irqs {
    () => {
        "cpsie i"
    };
}
