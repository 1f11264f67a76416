//! The physical interrupts that a core takes, from a guest or while it waits.

use ::core::sync::atomic::Ordering;

use trapcast_hypervisor::{physical_timer, slots::NEVER};
use trapcast_trace::report::Exit;

use crate::el2::{
    arch::{cpu_interface, sysreg::isb, timer},
    board::{console, gic, report},
    sched::{disturb, effects, host_simd, residency, scheduler::Next, whereabouts},
    state::{core::Core, vcpu::Vcpu},
};

/// Takes the pending physical interrupt, if there is one. Returns its kind and what becomes of
/// `current`, the vCPU that it interrupted, if one ran.
pub fn interrupt(core: &mut Core, current: Option<&mut Vcpu>) -> (Exit, Next) {
    let intid = cpu_interface::acknowledge();
    core.intid = intid;
    if intid >= cpu_interface::FIRST_SPECIAL {
        return (Exit::Interrupt, Next::Continue);
    }
    cpu_interface::drop_priority(intid);
    if intid == cpu_interface::VIRTUAL_TIMER {
        // Stays active until the guest deactivates it.
        match current {
            Some(vcpu) => {
                let _ = vcpu.vm.state.lock().vgic.hardware_fired(vcpu.index);
            }
            None => virtual_timer(core),
        }
        return (Exit::VirtualTimer, Next::Continue);
    }
    let answer = match intid {
        cpu_interface::HYPERVISOR_TIMER => {
            timer::set_deadline(NEVER);
            isb();
            // Behind a closed gate no guest could reach the host's registers.
            if core.is_open() {
                host_simd::check_canary(core);
            }
            if let Some(vcpu) = current
                && vcpu.physical_timer.deadline() != NEVER
            {
                look_at_physical_timer(core, vcpu);
            }
            (Exit::HypervisorTimer, disturb::time_is_up(core))
        }
        // An underflow, or an end of interrupt without a list register. The exit has folded it
        // back; the entry refills the list registers, which ends the cause.
        cpu_interface::MAINTENANCE => (Exit::Maintenance, Next::Continue),
        cpu_interface::CALL => {
            residency::serve_requests(core);
            core.shared.changed.store(true, Ordering::Relaxed);
            (Exit::Interrupt, Next::Continue)
        }
        gic::UART => {
            uart(core);
            (Exit::Interrupt, Next::Continue)
        }
        _ => (Exit::Interrupt, Next::Continue),
    };
    cpu_interface::deactivate(intid);
    answer
}

/// The board's UART has something.
#[cold]
#[inline(never)]
fn uart(core: &mut Core) {
    if report::asks_where() {
        whereabouts::tell_where(core);
    }
    console::transmit(&mut core.meter);
    effects::receive();
}

/// The physical timer of `vcpu`, which has just come out, may have expired.
#[cold]
#[inline(never)]
fn look_at_physical_timer(core: &Core, vcpu: &mut Vcpu) {
    let high = vcpu.physical_timer.look(timer::now());
    let mut state = vcpu.vm.state.lock();
    state.vgic.left(vcpu.index);
    let effects = (state.vgic).set_level(vcpu.index, physical_timer::INTID, high);
    effects::apply(vcpu.vm, vcpu.index, core, &mut state, effects);
}

/// The virtual timer in the core has fired, and no guest runs: an interrupt for the resident vCPU, if
/// that waits. The timer of one that is off, or begins anew, is left from a life that is over.
#[inline(never)]
fn virtual_timer(core: &Core) {
    if let Some(resident) = core.resident {
        let resident = resident.as_ptr();
        // SAFETY: a resident vCPU lives as long as the hypervisor, and these fields never change.
        let (vm, index) = unsafe { ((*resident).vm, (*resident).index) };
        let mut state = vm.state.lock();
        if state.on[index] && state.power_on[index].is_none() {
            let effects = state.vgic.hardware_fired(index);
            effects::notify(vm, effects);
            return;
        }
    }
    timer::stop_virtual_timer(core.e2h);
    cpu_interface::deactivate(cpu_interface::VIRTUAL_TIMER);
}
