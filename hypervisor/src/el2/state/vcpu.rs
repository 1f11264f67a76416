//! A vCPU: what of it is in memory while it is not in the core, and its way in and out.

use ::core::ptr::NonNull;

use trapcast_forecast::{Forecaster, Prices, Scheme};
use trapcast_fpsimd::Fpexc;
use trapcast_hypervisor::{
    aarch32,
    debug::DebugRegisters,
    guest_image::ExecutionState,
    physical_timer::{self, PhysicalTimer},
};
use trapcast_switch::{Class, ClassCounts, Guest, Resuming, Tally};
use trapcast_trace::report::{ClassReport, Exit, VcpuReport, WindowReport};

use crate::el2::{
    arch::{
        debug,
        el1_state::{El1, Extensions, SCTLR_RES1, has_pauth, has_ras},
        fcse, meter,
        pmu::Pmu,
        register_file::{Area, RegisterFile},
        spsr, timer,
    },
    board::gic::{self, CpuInterface},
    boot::start::{HCR_E2H, HCR_RW},
    exits::aarch32::El1Aarch32,
    state::{
        core::Core,
        vm::{Start, Vm},
    },
};
use crate::{mrs, msr};

/// HCR_EL2 for every guest: stage 2 on, physical interrupts to EL2, WFI and SMC and what a guest
/// may not use trapped, broadcast of its maintenance to all cores.
const HCR: u64 = HCR_RW
    | 1 << 0 // VM
    | 1 << 1 // SWIO
    | 1 << 3 // FMO
    | 1 << 4 // IMO
    | 1 << 5 // AMO
    | 1 << 9 // FB
    | 1 << 10 // BSU: inner shareable
    | 1 << 13 // TWI
    | 1 << 16 // TID1
    | 1 << 18 // TID3
    | 1 << 19 // TSC
    | 1 << 20 // TIDCP
    | 1 << 21 // TACR
    | 1 << 22; // TSW
/// HCR_EL2.TLOR and TERR: the registers of limited ordering regions and of error records trap.
const HCR_TLOR: u64 = 1 << 35;
const HCR_TERR: u64 = 1 << 36;
/// HCR_EL2.APK and API: the guest's use of pointer authentication does not trap.
const HCR_PAUTH: u64 = 1 << 40 | 1 << 41;

/// Returns HCR_EL2 for guests on this core: bits of features that it has not are RES0.
pub fn guest_hcr(e2h: bool) -> u64 {
    let optional = [
        (e2h, HCR_E2H),
        (has_pauth(), HCR_PAUTH),
        (has_ras(), HCR_TERR),
        (mrs!("id_aa64mmfr1_el1") >> 16 & 0xf != 0, HCR_TLOR),
    ];
    optional
        .into_iter()
        .filter(|(present, _)| *present)
        .fold(HCR, |hcr, (_, bits)| hcr | bits)
}

/// HCR_EL2.TWE: WFE traps.
const HCR_TWE: u64 = 1 << 14;

/// Sets whether the WFE of the guest that is entered next traps. A guest that waits for another of its
/// vCPUs in a spin lock gives way by it; alone on the core it may as well wait there.
pub fn set_wfe_trap(trap: bool) {
    let hcr = mrs!("hcr_el2");
    let wanted = if trap { hcr | HCR_TWE } else { hcr & !HCR_TWE };
    if wanted != hcr {
        // SAFETY: only decides which instructions of a guest trap.
        unsafe { msr!("hcr_el2", wanted) }
    }
}

/// PSTATE of a vCPU after reset: EL1h, all interrupts masked.
const RESET_PSTATE: u64 = 0x3c5;

/// One vCPU.
///
/// The vectors store the general registers at its start and find the core behind them.
#[repr(C, align(16))]
pub struct Vcpu {
    /// x0 to x30, while the vCPU is not running.
    pub registers: [u64; 31],
    /// The core that runs it.
    pub core: *mut Core,
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
    el1: El1,
    el1_aarch32: El1Aarch32,
    interface: CpuInterface,
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
    extensions: Extensions,
    /// Its debug registers, all of them always.
    pub debug: DebugRegisters,
    /// Its half of the PMU, while that is not in the core.
    pmu: Pmu,
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
        self.prompt && gic::is_pending(self.lists)
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
    pub fn came_out(&mut self, reason: Exit) {
        self.report.exits[reason as usize] += 1;
    }

    /// Resets it, to begin as `start` says. Its registers are not in any core.
    fn reset(&mut self, start: Start) {
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

    /// Saves what the core holds of it, but for the FP/SIMD registers.
    fn save(&mut self, core: &Core) {
        self.elr = mrs!("elr_el2");
        self.spsr = mrs!("spsr_el2");
        if self.aarch32 {
            spsr::fetch(self.spsr);
        }
        self.el1.save(core.e2h);
        if self.aarch32 {
            self.el1_aarch32.save();
            debug::take_entry(&mut self.debug);
        }
        timer::stop_virtual_timer(core.e2h);
        self.extensions.save();
        self.interface.save();
    }

    /// Puts it into the core, but for the FP/SIMD registers.
    ///
    /// # Safety
    /// The core's resident vCPU was saved; this one becomes resident and is entered next.
    unsafe fn load(&mut self, core: &mut Core) {
        // SAFETY: all of it concerns EL1 and EL0 alone, which run as this vCPU next: with the
        // stage-2 tables of its own VM, under its VMID.
        unsafe {
            msr!("elr_el2", self.elr);
            msr!("spsr_el2", self.spsr);
            msr!(
                "hcr_el2",
                if self.aarch32 {
                    core.guest_hcr & !HCR_RW
                } else {
                    core.guest_hcr
                }
            );
            let mdcr = self.vm.mdcr;
            msr!("mdcr_el2", mdcr);
            if meter::may_use_pmu(mdcr) && core.pmu != Some(NonNull::from(&mut *self)) {
                core.change_pmu(self);
            }
            debug::load(&self.debug);
            msr!("vmpidr_el2", 1 << 31 | self.index as u64);
            msr!("vtcr_el2", self.vm.vtcr);
            msr!("vttbr_el2", self.vm.vttbr);
            self.el1.load(core.e2h);
            if self.aarch32 {
                self.el1_aarch32.load();
                fcse::clear();
                spsr::hand_over(self.spsr);
            }
            self.extensions.load();
            self.interface.load();
        }
        self.vm.loaded(core.number, self.index);
        let mut state = self.vm.state.lock();
        let list = state.vgic.list(self.index);
        // SAFETY: the core has these list registers; the vCPU is entered next.
        unsafe { gic::write_list_registers(&list[..core.list_registers.min(list.len())]) }
        // SAFETY: as above.
        unsafe { gic::write_ich_hcr(state.vgic.hcr(self.index)) }
        self.next.lists = state.vgic.looked_at(self.index);
        gic::set_virtual_timer_active(core.number, state.vgic.hardware_written(self.index));
        self.core = core;
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
        report.bytes_moved += unsafe { self.guest.context().file() }.moved_above;
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

impl Core {
    /// Returns whether the core holds what `vcpu` runs with.
    pub fn is_resident(&self, vcpu: &Vcpu) -> bool {
        self.resident
            .is_some_and(|resident| ::core::ptr::eq(resident.as_ptr(), vcpu))
    }

    /// Makes `next` the core's resident vCPU, and starts it if it was turned on.
    pub fn make_resident(&mut self, next: &mut Vcpu) {
        if !next.core.is_null() && !::core::ptr::eq(next.core, self) {
            // SAFETY: a core lives as long as the hypervisor, and its number, which never changes, is read
            // without a reference to the core, which has one to itself.
            let old = unsafe { (*next.core).number };
            self.report.moves += 1;
            self.fetch(NonNull::from(&mut *next), old);
        }
        let next_pointer = NonNull::from(&mut *next);
        let power_on = next.vm.state.lock().power_on[next.index].take();
        self.recorder.loaded(power_on.is_some());
        self.keep_current(next);
        if self.resident != Some(next_pointer) || power_on.is_some() {
            if let Some(mut resident) = self.resident.take()
                && resident != next_pointer
            {
                // SAFETY: a vCPU lives as long as the hypervisor, and only its core refers to it;
                // `next` is another one.
                unsafe { resident.as_mut() }.save(self);
                self.report.vcpu_switches += 1;
            }
            self.make_way(next);
            if let Some(start) = power_on {
                let evicted = self.switch.evict(&mut next.guest);
                self.exchange(evicted);
                next.reset(start);
                // Left from a life that is over.
                self.pmu = self.pmu.filter(|vcpu| *vcpu != next_pointer);
                let mut state = next.vm.state.lock();
                // Its timers were reset, too. The load that follows sees to the effects.
                let _ = state.vgic.hardware_seen(next.index, false);
                let _ = (state.vgic).set_level(next.index, physical_timer::INTID, false);
            }
            // SAFETY: the resident vCPU was saved, and the caller enters this one.
            unsafe { next.load(self) }
            self.resident = Some(next_pointer);
        }
    }

    /// Makes the guest's half of the PMU that of `next`, which is about to become the resident vCPU.
    #[inline(never)]
    fn change_pmu(&mut self, next: &mut Vcpu) {
        if let Some(before) = self.pmu.replace(NonNull::from(&mut *next)) {
            // SAFETY: a vCPU lives as long as the hypervisor; it has not moved since it was loaded here, or this core
            // would have given this up. `next` is another one.
            unsafe { (*before.as_ptr()).pmu.save() }
        }
        // SAFETY: those of the one before were saved.
        unsafe { next.pmu.load() }
    }

    /// Brings the report of `vcpu`, which runs here or is about to, up to date if it is to be kept so.
    #[inline]
    pub fn keep_current(&self, vcpu: &mut Vcpu) {
        if vcpu.publishes {
            vcpu.publish(self.switch.owner() == vcpu.guest.context());
        }
    }

    /// Gives up what this core holds of a vCPU that moves to another core, which waits for it.
    pub fn give_up(&mut self, mut vcpu: NonNull<Vcpu>) {
        let resident = self.resident == Some(vcpu);
        // SAFETY: the core that is to run the vCPU waits until this one is done with it.
        let vcpu = unsafe { vcpu.as_mut() };
        if resident {
            vcpu.save(self);
            self.resident = None;
        }
        if self.pmu == Some(NonNull::from(&mut *vcpu)) {
            vcpu.pmu.save();
            self.pmu = None;
        }
        let surrendered = self.switch.surrender(vcpu.guest.context());
        self.exchange(surrendered);
        if vcpu.guest.lingers().is_some() {
            vcpu.guest.arrived(surrendered.is_some());
        }
    }
}
