//! What belongs to one physical core: its stack, its registers' owner, its queue, its counters.

use ::core::{ptr::NonNull, sync::atomic::AtomicBool};

use trapcast_fpsimd::{Cptr, FpSimd, Opening};
use trapcast_switch::{Exchange, Gate, GateRegister};
use trapcast_trace::report::CoreReport;

use super::{
    meter::Meter,
    record::Recorder,
    vcpu::{Vcpu, guest_hcr},
};

/// Where one register file is kept: a vCPU's or a host's. The context of the switch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct Area(pub NonNull<FpSimd>);

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
}

/// One physical core. The vectors find it by the vCPU that they interrupt.
#[repr(C)]
pub struct Core {
    /// Top of the core's stack. The vectors read it, so it stands first.
    pub stack_top: u64,
    /// Whose registers are in this core.
    pub switch: trapcast_switch::Core<Area>,
    /// The two values of CPTR_EL2.
    pub cptr: Cptr,
    /// How CPTR_EL2 stands.
    gate: GateRegister,
    /// Where the host's registers are kept while a guest's are in the core.
    pub host: Area,
    /// Its number: affinity 0.
    pub number: usize,
    /// What this core does of the scheduler's work.
    pub turn: Turn,
    /// Whether the queue or another core wants this one's attention.
    pub changed: AtomicBool,
    /// Instruction counters.
    pub meter: Meter,
    /// Writes down each window, if that is wanted.
    pub recorder: Recorder,
    /// INTID of the last physical interrupt that the core took.
    pub intid: u32,
    /// The vCPU whose EL1 state, timer and list registers are in the core.
    pub resident: Option<NonNull<Vcpu>>,
    /// What the lab reads of this core.
    pub report: &'static mut CoreReport,
    /// Number of list registers of this core.
    pub list_registers: usize,
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
            cptr: Cptr::new(e2h, Opening::FP),
            gate: GateRegister::new(Gate::Closed),
            host,
            number,
            turn: Turn {
                slice,
                slice_end: 0,
                second,
                last: 0,
            },
            changed: AtomicBool::new(false),
            meter: Meter::new(),
            recorder: Recorder::off(),
            intid: 0,
            resident: None,
            report,
            list_registers: super::gic::list_registers(),
            e2h,
            guest_hcr: guest_hcr(e2h),
        }
    }

    /// Lets EL2 itself at the registers.
    #[inline]
    pub fn unlock(&mut self) {
        if self.gate.unlock() {
            // SAFETY: at EL2, with E2H as `cptr` was made for; every entry sets the gate anew.
            unsafe { self.cptr.unlock() }
        }
    }

    /// Sets the gate for the entry that follows.
    #[inline]
    pub fn set_gate(&mut self, gate: Gate) {
        if self.gate.set(gate) {
            // SAFETY: as above; that an open gate means ownership is the switch's invariant.
            unsafe { self.cptr.set(gate == Gate::Open) }
        }
    }

    /// Carries out what the switch answered.
    #[inline]
    pub fn exchange(&mut self, exchange: Option<Exchange<Area>>) {
        if let Some(Exchange { save, load }) = exchange {
            self.unlock();
            // SAFETY: an area points to a register file that lives as long as the hypervisor and
            // that only this core touches while it owns the registers; the gate is open, and this
            // is built for a soft-float target.
            unsafe { FpSimd::exchange(save.0.as_ptr(), load.0.as_ptr()) }
        }
    }
}

/// The way of a trap of the closed gate, called by its vector: says what to move.
///
/// # Safety
/// Called by the vector with the current vCPU and this core, and nobody else has a reference to
/// either.
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_gate_trap(vcpu: &mut Vcpu, core: &mut Core) -> Move {
    // SAFETY: at EL2. The state machine gives this vCPU the registers next, before it goes on.
    unsafe { core.cptr.unlock() }
    core.gate = GateRegister::new(Gate::Open);
    core.recorder.used();
    match core.switch.trap(&mut vcpu.guest) {
        Some(Exchange { save, load }) => Move {
            save: Some(save),
            load: Some(load),
        },
        None => Move {
            save: None,
            load: None,
        },
    }
}

/// An exchange as the vector takes it: in x0 and x1, zero for nothing to do.
#[repr(C)]
struct Move {
    save: Option<Area>,
    load: Option<Area>,
}
