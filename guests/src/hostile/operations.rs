//! The operations, one function for each kind, and what each of them may come to.

use core::arch::global_asm;
use core::fmt;
use core::ptr;

use super::accesses::{self, Forms};
use super::attempt::{EL1_MASKED, EL1_UNMASKED, Outcome, attempt, install};
use super::instructions::{hvc, smc};
use super::system::SystemAccesses;
use super::tally::Tally;
use super::values::{BELOW, Map, Place, Values, is_of_access};
use super::{Kind, Kinds, code, interrupts, regime};
use crate::board::gic;
use crate::{println, read_sysreg};

/// Violations that are printed; the others are only counted.
const PRINTED_VIOLATIONS: u64 = 8;

/// The first slot with a call: an HVC, and an SMC in the next.
const CALLS: usize = code::SLOTS / 2;

/// Calls from one set of immediates to the next.
const CALLS_PER_SET: u64 = 1024;

/// Ticks that EL0, and a WFI, has at the most: some 30 microseconds.
pub(super) const TICKS: u64 = 2000;

/// What a call of a function that does not exist returns (SMCCC).
const NOT_SUPPORTED: u64 = u64::MAX;

/// CPU_ON, and PSCI functions that would end this vCPU or make it wait: CPU_SUSPEND, CPU_OFF, SYSTEM_OFF,
/// SYSTEM_RESET, SYSTEM_SUSPEND, SYSTEM_RESET2, CPU_DEFAULT_SUSPEND, by their low five bits.
const CPU_ON: u64 = 0x03;
/// See [`CPU_ON`].
const ENDS: [u64; 7] = [0x01, 0x02, 0x08, 0x09, 0x0c, 0x0e, 0x12];

global_asm!(
    r#"
    .section .text.operations, "ax"
    hostile_wait:
        wfi
        ret
    hostile_call:
        hvc     #0
        ret
    hostile_spin:
        .rept 8
        nop
        .endr
        ret
    "#
);

unsafe extern "C" {
    static hostile_wait: u8;
    static hostile_call: u8;
    static hostile_spin: u8;
}

fn address(symbol: *const u8) -> u64 {
    symbol.expose_provenance() as u64
}

/// The hostile guest: one vCPU that does what its seed says.
#[derive(Debug)]
pub struct Hostile {
    pub(super) vcpu: usize,
    kinds: Kinds,
    pub(super) values: Values,
    pub(super) system: SystemAccesses,
    calls: u64,
    pub(super) mmu: bool,
    pub(super) user: u64,
    /// What the operations came to so far.
    pub tally: Tally,
}

impl Hostile {
    /// Takes vCPU `vcpu` over. `user` is the memory for EL0 that the tables were made with.
    ///
    /// # Safety
    ///
    /// On vCPU `vcpu`, after [`regime::make_tables`]; nobody relies on its `VBAR_EL1`, on its MMU, on the
    /// GIC, or on the contents of memory outside the image, from now on.
    #[must_use]
    pub unsafe fn new(vcpu: usize, seed: u64, kinds: Kinds, map: Map, user: u64) -> Self {
        gic::mask();
        install();
        regime::off();
        Self {
            vcpu,
            kinds,
            values: Values::new(seed, map),
            system: SystemAccesses::new(seed),
            calls: 0,
            mmu: false,
            user,
            tally: Tally::default(),
        }
    }

    /// Does one operation.
    pub fn operate(&mut self) {
        let choice = self.values.below(self.kinds.parts());
        match self.kinds.choose(choice) {
            Some(Kind::Hvc) => self.call(Kind::Hvc),
            Some(Kind::Smc) => self.call(Kind::Smc),
            Some(Kind::Sysreg) => self.system_access(),
            Some(Kind::Mmio) => self.device_access(),
            Some(Kind::Stage2) => self.wild_access(),
            Some(Kind::Gic) => self.scribble(),
            Some(Kind::Mmu) => self.toggle(),
            Some(Kind::Jump) => self.jump(),
            Some(Kind::Storm) => self.storm(),
            Some(Kind::Wfi) => self.wait(),
            Some(Kind::User) => self.user_code(),
            Some(Kind::Reset) | None => {}
        }
        self.tally.operations += 1;
    }

    /// Leaves the vCPU as it has to be to end.
    pub fn settle(&mut self) {
        self.set_mmu(false, 0);
        interrupts::stop_timer();
    }

    pub(super) fn set_mmu(&mut self, on: bool, upper: u64) {
        if on {
            // SAFETY: the tables are made, and no code of this guest is in the upper half.
            unsafe { regime::on(upper) };
        } else {
            regime::off();
        }
        self.mmu = on;
    }

    pub(super) fn registers(&mut self) -> [u64; 31] {
        let (any, odd) = (self.values.number(), self.values.number() | 1);
        core::array::from_fn(|n| any.wrapping_add(odd.wrapping_mul(n as u64)))
    }

    /// Tries what stands at `begin`.
    pub(super) fn attempt(&mut self, begin: u64, spsr: u64, registers: &[u64; 31]) -> Outcome {
        // SAFETY: this is that vCPU, with its vectors; what the callers try comes back, and changes
        // nothing that matters.
        let outcome = unsafe { attempt(self.vcpu, begin, spsr, registers) };
        self.tally.count(outcome.vector, outcome.esr);
        if outcome.interrupted() {
            interrupts::answer(&mut self.values);
        }
        outcome
    }

    /// Tries something at EL1 that leaves x18 to x29 alone, and so must EL2.
    pub(super) fn attempt_at_el1(&mut self, begin: u64, registers: &[u64; 31]) -> Outcome {
        let outcome = self.attempt(begin, EL1_MASKED, registers);
        self.expect(
            outcome.registers[18..30] == registers[18..30],
            || "x18 to x29 have changed",
        );
        outcome
    }

    pub(super) fn expect(&mut self, holds: bool, what: impl FnOnce() -> &'static str) {
        if !holds {
            self.violated(&what());
        }
    }

    pub(super) fn violated(&mut self, what: &dyn fmt::Display) {
        self.tally.violations += 1;
        if self.tally.violations <= PRINTED_VIOLATIONS {
            interrupts::enable_console();
            println!("VIOLATION operation={} {what}", self.tally.operations);
        }
    }

    fn call(&mut self, kind: Kind) {
        if self.calls.is_multiple_of(CALLS_PER_SET) {
            for index in (CALLS..code::SLOTS).step_by(2) {
                let immediate = self.immediate();
                code::make(self.vcpu, index, hvc(immediate));
                code::make(self.vcpu, index + 1, smc(immediate));
            }
            code::publish();
        }
        self.calls += 1;
        let index = CALLS + 2 * self.values.below((code::SLOTS - CALLS) as u64 / 2) as usize;
        let code = code::address(self.vcpu, index + usize::from(kind == Kind::Smc));
        let mut registers = self.registers();
        registers[0] = self.function();
        let outcome = self.attempt_at_el1(code, &registers);
        self.expect(outcome.vector.is_none(), || "a call ended by an exception");
        self.expect(
            outcome.registers[1..18] == registers[1..18],
            || "a call changed a register other than x0",
        );
        if kind == Kind::Smc {
            self.expect(
                outcome.registers[0] == NOT_SUPPORTED,
                || "SMC found a function",
            );
        }
    }

    fn immediate(&mut self) -> u16 {
        let any = self.values.word() as u16;
        self.values.one_of(&[0, 1, 0x4a48, any])
    }

    /// A function of any service, that neither ends this vCPU nor makes it wait.
    fn function(&mut self) -> u64 {
        loop {
            let function = match self.values.below(4) {
                0 => self.values.number(),
                1 => 0x8400_0000 | self.values.below(0x20),
                2 => 0xc400_0000 | self.values.below(0x20),
                _ => {
                    self.values.below(8) << 28 | self.values.below(64) << 24 | self.values.below(64)
                }
            };
            let psci = function & 0xbfff_ffe0 == 0x8400_0000;
            // Another vCPU that begins anywhere is lost.
            let lost = function & 0x1f == CPU_ON && self.values.map().vcpus > 1;
            if !(psci && (lost || ENDS.contains(&(function & 0x1f)))) {
                return function;
            }
        }
    }

    fn device_access(&mut self) {
        let mut target = self.values.device();
        if (0x0900_0000..0x0900_0004).contains(&target) && !self.values.once_in(64) {
            // Not all of the console.
            target += 4;
        }
        if self.mmu && self.values.once_in(2) {
            // The same as normal memory.
            target += regime::ALIASES.end - (1 << 30);
        }
        let mut registers = self.registers();
        registers[0] = target;
        let forms = self
            .values
            .one_of(&[Forms::Simple, Forms::Accesses, Forms::All]);
        let form = self.values.below(accesses::count(forms));
        self.attempt_at_el1(accesses::form(form), &registers);
    }

    /// A load or store where nothing is must not get anywhere.
    fn wild_access(&mut self) {
        let mut registers = self.registers();
        let mut target = self.values.nothing();
        if self.values.once_in(4) {
            target &= !0xf;
        }
        // Below address 0 is the upper half, which random tables may map.
        let wraps = target < BELOW;
        if self.mmu && (wraps || regime::ALIASES.contains(&target)) {
            target += 1 << 32;
        }
        registers[0] = target;
        let form = self.values.below(accesses::count(Forms::Accesses));
        let outcome = self.attempt_at_el1(accesses::form(form), &registers);
        match outcome.class() {
            None => self.violated(&format_args!("memory at {target:#x}, form {form}")),
            Some(0x25) if !is_of_access(outcome.far, target) => {
                let far = outcome.far;
                self.violated(&format_args!("an abort at {target:#x} says {far:#x}"));
            }
            Some(_) => {}
        }
    }

    fn scribble(&mut self) {
        if self.values.once_in(16) {
            interrupts::put_in_order(self.vcpu);
        }
        if self.values.once_in(4) {
            interrupts::raise(self.vcpu, &mut self.values);
        }
        for _ in 0..=self.values.below(4) {
            interrupts::scribble(&mut self.values);
        }
        let spsr = self.values.one_of(&[EL1_MASKED, EL1_UNMASKED]);
        let registers = self.registers();
        self.attempt(address(&raw const hostile_spin), spsr, &registers);
    }

    /// The MMU on or off; if on, now and then an access by tables that are anything anywhere.
    fn toggle(&mut self) {
        let upper = self.values.address();
        self.set_mmu(!self.mmu, upper);
        let mut registers = self.registers();
        registers[0] = self.values.number() | 0xffff << 48;
        if self.mmu {
            if self.values.once_in(2) {
                self.scatter(upper);
            }
            // Maintenance and hints too: an AT may fault in its walk.
            let form = self.values.below(accesses::count(Forms::All));
            self.attempt_at_el1(accesses::form(form), &registers);
        }
    }

    /// Random descriptors where the upper half's tables are, if that is its own memory.
    fn scatter(&mut self, table: u64) {
        let table = table & 0x0000_ffff_ffff_f000;
        let map = *self.values.map();
        if map.place(table, 4096) != Place::Ram
            || !map.spares_image(table)
            || !map.spares_image(table + 4096)
        {
            return;
        }
        for index in 0..512 {
            let descriptor = self.values.address() & !0xfff | 0x403;
            let entry = ptr::with_exposed_provenance_mut::<u64>((table + 8 * index) as usize);
            // SAFETY: the guest's own memory, outside its image.
            unsafe { entry.write_volatile(descriptor) };
        }
    }

    /// Where nothing is there is nothing to execute.
    fn jump(&mut self) {
        let mut target = self.values.nothing();
        if !self.values.once_in(4) {
            target &= !3;
        }
        if self.mmu && regime::ALIASES.contains(&target) {
            target += 1 << 32;
        }
        let registers = self.registers();
        let outcome = self.attempt_at_el1(target, &registers);
        self.expect(
            matches!(outcome.class(), Some(0x21 | 0x22)),
            || "a jump to nowhere arrived",
        );
    }

    fn storm(&mut self) {
        if self.values.once_in(4) {
            interrupts::put_in_order(self.vcpu);
        }
        interrupts::raise(self.vcpu, &mut self.values);
        let registers = self.registers();
        for _ in 0..1 + self.values.below(32) {
            let code = self
                .values
                .one_of(&[&raw const hostile_spin, &raw const hostile_call]);
            let mut registers = registers;
            registers[0] = 0x8400_0000;
            let outcome = self.attempt(address(code), EL1_UNMASKED, &registers);
            if !outcome.interrupted() {
                break;
            }
        }
    }

    /// Leaves [`Kind::Wfi`] out from now on, unless that is all it does.
    pub fn wait_no_more(&mut self) {
        self.kinds = self.kinds.without(Kind::Wfi);
    }

    /// Waits with interrupts masked, until one comes or with one there already.
    fn wait(&mut self) {
        // Else nothing need ever end the wait.
        interrupts::put_in_order(self.vcpu);
        if self.values.once_in(2) {
            interrupts::raise(self.vcpu, &mut self.values);
        }
        // With several vCPUs another one may change the GIC meanwhile: `several::end_waits`.
        let alone = self.values.map().vcpus == 1;
        let ticks = self.values.below(TICKS);
        interrupts::set_timer(if alone { ticks } else { 0 });
        let mut registers = self.registers();
        // CPU_SUSPEND.
        registers[0] = self.values.one_of(&[0x8400_0001, 0xc400_0001]);
        let code = self
            .values
            .one_of(&[&raw const hostile_wait, &raw const hostile_call]);
        let outcome = self.attempt_at_el1(address(code), &registers);
        self.expect(outcome.vector.is_none(), || "a wait ended by an exception");
        interrupts::stop_timer();
    }
}

/// Whether the VM, which began at `begin` by the counter, is to be reset at its end: unless it was before.
/// The counter goes on over a reset: a second life begins after the first one, and lasts as long.
#[must_use]
pub fn resets(kinds: Kinds, begin: u64) -> bool {
    let since = read_sysreg!("cntvct_el0") - begin;
    kinds.contains(Kind::Reset) && since > 4 * begin
}
