//! What the virtual GIC and the virtual UART ask for: vCPUs to wake and to call, and what is typed to a VM.

use trapcast_hypervisor::{vgic::Effects, virt::UART_INTID};

use crate::el2::{
    board::{console, gic},
    sched::scheduler,
    state::{
        core::Core,
        vm::{Vm, VmState},
    },
};

/// Tells the virtual GIC how the line of the UART stands.
pub fn update_uart_line(state: &mut VmState) -> Effects {
    let level = state.uart.interrupt_level();
    state.vgic.set_level(0, UART_INTID, level)
}

/// Sees to what the virtual GIC asks for after a call on behalf of vCPU `index`, which is resident in
/// `core` and does not wait.
#[inline(always)]
pub fn apply(vm: &Vm, index: usize, core: &Core, state: &mut VmState, mut effects: Effects) {
    effects.wake = effects.wake.without(index);
    if effects != Effects::default() {
        apply_any(vm, index, core, state, effects);
    }
}

#[inline(never)]
fn apply_any(vm: &Vm, index: usize, core: &Core, state: &mut VmState, effects: Effects) {
    notify(vm, effects);
    if effects.hardware.contains(index) {
        gic::set_virtual_timer_active(core.number, state.vgic.hardware_written(index));
    }
}

/// Wakes and calls the vCPUs that an interrupt concerns.
#[inline]
pub fn notify(vm: &Vm, effects: Effects) {
    scheduler::wake(vm.number, effects.wake);
    scheduler::kick(vm.number, effects.kick);
}

/// Takes what was typed, and gives it to the VM that it was typed to.
pub fn receive() {
    let Some(number) = console::take_keys() else {
        return;
    };
    let Some(vm) = scheduler::vm_that_is_on(number) else {
        console::forget_typed(number);
        return;
    };
    let mut state = vm.state.lock();
    deliver(vm, &mut state);
    let effects = update_uart_line(&mut state);
    notify(vm, effects);
}

/// Gives a VM's UART what was typed to it, as much as it has room for. The rest follows when it has more.
pub fn deliver(vm: &Vm, state: &mut VmState) {
    state.typed = true;
    while state.typed && state.uart.has_room() {
        match console::next_typed(vm.number) {
            Some(byte) => state.uart.receive(byte),
            None => state.typed = false,
        }
    }
}
