//! What firmware has of the workarounds of Arm Architecture Calls, and calls of it.

use smccc::{Smc, arch, psci};
use trapcast_hypervisor::smccc::{
    ARCH_WORKAROUND_1, ARCH_WORKAROUND_2, ARCH_WORKAROUND_3, NOT_SUPPORTED, VERSION, Workarounds,
    turns_on_store_bypass,
};

use crate::mrs;

/// Returns what guests are told of workarounds on this core. All cores of a machine are alike.
pub fn of_this_core() -> Workarounds {
    Workarounds::new(mrs!("id_aa64pfr0_el1"), firmware)
}

/// Turns on, for this core and for good, what a guest would else have to turn on itself.
pub fn turn_on() {
    if turns_on_store_bypass(firmware(ARCH_WORKAROUND_2)) {
        let _ = arch::arch_workaround_2::<Smc>(true);
    }
}

/// Calls firmware, which has it, for a workaround.
pub fn call(function: u32) {
    let _ = match function {
        ARCH_WORKAROUND_1 => arch::arch_workaround_1::<Smc>(),
        ARCH_WORKAROUND_3 => arch::arch_workaround_3::<Smc>(),
        _ => Ok(()),
    };
}

/// What firmware answers of a function; [`NOT_SUPPORTED`] where it has no Arm Architecture Calls. Only PSCI may be asked
/// whether it has: QEMU's takes no other SMC.
fn firmware(function: u32) -> i64 {
    if psci::psci_features::<Smc>(VERSION).is_err() {
        return NOT_SUPPORTED;
    }
    arch::features::<Smc>(function).map_or(NOT_SUPPORTED, i64::from)
}
