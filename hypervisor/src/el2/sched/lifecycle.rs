//! How a VM begins anew, and how it ends.

use ::core::{fmt, mem, sync::atomic::Ordering};

use trapcast_hypervisor::{
    vgic::{MAX_VCPUS, Vgic},
    vpl011::Vpl011,
};
use trapcast_trace::report::Ending;

use crate::el2::{
    arch::wait::spin_loop,
    board::console::{self, say},
    sched::{ipi, residency, scheduler},
    state::{core::Core, vm::Vm},
};

/// Starts the VM, or starts it again: nothing in its memory, vCPU 0 on. vCPU `except` is the one
/// that asked for it, on this core.
pub fn reset(vm: &Vm, core: &mut Core, except: Option<usize>) {
    if vm.resetting.swap(true, Ordering::AcqRel) {
        // Another vCPU was first, and waits for this one to be put.
        return;
    }
    if except.is_some() {
        console::show_prompt(vm.number);
        say!("vm{}: reset", vm.number);
    }
    vm.state.lock().ending = true;
    turn_off(vm);
    wait_until_out(core, vm.number, except);
    // What the core holds of the VM is of no use any more.
    // SAFETY: a resident vCPU lives as long as the hypervisor, and its VM never changes.
    core.resident = core
        .resident
        .filter(|vcpu| unsafe { (*vcpu.as_ptr()).vm.number } != vm.number);
    let mut state = vm.state.lock();
    state.stage2.unmap_all();
    vm.invalidate_tlb();
    state.vgic = Vgic::new(vm.settings.vcpus);
    state.uart = Vpl011::new();
    state.filling = [None; MAX_VCPUS];
    state.power_on = [None; MAX_VCPUS];
    state.on = [false; MAX_VCPUS];
    state.power_on[0] = Some(vm.start);
    state.on[0] = true;
    state.ending = false;
    scheduler::lock().power_on(vm.number, 0, ipi::call);
    vm.resetting.store(false, Ordering::Release);
}

/// Ends the VM for good, unless it is about to end or to begin anew, and says how.
pub fn end(vm: &Vm, ending: Ending, how: fmt::Arguments) {
    let mut state = vm.state.lock();
    let is_first = !mem::replace(&mut state.ending, true);
    if is_first {
        state.report.ended = ending as u32;
    }
    drop(state);
    if is_first {
        console::show_prompt(vm.number);
        say!("vm{}: {how}", vm.number);
    }
    turn_off(vm);
}

/// Turns all of its vCPUs off. Those that run on other cores may be in their guests a little longer.
fn turn_off(vm: &Vm) {
    scheduler::lock().power_off_vm(vm.number, ipi::call);
}

/// Waits until no other core runs a vCPU of VM `vm`; `except` is the one that this core runs.
fn wait_until_out(core: &mut Core, vm: usize, except: Option<usize>) {
    while !scheduler::lock().is_out(vm, except) {
        residency::serve_requests(core);
        spin_loop();
    }
}
