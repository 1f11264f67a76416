//! From a guest's exit to the entry that follows: accounting, the reason, the scheduler.

use ::core::ptr::NonNull;

use trapcast_hypervisor::syndrome::{ExceptionClass, Syndrome};
use trapcast_switch::Gate;
use trapcast_trace::report::{Exit, State};

use super::{
    console::{self, say},
    core::Core,
    gic, meter, mmio,
    panic::power_off,
    psci, report,
    scheduler::NEVER,
    sysreg::isb,
    system_registers, timer,
    vcpu::Vcpu,
    vectors::{INTERRUPT_INSTRUCTIONS, RETURN_INSTRUCTIONS, SYNCHRONOUS_INSTRUCTIONS},
};
use crate::{mrs, msr};

/// What becomes of a vCPU after its exit was dealt with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// It goes on, if its time slice is not over.
    Continue,
    /// The core's queue decides: the vCPU waits, is off, or has had its time.
    Schedule,
}

/// PSTATE's fields in SPSR_EL2: the Exception level and stack pointer, the execution state.
const SPSR_MODE: u64 = 0x1f;
const SPSR_EL0: u64 = 0b0_0000;
const SPSR_EL1T: u64 = 0b0_0100;
const SPSR_EL1H: u64 = 0b0_0101;
/// PSTATE.{D, A, I, F}.
const SPSR_DAIF: u64 = 0xf << 6;

/// A guest's synchronous exception, called by its vector.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_synchronous(vcpu: &mut Vcpu, core: &mut Core) -> NonNull<Vcpu> {
    let start = core.exited(vcpu, SYNCHRONOUS_INSTRUCTIONS);
    let (reason, next) = synchronous(vcpu, core);
    vcpu.report.exits[reason as usize] += 1;
    core.resume(vcpu, next, start, SYNCHRONOUS_INSTRUCTIONS)
}

/// A physical interrupt while a guest ran, called by its vector.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_interrupt(vcpu: &mut Vcpu, core: &mut Core) -> NonNull<Vcpu> {
    let start = core.exited(vcpu, INTERRUPT_INSTRUCTIONS);
    let (reason, next) = core.interrupt();
    vcpu.report.exits[reason as usize] += 1;
    core.resume(vcpu, next, start, INTERRUPT_INSTRUCTIONS)
}

/// An SError while a guest ran: that VM is stopped.
#[unsafe(no_mangle)]
extern "C" fn el2_exit_serror(vcpu: &mut Vcpu, core: &mut Core) -> NonNull<Vcpu> {
    let start = core.exited(vcpu, INTERRUPT_INSTRUCTIONS);
    vcpu.report.exits[Exit::Other as usize] += 1;
    core.stop(vcpu, format_args!("SError, ESR_EL2 {:#x}", mrs!("esr_el2")));
    core.resume(vcpu, Next::Schedule, start, INTERRUPT_INSTRUCTIONS)
}

impl Core {
    /// The way out of a guest: the registers, the instruction counts, the list registers. Returns
    /// the EL2 counter at its beginning; the vector took `before` instructions until then.
    #[inline(always)]
    fn exited(&mut self, vcpu: &mut Vcpu, before: u32) -> u32 {
        let start = meter::instructions();
        let exchange = self.switch.exit(&mut vcpu.guest);
        self.exchange(exchange);
        // What ran at EL2 since the last entry, less the way in and the way out: traps of the gate.
        let traps = start
            .wrapping_sub(self.meter.entered)
            .wrapping_sub(before + RETURN_INSTRUCTIONS)
            & self.meter.exact;
        self.meter.longest = self.meter.longest.max(traps);
        self.meter.masked_from(start, before);
        let switched = meter::instructions()
            .wrapping_sub(start)
            .wrapping_add(traps);
        vcpu.switch_instructions += u64::from(switched);
        vcpu.el2_instructions += u64::from(traps);
        self.sync_list_registers(vcpu);
        start
    }

    /// Folds what the guest did to its list registers back into the virtual GIC.
    #[inline]
    fn sync_list_registers(&mut self, vcpu: &Vcpu) {
        let mut state = vcpu.vm.state.lock();
        let used = state.vgic.used(vcpu.index);
        if used != 0 {
            let mut lists = [0; 16];
            for (n, value) in lists.iter_mut().enumerate().take(used) {
                *value = gic::read_list_register(n);
            }
            let wake = state
                .vgic
                .sync(vcpu.index, &lists[..used], gic::read_ich_hcr());
            self.scheduler.wake(vcpu.vm.number, wake);
        }
    }

    /// Goes on with `vcpu` or another one, after an exit that began at `start`.
    #[inline(always)]
    fn resume(&mut self, vcpu: &mut Vcpu, next: Next, start: u32, before: u32) -> NonNull<Vcpu> {
        match next {
            Next::Continue => self.enter(vcpu, start, before),
            Next::Schedule => self.schedule(vcpu, start, before),
        }
    }

    /// The way into the guest, with `vcpu` resident.
    #[inline(always)]
    fn enter(&mut self, vcpu: &mut Vcpu, start: u32, before: u32) -> NonNull<Vcpu> {
        self.flush_list_registers(vcpu);
        let decided = meter::instructions();
        let entry = self.switch.enter(&mut vcpu.guest);
        self.exchange(entry.exchange);
        self.set_gate(entry.gate == Gate::Open);
        let now = meter::instructions();
        self.meter.entered = now;
        let stretch = now
            .wrapping_sub(start)
            .wrapping_add(before + RETURN_INSTRUCTIONS)
            & self.meter.exact;
        self.meter.masked_until(now, RETURN_INSTRUCTIONS);
        vcpu.switch_instructions += u64::from(now.wrapping_sub(decided));
        vcpu.el2_instructions += u64::from(stretch);
        NonNull::from(vcpu)
    }

    /// Writes the list registers anew if the virtual GIC has changed.
    #[inline]
    fn flush_list_registers(&self, vcpu: &Vcpu) {
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
        }
    }

    /// Puts `vcpu`, and returns the next one to enter, which may be the same.
    #[inline(never)]
    fn schedule(&mut self, vcpu: &mut Vcpu, start: u32, before: u32) -> NonNull<Vcpu> {
        let now = timer::now();
        self.scheduler.expire(now);
        let alone = self
            .scheduler
            .deadline(now, Some(vcpu.slot), Some(vcpu.slot));
        let goes_on = self.scheduler.is_runnable(vcpu.slot) && self.is_resident(vcpu);
        if alone == NEVER && goes_on {
            // The slice is over, but nobody waits for the core.
            timer::set_deadline(NEVER);
            return self.enter(vcpu, start, before);
        }
        let exchange = self.switch.put(&mut vcpu.guest);
        self.exchange(exchange);
        let spent = meter::instructions()
            .wrapping_sub(start)
            .wrapping_add(before)
            & self.meter.exact;
        vcpu.el2_instructions += u64::from(spent);
        vcpu.publish();
        self.lap();
        let mut next = self.pick();
        // SAFETY: a vCPU lives as long as the hypervisor, and `vcpu` is not used any more.
        let next = unsafe { next.as_mut() };
        self.enter(next, meter::instructions(), 0)
    }

    /// Returns the first vCPU to enter, ready to be.
    pub fn first(&mut self) -> Option<NonNull<Vcpu>> {
        let mut next = self.scheduler.next()?;
        // SAFETY: as above; no guest runs yet.
        let vcpu = unsafe { next.as_mut() };
        self.load(vcpu);
        Some(self.enter(vcpu, meter::instructions(), 0))
    }

    /// Waits until some vCPU can run, and loads it. Ends everything when all are off.
    fn pick(&mut self) -> NonNull<Vcpu> {
        loop {
            let now = timer::now();
            self.scheduler.expire(now);
            if let Some(mut next) = self.scheduler.next() {
                // SAFETY: a vCPU lives as long as the hypervisor; the last one was put.
                let vcpu = unsafe { next.as_mut() };
                self.load(vcpu);
                return next;
            }
            if self.scheduler.is_over() {
                self.finish();
            }
            self.idle();
            self.interrupt();
        }
    }

    /// Makes `vcpu` the core's current one.
    fn load(&mut self, vcpu: &mut Vcpu) {
        self.make_resident(vcpu);
        let deadline = self
            .scheduler
            .deadline(timer::now(), Some(vcpu.slot), Some(vcpu.slot));
        timer::set_deadline(deadline);
    }

    /// Waits for an interrupt, with nothing to run.
    fn idle(&mut self) {
        // SAFETY: a resident vCPU lives as long as the hypervisor.
        let resident = self.resident.map(|vcpu| unsafe { vcpu.as_ref() }.slot);
        timer::set_deadline(self.scheduler.deadline(timer::now(), None, resident));
        self.report.idles += 1;
        // SAFETY: interrupts are masked at EL2, and end the wait all the same.
        unsafe { ::core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
        self.meter.looked_for_interrupt();
    }

    /// Takes the pending physical interrupt, if there is one. Returns its kind and what becomes of
    /// the vCPU that it interrupted.
    fn interrupt(&mut self) -> (Exit, Next) {
        let intid = gic::acknowledge();
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
        self.lap();
        answer
    }

    /// The virtual timer in the core has fired: an interrupt for the resident vCPU.
    fn virtual_timer(&mut self) {
        let Some(resident) = self.resident else {
            gic::deactivate(gic::VIRTUAL_TIMER);
            return;
        };
        // SAFETY: a resident vCPU lives as long as the hypervisor; a shared reference reads what
        // does not change while it is resident.
        let vcpu = unsafe { resident.as_ref() };
        let (vm, index, slot) = (vcpu.vm, vcpu.index, vcpu.slot);
        let effects = vm.state.lock().vgic.hardware_pending(index);
        self.scheduler.wake(vm.number, effects.wake);
        self.scheduler.wake_slot(slot);
        self.lap();
    }

    /// Adds up the counters, which are 32 bits wide, often enough.
    fn lap(&mut self) {
        let (el2, guest) = self.meter.lap();
        self.report.el2_instructions += el2;
        self.report.guest_instructions += guest;
        self.report.longest_masked = u64::from(self.meter.longest);
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
        self.check_canary();
        for mut vcpu in self.scheduler.vcpus() {
            // SAFETY: nobody runs any more.
            unsafe { vcpu.as_mut() }.publish();
        }
        report::finish(State::Done, timer::now());
        power_off()
    }
}

/// Deals with a guest's synchronous exception.
#[inline(always)]
fn synchronous(vcpu: &mut Vcpu, core: &mut Core) -> (Exit, Next) {
    let syndrome = Syndrome::new(mrs!("esr_el2"));
    match syndrome.class() {
        // HVC leaves the preferred return address behind itself; SMC, trapped, does not.
        ExceptionClass::HVC64 => (Exit::Hypercall, psci::call(vcpu, core)),
        other => uncommon(vcpu, core, syndrome, other),
    }
}

#[inline(never)]
fn uncommon(
    vcpu: &mut Vcpu,
    core: &mut Core,
    syndrome: Syndrome,
    class: ExceptionClass,
) -> (Exit, Next) {
    match class {
        ExceptionClass::DATA_ABORT_LOWER => mmio::data_abort(vcpu, core, syndrome.abort()),
        ExceptionClass::INSTRUCTION_ABORT_LOWER => {
            mmio::instruction_abort(vcpu, core, syndrome.abort())
        }
        ExceptionClass::SYSTEM_REGISTER => {
            system_registers::access(vcpu, core, syndrome.system_register());
            (Exit::SystemRegister, Next::Continue)
        }
        ExceptionClass::WFX => {
            skip_instruction();
            (Exit::Wait, wait(vcpu, core))
        }
        ExceptionClass::SMC64 => {
            skip_instruction();
            vcpu.registers[0] = psci::NOT_SUPPORTED;
            (Exit::SecureMonitorCall, Next::Continue)
        }
        // What the guest may not use: SVE, SME, pointer authentication it does not have, and
        // whatever else no guest of this board has.
        _ => {
            inject_undefined();
            (Exit::Other, Next::Continue)
        }
    }
}

/// A vCPU waits for an interrupt: the core goes to another one, unless there is one already.
pub fn wait(vcpu: &Vcpu, core: &mut Core) -> Next {
    let deadline = vcpu.timer_deadline(core.e2h, true);
    if deadline <= timer::now()
        || vcpu
            .vm
            .state
            .lock()
            .vgic
            .has_pending(vcpu.index, gic::read_vmcr())
    {
        return Next::Continue;
    }
    console::show_prompt(vcpu.vm.number);
    core.scheduler.block(vcpu.slot, deadline);
    Next::Schedule
}

/// Goes on behind the instruction that trapped.
pub fn skip_instruction() {
    // SAFETY: the guest's own program counter.
    unsafe { msr!("elr_el2", mrs!("elr_el2").wrapping_add(4)) }
}

/// Lets the guest take an undefined-instruction exception, as if the instruction did not exist.
pub fn inject_undefined() {
    /// Instruction length: 32 bits.
    const IL: u64 = 1 << 25;
    inject(IL, None);
}

/// Lets the guest take a synchronous external abort for its access to `address`.
pub fn inject_abort(instruction: bool, address: u64) {
    const IL: u64 = 1 << 25;
    /// Synchronous External abort, not on a walk.
    const DFSC: u64 = 0x10;
    // Classes of aborts from EL0 and from EL1 itself differ by one.
    let same_level = mrs!("spsr_el2") & SPSR_MODE != SPSR_EL0;
    let class: u64 = if instruction { 0x20 } else { 0x24 } + u64::from(same_level);
    inject(class << 26 | IL | DFSC, Some(address));
}

/// Makes the guest enter its own vector for a synchronous exception (Arm ARM, `AArch64.TakeException`).
fn inject(esr: u64, far: Option<u64>) {
    let spsr = mrs!("spsr_el2");
    let offset = match spsr & SPSR_MODE {
        SPSR_EL1T => 0x000,
        SPSR_EL1H => 0x200,
        SPSR_EL0 => 0x400,
        _ => 0x600,
    };
    let e2h = mrs!("hcr_el2") & super::boot::HCR_E2H != 0;
    // SAFETY: EL1's own registers, as the exception would have set them.
    unsafe {
        let vbar = if e2h {
            msr!("s3_5_c4_c0_0", spsr);
            msr!("s3_5_c4_c0_1", mrs!("elr_el2"));
            msr!("s3_5_c5_c2_0", esr);
            if let Some(far) = far {
                msr!("s3_5_c6_c0_0", far);
            }
            mrs!("s3_5_c12_c0_0")
        } else {
            msr!("spsr_el1", spsr);
            msr!("elr_el1", mrs!("elr_el2"));
            msr!("esr_el1", esr);
            if let Some(far) = far {
                msr!("far_el1", far);
            }
            mrs!("vbar_el1")
        };
        msr!("elr_el2", vbar + offset);
        msr!("spsr_el2", SPSR_DAIF | SPSR_EL1H);
    }
}
