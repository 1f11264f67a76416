//! A vCPU that waits: WFI, WFE and CPU_SUSPEND.

use trapcast_hypervisor::syndrome::{Syndrome, Wait};

use crate::el2::{
    arch::{cpu_interface, timer},
    board::console,
    sched::scheduler::{self, Next},
    state::{core::Core, vcpu::Vcpu},
};

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
    if state
        .vgic
        .has_pending(vcpu.index, cpu_interface::read_vmcr())
    {
        return Next::Continue;
    }
    let physical = vcpu.physical_timer.deadline();
    let mut deadline = timer::virtual_deadline(core.e2h).min(physical);
    let now = timer::now();
    if deadline <= now {
        if physical <= now || !state.vgic.hardware_active(vcpu.index) {
            // Its interrupt is about to come, or that of EL2's timer for the physical one.
            return if cpu_interface::interrupt_is_pending() {
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
