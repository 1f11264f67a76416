//! What belongs to one physical core: its stack, its registers' owner, its queue, its counters.

use ::core::{hint::black_box, ptr::NonNull};

use trapcast_fpsimd::{FpSimd, FpexcRegister, Gates, Svcr};
use trapcast_hypervisor::disturbance::Disturbance;
use trapcast_hypervisor::syndrome::{ExceptionClass, Syndrome};
use trapcast_switch::{Class, Exchange, Gate, GateRegister};
use trapcast_trace::report::CoreReport;

use crate::el2::{
    arch::{
        meter::Meter,
        register_file::{Area, RegisterFile, gate_opening, opening},
    },
    board::vector_lengths::Lengths,
    exits::inject,
    sched::ipi::{self, Shared},
    state::{
        recorder::Recorder,
        vcpu::{Vcpu, guest_hcr},
    },
};

use crate::mrs;

/// Whose turn it is on one core.
pub struct Turn {
    /// Time slice in ticks of the physical counter.
    pub slice: u64,
    /// When the current time slice ends, by the physical counter.
    pub slice_end: u64,
    /// One second in ticks.
    pub second: u64,
    /// Number of the vCPU that ran last.
    pub last: usize,
    /// Whether others wait for the core, as far as it has looked.
    pub shared: bool,
    /// Whether the core looks for an interrupt time and again when it has nothing to run.
    pub polls: bool,
}

/// One physical core. The vectors find it by the vCPU that they interrupt.
#[repr(C)]
pub struct Core {
    /// Top of the core's stack. The vectors read it, so it stands first.
    pub stack_top: u64,
    /// Whose registers are in this core.
    pub switch: trapcast_switch::Core<Area>,
    /// The values of CPTR_EL2.
    pub gates: Gates,
    /// How CPTR_EL2 stands.
    gate: GateRegister,
    /// How FPEXC32_EL2 stands.
    pub fpexc: FpexcRegister,
    /// Where the host's registers are kept while a guest's are in the core.
    pub host: Area,
    /// Its number: affinity 0.
    pub number: usize,
    /// What this core does of the scheduler's work.
    pub turn: Turn,
    /// What disturbs this core, for tests.
    pub disturbance: Option<Disturbance>,
    /// What others see and set of it.
    pub shared: &'static Shared,
    /// Instruction counters.
    pub meter: Meter,
    /// Writes down each window, if that is wanted.
    pub recorder: Recorder,
    /// INTID of the last physical interrupt that the core took.
    pub intid: u32,
    /// The vCPU whose EL1 state, timer and list registers are in the core.
    pub resident: Option<NonNull<Vcpu>>,
    /// The vCPU whose half of the PMU is in the core.
    pub pmu: Option<NonNull<Vcpu>>,
    /// What the lab reads of this core.
    pub report: &'static mut CoreReport,
    /// Number of list registers of this core.
    pub list_registers: usize,
    /// Vector lengths.
    pub lengths: Lengths,
    /// HCR_EL2.E2H.
    pub e2h: bool,
    /// HCR_EL2 while a guest runs.
    pub guest_hcr: u64,
}

impl Core {
    /// Returns a core whose registers are to be the host's own. Its gate counts as closed: what it
    /// is at reset is unknown.
    pub fn new(
        stack_top: u64,
        e2h: bool,
        host: Area,
        number: usize,
        slice: u64,
        second: u64,
        report: &'static mut CoreReport,
    ) -> Self {
        Self {
            stack_top,
            switch: trapcast_switch::Core::new(host),
            gates: Gates::new(e2h),
            gate: GateRegister::new(Gate::Closed),
            fpexc: FpexcRegister::new(),
            host,
            number,
            turn: Turn {
                slice,
                slice_end: 0,
                second,
                last: 0,
                shared: false,
                polls: false,
            },
            disturbance: None,
            shared: ipi::shared(number),
            meter: Meter::new(),
            recorder: Recorder::off(),
            intid: 0,
            resident: None,
            pmu: None,
            report,
            list_registers: crate::el2::board::gic::list_registers(),
            lengths: Lengths::default(),
            e2h,
            guest_hcr: guest_hcr(e2h),
        }
    }

    /// Lets EL2 itself at the registers up to a class.
    #[inline]
    pub fn unlock(&mut self, class: Class) {
        if self.gate.unlock(class) {
            // SAFETY: at EL2, with E2H as the gates were made for; every entry sets them anew.
            unsafe { self.gates.unlock(opening(class)) }
        }
    }

    /// Returns whether the gate lets anybody at the registers, be it a guest or EL2 itself.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.gate != GateRegister::new(Gate::Closed)
    }

    /// Sets the gate for the entry that follows.
    #[inline]
    pub fn set_gate(&mut self, gate: Gate) {
        if self.gate.set(gate) {
            // SAFETY: as above; that an open gate means ownership is the switch's invariant.
            unsafe { self.gates.set(gate_opening(gate)) }
        }
    }

    /// Carries out what the switch answered.
    #[inline]
    pub fn exchange(&mut self, exchange: Option<Exchange<Area>>) {
        let Some(exchange) = exchange else { return };
        let Exchange {
            save,
            saved,
            load,
            loaded,
        } = exchange;
        if !exchange.is_fp_alone() {
            self.exchange_above(save, saved, load, loaded);
            return;
        }
        self.unlock(Class::Fp);
        // SAFETY: an area points to a register file that lives as long as the hypervisor and that only
        // this core touches while it owns the registers; the gate is open, and this is built for a
        // soft-float target.
        unsafe { FpSimd::exchange(save.fp(), load.fp()) }
    }

    /// Lets no other guest's streaming mode stay in the core for `next`, which is about to become the
    /// resident vCPU. Before anything of EL1 runs for it.
    #[inline]
    pub fn make_way(&mut self, next: &Vcpu) {
        let Self {
            switch,
            gate,
            gates,
            ..
        } = self;
        let way = switch.make_way(&next.guest, || {
            // Behind a closed gate SVCR would trap.
            if gate.unlock(Class::Sme) {
                // SAFETY: at EL2, with E2H as the gates were made for; every entry sets them anew.
                unsafe { gates.unlock(opening(Class::Sme)) }
            }
            // SAFETY: SME's registers are held, so the core has it; the gate is open.
            unsafe { Svcr::read() }.streaming()
        });
        self.exchange(way);
    }

    /// Carries out an exchange of more than FP/SIMD. By its parts, which fit into registers: the short
    /// ways need no stack for them.
    #[cold]
    #[inline(never)]
    fn exchange_above(&mut self, save: Area, saved: Class, load: Area, loaded: Class) {
        self.unlock(saved.max(loaded));
        // SAFETY: as above.
        unsafe { RegisterFile::exchange(save, saved, load, loaded, self.e2h) }
    }
}

/// The way of a trap of the closed FP/SIMD gate, called by its vector: says what to move.
///
/// The vCPU and the core come as third and fourth argument: x0 and x1 are the answer's.
///
/// # Safety
/// Called by the vector with the current vCPU and this core, and nobody else has a reference to
/// either.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn el2_gate_trap(_: u64, _: u64, vcpu: &mut Vcpu, core: &mut Core) -> Move {
    if vcpu.guest.observed() {
        return observed_trap(vcpu, core);
    }
    if core.switch.owner() == vcpu.guest.context() {
        return trap_of_any_class(vcpu, core, Class::Fp);
    }
    // SAFETY: at EL2. The state machine gives this vCPU the registers next, before it goes on.
    unsafe { core.gates.unlock(opening(Class::Fp)) }
    core.gate = GateRegister::new(Gate::Open(Class::Fp));
    let Some(exchange) = core.switch.trap(&mut vcpu.guest, Class::Fp).exchange else {
        return Move::done();
    };
    let Exchange {
        save,
        saved,
        load,
        loaded,
    } = exchange;
    if exchange.is_fp_alone() {
        return Move {
            save: Some(save),
            load: Some(load),
        };
    }
    trap_above(save, load, loaded, core, saved)
}

/// The way of a trap of FP/SIMD that the observer armed, and perhaps the scheme too.
#[inline(never)]
extern "C" fn observed_trap(vcpu: &mut Vcpu, core: &mut Core) -> Move {
    let is_owner = core.switch.owner() == vcpu.guest.context();
    if is_owner && core.switch.held() == Class::Fp && vcpu.vm.settings.fp {
        core.recorder.used();
        let gate = core.switch.trap(&mut vcpu.guest, Class::Fp).gate;
        core.set_gate(gate);
        return Move::NONE;
    }
    trap_of_any_class(vcpu, core, Class::Fp)
}

/// The way of a trap of the closed gate of SVE or SME, as ESR_EL2 says.
///
/// # Safety
/// As for [`el2_gate_trap`].
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_gate_trap_above(_: u64, _: u64, vcpu: &mut Vcpu, core: &mut Core) -> Move {
    let syndrome = Syndrome::new(mrs!("esr_el2"));
    // SVCR.SM is the guest's own, so an instruction of SVE traps as one of SME in its streaming mode only.
    let class = if syndrome.class() == ExceptionClass::SVE {
        Class::Sve
    } else {
        Class::Sme
    };
    trap_of_any_class(vcpu, core, class)
}

/// Deals with a trap of the gate, whatever has to move. What the guest has not is undefined.
#[inline(never)]
extern "C" fn trap_of_any_class(vcpu: &mut Vcpu, core: &mut Core, class: Class) -> Move {
    if !vcpu.vm.settings.fp || vcpu.guest.most() < class {
        inject::undefined(vcpu);
        return Move::done();
    }
    core.recorder.used();
    let entry = core.switch.trap(&mut vcpu.guest, class);
    core.exchange(entry.exchange);
    core.set_gate(entry.gate);
    Move::done()
}

/// Carries out an exchange of a trap of FP/SIMD that moves more. By its parts, so that the trap needs
/// no stack before.
#[cold]
#[inline(never)]
extern "C" fn trap_above(
    save: Area,
    load: Area,
    loaded: Class,
    core: &mut Core,
    saved: Class,
) -> Move {
    core.exchange_above(save, saved, load, loaded);
    core.set_gate(Gate::Open(loaded));
    Move::done()
}

/// An exchange as the vector takes it: in x0 and x1, zero for nothing to do.
#[repr(C)]
pub struct Move {
    save: Option<Area>,
    load: Option<Area>,
}

impl Move {
    const NONE: Self = Self {
        save: None,
        load: None,
    };

    /// Nothing is left to move. Opaque, so that whoever returns this can be called last: the short way
    /// then needs no stack.
    fn done() -> Self {
        black_box(Self::NONE)
    }
}
