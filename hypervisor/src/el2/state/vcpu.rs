//! A vCPU: what of it is in memory while it is not in the core, and its way in and out.

use ::core::ffi::c_void;

use trapcast_forecast::{Forecaster, Prices, Scheme};
use trapcast_fpsimd::Fpexc;
use trapcast_hypervisor::{
    aarch32, debug::DebugRegisters, guest_image::ExecutionState, physical_timer::PhysicalTimer,
};
use trapcast_switch::{Class, ClassCounts, Guest, Resuming, Tally};
use trapcast_trace::report::{ClassReport, Exit, VcpuReport, WindowReport};

use crate::el2::{
    arch::{
        cpu_interface::{self, CpuInterface},
        el1_state::{El1, El1Aarch32, Extensions, SCTLR_RES1},
        pmu::Pmu,
        register_file::{Area, RegisterFile},
    },
    state::vm::{Start, Vm},
};
use crate::mrs;

/// PSTATE of a vCPU after reset: EL1h, all interrupts masked.
const RESET_PSTATE: u64 = 0x3c5;

/// One vCPU.
///
/// The vectors store the general registers at its start and find the core behind them.
#[repr(C, align(16))]
pub struct Vcpu {
    /// x0 to x30, while the vCPU is not running.
    pub registers: [u64; 31],
    /// The core that ran it last, or null: a `Core`, of which nothing is known here.
    pub core: *mut c_void,
    /// Its side of the switch.
    pub guest: Guest<Area>,
    /// Whether it is in AArch32 state at EL1.
    pub aarch32: bool,
    /// Whether it has state that decides about its accesses before the gate does: it is in AArch32 state at
    /// EL1, or has SME.
    pub has_untrapped: bool,
    /// Whether FPEXC32_EL2 is its own: not if AArch32 is its EL0's alone, where EN counts as set, and where the
    /// core need not have the register.
    pub has_fpexc: bool,
    /// FPEXC of an AArch32 guest, while it is not running.
    pub fpexc: Fpexc,
    /// EL2 instructions on its behalf, exits to entries.
    pub el2_instructions: u64,
    /// Those spent in switching its registers.
    pub switch_instructions: u64,
    /// ELR_EL2 and SPSR_EL2, while it is not resident.
    pub elr: u64,
    /// See [`elr`](Self::elr).
    pub spsr: u64,
    /// EL1 and EL0 registers, while it is not resident.
    pub el1: El1,
    /// Those of AArch32 alone.
    pub el1_aarch32: El1Aarch32,
    /// Its virtual CPU interface, while it is not resident.
    pub interface: CpuInterface,
    /// Its physical timer, which EL2 emulates.
    pub physical_timer: PhysicalTimer,
    /// What is known of its next entry.
    pub next: NextEntry,
    /// Its VM.
    pub vm: &'static Vm,
    /// Its number in the VM.
    pub index: usize,
    /// Its number over all VMs: its place in the report.
    pub number: u16,
    /// Its number in its core's queue.
    pub slot: usize,
    /// What the lab reads of it. Exits are counted there; the rest is copied there at the end, and before
    /// if `publishes`.
    pub report: &'static mut VcpuReport,
    /// Whether the report is kept current while the guest runs.
    pub publishes: bool,
    /// Registers that only some cores have, while it is not resident.
    pub extensions: Extensions,
    /// Its debug registers, all of them always.
    pub debug: DebugRegisters,
    /// Its half of the PMU, while that is not in the core.
    pub pmu: Pmu,
}

/// What is known of a vCPU's next entry before it is made.
#[derive(Debug)]
pub struct NextEntry {
    /// How many of its list registers have to be looked at after its next exit, as
    /// [`looked_at`](trapcast_hypervisor::vgic::Vgic::looked_at) says.
    pub lists: usize,
    /// Whether no registers are to be loaded early while an interrupt is pending.
    prompt: bool,
}

/// What the forecast goes by. ELR_EL2 and the list registers are the vCPU's.
impl Resuming for &NextEntry {
    #[inline(always)]
    fn pc(&self) -> u64 {
        mrs!("elr_el2")
    }

    #[inline(always)]
    fn pending(&self) -> bool {
        self.prompt && cpu_interface::is_pending(self.lists)
    }
}

/// Returns a vCPU's side of the switch: forecasters that know what its registers cost.
fn guest(vm: &Vm, area: Area, (scheme, observed): (Scheme, bool), number: u16) -> Guest<Area> {
    let forecaster = |class| {
        let costs = vm.vectors.costs(class, &vm.settings.costs);
        Forecaster::new(scheme, Prices::new(&costs), number.into())
    };
    let most = vm.vectors.most();
    let mut guest = Guest::new(area, forecaster(Class::Fp), observed).with_classes(most);
    for class in [Class::Sve, Class::Sme] {
        if class <= most {
            *guest.forecaster_mut(class) = forecaster(class);
        }
    }
    guest
}

impl Vcpu {
    /// Returns a vCPU that has not run.
    pub fn new(
        vm: &'static Vm,
        index: usize,
        number: u16,
        report: &'static mut VcpuReport,
    ) -> Self {
        // Without FP/SIMD the gate never opens, as for an observed guest, and nothing ever moves.
        let (scheme, observed) = if vm.settings.fp {
            (vm.settings.scheme, vm.settings.observe)
        } else {
            (Scheme::UntilPut, true)
        };
        report.vm = vm.number as u32;
        report.index = index as u32;
        report.scheme = scheme as u32;
        report.observed = u32::from(observed);
        let area = Area::leak(RegisterFile::new(vm.vectors));
        let aarch32 = vm.execution_state == ExecutionState::AArch32;
        Self {
            registers: [0; 31],
            core: ::core::ptr::null_mut(),
            guest: guest(vm, area, (scheme, observed), number),
            aarch32,
            has_untrapped: aarch32 || vm.vectors.sme.is_some(),
            fpexc: Fpexc::ZERO,
            has_fpexc: aarch32 && vm.settings.fp,
            el2_instructions: 0,
            switch_instructions: 0,
            elr: 0,
            spsr: RESET_PSTATE,
            el1: El1::default(),
            el1_aarch32: El1Aarch32::default(),
            extensions: Extensions::new(vm.vectors.sme.is_some()),
            interface: CpuInterface::default(),
            physical_timer: PhysicalTimer::RESET,
            next: NextEntry {
                lists: 0,
                prompt: vm.settings.prompt,
            },
            vm,
            index,
            number,
            slot: 0,
            report,
            publishes: false,
            debug: DebugRegisters::RESET,
            pmu: Pmu::default(),
        }
    }

    /// Counts why it came out.
    #[inline]
    pub fn count_exit(&mut self, reason: Exit) {
        self.report.exits[reason as usize] += 1;
    }

    /// Returns general register `n`, of which 31 is XZR.
    pub fn register(&self, n: u8) -> u64 {
        self.registers.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// Sets general register `n`, of which 31 is XZR.
    pub fn set_register(&mut self, n: u8, value: u64) {
        if let Some(register) = self.registers.get_mut(usize::from(n)) {
            *register = value;
        }
    }

    /// Resets it, to begin as `start` says. Its registers are not in any core.
    pub fn reset(&mut self, start: Start) {
        self.registers = [0; 31];
        self.registers[..3].copy_from_slice(&start.arguments);
        if self.aarch32 {
            (self.elr, self.spsr) = aarch32::entry(start.entry);
            self.el1 = El1::reset(aarch32::RESET_SCTLR);
        } else {
            (self.elr, self.spsr) = (start.entry, RESET_PSTATE);
            self.el1 = El1::reset(SCTLR_RES1);
        }
        self.el1_aarch32 = El1Aarch32::default();
        self.fpexc = Fpexc::ZERO;
        self.extensions.reset();
        self.interface = CpuInterface::default();
        self.debug = DebugRegisters::RESET;
        self.pmu = Pmu::default();
        self.physical_timer = PhysicalTimer::RESET;
        // SAFETY: the state machine has evicted this vCPU, so no core uses its area.
        unsafe { self.guest.context().file() }.reset();
    }

    /// Copies what was counted to where the lab reads it. `owner` says whether its FP/SIMD registers
    /// are in the core.
    #[inline(never)]
    pub fn publish(&mut self, owner: bool) {
        let counts = &self.guest.counts;
        let report = &mut *self.report;
        report.entries = counts.entries;
        report.loads_of_vcpu = counts.puts;
        report.traps = counts.traps;
        report.probes = counts.probes;
        report.observer_traps = counts.observer_traps;
        report.register_loads = counts.traps + counts.eager_loads;
        report.register_saves = report.register_loads - u64::from(owner);
        report.bytes_moved = 2
            * trapcast_fpsimd::FPSIMD_BYTES as u64
            * (counts.traps + counts.eager_loads + counts.give_backs + counts.fetches);
        // SAFETY: only a core that moves the registers of this vCPU, its own, writes this.
        let above = unsafe { self.guest.context().file() }.moved_above;
        report.bytes_moved = report.bytes_moved.saturating_add_signed(above);
        report.el2_instructions = self.el2_instructions;
        report.switch_instructions = self.switch_instructions;
        report.forecast = counts.forecast;
        report.wasted_loads = counts.wasted_loads;
        for (window, tally) in [
            (&mut report.entry_windows, &counts.entry_windows),
            (&mut report.load_windows, &counts.load_windows),
        ] {
            *window = windows(tally);
        }
        report.sve = class(&counts.sve);
        report.sme = class(&counts.sme);
    }
}

fn windows(tally: &Tally) -> WindowReport {
    WindowReport {
        windows: tally.windows,
        pairs: tally.pairs,
        used: tally.used,
    }
}

fn class(counts: &ClassCounts) -> ClassReport {
    ClassReport {
        traps: counts.traps,
        eager_loads: counts.eager_loads,
        windows: windows(&counts.windows),
        unseen: counts.unseen,
    }
}
