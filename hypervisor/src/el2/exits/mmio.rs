//! A guest's aborts: its own memory at first use, its emulated devices, and what is nothing at all.

use ::core::ops::Range;

use trapcast_hypervisor::{
    aarch32::view_of_register,
    syndrome::{Abort, Access, Fault},
    vgic::{Frame, REDISTRIBUTOR_SIZE, VcpuSet},
    virt::{self, ABSENT},
};
use trapcast_trace::{record::MARK, report::Exit};

use crate::el2::{
    arch::wait::spin_loop,
    board::console::{self, say},
    exits::inject::{self, skip_instruction},
    sched::{
        effects, fill, residency,
        scheduler::{self, Next},
    },
    state::{core::Core, vcpu::Vcpu, vm::Vm},
};
use crate::mrs;

/// An emulated device.
#[derive(Clone, Copy)]
enum Device {
    Gic(Frame),
    Uart,
}

/// Deals with a data abort: a device's register, or memory.
#[inline(never)]
pub fn data_abort(vcpu: &mut Vcpu, core: &mut Core, abort: Abort) -> (Exit, Next) {
    if let Some(ipa) = abort.ipa(mrs!("far_el2"), mrs!("hpfar_el2"))
        && let Some(access) = access(vcpu, abort)
        && let Some((device, offset)) = device(vcpu.vm, ipa)
    {
        if emulate(vcpu, core, device, offset, access) {
            skip_instruction();
            return (Exit::Mmio, Next::Continue);
        }
        // Others may run meanwhile; then it makes the access again.
        return (Exit::Mmio, Next::Schedule);
    }
    memory_abort(vcpu, core, abort, false)
}

/// Deals with an instruction abort.
pub fn instruction_abort(vcpu: &mut Vcpu, core: &mut Core, abort: Abort) -> (Exit, Next) {
    memory_abort(vcpu, core, abort, true)
}

/// Maps the VM's own memory at its first use. A device that the VM has not reads as zero. Where there is nothing,
/// or a device that takes no such access, the guest takes an external abort; cache maintenance there has nothing
/// to do.
fn memory_abort(vcpu: &mut Vcpu, core: &mut Core, abort: Abort, instruction: bool) -> (Exit, Next) {
    let far = mrs!("far_el2");
    if let Fault::Translation { .. } = abort.fault()
        && let Some(ipa) = abort.ipa(far, mrs!("hpfar_el2"))
    {
        if fill::fault_in(vcpu.vm, core, vcpu.index, ipa) {
            return (Exit::Stage2Fault, Next::Continue);
        }
        if !instruction
            && let Some(access) = access(vcpu, abort)
            && let Some(number) = virt::absent_at(ipa)
        {
            absent(vcpu, number, ipa, access);
            return (Exit::Mmio, Next::Continue);
        }
    }
    if !instruction && abort.cache_maintenance() && !abort.stage1_walk() {
        skip_instruction();
    } else {
        inject::abort(vcpu, instruction, far);
    }
    (Exit::Other, Next::Continue)
}

/// An access to device `number` of [`ABSENT`]. The first one of a VM to each is told.
#[cold]
fn absent(vcpu: &mut Vcpu, number: usize, ipa: u64, access: Access) {
    if !access.write {
        vcpu.set_register(access.register, 0);
    }
    skip_instruction();
    let bit = 1 << number;
    let mut state = vcpu.vm.state.lock();
    let is_first = state.looked_for & bit == 0;
    state.looked_for |= bit;
    drop(state);
    if is_first {
        say!(
            "vm{}: no {} here (looked for at {ipa:#x}): it reads as zero",
            vcpu.vm.number,
            ABSENT[number].name
        );
    }
}

/// Returns the load or store that an abort describes, with the AArch64 view of its register.
#[inline]
fn access(vcpu: &Vcpu, abort: Abort) -> Option<Access> {
    let mut access = abort.access()?;
    if vcpu.aarch32 {
        access.register = view_of_register(mrs!("spsr_el2"), access.register);
    }
    Some(access)
}

/// Returns the device at `ipa`, and where in it that is.
fn device(vm: &Vm, ipa: u64) -> Option<(Device, u64)> {
    let redistributors = REDISTRIBUTOR_SIZE * vm.settings.vcpus as u64;
    let size = |range: Range<u64>| range.end - range.start;
    [
        (
            Device::Gic(Frame::Distributor),
            virt::GICD.start,
            size(virt::GICD),
        ),
        (
            Device::Gic(Frame::Redistributors),
            virt::GICR.start,
            redistributors,
        ),
        (Device::Uart, virt::UART.start, size(virt::UART)),
    ]
    .into_iter()
    .find_map(|(device, start, size)| {
        let offset = ipa.checked_sub(start)?;
        (offset < size).then_some((device, offset))
    })
}

/// Makes an access to a device; `false` if it has to wait and was not made.
fn emulate(vcpu: &mut Vcpu, core: &mut Core, device: Device, offset: u64, access: Access) -> bool {
    match device {
        Device::Gic(frame) => {
            emulate_gic(vcpu, core, frame, offset, access);
            true
        }
        Device::Uart => emulate_uart(vcpu, core, offset, access),
    }
}

/// An access to the virtual GIC.
fn emulate_gic(vcpu: &mut Vcpu, core: &mut Core, frame: Frame, offset: u64, access: Access) {
    if access.write {
        let value = access.stored(vcpu.register(access.register));
        write_gic(vcpu, core, frame, offset, access.size, value);
    } else {
        let value = read_gic(vcpu, core, frame, offset, access.size);
        vcpu.set_register(access.register, access.loaded(value));
    }
}

#[inline(always)]
fn read_gic(vcpu: &Vcpu, core: &mut Core, frame: Frame, offset: u64, size: usize) -> u64 {
    loop {
        let read = (vcpu.vm.state.lock().vgic).read(vcpu.index, frame, offset, size);
        match read {
            Ok(value) => return value,
            Err(live) => call_out(vcpu, core, live),
        }
    }
}

#[inline(never)]
fn write_gic(vcpu: &Vcpu, core: &mut Core, frame: Frame, offset: u64, size: usize, value: u64) {
    loop {
        let mut state = vcpu.vm.state.lock();
        let live = match state.vgic.write(vcpu.index, frame, offset, size, value) {
            Ok(effects) => {
                effects::apply(vcpu.vm, vcpu.index, core, &mut state, effects);
                return;
            }
            Err(live) => live,
        };
        drop(state);
        call_out(vcpu, core, live);
    }
}

/// Calls those vCPUs `live` out of their guests that an access of `vcpu` has to wait for.
#[cold]
fn call_out(vcpu: &Vcpu, core: &mut Core, live: VcpuSet) {
    scheduler::kick(vcpu.vm.number, live);
    residency::serve_requests(core);
    spin_loop();
}

/// An access to the virtual UART; see [`emulate`].
fn emulate_uart(vcpu: &mut Vcpu, core: &mut Core, offset: u64, access: Access) -> bool {
    let vm = vcpu.vm;
    let mut state = vm.state.lock();
    let mut sent = None;
    if access.write {
        let value = access.stored(vcpu.register(access.register));
        sent = state.uart.write(offset, access.size, value as u32);
    } else {
        let value = state.uart.read(offset, access.size);
        vcpu.set_register(access.register, access.loaded(value.into()));
    }
    if state.typed {
        effects::deliver(vm, &mut state);
    }
    let effects = effects::update_uart_line(&mut state);
    effects::apply(vm, vcpu.index, core, &mut state, effects);
    drop(state);
    match sent {
        None => true,
        Some(MARK) => {
            core.recorder.marked();
            true
        }
        Some(byte) => {
            let taken = console::send(vm.number, byte);
            console::transmit(&mut core.meter);
            taken
        }
    }
}
