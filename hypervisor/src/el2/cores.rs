//! The physical cores: how the others are turned on, how one calls another, and how one gives up
//! what it holds of a vCPU that moves.
//!
//! A vCPU's EL1 state stays in the core that ran it until another vCPU is loaded there, and under
//! some schemes its FP/SIMD registers stay longer. A core that takes a vCPU which ran elsewhere asks
//! the old core for both, by an interrupt, and waits. A core that waits serves what others ask of it,
//! so that no two wait for each other. The old core touches the vCPU only while the new one waits.

use ::core::{
    arch::{asm, global_asm},
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
};

use alloc::boxed::Box;
use smccc::{Smc, psci};
use trapcast_trace::report::{CoreReport, MAX_CORES};

use super::{
    boot::{self, Common},
    core::Core,
    gic, memory,
    panic::fail,
    stacks,
    vcpu::Vcpu,
    wait::spin_loop,
};
use crate::mrs;

/// Every core's state, by its number, once it is up.
static CORES: [AtomicPtr<Core>; MAX_CORES] = [const { AtomicPtr::new(null_mut()) }; MAX_CORES];

/// Cores that are up.
static UP: AtomicUsize = AtomicUsize::new(0);

/// Whether guests may run.
static STARTED: AtomicBool = AtomicBool::new(false);

/// What each core is asked for, by each other one: to give up this vCPU, or [`TELL`]. The asked core answers by
/// taking it away. It alone may, so a request that it has seen is the one that it answers.
static REQUESTS: [[AtomicPtr<Vcpu>; MAX_CORES]; MAX_CORES] =
    [const { [const { AtomicPtr::new(null_mut()) }; MAX_CORES] }; MAX_CORES];

/// A request that is for no vCPU: to say on the console which one the core has loaded.
const TELL: *mut Vcpu = ::core::ptr::without_provenance_mut(align_of::<Vcpu>());

/// What a core needs until it has a stack and the MMU on. Assembly reads it with the MMU off.
#[repr(C, align(64))]
struct Start {
    hcr: u64,
    tcr: u64,
    sctlr: u64,
    ttbr0: u64,
    stack_top: u64,
    number: u64,
    common: &'static Common,
    report: *mut CoreReport,
}

global_asm!(
    ".pushsection .text.boot, \"ax\"",
    // The first instruction of a core that PSCI CPU_ON has turned on; x0: its `Start`.
    ".global el2_secondary_entry",
    "el2_secondary_entry:",
    "mov x19, x0",
    "ldr x0, [x19, #32]",
    "mov sp, x0",
    "adrp x0, el2_vectors",
    "add x0, x0, :lo12:el2_vectors",
    "msr vbar_el2, x0",
    "ldp x0, x1, [x19]",
    "ldp x2, x3, [x19, #16]",
    "bl el2_change_regime",
    "mov x0, x19",
    "bl el2_secondary_main",
    ".popsection",
);

unsafe extern "C" {
    safe static el2_secondary_entry: u8;
}

/// Makes a core known to the others.
pub fn announce(core: &mut Core) {
    CORES[core.number].store(core, Ordering::Release);
    UP.fetch_add(1, Ordering::Release);
}

/// Turns on the cores that have `reports`, numbered from 1, and waits until they are up.
///
/// Refuses to go on if one cannot be turned on.
pub fn start_others(common: &'static Common, reports: &'static mut [CoreReport]) {
    let count = reports.len() + 1;
    for (number, report) in (1..count).zip(reports) {
        let start = Box::leak(Box::new(Start {
            hcr: mrs!("hcr_el2"),
            tcr: mrs!("tcr_el2"),
            sctlr: mrs!("sctlr_el2"),
            ttbr0: mrs!("ttbr0_el2"),
            stack_top: stacks::top(number),
            number: number as u64,
            common,
            report,
        }));
        let start = ::core::ptr::from_mut(start);
        memory::clean_to_coherency(start.cast(), size_of::<Start>());
        let entry = &raw const el2_secondary_entry as u64;
        if let Err(error) = psci::cpu_on::<Smc>(number as u64, entry, start as u64) {
            fail(format_args!("core {number} cannot be turned on: {error}"));
        }
    }
    while UP.load(Ordering::Acquire) < count {
        spin_loop();
    }
}

/// Lets the other cores run guests.
pub fn go() {
    STARTED.store(true, Ordering::Release);
    // SAFETY: a hint to cores that wait for an event.
    unsafe { asm!("dsb ishst", "sev", options(nostack, preserves_flags)) }
}

/// A core's way from its first Rust instruction to its first guest.
///
/// # Safety
/// Called once per core, on its own stack, with the `Start` that it was given.
#[unsafe(no_mangle)]
unsafe extern "C" fn el2_secondary_main(start: &'static Start) -> ! {
    // SAFETY: `start_others` has given each core a report of its own.
    let report = unsafe { &mut *start.report };
    // SAFETY: at this core's boot, before any guest runs on it.
    let core = unsafe { boot::set_up_core(start.number as usize, start.common, report) };
    announce(core);
    while !STARTED.load(Ordering::Acquire) {
        // SAFETY: waits for the event that `go` sends, or any other.
        unsafe { asm!("wfe", options(nostack, preserves_flags)) }
    }
    core.run()
}

/// Makes a core look at its queue and at what others ask of it: calls it out of its guest, or out of
/// waiting.
pub fn call(number: usize) {
    let core = CORES[number].load(Ordering::Acquire);
    // SAFETY: a core lives as long as the hypervisor; this field is atomic.
    if let Some(changed) = unsafe { core.as_ref() }.map(|core| &core.changed) {
        changed.store(true, Ordering::Release);
    }
    if !is_current(number) {
        gic::send_call(number);
    }
}

/// Returns whether this is the core of that number.
pub fn is_current(number: usize) -> bool {
    number == current()
}

/// Returns the number of the core that asks: its affinity 0, as QEMU's board counts its first 16.
pub fn current() -> usize {
    (mrs!("mpidr_el1") & 0xff) as usize
}

/// Returns how many cores are up.
pub fn count() -> usize {
    UP.load(Ordering::Acquire)
}

/// Returns every core that is up.
///
/// # Safety
/// The other cores do not run guests, and touch nothing that the caller looks at.
pub unsafe fn all() -> impl Iterator<Item = &'static Core> {
    CORES.iter().filter_map(|core| {
        // SAFETY: a core lives as long as the hypervisor; the rest is the caller's claim.
        unsafe { core.load(Ordering::Acquire).as_ref() }
    })
}

impl Core {
    /// Asks core `of` to give up `vcpu`, which is this core's to run, and waits until it has.
    pub fn fetch(&mut self, vcpu: NonNull<Vcpu>, of: usize) {
        self.ask(of, vcpu.as_ptr());
    }

    /// Has every core that is up say which vCPU it has loaded, and waits until it has.
    pub fn ask_all(&mut self) {
        self.tell_what_is_loaded();
        for core in (0..count()).filter(|core| !is_current(*core)) {
            self.ask(core, TELL);
        }
    }

    fn ask(&mut self, of: usize, request_for: *mut Vcpu) {
        let request = &REQUESTS[of][self.number];
        request.store(request_for, Ordering::Release);
        gic::send_call(of);
        while !request.load(Ordering::Acquire).is_null() {
            self.serve_requests();
            spin_loop();
        }
    }

    #[inline(never)]
    fn serve(&mut self, vcpu: NonNull<Vcpu>) {
        if vcpu.as_ptr() == TELL {
            self.tell_what_is_loaded();
        } else {
            self.give_up(vcpu);
        }
    }

    /// Does what other cores ask this one for.
    #[inline(never)]
    pub fn serve_requests(&mut self) {
        for request in REQUESTS[self.number].iter().take(count()) {
            if let Some(vcpu) = NonNull::new(request.load(Ordering::Acquire)) {
                self.serve(vcpu);
                request.store(null_mut(), Ordering::Release);
            }
        }
    }
}
