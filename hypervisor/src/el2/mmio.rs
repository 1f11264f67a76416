//! A guest's aborts: its own memory at first use, its emulated devices, and what is nothing at all.

use trapcast_hypervisor::{
    syndrome::{DataAbort, Syndrome},
    vgic::{DISTRIBUTOR_SIZE, Effects, REDISTRIBUTOR_SIZE},
};
use trapcast_trace::report::Exit;

use super::{
    console,
    core::Core,
    exit::{Next, inject_abort, skip_instruction},
    gic,
    vcpu::Vcpu,
    vm::{Vm, VmState},
};
use crate::mrs;

/// The guest's board, which is QEMU's `virt`.
const DISTRIBUTOR: u64 = 0x0800_0000;
const REDISTRIBUTORS: u64 = 0x080a_0000;
const UART: u64 = 0x0900_0000;
const UART_SIZE: u64 = 0x1000;
const UART_INTID: u32 = 33;

/// An emulated device.
#[derive(Clone, Copy)]
enum Device {
    Distributor,
    Redistributors,
    Uart,
}

/// Deals with a data or instruction abort.
pub fn abort(vcpu: &mut Vcpu, core: &mut Core, syndrome: Syndrome) -> (Exit, Next) {
    let far = mrs!("far_el2");
    // HPFAR_EL2.FIPA holds bits 12 and up of the address, from its bit 4 on.
    let ipa = (mrs!("hpfar_el2") & !0xf) << 8 | far & 0xfff;
    if let Some((device, offset)) = device(vcpu.vm, ipa)
        && let Some(access) = syndrome.data_abort()
    {
        emulate(vcpu, core, device, offset, &access);
        skip_instruction();
        return (Exit::Mmio, Next::Continue);
    }
    if syndrome.is_translation_fault() && vcpu.vm.fault_in(core, ipa) {
        return (Exit::Stage2Fault, Next::Continue);
    }
    // Nothing is there, or no device takes such an access.
    inject_abort(syndrome.is_instruction_abort(), far);
    (Exit::Mmio, Next::Continue)
}

/// Returns the device at `ipa`, and where in it that is.
fn device(vm: &Vm, ipa: u64) -> Option<(Device, u64)> {
    let redistributors = REDISTRIBUTOR_SIZE * vm.settings.vcpus as u64;
    [
        (Device::Distributor, DISTRIBUTOR, DISTRIBUTOR_SIZE),
        (Device::Redistributors, REDISTRIBUTORS, redistributors),
        (Device::Uart, UART, UART_SIZE),
    ]
    .into_iter()
    .find_map(|(device, start, size)| {
        let offset = ipa.checked_sub(start)?;
        (offset < size).then_some((device, offset))
    })
}

fn emulate(vcpu: &mut Vcpu, core: &mut Core, device: Device, offset: u64, access: &DataAbort) {
    let mut state = vcpu.vm.state.lock();
    let size = access.size();
    if access.is_write() {
        let value = access.store_value(&vcpu.registers);
        let effects = match device {
            Device::Distributor => state.vgic.distributor_write(offset, size, value),
            Device::Redistributors => state.vgic.redistributor_write(offset, size, value),
            Device::Uart => {
                if let Some(byte) = state.uart.write(offset, size, value as u32) {
                    console::send(vcpu.vm.number, byte);
                }
                update_uart_line(&mut state)
            }
        };
        apply(vcpu.vm, vcpu.index, core, &state, effects);
    } else {
        let value = match device {
            Device::Distributor => state.vgic.distributor_read(offset, size),
            Device::Redistributors => state.vgic.redistributor_read(offset, size),
            Device::Uart => {
                let value = state.uart.read(offset, size);
                let effects = update_uart_line(&mut state);
                apply(vcpu.vm, vcpu.index, core, &state, effects);
                value.into()
            }
        };
        access.load_value(&mut vcpu.registers, value);
    }
}

fn update_uart_line(state: &mut VmState) -> Effects {
    let level = state.uart.interrupt_level();
    state.vgic.set_level(0, UART_INTID, level)
}

/// Sees to what the virtual GIC asks for after an access by the resident vCPU `index`.
pub fn apply(vm: &Vm, index: usize, core: &mut Core, state: &VmState, effects: Effects) {
    core.scheduler.wake(vm.number, effects.wake);
    if effects.hardware.contains(index) {
        gic::set_virtual_timer_active(state.vgic.hardware_active(index));
    }
}

/// Gives what was typed to the VM that it was typed to.
pub fn receive(core: &mut Core) {
    while let Some((number, byte)) = console::typed() {
        let Some(vm) = core.vm(number) else { continue };
        let mut state = vm.state.lock();
        // Bytes for which the guest has no room are lost, as on a wire.
        state.uart.receive(byte);
        let effects = update_uart_line(&mut state);
        core.scheduler.wake(number, effects.wake);
    }
}
