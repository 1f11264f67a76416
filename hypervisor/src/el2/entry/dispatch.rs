//! A guest's exits by their reason.

use ::core::ptr::NonNull;

use trapcast_hypervisor::{
    aarch32::{PSTATE_AARCH32, advanced},
    syndrome::{ExceptionClass, Syndrome, Wait},
};
use trapcast_trace::report::{Ending, Exit};

use crate::el2::{
    arch::timer,
    board::{console, gic},
    entry::vectors::{INTERRUPT_INSTRUCTIONS, SYNCHRONOUS_INSTRUCTIONS},
    exits::{aarch32, inject, mmio, psci, sysregs},
    sched::scheduler,
    state::{core::Core, vcpu::Vcpu},
};
use crate::{mrs, msr};

/// What becomes of a vCPU after its exit was dealt with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// It goes on, if its time slice is not over.
    Continue,
    /// It goes on, and nothing was done on its behalf that the virtual GIC would know of: for that it
    /// has not left its guest.
    Again,
    /// The core's queue decides: the vCPU is off, or has had its time.
    Schedule,
    /// It waits.
    Put,
}

/// A guest's synchronous exception, called by its vector, which read the EL2 counter at `start`.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_synchronous(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = core.exited(vcpu, start as u32, SYNCHRONOUS_INSTRUCTIONS);
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
    vcpu.came_out(reason);
    core.recorder.ended_by(reason, None);
    core.resume(vcpu, next, synced)
}

/// A physical interrupt while a guest ran, called by its vector.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_interrupt(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = core.exited(vcpu, start as u32, INTERRUPT_INSTRUCTIONS);
    let (reason, next) = core.interrupt(Some(vcpu));
    vcpu.came_out(reason);
    core.recorder.ended_by(reason, Some(core.intid));
    core.account(vcpu);
    core.keep_current(vcpu);
    core.resume(vcpu, next, synced)
}

/// An SError while a guest ran: that VM is stopped.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_serror(vcpu: &mut Vcpu, core: &mut Core, start: u64) -> NonNull<Vcpu> {
    let synced = core.exited(vcpu, start as u32, INTERRUPT_INSTRUCTIONS);
    vcpu.came_out(Exit::Other);
    core.recorder.ended_by(Exit::Other, None);
    let reason = format_args!("stopped: SError, ESR_EL2 {:#x}", mrs!("esr_el2"));
    vcpu.vm.end(Ending::Stopped, reason);
    core.resume(vcpu, Next::Schedule, synced)
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

/// WFI and WFE, of which the second one traps only where another vCPU waits for the core.
pub fn wait_as_told(vcpu: &Vcpu, core: &Core, syndrome: Syndrome) -> Next {
    match syndrome.wait() {
        Wait::Event | Wait::EventWithTimeout => Next::Schedule,
        Wait::Interrupt | Wait::InterruptWithTimeout => wait(vcpu, core),
    }
}

/// A vCPU waits for an interrupt: the core goes to another one, unless there is one already.
pub fn wait(vcpu: &Vcpu, core: &Core) -> Next {
    // Held until the vCPU waits, so that no other core makes an interrupt pending in between.
    let mut state = vcpu.vm.state.lock();
    state.vgic.left(vcpu.index);
    if state.vgic.has_pending(vcpu.index, gic::read_vmcr()) {
        return Next::Continue;
    }
    let physical = vcpu.physical_timer.deadline();
    let mut deadline = timer::virtual_deadline(core.e2h).min(physical);
    let now = timer::now();
    if deadline <= now {
        if physical <= now || !state.vgic.hardware_active(vcpu.index) {
            // Its interrupt is about to come, or that of EL2's timer for the physical one.
            return if gic::interrupt_is_pending() {
                Next::Continue
            } else {
                Next::Schedule
            };
        }
        // The virtual one's has come, and the guest has disabled, masked or not ended it.
        deadline = physical;
    }
    let is_quiet = {
        let mut scheduler = scheduler::lock();
        scheduler.block(vcpu.slot, deadline);
        scheduler.is_quiet(vcpu.vm.number)
    };
    drop(state);
    if is_quiet {
        console::show_prompt(vcpu.vm.number);
    }
    Next::Put
}

/// Goes on behind the instruction that trapped.
pub fn skip_instruction() {
    /// PSTATE.BTYPE, which any instruction but a branch leaves zero.
    const SPSR_BTYPE: u64 = 0b11 << 10;
    /// PSTATE.SS, which an instruction that is done leaves zero: if it was stepped, the exception follows.
    const SPSR_SS: u64 = 1 << 21;
    let length = Syndrome::new(mrs!("esr_el2")).instruction_length();
    let pstate = mrs!("spsr_el2") & !SPSR_SS;
    let pstate = if pstate & PSTATE_AARCH32 == 0 {
        pstate & !SPSR_BTYPE
    } else {
        advanced(pstate)
    };
    // SAFETY: the guest's own program counter and PSTATE.
    unsafe {
        msr!("elr_el2", mrs!("elr_el2").wrapping_add(length));
        msr!("spsr_el2", pstate);
    }
}
