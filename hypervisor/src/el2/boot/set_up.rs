//! What each core sets up for itself, and its way to its first guest.

use ::core::ffi::c_void;

use alloc::boxed::Box;
use trapcast_fpsimd::FpSimd;
use trapcast_switch::Class;
use trapcast_trace::report::CoreReport;

use crate::el2::{
    arch::{
        controls, cpu_interface,
        pmu::Pmu,
        register_file::{Area, RegisterFile},
    },
    board::{report, stacks, vector_lengths::Lengths, workarounds},
    run::schedule,
    sched::{disturb, host_simd},
    state::{core::Core, recorder::Recorder},
};
use crate::msr;

unsafe extern "C" {
    fn el2_enter(vcpu: *mut c_void) -> !;
}

/// What is the same for every core.
pub struct Common {
    /// HCR_EL2.E2H.
    pub e2h: bool,
    /// Time slice in ticks of the physical counter.
    pub slice: u64,
    /// One second in ticks.
    pub second: u64,
    /// Whether every window is recorded.
    pub record: bool,
    /// Whether the distribution of masked stretches is kept.
    pub latency: bool,
    /// Whether an idle core polls for interrupts.
    pub idle_polls: bool,
    /// What disturbs the cores.
    pub disturb: Option<u64>,
}

/// Sets up the core that calls it, as core `number`.
///
/// # Safety
/// Called once per core, before it runs guests, on its own stack.
pub unsafe fn set_up_core(
    number: usize,
    common: &Common,
    report: &'static mut CoreReport,
) -> &'static mut Core {
    cpu_interface::init();
    // What the host keeps in its registers, to notice if it ever loses them.
    let host = Area::leak(RegisterFile::with_fp(host_simd::CANARY));
    let core = Box::leak(Box::new(Core::new(
        stacks::top(number),
        common.e2h,
        host,
        number,
        common.slice,
        common.second,
        report,
    )));
    core.lengths = Lengths::of(|class| core.unlock(class));
    core.unlock(Class::Fp);
    // SAFETY: the gate is open; the registers become what the switch takes them for.
    unsafe { FpSimd::load(host.fp()) }
    if common.record {
        core.recorder = Recorder::on(number);
    }
    if common.latency {
        // SAFETY: once per core, and the mailbox is laid out before any is set up.
        core.meter.keep_all(unsafe { report::masked(number) });
    }
    core.turn.polls = common.idle_polls;
    if let Some(seed) = common.disturb {
        disturb::set_up(core, seed);
    }
    // SAFETY: no guest has run on this core yet.
    unsafe { Pmu::default().load() }
    workarounds::turn_on();
    // SAFETY: no guest has run on this core yet.
    unsafe { init_guest_controls(common.e2h) }
    core
}

/// Runs guests for good.
pub fn run(core: &mut Core) -> ! {
    let vcpu = schedule::first(core);
    // SAFETY: the vCPU is loaded, its registers are those of its reset.
    unsafe { el2_enter(vcpu.as_ptr().cast()) }
}

/// Sets up what all guests have in common on this core.
///
/// # Safety
/// At EL2, before the first guest is entered.
unsafe fn init_guest_controls(e2h: bool) {
    // SAFETY: EL1 does not run yet.
    unsafe {
        // EL1 may read the physical counter; its accesses to the physical timer trap. The bits stand
        // elsewhere with E2H = 1.
        msr!("cnthctl_el2", if e2h { 1 << 10 } else { 1 });
        msr!("cntvoff_el2", 0);
        controls::init();
    }
}
