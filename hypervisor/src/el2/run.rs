//! How a core goes in and out of guests: registers, counters and list registers at each exit and
//! entry; which vCPU comes next.

use ::core::ptr::NonNull;

use trapcast_trace::report::{Exit, State};

use super::{
    console::{self, say},
    core::Core,
    exit::Next,
    gic, meter, mmio,
    panic::power_off,
    report,
    scheduler::NEVER,
    sysreg::isb,
    timer,
    vcpu::Vcpu,
};

impl Core {
    /// The way out of a guest. The vector took `before` instructions until it read the EL2 counter
    /// as `start`.
    #[inline(always)]
    pub fn exited(&mut self, vcpu: &mut Vcpu, start: u32, before: u32) {
        let traps = self.meter.exited(start, before);
        self.recorder.end(self.e2h, vcpu.guest.has_trapped());
        let begin = meter::instructions();
        let exchange = self.switch.exit(&mut vcpu.guest);
        self.exchange(exchange);
        let switched = meter::instructions()
            .wrapping_sub(begin)
            .wrapping_add(traps);
        vcpu.switch_instructions += u64::from(switched);
        if vcpu.lists != 0 {
            self.sync_list_registers(vcpu);
        }
    }

    /// Folds what the guest did to its list registers back into the virtual GIC.
    #[inline(never)]
    fn sync_list_registers(&mut self, vcpu: &mut Vcpu) {
        let mut state = vcpu.vm.state.lock();
        let mut lists = [0; 16];
        for (n, value) in lists.iter_mut().enumerate().take(vcpu.lists) {
            *value = gic::read_list_register(n);
        }
        let lists = &lists[..vcpu.lists];
        let wake = state.vgic.sync(vcpu.index, lists, gic::read_ich_hcr());
        if state.vgic.hardware_is_pending(vcpu.index) && !timer::virtual_timer_fires(self.e2h) {
            // The guest has withdrawn its timer's interrupt before it took it.
            let effects = state.vgic.hardware_retract(vcpu.index);
            mmio::apply(vcpu.vm, vcpu.index, self, &state, effects);
        }
        self.scheduler.wake(vcpu.vm.number, wake);
        vcpu.lists = state.vgic.used(vcpu.index);
    }

    /// Goes on with `vcpu` or another one.
    #[inline(always)]
    pub fn resume(&mut self, vcpu: &mut Vcpu, next: Next) -> NonNull<Vcpu> {
        match next {
            Next::Continue => {
                if self.scheduler.take_changed() {
                    self.set_deadline(vcpu.slot);
                }
                self.enter(vcpu)
            }
            Next::Schedule => self.schedule(NonNull::from(vcpu)),
        }
    }

    /// The way into the guest, with `vcpu` resident. The return to the guest follows, which reads
    /// the EL2 counter once more.
    #[inline(always)]
    fn enter(&mut self, vcpu: &mut Vcpu) -> NonNull<Vcpu> {
        self.flush_list_registers(vcpu);
        let begin = meter::instructions();
        let entry = self.switch.enter(&mut vcpu.guest);
        self.exchange(entry.exchange);
        self.set_gate(entry.gate);
        let switched = meter::instructions().wrapping_sub(begin);
        vcpu.switch_instructions += u64::from(switched);
        self.recorder.begin(vcpu);
        NonNull::from(vcpu)
    }

    /// Writes the list registers anew if the virtual GIC has changed.
    #[inline]
    fn flush_list_registers(&self, vcpu: &mut Vcpu) {
        let mut state = vcpu.vm.state.lock();
        if state.vgic.needs_flush(vcpu.index) {
            let count = state.vgic.flush(vcpu.index, self.list_registers);
            let list = state.vgic.list(vcpu.index);
            for (n, &value) in list.iter().enumerate().take(count) {
                // SAFETY: `flush` names no more registers than the core has; this vCPU is entered.
                unsafe { gic::write_list_register(n, value) }
            }
            // SAFETY: as above.
            unsafe { gic::write_ich_hcr(state.vgic.hcr(vcpu.index)) }
            vcpu.lists = state.vgic.used(vcpu.index);
        }
    }

    /// Puts the current vCPU, and returns the next one to enter, which may be the same.
    #[inline(never)]
    fn schedule(&mut self, mut current: NonNull<Vcpu>) -> NonNull<Vcpu> {
        self.scheduler.expire(timer::now());
        // SAFETY: a vCPU lives as long as the hypervisor. This reference ends before another one
        // to the same vCPU can be made, in `pick`.
        let vcpu = unsafe { current.as_mut() };
        let goes_on = self.scheduler.is_runnable(vcpu.slot) && self.is_resident(vcpu);
        if goes_on && !self.scheduler.has_other(vcpu.slot) {
            // The slice is over, but nobody waits for the core.
            self.set_deadline(vcpu.slot);
            return self.enter(vcpu);
        }
        let begin = meter::instructions();
        self.recorder.put();
        let exchange = self.switch.put(&mut vcpu.guest);
        self.exchange(exchange);
        let switched = meter::instructions().wrapping_sub(begin);
        vcpu.switch_instructions += u64::from(switched);
        self.account(vcpu);
        vcpu.publish(self.switch.owner() == vcpu.guest.context());
        let mut next = self.pick();
        // SAFETY: a vCPU lives as long as the hypervisor, and nobody else refers to this one.
        self.enter(unsafe { next.as_mut() })
    }

    /// Returns the first vCPU to enter, ready to be.
    pub fn first(&mut self) -> Option<NonNull<Vcpu>> {
        let mut next = self.scheduler.next()?;
        // SAFETY: as above; no guest runs yet.
        let vcpu = unsafe { next.as_mut() };
        self.load(vcpu);
        Some(self.enter(vcpu))
    }

    /// Waits until some vCPU can run, and loads it. Ends everything when all are off.
    fn pick(&mut self) -> NonNull<Vcpu> {
        loop {
            self.scheduler.expire(timer::now());
            if let Some(mut next) = self.scheduler.next() {
                // SAFETY: a vCPU lives as long as the hypervisor; the last one was put.
                self.load(unsafe { next.as_mut() });
                return next;
            }
            if self.scheduler.is_over() {
                self.finish();
            }
            self.idle();
            self.interrupt();
            // What the core does for nobody.
            self.lap();
        }
    }

    /// Makes `vcpu` the core's current one, at the start of its time slice.
    fn load(&mut self, vcpu: &mut Vcpu) {
        self.make_resident(vcpu);
        self.scheduler.start_slice(timer::now());
        self.set_deadline(vcpu.slot);
    }

    /// Programs the EL2 timer for when the core has to look after others than vCPU `running`.
    fn set_deadline(&mut self, running: usize) {
        timer::set_deadline(self.scheduler.deadline(timer::now(), running));
    }

    /// Waits for an interrupt, with nothing to run.
    fn idle(&mut self) {
        // SAFETY: a resident vCPU lives as long as the hypervisor; the slot does not change.
        let resident = self.resident.map(|vcpu| unsafe { (*vcpu.as_ptr()).slot });
        timer::set_deadline(self.scheduler.idle_deadline(resident));
        self.report.idles += 1;
        // SAFETY: interrupts are masked at EL2, and end the wait all the same.
        unsafe { ::core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
        self.meter.looked_for_interrupt();
    }

    /// Takes the pending physical interrupt, if there is one. Returns its kind and what becomes of
    /// the vCPU that it interrupted.
    pub fn interrupt(&mut self) -> (Exit, Next) {
        let intid = gic::acknowledge();
        self.intid = intid;
        if intid >= gic::FIRST_SPECIAL {
            return (Exit::Interrupt, Next::Continue);
        }
        gic::drop_priority(intid);
        if intid == gic::VIRTUAL_TIMER {
            // Stays active until the guest deactivates it.
            self.virtual_timer();
            return (Exit::VirtualTimer, Next::Continue);
        }
        let answer = match intid {
            gic::HYPERVISOR_TIMER => {
                timer::set_deadline(NEVER);
                isb();
                self.check_canary();
                (Exit::HypervisorTimer, Next::Schedule)
            }
            // An underflow, or an end of interrupt without a list register. The exit has folded it
            // back; the entry refills the list registers, which ends the cause.
            gic::MAINTENANCE => (Exit::Maintenance, Next::Continue),
            gic::UART => {
                mmio::receive(self);
                (Exit::Interrupt, Next::Continue)
            }
            _ => (Exit::Interrupt, Next::Continue),
        };
        gic::deactivate(intid);
        answer
    }

    /// The virtual timer in the core has fired: an interrupt for the resident vCPU.
    fn virtual_timer(&mut self) {
        let Some(resident) = self.resident else {
            gic::deactivate(gic::VIRTUAL_TIMER);
            return;
        };
        let resident = resident.as_ptr();
        // SAFETY: a resident vCPU lives as long as the hypervisor, and these fields never change.
        let (vm, index, slot) = unsafe { ((*resident).vm, (*resident).index, (*resident).slot) };
        let effects = vm.state.lock().vgic.hardware_pending(index);
        self.scheduler.wake(vm.number, effects.wake);
        self.scheduler.wake_slot(slot);
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

    /// Stops a VM for a fault of its own.
    pub fn stop(&mut self, vcpu: &Vcpu, reason: ::core::fmt::Arguments) {
        console::show_prompt(vcpu.vm.number);
        say!("vm{}: stopped: {reason}", vcpu.vm.number);
        self.scheduler.power_off_vm(vcpu.vm.number);
    }

    /// The end: every VM is off.
    fn finish(&mut self) -> ! {
        self.lap();
        self.recorder.finish();
        self.check_canary();
        for mut vcpu in self.scheduler.vcpus() {
            // SAFETY: nobody runs any more.
            let vcpu = unsafe { vcpu.as_mut() };
            vcpu.publish(self.switch.owner() == vcpu.guest.context());
        }
        report::finish(State::Done, timer::now());
        power_off()
    }
}
