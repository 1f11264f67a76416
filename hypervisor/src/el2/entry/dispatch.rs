//! A guest's exits by their reason.

use ::core::ptr::NonNull;

use trapcast_hypervisor::syndrome::{ExceptionClass, Syndrome};
use trapcast_trace::report::{Ending, Exit};

use crate::el2::{
    entry::vectors::{INTERRUPT_INSTRUCTIONS, SYNCHRONOUS_INSTRUCTIONS},
    exits::{
        aarch32,
        inject::{self, skip_instruction},
        mmio, psci, sysregs,
        wfx::wait_as_told,
    },
    run::{enter, interrupt, schedule},
    sched::{lifecycle, residency, scheduler::Next},
    state::{core::Core, vcpu::Vcpu},
};
use crate::mrs;

/// A guest's synchronous exception, called by its vector, which read the EL2 counter at `start`.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_synchronous(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = enter::exited(core, vcpu, start as u32, SYNCHRONOUS_INSTRUCTIONS);
    let syndrome = Syndrome::new(mrs!("esr_el2"));
    if syndrome.class() == ExceptionClass::HVC64 && psci::version(vcpu) {
        // The most frequent exit of a guest that does nothing else.
        return go_on(vcpu, core, (Exit::Hypercall, Next::Again), synced);
    }
    let outcome = synchronous(vcpu, core, syndrome);
    go_on(vcpu, core, outcome, synced)
}

#[inline(always)]
fn go_on(
    vcpu: &mut Vcpu,
    core: &mut Core,
    (reason, next): (Exit, Next),
    synced: bool,
) -> NonNull<Vcpu> {
    vcpu.count_exit(reason);
    core.recorder.ended_by(reason, None);
    schedule::resume(core, vcpu, next, synced)
}

/// A physical interrupt while a guest ran, called by its vector.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_interrupt(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = enter::exited(core, vcpu, start as u32, INTERRUPT_INSTRUCTIONS);
    let (reason, next) = interrupt::interrupt(core, Some(vcpu));
    vcpu.count_exit(reason);
    core.recorder.ended_by(reason, Some(core.intid));
    core.account(vcpu);
    residency::keep_current(core, vcpu);
    schedule::resume(core, vcpu, next, synced)
}

/// An SError while a guest ran: that VM is stopped.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_serror(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = enter::exited(core, vcpu, start as u32, INTERRUPT_INSTRUCTIONS);
    vcpu.count_exit(Exit::Other);
    core.recorder.ended_by(Exit::Other, None);
    let reason = format_args!("stopped: SError, ESR_EL2 {:#x}", mrs!("esr_el2"));
    lifecycle::end(vcpu.vm, Ending::Stopped, reason);
    schedule::resume(core, vcpu, Next::Schedule, synced)
}

/// Deals with a guest's synchronous exception.
#[inline(always)]
fn synchronous(vcpu: &mut Vcpu, core: &mut Core, syndrome: Syndrome) -> (Exit, Next) {
    match syndrome.class() {
        // HVC leaves the preferred return address behind itself; SMC, trapped, does not.
        ExceptionClass::HVC64 => (Exit::Hypercall, psci::call(vcpu, core)),
        ExceptionClass::SYSTEM_REGISTER => {
            let next = sysregs::access(vcpu, core, syndrome.system_register());
            (Exit::SystemRegister, next)
        }
        ExceptionClass::DATA_ABORT_LOWER => mmio::data_abort(vcpu, core, syndrome.abort()),
        other => uncommon(vcpu, core, syndrome, other),
    }
}

#[inline(never)]
fn uncommon(
    vcpu: &mut Vcpu,
    core: &mut Core,
    syndrome: Syndrome,
    class: ExceptionClass,
) -> (Exit, Next) {
    if vcpu.aarch32
        && let Some(dealt_with) = aarch32::synchronous(vcpu, core, syndrome, class)
    {
        return dealt_with;
    }
    match class {
        ExceptionClass::INSTRUCTION_ABORT_LOWER => {
            mmio::instruction_abort(vcpu, core, syndrome.abort())
        }
        ExceptionClass::WFX => {
            skip_instruction();
            (Exit::Wait, wait_as_told(vcpu, core, syndrome))
        }
        ExceptionClass::SMC64 => {
            skip_instruction();
            vcpu.registers[0] = psci::NOT_SUPPORTED;
            (Exit::SecureMonitorCall, Next::Again)
        }
        // What the guest may not use: SVE, SME, pointer authentication it does not have, and
        // whatever else no guest of this board has.
        _ => {
            inject::undefined(vcpu);
            (Exit::Other, Next::Continue)
        }
    }
}
