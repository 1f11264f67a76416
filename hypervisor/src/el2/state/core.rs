//! What belongs to one physical core: its stack, its registers' owner, its queue, its counters.

use ::core::ptr::NonNull;

use trapcast_fpsimd::{FpSimd, Fpexc, FpexcRegister, Gates, Svcr};
use trapcast_hypervisor::disturbance::Disturbance;
use trapcast_switch::{Class, Context, Exchange, Gate, GateRegister};
use trapcast_trace::report::CoreReport;

use crate::el2::{
    arch::{
        cpu_interface,
        hcr::guest_hcr,
        meter::Meter,
        register_file::{Area, RegisterFile, gate_opening, opening},
    },
    board::vector_lengths::Lengths,
    state::{
        recorder::Recorder,
        shared::{self, Shared},
        vcpu::Vcpu,
    },
};

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
            shared: shared::of(number),
            meter: Meter::new(),
            recorder: Recorder::off(),
            intid: 0,
            resident: None,
            pmu: None,
            report,
            list_registers: cpu_interface::list_registers(),
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
            self.exchange_other(save, saved, load, loaded);
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

    /// Carries out an exchange of more than FP/SIMD, or one half of one. By its parts, which fit into
    /// registers: the short ways need no stack for them.
    #[cold]
    #[inline(never)]
    pub fn exchange_other(&mut self, save: Area, saved: Class, load: Area, loaded: Class) {
        if save == Area::NOBODY || load == Area::NOBODY {
            let exchange = Exchange {
                save,
                saved,
                load,
                loaded,
            };
            self.unlock(exchange.class());
            // SAFETY: as above.
            return unsafe { RegisterFile::exchange_half(&exchange, self.e2h) };
        }
        self.unlock(saved.max(loaded));
        // SAFETY: as above.
        unsafe { RegisterFile::exchange(save, saved, load, loaded, self.e2h) }
    }

    /// Opens the gate of FP/SIMD alone, which a guest's trap has found closed.
    #[inline(always)]
    pub fn open_fp(&mut self) {
        // SAFETY: at EL2. The state machine gives the vCPU that trapped the registers next, before it goes on.
        unsafe { self.gates.unlock(opening(Class::Fp)) }
        self.gate = GateRegister::new(Gate::Open(Class::Fp));
    }

    /// Sets FPEXC32_EL2 for the entry of an AArch32 guest that follows, with the gate about to stand
    /// so.
    #[inline]
    pub fn set_fpexc(&mut self, vcpu: &Vcpu, gate: Gate) {
        if let Some(fpexc) = self.fpexc.enter(vcpu.fpexc, gate != Gate::Closed) {
            self.unlock(Class::Fp);
            // SAFETY: at EL2, with the gate open; an AArch32 guest runs only where there is AArch32.
            unsafe { fpexc.write() }
        }
    }

    /// Takes FPEXC32_EL2 as an AArch32 guest left it.
    #[inline]
    pub fn save_fpexc(&mut self, vcpu: &mut Vcpu) {
        if self.fpexc.exit() {
            // SAFETY: as above: the guest ran behind an open gate.
            vcpu.fpexc = unsafe { Fpexc::read() };
            self.fpexc.found(vcpu.fpexc);
        }
    }

    /// Adds up the counters, which are 32 bits wide, often enough: what ran since the last time ran
    /// for `vcpu`.
    pub fn account(&mut self, vcpu: &mut Vcpu) {
        vcpu.el2_instructions += self.lap();
    }

    /// Adds up the counters of the core, and returns the instructions at EL2 since the last time.
    pub fn lap(&mut self) -> u64 {
        let (el2, guest) = self.meter.lap();
        self.report.el2_instructions += el2;
        self.report.guest_instructions += guest;
        self.report.longest_masked = u64::from(self.meter.longest);
        el2
    }
}
