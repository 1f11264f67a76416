//! In and out of one guest: registers, counters and list registers at each exit and entry.

use ::core::ptr::NonNull;

use trapcast_hypervisor::vgic::Effects;
use trapcast_switch::Gate;

use crate::el2::{
    arch::{
        cpu_interface, meter, timer,
        wait::{Guard, spin_loop},
    },
    board::gic,
    sched::{effects, residency},
    state::{core::Core, vcpu::Vcpu, vm::VmState},
};

/// The way out of a guest. The vector took `before` instructions until it read the EL2 counter
/// as `start`. Returns whether the virtual GIC was told of it: it has looked at list registers.
#[inline(always)]
pub fn exited(core: &mut Core, vcpu: &mut Vcpu, start: u32, before: u32) -> bool {
    let traps = core.meter.exited(start, before);
    core.recorder.end(core.e2h, vcpu.guest.has_trapped());
    let begin = meter::instructions();
    if vcpu.aarch32 {
        core.save_fpexc(vcpu);
    }
    let exchange = core.switch.exit(&mut vcpu.guest);
    core.exchange(exchange);
    let switched = meter::instructions()
        .wrapping_sub(begin)
        .wrapping_add(traps);
    vcpu.switch_instructions += u64::from(switched);
    let synced = vcpu.next.lists != 0;
    if synced {
        sync_list_registers(core, vcpu);
    }
    synced
}

/// Folds what the guest did to its list registers back into the virtual GIC.
#[inline(never)]
fn sync_list_registers(core: &Core, vcpu: &mut Vcpu) {
    let mut state = vcpu.vm.state.lock();
    let mut effects = (state.vgic).sync(
        vcpu.index,
        cpu_interface::read_list_register,
        cpu_interface::read_ich_hcr,
    );
    let watched = state.vgic.hardware_is_watched(vcpu.index);
    if watched {
        let high = timer::virtual_timer_fires(core.e2h);
        effects |= state.vgic.hardware_seen(vcpu.index, high);
    }
    if effects != Effects::default() {
        effects::apply(vcpu.vm, vcpu.index, core, &mut state, effects);
    }
    vcpu.next.lists = match watched {
        true => state.vgic.looked_at(vcpu.index),
        false => state.vgic.used(vcpu.index),
    };
}

/// The way into the guest, with `vcpu` resident. The return to the guest follows, which reads
/// the EL2 counter once more.
#[inline(always)]
pub fn enter(core: &mut Core, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
    flush_list_registers(core, vcpu);
    enter_flushed(core, vcpu)
}

#[inline(always)]
pub fn enter_flushed(core: &mut Core, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
    let begin = meter::instructions();
    let entry = core.switch.enter(&mut vcpu.guest, &vcpu.next);
    core.exchange(entry.exchange);
    if vcpu.has_untrapped {
        return enter_untrapped(core, vcpu, entry.gate, begin);
    }
    core.set_gate(entry.gate);
    entered(core, vcpu, begin)
}

/// The rest of the way into a guest that has state which decides about its accesses before the gate
/// does: FPEXC.EN in AArch32 state, or SVCR.SM.
#[inline(never)]
fn enter_untrapped(core: &mut Core, vcpu: &mut Vcpu, gate: Gate, begin: u32) -> NonNull<Vcpu> {
    if vcpu.aarch32 {
        core.set_fpexc(vcpu, gate);
        core.set_gate(gate);
    } else {
        let entry = core.switch.load_streaming(&mut vcpu.guest, gate);
        core.exchange(entry.exchange);
        core.set_gate(entry.gate);
    }
    entered(core, vcpu, begin)
}

/// The registers are switched, which has begun with the EL2 counter at `begin`.
#[inline(always)]
fn entered(core: &mut Core, vcpu: &mut Vcpu, begin: u32) -> NonNull<Vcpu> {
    let switched = meter::instructions().wrapping_sub(begin);
    vcpu.switch_instructions += u64::from(switched);
    core.recorder.begin(vcpu);
    NonNull::from(vcpu)
}

/// Writes the list registers anew if the virtual GIC has changed.
#[inline]
pub fn flush_list_registers(core: &mut Core, vcpu: &mut Vcpu) {
    let mut state = vcpu.vm.state.lock();
    if state.vgic.needs_flush(vcpu.index) {
        state = flush(core, vcpu, state);
    }
    state.vgic.entered(vcpu.index);
}

#[inline(never)]
fn flush(core: &mut Core, vcpu: &mut Vcpu, mut state: Guard<VmState>) -> Guard<VmState> {
    match state.vgic.flush(vcpu.index, core.list_registers) {
        Some(count) => {
            write_flushed(core, vcpu, &mut state, count);
            state
        }
        None => wait_to_enter(core, vcpu, state),
    }
}

/// Writes what [`flush`](trapcast_hypervisor::vgic::Vgic::flush) has worked out, `count` list registers
/// among it.
#[inline(always)]
fn write_flushed(core: &Core, vcpu: &mut Vcpu, state: &mut VmState, count: usize) {
    cpu_interface::repair_vmcr();
    // SAFETY: `flush` names no more registers than the core has; this vCPU is entered.
    unsafe { cpu_interface::write_list_registers(&state.vgic.list(vcpu.index)[..count]) }
    // SAFETY: as above.
    unsafe { cpu_interface::write_ich_hcr(state.vgic.hcr(vcpu.index)) }
    if state.vgic.hardware_is_stale(vcpu.index) {
        let active = state.vgic.hardware_written(vcpu.index);
        gic::set_virtual_timer_active(core.number, active);
    }
    vcpu.next.lists = state.vgic.looked_at(vcpu.index);
}

/// Waits while another vCPU's access waits for `vcpu` to be out, and for more, and then flushes it.
#[cold]
fn wait_to_enter(core: &mut Core, vcpu: &mut Vcpu, mut state: Guard<VmState>) -> Guard<VmState> {
    loop {
        drop(state);
        residency::serve_requests(core);
        spin_loop();
        state = vcpu.vm.state.lock();
        if let Some(count) = state.vgic.flush(vcpu.index, core.list_registers) {
            write_flushed(core, vcpu, &mut state, count);
            return state;
        }
    }
}
