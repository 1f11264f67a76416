//! How a core goes in and out of guests: registers, counters and list registers at each exit and
//! entry; which vCPU comes next.

use ::core::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering},
};

use alloc::vec::Vec;
use trapcast_hypervisor::{physical_timer, vgic::Effects};
use trapcast_switch::Gate;
use trapcast_trace::report::{Exit, State};

use crate::el2::{
    arch::{
        meter,
        sysreg::isb,
        timer,
        wait::{Guard, pause, spin_loop},
    },
    board::{console, gic, panic::power_off, report},
    entry::dispatch::Next,
    exits::mmio,
    sched::{
        ipi,
        scheduler::{self, Listed, NEVER, Scheduler},
    },
    state::{
        core::Core,
        vcpu::{Vcpu, set_wfe_trap},
        vm::VmState,
    },
};

impl Core {
    /// The way out of a guest. The vector took `before` instructions until it read the EL2 counter
    /// as `start`. Returns whether the virtual GIC was told of it: it has looked at list registers.
    #[inline(always)]
    pub fn exited(&mut self, vcpu: &mut Vcpu, start: u32, before: u32) -> bool {
        let traps = self.meter.exited(start, before);
        self.recorder.end(self.e2h, vcpu.guest.has_trapped());
        let begin = meter::instructions();
        if vcpu.aarch32 {
            self.save_fpexc(vcpu);
        }
        let exchange = self.switch.exit(&mut vcpu.guest);
        self.exchange(exchange);
        let switched = meter::instructions()
            .wrapping_sub(begin)
            .wrapping_add(traps);
        vcpu.switch_instructions += u64::from(switched);
        let synced = vcpu.next.lists != 0;
        if synced {
            self.sync_list_registers(vcpu);
        }
        synced
    }

    /// Folds what the guest did to its list registers back into the virtual GIC.
    #[inline(never)]
    fn sync_list_registers(&self, vcpu: &mut Vcpu) {
        let mut state = vcpu.vm.state.lock();
        let mut effects = (state.vgic).sync(vcpu.index, gic::read_list_register, gic::read_ich_hcr);
        let watched = state.vgic.hardware_is_watched(vcpu.index);
        if watched {
            let high = timer::virtual_timer_fires(self.e2h);
            effects |= state.vgic.hardware_seen(vcpu.index, high);
        }
        if effects != Effects::default() {
            mmio::apply(vcpu.vm, vcpu.index, self, &mut state, effects);
        }
        vcpu.next.lists = match watched {
            true => state.vgic.looked_at(vcpu.index),
            false => state.vgic.used(vcpu.index),
        };
    }

    /// Goes on with `vcpu` or another one; `synced` is what [`Core::exited`] has returned.
    #[inline(always)]
    pub fn resume(&mut self, vcpu: &mut Vcpu, next: Next, synced: bool) -> NonNull<Vcpu> {
        match next {
            Next::Continue | Next::Again => {
                // Whoever has changed what its list registers have to hold has set this first, or
                // interrupts the core.
                if self.shared.changed.load(Ordering::Acquire) {
                    return self.look_around(vcpu);
                }
                if next == Next::Continue || synced {
                    self.flush_list_registers(vcpu);
                }
                self.enter_flushed(vcpu)
            }
            Next::Schedule => self.schedule(vcpu),
            Next::Put => self.put(NonNull::from(vcpu)),
        }
    }

    /// Goes on with `vcpu` after the queue has changed, unless it was turned off meanwhile.
    #[cold]
    #[inline(never)]
    fn look_around(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        self.shared.changed.store(false, Ordering::Relaxed);
        let scheduler = scheduler::lock();
        if !scheduler.goes_on(vcpu.slot) {
            drop(scheduler);
            return self.leave(vcpu);
        }
        let deadline = self.deadline(&scheduler, timer::now(), vcpu);
        drop(scheduler);
        timer::set_deadline(deadline);
        set_wfe_trap(self.turn.shared);
        self.enter(vcpu)
    }

    /// The way into the guest, with `vcpu` resident. The return to the guest follows, which reads
    /// the EL2 counter once more.
    #[inline(always)]
    fn enter(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        self.flush_list_registers(vcpu);
        self.enter_flushed(vcpu)
    }

    #[inline(always)]
    fn enter_flushed(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        let begin = meter::instructions();
        let entry = self.switch.enter(&mut vcpu.guest, &vcpu.next);
        self.exchange(entry.exchange);
        if vcpu.has_untrapped {
            return self.enter_untrapped(vcpu, entry.gate, begin);
        }
        self.set_gate(entry.gate);
        self.entered(vcpu, begin)
    }

    /// The rest of the way into a guest that has state which decides about its accesses before the gate
    /// does: FPEXC.EN in AArch32 state, or SVCR.SM.
    #[inline(never)]
    fn enter_untrapped(&mut self, vcpu: &mut Vcpu, gate: Gate, begin: u32) -> NonNull<Vcpu> {
        if vcpu.aarch32 {
            self.set_fpexc(vcpu, gate);
            self.set_gate(gate);
        } else {
            let entry = self.switch.load_streaming(&mut vcpu.guest, gate);
            self.exchange(entry.exchange);
            self.set_gate(entry.gate);
        }
        self.entered(vcpu, begin)
    }

    /// The registers are switched, which has begun with the EL2 counter at `begin`.
    #[inline(always)]
    fn entered(&mut self, vcpu: &mut Vcpu, begin: u32) -> NonNull<Vcpu> {
        let switched = meter::instructions().wrapping_sub(begin);
        vcpu.switch_instructions += u64::from(switched);
        self.recorder.begin(vcpu);
        NonNull::from(vcpu)
    }

    /// Writes the list registers anew if the virtual GIC has changed.
    #[inline]
    fn flush_list_registers(&mut self, vcpu: &mut Vcpu) {
        let mut state = vcpu.vm.state.lock();
        if state.vgic.needs_flush(vcpu.index) {
            state = self.flush(vcpu, state);
        }
        state.vgic.entered(vcpu.index);
    }

    #[inline(never)]
    fn flush(&mut self, vcpu: &mut Vcpu, mut state: Guard<VmState>) -> Guard<VmState> {
        match state.vgic.flush(vcpu.index, self.list_registers) {
            Some(count) => {
                self.write_flushed(vcpu, &mut state, count);
                state
            }
            None => self.wait_to_enter(vcpu, state),
        }
    }

    /// Writes what [`flush`](trapcast_hypervisor::vgic::Vgic::flush) has worked out, `count` list registers
    /// among it.
    #[inline(always)]
    fn write_flushed(&self, vcpu: &mut Vcpu, state: &mut VmState, count: usize) {
        gic::repair_vmcr();
        // SAFETY: `flush` names no more registers than the core has; this vCPU is entered.
        unsafe { gic::write_list_registers(&state.vgic.list(vcpu.index)[..count]) }
        // SAFETY: as above.
        unsafe { gic::write_ich_hcr(state.vgic.hcr(vcpu.index)) }
        if state.vgic.hardware_is_stale(vcpu.index) {
            let active = state.vgic.hardware_written(vcpu.index);
            gic::set_virtual_timer_active(self.number, active);
        }
        vcpu.next.lists = state.vgic.looked_at(vcpu.index);
    }

    /// Waits while another vCPU's access waits for `vcpu` to be out, and for more, and then flushes it.
    #[cold]
    fn wait_to_enter(&mut self, vcpu: &mut Vcpu, mut state: Guard<VmState>) -> Guard<VmState> {
        loop {
            drop(state);
            self.serve_requests();
            spin_loop();
            state = vcpu.vm.state.lock();
            if let Some(count) = state.vgic.flush(vcpu.index, self.list_registers) {
                self.write_flushed(vcpu, &mut state, count);
                return state;
            }
        }
    }

    /// Goes on with `vcpu`, or with another one if its time slice is over and one waits.
    #[inline(never)]
    fn schedule(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        let now = timer::now();
        let mut scheduler = scheduler::lock();
        scheduler.expire(self.number, now, ipi::call);
        let goes_on = scheduler.goes_on(vcpu.slot) && !scheduler.has_other(self.number);
        if !goes_on || !self.is_resident(vcpu) {
            drop(scheduler);
            return self.leave(vcpu);
        }
        // Others set it while they hold the list's lock, so that what they have changed was seen just now.
        self.shared.changed.store(false, Ordering::Relaxed);
        let deadline = self.deadline(&scheduler, now, vcpu);
        drop(scheduler);
        timer::set_deadline(deadline);
        set_wfe_trap(self.turn.shared);
        self.enter(vcpu)
    }

    /// Puts `vcpu`, of which the virtual GIC does not know that it is out.
    fn leave(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        vcpu.vm.state.lock().vgic.left(vcpu.index);
        self.put(NonNull::from(vcpu))
    }

    /// Puts the current vCPU, and returns the next one to enter, which may be the same.
    #[inline(never)]
    fn put(&mut self, mut current: NonNull<Vcpu>) -> NonNull<Vcpu> {
        // SAFETY: a vCPU lives as long as the hypervisor. This reference ends before another one
        // to the same vCPU can be made, in `pick`.
        let vcpu = unsafe { current.as_mut() };
        self.recorder.put();
        let begin = meter::instructions();
        let exchange = self.switch.put(&mut vcpu.guest);
        self.exchange(exchange);
        let switched = meter::instructions().wrapping_sub(begin);
        vcpu.switch_instructions += u64::from(switched);
        self.account(vcpu);
        let mut next = self.pick(Some(vcpu.slot));
        // SAFETY: a vCPU lives as long as the hypervisor, and nobody else refers to this one.
        self.enter(unsafe { next.as_mut() })
    }

    /// Returns the first vCPU to enter, ready to be.
    pub fn first(&mut self) -> NonNull<Vcpu> {
        self.meter.restart();
        let mut next = self.pick(None);
        // SAFETY: as above; no guest runs on this core yet.
        self.enter(unsafe { next.as_mut() })
    }

    /// Waits until some vCPU can run, and loads it. `put` is the number of the vCPU that was put just
    /// now. Ends everything when all are off.
    fn pick(&mut self, mut put: Option<usize>) -> NonNull<Vcpu> {
        loop {
            self.shared.changed.store(false, Ordering::Relaxed);
            let now = timer::now();
            let mut scheduler = scheduler::lock();
            let next = scheduler.turn(self.number, put.take(), self.turn.last, now, ipi::call);
            if let Some(Listed(mut next)) = next {
                self.turn.slice_end = now + self.turn.slice;
                // SAFETY: a vCPU lives as long as the hypervisor; this core has taken it.
                let vcpu = unsafe { next.as_mut() };
                let deadline = self.deadline(&scheduler, now, vcpu);
                drop(scheduler);
                timer::set_deadline(deadline);
                self.turn.last = vcpu.slot;
                self.make_resident(vcpu);
                set_wfe_trap(self.turn.shared);
                return next;
            }
            if scheduler.is_over() {
                drop(scheduler);
                self.finish();
            }
            let deadline = scheduler.first_wake(self.number, self.resident_slot());
            drop(scheduler);
            self.idle(deadline);
            self.interrupt(None);
            // What the core does for nobody.
            self.lap();
        }
    }

    /// When the core has to look after something else than the guest of `vcpu`, which it runs: at the end
    /// of the time slice if others wait for the core, at the first deadline of those that wait for it, when
    /// the physical timer of `vcpu` expires, and in a second at the latest, as the instruction counters are
    /// 32 bits wide.
    fn deadline(&mut self, scheduler: &Scheduler, now: u64, vcpu: &Vcpu) -> u64 {
        self.turn.shared = scheduler.has_other(self.number);
        let slice_end = if self.turn.shared {
            self.turn.slice_end
        } else {
            NEVER
        };
        slice_end
            .min(scheduler.first_wake(self.number, None))
            .min(vcpu.physical_timer.deadline())
            .min(now + self.turn.second)
    }

    /// Waits until no other core runs a vCPU of VM `vm`; `except` is the one that this core runs.
    pub fn wait_until_out(&mut self, vm: usize, except: Option<usize>) {
        while !scheduler::lock().is_out(vm, except) {
            self.serve_requests();
            spin_loop();
        }
    }

    /// The number of the vCPU whose virtual timer is in the core and interrupts by itself, if it does not
    /// wait for its physical timer, too.
    fn resident_slot(&self) -> Option<usize> {
        let resident = self.resident?.as_ptr();
        // SAFETY: a resident vCPU lives as long as the hypervisor; the slot does not change, and its
        // physical timer does only while it runs, which it does on this core as long as it is resident.
        let (slot, deadline) = unsafe { ((*resident).slot, (*resident).physical_timer.deadline()) };
        (deadline == NEVER).then_some(slot)
    }

    /// Waits for an interrupt, with nothing to run, or until `deadline`.
    fn idle(&mut self, deadline: u64) {
        timer::set_deadline(deadline);
        self.report.idles += 1;
        if self.turn.polls {
            self.poll();
        } else {
            // SAFETY: interrupts are masked at EL2, and end the wait all the same.
            unsafe { ::core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
        }
        self.meter.looked_for_interrupt();
    }

    /// Looks for an interrupt until there is one.
    #[cold]
    #[inline(never)]
    fn poll(&mut self) {
        while !gic::interrupt_is_pending() {
            self.meter.looked_for_interrupt();
            pause();
            spin_loop();
        }
    }

    /// Takes the pending physical interrupt, if there is one. Returns its kind and what becomes of
    /// `current`, the vCPU that it interrupted, if one ran.
    pub fn interrupt(&mut self, current: Option<&mut Vcpu>) -> (Exit, Next) {
        let intid = gic::acknowledge();
        self.intid = intid;
        if intid >= gic::FIRST_SPECIAL {
            return (Exit::Interrupt, Next::Continue);
        }
        gic::drop_priority(intid);
        if intid == gic::VIRTUAL_TIMER {
            // Stays active until the guest deactivates it.
            match current {
                Some(vcpu) => {
                    let _ = vcpu.vm.state.lock().vgic.hardware_fired(vcpu.index);
                }
                None => self.virtual_timer(),
            }
            return (Exit::VirtualTimer, Next::Continue);
        }
        let answer = match intid {
            gic::HYPERVISOR_TIMER => {
                timer::set_deadline(NEVER);
                isb();
                // Behind a closed gate no guest could reach the host's registers.
                if self.is_open() {
                    self.check_canary();
                }
                if let Some(vcpu) = current
                    && vcpu.physical_timer.deadline() != NEVER
                {
                    self.look_at_physical_timer(vcpu);
                }
                (Exit::HypervisorTimer, self.time_is_up())
            }
            // An underflow, or an end of interrupt without a list register. The exit has folded it
            // back; the entry refills the list registers, which ends the cause.
            gic::MAINTENANCE => (Exit::Maintenance, Next::Continue),
            gic::CALL => {
                self.serve_requests();
                self.shared.changed.store(true, Ordering::Relaxed);
                (Exit::Interrupt, Next::Continue)
            }
            gic::UART => {
                self.uart();
                (Exit::Interrupt, Next::Continue)
            }
            _ => (Exit::Interrupt, Next::Continue),
        };
        gic::deactivate(intid);
        answer
    }

    /// The board's UART has something.
    #[cold]
    #[inline(never)]
    fn uart(&mut self) {
        if report::asks_where() {
            self.tell_where();
        }
        console::transmit(&mut self.meter);
        mmio::receive();
    }

    /// The physical timer of `vcpu`, which has just come out, may have expired.
    #[cold]
    #[inline(never)]
    fn look_at_physical_timer(&self, vcpu: &mut Vcpu) {
        let high = vcpu.physical_timer.look(timer::now());
        let mut state = vcpu.vm.state.lock();
        state.vgic.left(vcpu.index);
        let effects = (state.vgic).set_level(vcpu.index, physical_timer::INTID, high);
        mmio::apply(vcpu.vm, vcpu.index, self, &mut state, effects);
    }

    /// The virtual timer in the core has fired, and no guest runs: an interrupt for the resident vCPU, if
    /// that waits. The timer of one that is off, or begins anew, is left from a life that is over.
    #[inline(never)]
    fn virtual_timer(&self) {
        if let Some(resident) = self.resident {
            let resident = resident.as_ptr();
            // SAFETY: a resident vCPU lives as long as the hypervisor, and these fields never change.
            let (vm, index) = unsafe { ((*resident).vm, (*resident).index) };
            let mut state = vm.state.lock();
            if state.on[index] && state.power_on[index].is_none() {
                let effects = state.vgic.hardware_fired(index);
                mmio::notify(vm, effects);
                return;
            }
        }
        timer::stop_virtual_timer(self.e2h);
        gic::deactivate(gic::VIRTUAL_TIMER);
    }

    /// Adds up the counters, which are 32 bits wide, often enough: what ran since the last time ran
    /// for `vcpu`.
    pub fn account(&mut self, vcpu: &mut Vcpu) {
        vcpu.el2_instructions += self.lap();
    }

    /// Adds up the counters of the core, and returns the instructions at EL2 since the last time.
    fn lap(&mut self) -> u64 {
        let (el2, guest) = self.meter.lap();
        self.report.el2_instructions += el2;
        self.report.guest_instructions += guest;
        self.report.longest_masked = u64::from(self.meter.longest);
        el2
    }

    /// The end: every VM is off. The first core that sees it calls the others. The last one that comes
    /// writes the report, to which none adds any more.
    fn finish(&mut self) -> ! {
        static ARRIVED: AtomicUsize = AtomicUsize::new(0);
        self.lap();
        self.check_canary();
        self.recorder.finish();
        self.shared.keeps(self.switch.owner());
        let others = ipi::count() - 1;
        let before = ARRIVED.fetch_add(1, Ordering::AcqRel);
        if before == 0 {
            (0..=others)
                .filter(|&core| core != self.number)
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
            vcpu.publish(ipi::any_keeps(vcpu.guest.context()));
        }
        report::finish(State::Done, timer::now());
        power_off()
    }
}
