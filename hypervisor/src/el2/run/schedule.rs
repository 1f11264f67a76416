//! Which vCPU a core goes on with after an exit, and what it does while there is none.

use ::core::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering},
};

use alloc::vec::Vec;
use trapcast_hypervisor::slots::NEVER;
use trapcast_trace::report::State;

use crate::el2::{
    arch::{
        cpu_interface,
        hcr::set_wfe_trap,
        meter, timer,
        wait::{pause, spin_loop},
    },
    board::{panic::power_off, report},
    run::{
        enter::{enter, enter_flushed, flush_list_registers},
        interrupt::interrupt,
    },
    sched::{
        host_simd, ipi, residency,
        scheduler::{self, Listed, Next, Scheduler},
    },
    state::{core::Core, shared, vcpu::Vcpu},
};

/// Goes on with `vcpu` or another one; `synced` is what [`exited`](crate::el2::run::enter::exited) has returned.
#[inline(always)]
pub fn resume(core: &mut Core, vcpu: &mut Vcpu, next: Next, synced: bool) -> NonNull<Vcpu> {
    match next {
        Next::Continue | Next::Again => {
            // Whoever has changed what its list registers have to hold has set this first, or
            // interrupts the core.
            if core.shared.changed.load(Ordering::Acquire) {
                return recheck(core, vcpu);
            }
            if next == Next::Continue || synced {
                flush_list_registers(core, vcpu);
            }
            enter_flushed(core, vcpu)
        }
        Next::Schedule => schedule(core, vcpu),
        Next::Put => put(core, NonNull::from(vcpu)),
    }
}

/// Goes on with `vcpu` after the queue has changed, unless it was turned off meanwhile.
#[cold]
#[inline(never)]
fn recheck(core: &mut Core, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
    core.shared.changed.store(false, Ordering::Relaxed);
    let scheduler = scheduler::lock();
    if !scheduler.goes_on(vcpu.slot) {
        drop(scheduler);
        return leave(core, vcpu);
    }
    let deadline = deadline(core, &scheduler, timer::now(), vcpu);
    drop(scheduler);
    timer::set_deadline(deadline);
    set_wfe_trap(core.turn.shared);
    enter(core, vcpu)
}

/// Goes on with `vcpu`, or with another one if its time slice is over and one waits.
#[inline(never)]
fn schedule(core: &mut Core, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
    let now = timer::now();
    let mut scheduler = scheduler::lock();
    scheduler.expire(core.number, now, ipi::call);
    let goes_on = scheduler.goes_on(vcpu.slot) && !scheduler.has_other(core.number);
    if !goes_on || !residency::is_resident(core, vcpu) {
        drop(scheduler);
        return leave(core, vcpu);
    }
    // Others set it while they hold the list's lock, so that what they have changed was seen just now.
    core.shared.changed.store(false, Ordering::Relaxed);
    let deadline = deadline(core, &scheduler, now, vcpu);
    drop(scheduler);
    timer::set_deadline(deadline);
    set_wfe_trap(core.turn.shared);
    enter(core, vcpu)
}

/// Puts `vcpu`, of which the virtual GIC does not know that it is out.
fn leave(core: &mut Core, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
    vcpu.vm.state.lock().vgic.left(vcpu.index);
    put(core, NonNull::from(vcpu))
}

/// Puts the current vCPU, and returns the next one to enter, which may be the same.
#[inline(never)]
fn put(core: &mut Core, mut current: NonNull<Vcpu>) -> NonNull<Vcpu> {
    // SAFETY: a vCPU lives as long as the hypervisor. This reference ends before another one
    // to the same vCPU can be made, in `pick`.
    let vcpu = unsafe { current.as_mut() };
    core.recorder.put();
    let begin = meter::instructions();
    let exchange = core.switch.put(&mut vcpu.guest);
    core.exchange(exchange);
    let switched = meter::instructions().wrapping_sub(begin);
    vcpu.switch_instructions += u64::from(switched);
    core.account(vcpu);
    let mut next = pick(core, Some(vcpu.slot));
    // SAFETY: a vCPU lives as long as the hypervisor, and nobody else refers to this one.
    enter(core, unsafe { next.as_mut() })
}

/// Returns the first vCPU to enter, ready to be.
pub fn first(core: &mut Core) -> NonNull<Vcpu> {
    core.meter.restart();
    let mut next = pick(core, None);
    // SAFETY: as above; no guest runs on this core yet.
    enter(core, unsafe { next.as_mut() })
}

/// Waits until some vCPU can run, and loads it. `put` is the number of the vCPU that was put just
/// now. Ends everything when all are off.
fn pick(core: &mut Core, mut put: Option<usize>) -> NonNull<Vcpu> {
    loop {
        core.shared.changed.store(false, Ordering::Relaxed);
        let now = timer::now();
        let mut scheduler = scheduler::lock();
        let next = scheduler.turn(core.number, put.take(), core.turn.last, now, ipi::call);
        if let Some(Listed(mut next)) = next {
            core.turn.slice_end = now + core.turn.slice;
            // SAFETY: a vCPU lives as long as the hypervisor; this core has taken it.
            let vcpu = unsafe { next.as_mut() };
            let deadline = deadline(core, &scheduler, now, vcpu);
            drop(scheduler);
            timer::set_deadline(deadline);
            core.turn.last = vcpu.slot;
            residency::make_resident(core, vcpu);
            set_wfe_trap(core.turn.shared);
            return next;
        }
        if scheduler.is_over() {
            drop(scheduler);
            finish(core);
        }
        let deadline = scheduler.first_wake(core.number, resident_slot(core));
        drop(scheduler);
        idle(core, deadline);
        interrupt(core, None);
        // What the core does for nobody.
        core.lap();
    }
}

/// When the core has to look after something else than the guest of `vcpu`, which it runs: at the end
/// of the time slice if others wait for the core, at the first deadline of those that wait for it, when
/// the physical timer of `vcpu` expires, and in a second at the latest, as the instruction counters are
/// 32 bits wide.
fn deadline(core: &mut Core, scheduler: &Scheduler, now: u64, vcpu: &Vcpu) -> u64 {
    core.turn.shared = scheduler.has_other(core.number);
    let slice_end = if core.turn.shared {
        core.turn.slice_end
    } else {
        NEVER
    };
    slice_end
        .min(scheduler.first_wake(core.number, None))
        .min(vcpu.physical_timer.deadline())
        .min(now + core.turn.second)
}

/// The number of the vCPU whose virtual timer is in the core and interrupts by itself, if it does not
/// wait for its physical timer, too.
fn resident_slot(core: &Core) -> Option<usize> {
    let resident = core.resident?.as_ptr();
    // SAFETY: a resident vCPU lives as long as the hypervisor; the slot does not change, and its
    // physical timer does only while it runs, which it does on this core as long as it is resident.
    let (slot, deadline) = unsafe { ((*resident).slot, (*resident).physical_timer.deadline()) };
    (deadline == NEVER).then_some(slot)
}

/// Waits for an interrupt, with nothing to run, or until `deadline`.
fn idle(core: &mut Core, deadline: u64) {
    timer::set_deadline(deadline);
    core.report.idles += 1;
    if core.turn.polls {
        poll(core);
    } else {
        // SAFETY: interrupts are masked at EL2, and end the wait all the same.
        unsafe { ::core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
    }
    core.meter.looked_for_interrupt();
}

/// Looks for an interrupt until there is one.
#[cold]
#[inline(never)]
fn poll(core: &mut Core) {
    while !cpu_interface::interrupt_is_pending() {
        core.meter.looked_for_interrupt();
        pause();
        spin_loop();
    }
}

/// The end: every VM is off. The first core that sees it calls the others. The last one that comes
/// writes the report, to which none adds any more.
fn finish(core: &mut Core) -> ! {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    core.lap();
    core.recorder.finish();
    core.shared.keeps(core.switch.owner());
    host_simd::end(core);
    let others = shared::count() - 1;
    let before = ARRIVED.fetch_add(1, Ordering::AcqRel);
    if before == 0 {
        (0..=others)
            .filter(|&other| other != core.number)
            .for_each(ipi::call);
    }
    // The others stay here.
    loop {
        if before == others {
            break;
        }
        spin_loop();
    }
    let vcpus: Vec<_> = scheduler::lock().places().collect();
    for (Listed(mut vcpu), _) in vcpus {
        // SAFETY: every other core stays in the loop above.
        let vcpu = unsafe { vcpu.as_mut() };
        vcpu.publish(shared::any_keeps(vcpu.guest.context()));
    }
    report::finish(State::Done, timer::now());
    power_off()
}
