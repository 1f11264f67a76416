//! What a core does for an AArch32 guest that it does not for others: FPEXC, registers of its own, its
//! trapped instructions, and its exceptions.

use trapcast_hypervisor::{
    aarch32,
    syndrome::{ExceptionClass, Syndrome},
};
use trapcast_trace::report::Exit;

use crate::el2::{
    exits::{
        inject::{self, skip_instruction},
        psci, sysregs,
        wfx::wait_as_told,
    },
    sched::scheduler::Next,
    state::{core::Core, vcpu::Vcpu},
};
use crate::mrs;

/// Deals with an exception of a class that only AArch32 guests take, or that they take otherwise; none
/// if it is one of those that all guests have in common.
#[inline(never)]
pub fn synchronous(
    vcpu: &mut Vcpu,
    core: &mut Core,
    syndrome: Syndrome,
    class: ExceptionClass,
) -> Option<(Exit, Next)> {
    let conditional = matches!(
        class,
        ExceptionClass::WFX
            | ExceptionClass::CP15_32
            | ExceptionClass::CP15_64
            | ExceptionClass::CP14_32
            | ExceptionClass::CP14_LDC_STC
            | ExceptionClass::VMRS
            | ExceptionClass::CP14_64
            | ExceptionClass::SMC32
    );
    if conditional && !aarch32::condition_passed(syndrome, mrs!("spsr_el2")) {
        skip_instruction();
        return Some((Exit::Other, Next::Continue));
    }
    Some(match class {
        ExceptionClass::HVC32 => (Exit::Hypercall, psci::call(vcpu, core)),
        ExceptionClass::SMC32 => {
            skip_instruction();
            vcpu.registers[0] = psci::NOT_SUPPORTED;
            (Exit::SecureMonitorCall, Next::Continue)
        }
        ExceptionClass::WFX => {
            skip_instruction();
            (Exit::Wait, wait_as_told(vcpu, core, syndrome))
        }
        ExceptionClass::CP15_32
        | ExceptionClass::CP15_64
        | ExceptionClass::CP14_32
        | ExceptionClass::CP14_64
        | ExceptionClass::VMRS => {
            sysregs::access_aarch32(vcpu, core, syndrome);
            (Exit::SystemRegister, Next::Continue)
        }
        ExceptionClass::CP14_LDC_STC => {
            inject::undefined(vcpu);
            (Exit::Other, Next::Continue)
        }
        _ => return None,
    })
}
