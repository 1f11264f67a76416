//! Which vCPU is in a core: loads, saves, and how a core gives up what it holds of a vCPU that moves.
//!
//! A vCPU's EL1 state stays in the core that ran it until another vCPU is loaded there, and under
//! some schemes its FP/SIMD registers stay longer. A core that takes a vCPU which ran elsewhere asks
//! the old core for both, by an interrupt, and waits. A core that waits serves what others ask of it,
//! so that no two wait for each other. The old core touches the vCPU only while the new one waits.

use ::core::{
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicPtr, Ordering},
};

use trapcast_hypervisor::physical_timer;
use trapcast_trace::report::MAX_CORES;

use crate::el2::{
    arch::{
        cpu_interface, debug, fcse,
        hcr::HCR_RW,
        meter, spsr, timer,
        wait::{barrier, spin_loop},
    },
    board::{console::say, gic},
    sched::ipi,
    state::{core::Core, shared, vcpu::Vcpu},
};
use crate::{mrs, msr};

/// What each core is asked for, by each other one: to give up this vCPU, or [`TELL`]. The asked core answers by
/// taking it away. It alone may, so a request that it has seen is the one that it answers.
static REQUESTS: [[AtomicPtr<Vcpu>; MAX_CORES]; MAX_CORES] =
    [const { [const { AtomicPtr::new(null_mut()) }; MAX_CORES] }; MAX_CORES];

/// A request that is for no vCPU: to say on the console which one the core has loaded.
const TELL: *mut Vcpu = ::core::ptr::without_provenance_mut(align_of::<Vcpu>());

/// Returns whether the core holds what `vcpu` runs with.
pub fn is_resident(core: &Core, vcpu: &Vcpu) -> bool {
    core.resident
        .is_some_and(|resident| ::core::ptr::eq(resident.as_ptr(), vcpu))
}

/// Makes `next` the core's resident vCPU, and starts it if it was turned on.
pub fn make_resident(core: &mut Core, next: &mut Vcpu) {
    if !next.core.is_null() && !::core::ptr::eq(next.core.cast(), core) {
        // SAFETY: a core lives as long as the hypervisor, and its number, which never changes, is read
        // without a reference to the core, which has one to itself.
        let old = unsafe { (*next.core.cast::<Core>()).number };
        core.report.moves += 1;
        fetch(core, NonNull::from(&mut *next), old);
    }
    let next_pointer = NonNull::from(&mut *next);
    let power_on = next.vm.state.lock().power_on[next.index].take();
    core.recorder.loaded(power_on.is_some());
    keep_current(core, next);
    if core.resident != Some(next_pointer) || power_on.is_some() {
        if let Some(mut resident) = core.resident.take()
            && resident != next_pointer
        {
            // SAFETY: a vCPU lives as long as the hypervisor, and only its core refers to it;
            // `next` is another one.
            unsafe { save(resident.as_mut(), core.e2h) }
            core.report.vcpu_switches += 1;
        }
        core.make_way(next);
        if let Some(start) = power_on {
            let evicted = core.switch.evict(&mut next.guest);
            core.exchange(evicted);
            next.reset(start);
            // Left from a life that is over.
            core.pmu = core.pmu.filter(|vcpu| *vcpu != next_pointer);
            let mut state = next.vm.state.lock();
            // Its timers were reset, too. The load that follows sees to the effects.
            let _ = state.vgic.hardware_seen(next.index, false);
            let _ = (state.vgic).set_level(next.index, physical_timer::INTID, false);
        }
        // SAFETY: the resident vCPU was saved, and the caller enters this one.
        unsafe { load(next, core) }
        core.resident = Some(next_pointer);
    }
}

/// Makes the guest's half of the PMU that of `next`, which is about to become the resident vCPU.
#[inline(never)]
fn change_pmu(core: &mut Core, next: &mut Vcpu) {
    if let Some(before) = core.pmu.replace(NonNull::from(&mut *next)) {
        // SAFETY: a vCPU lives as long as the hypervisor; it has not moved since it was loaded here, or this core
        // would have given this up. `next` is another one.
        unsafe { (*before.as_ptr()).pmu.save() }
    }
    // SAFETY: those of the one before were saved.
    unsafe { next.pmu.load() }
}

/// Brings the report of `vcpu`, which runs here or is about to, up to date if it is to be kept so.
#[inline]
pub fn keep_current(core: &Core, vcpu: &mut Vcpu) {
    if vcpu.publishes {
        vcpu.publish(core.switch.owner() == vcpu.guest.context());
    }
}

/// Gives up what this core holds of a vCPU that moves to another core, which waits for it.
fn release(core: &mut Core, mut vcpu: NonNull<Vcpu>) {
    let resident = core.resident == Some(vcpu);
    // SAFETY: the core that is to run the vCPU waits until this one is done with it.
    let vcpu = unsafe { vcpu.as_mut() };
    if resident {
        save(vcpu, core.e2h);
        core.resident = None;
    }
    if core.pmu == Some(NonNull::from(&mut *vcpu)) {
        vcpu.pmu.save();
        core.pmu = None;
    }
    let released = core.switch.release(vcpu.guest.context());
    core.exchange(released);
    if vcpu.guest.loaded_on().is_some() {
        vcpu.guest.arrived(released.is_some());
    }
}

/// Asks core `of` to give up `vcpu`, which is this core's to run, and waits until it has.
pub fn fetch(core: &mut Core, vcpu: NonNull<Vcpu>, of: usize) {
    ask(core, of, vcpu.as_ptr());
}

/// Has every core that is up say which vCPU it has loaded, and waits until it has.
pub fn ask_all(core: &mut Core) {
    tell_what_is_loaded(core);
    for other in (0..shared::count()).filter(|number| !ipi::is_current(*number)) {
        ask(core, other, TELL);
    }
}

fn ask(core: &mut Core, of: usize, request_for: *mut Vcpu) {
    let request = &REQUESTS[of][core.number];
    request.store(request_for, Ordering::Release);
    cpu_interface::send_call(of);
    while !request.load(Ordering::Acquire).is_null() {
        serve_requests(core);
        spin_loop();
    }
}

#[inline(never)]
fn serve(core: &mut Core, vcpu: NonNull<Vcpu>) {
    if vcpu.as_ptr() == TELL {
        tell_what_is_loaded(core);
    } else {
        release(core, vcpu);
    }
}

/// Does what other cores ask this one for.
///
/// A vCPU that moves takes its barriers along. A guest that has executed a TLBI or a DC here and its DSB on
/// the other core expects both to be complete then, but a DSB waits for the maintenance of the core that
/// executes it alone (Arm ARM, "Data Synchronization Barrier": all that was "issued by PEe").
/// So this core executes one before it lets go, of the full system, as it does not know the guest's. The
/// store-release alone orders reads and writes, not maintenance. Linux has the same in `__switch_to`. Here it
/// costs moves alone; a vCPU that comes back to the same core has that core's own DSB.
#[inline(never)]
pub fn serve_requests(core: &mut Core) {
    for request in REQUESTS[core.number].iter().take(shared::count()) {
        if let Some(vcpu) = NonNull::new(request.load(Ordering::Acquire)) {
            serve(core, vcpu);
            barrier();
            request.store(null_mut(), Ordering::Release);
        }
    }
}

/// Says which vCPU this core has loaded. Its PC is that at which it came out of its guest last.
#[cold]
fn tell_what_is_loaded(core: &Core) {
    let Some(resident) = core.resident else {
        say!("where: core {} has no vCPU loaded", core.number);
        return;
    };
    let resident = resident.as_ptr();
    // SAFETY: a vCPU lives as long as the hypervisor, and these fields never change.
    let (vm, index) = unsafe { ((*resident).vm.number, (*resident).index) };
    say!(
        "where: core {} has vm{vm} vCPU {index} loaded, PC {:#x}, PSTATE {:#x}",
        core.number,
        mrs!("elr_el2"),
        mrs!("spsr_el2")
    );
}

/// Saves what the core holds of a vCPU, but for the FP/SIMD registers.
fn save(vcpu: &mut Vcpu, e2h: bool) {
    vcpu.elr = mrs!("elr_el2");
    vcpu.spsr = mrs!("spsr_el2");
    if vcpu.aarch32 {
        spsr::fetch(vcpu.spsr);
    }
    vcpu.el1.save(e2h);
    if vcpu.aarch32 {
        vcpu.el1_aarch32.save();
        debug::take_entry(&mut vcpu.debug);
    }
    timer::stop_virtual_timer(e2h);
    vcpu.extensions.save();
    vcpu.interface.save();
}

/// Puts a vCPU into the core, but for the FP/SIMD registers.
///
/// # Safety
/// The core's resident vCPU was saved; the vCPU becomes resident and is entered next.
unsafe fn load(vcpu: &mut Vcpu, core: &mut Core) {
    // SAFETY: all of it concerns EL1 and EL0 alone, which run as this vCPU next: with the
    // stage-2 tables of its own VM, under its VMID.
    unsafe {
        msr!("elr_el2", vcpu.elr);
        msr!("spsr_el2", vcpu.spsr);
        msr!(
            "hcr_el2",
            if vcpu.aarch32 {
                core.guest_hcr & !HCR_RW
            } else {
                core.guest_hcr
            }
        );
        let mdcr = vcpu.vm.mdcr;
        msr!("mdcr_el2", mdcr);
        if meter::may_use_pmu(mdcr) && core.pmu != Some(NonNull::from(&mut *vcpu)) {
            change_pmu(core, vcpu);
        }
        debug::load(&vcpu.debug);
        msr!("vmpidr_el2", 1 << 31 | vcpu.index as u64);
        msr!("vtcr_el2", vcpu.vm.vtcr);
        msr!("vttbr_el2", vcpu.vm.vttbr);
        vcpu.el1.load(core.e2h);
        if vcpu.aarch32 {
            vcpu.el1_aarch32.load();
            fcse::clear();
            spsr::hand_over(vcpu.spsr);
        }
        vcpu.extensions.load();
        vcpu.interface.load();
    }
    vcpu.vm.loaded(core.number, vcpu.index);
    let mut state = vcpu.vm.state.lock();
    let list = state.vgic.list(vcpu.index);
    // SAFETY: the core has these list registers; the vCPU is entered next.
    unsafe { cpu_interface::write_list_registers(&list[..core.list_registers.min(list.len())]) }
    // SAFETY: as above.
    unsafe { cpu_interface::write_ich_hcr(state.vgic.hcr(vcpu.index)) }
    vcpu.next.lists = state.vgic.looked_at(vcpu.index);
    gic::set_virtual_timer_active(core.number, state.vgic.hardware_written(vcpu.index));
    vcpu.core = ::core::ptr::from_mut(core).cast();
}
