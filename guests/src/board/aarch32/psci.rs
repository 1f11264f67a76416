//! PSCI by HVC, and hypercalls in general.
//!
//! Sources: Arm DEN 0022, "Power State Coordination Interface"; Arm DEN 0028, "SMC Calling
//! Convention" (which registers a call may change).

use core::arch::global_asm;

/// Function ID of PSCI_VERSION.
pub const VERSION: u32 = 0x8400_0000;

/// Function ID of SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;

/// Function ID of SYSTEM_RESET.
pub const SYSTEM_RESET: u32 = 0x8400_0009;

global_asm!(
    r#"
    .arch_extension virt
    .section .text.psci, "ax"
    .global hypercall
    hypercall:
        hvc     #0
        bx      lr
    "#
);

unsafe extern "C" {
    // By the procedure call standard R0 to R3 and R12 may change, and by SMCCC 1.0 a call changes R0
    // to R3 at most.
    safe fn hypercall(function: u32) -> u32;
}

/// Makes the hypercall `function` without arguments and returns what it left in R0.
pub fn call(function: u32) -> u64 {
    hypercall(function).into()
}

/// Powers the machine off.
pub fn system_off() -> ! {
    loop {
        call(SYSTEM_OFF);
    }
}
