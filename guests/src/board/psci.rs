//! PSCI by HVC, and hypercalls in general.
//!
//! Sources: Arm DEN 0022, "Power State Coordination Interface"; Arm DEN 0028, "SMC Calling
//! Convention" (which registers a call may change).

use core::arch::asm;

/// Function ID of PSCI_VERSION.
pub const VERSION: u32 = 0x8400_0000;

/// Function ID of CPU_OFF.
pub const CPU_OFF: u32 = 0x8400_0002;

/// Function ID of CPU_ON, whose arguments are a CPU's affinity, its first instruction and its X0.
pub const CPU_ON: u32 = 0xc400_0003;

/// Function ID of SYSTEM_OFF.
pub const SYSTEM_OFF: u32 = 0x8400_0008;

/// Function ID of SYSTEM_RESET.
pub const SYSTEM_RESET: u32 = 0x8400_0009;

/// Makes the hypercall `function` without arguments and returns what it left in X0.
#[inline(always)]
pub fn call(function: u32) -> u64 {
    call_with(function, [0; 3])
}

/// Makes the hypercall `function` with these arguments and returns what it left in X0.
#[inline(always)]
pub fn call_with(function: u32, arguments: [u64; 3]) -> u64 {
    let result: u64;
    let [x1, x2, x3] = arguments;
    // SAFETY: of the functions called here, CPU_ON alone takes addresses, which are those of
    // `cpus`; X0 to X17 are given up, as SMCCC 1.0 lets the callee change them.
    unsafe {
        asm!(
            "hvc #0",
            inlateout("x0") u64::from(function) => result,
            inlateout("x1") x1 => _, inlateout("x2") x2 => _, inlateout("x3") x3 => _,
            lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _, lateout("x8") _,
            lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
            lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _,
            lateout("x17") _,
            options(nostack),
        );
    }
    result
}

/// Powers the machine off.
pub fn system_off() -> ! {
    loop {
        call(SYSTEM_OFF);
    }
}

/// Turns this CPU off.
pub fn cpu_off() -> ! {
    loop {
        call(CPU_OFF);
    }
}
