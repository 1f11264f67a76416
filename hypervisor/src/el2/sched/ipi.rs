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

use crate::el2::{
    arch::{
        register_file::{Area, RegisterFile},
        wait::spin_loop,
    },
    board::{gic, memory, panic::fail, stacks},
    boot::start::{self, Common},
    state::{core::Core, vcpu::Vcpu},
};
use crate::mrs;

/// What other cores see and set of each core, by its number. The rest of a core is its own alone: nobody else
/// makes a reference to it.
static SHARED: [Shared; MAX_CORES] = [const { Shared::new() }; MAX_CORES];

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

/// Returns what others see of core `number`.
pub fn shared(number: usize) -> &'static Shared {
    &SHARED[number]
}

/// Counts the core that calls it as up.
pub fn announce() {
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
        // Cleaning is complete behind a DSB only (Arm ARM, "Ordering and completion of data and instruction cache
        // instructions"), and nothing else orders it before what CPU_ON has the other core read.
        barrier();
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
    let core = unsafe { start::set_up_core(start.number as usize, start.common, report) };
    announce();
    while !STARTED.load(Ordering::Acquire) {
        // SAFETY: waits for the event that `go` sends, or any other.
        unsafe { asm!("wfe", options(nostack, preserves_flags)) }
    }
    core.run()
}

/// Makes a core look at its queue and at what others ask of it: calls it out of its guest, or out of
/// waiting.
pub fn call(number: usize) {
    SHARED[number].changed.store(true, Ordering::Release);
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

/// Returns whether the registers that are kept in `area` are in any core, of cores that have said so by
/// [`Shared::keeps`] and run no guest any more.
pub fn any_keeps(area: Area) -> bool {
    let mut all = SHARED.iter();
    all.any(|core| core.kept.load(Ordering::Acquire) == area.0.as_ptr())
}

/// Waits until all that this core has read, written, cleaned and invalidated is complete.
#[inline(always)]
fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// What of a core others see and set. What is looked at before each entry stands first.
#[repr(C)]
pub struct Shared {
    /// Whether the queue or another core wants this one's attention.
    pub changed: AtomicBool,
    /// Where the registers are kept that are in the core, once it has run its last guest.
    kept: AtomicPtr<RegisterFile>,
}

impl Shared {
    const fn new() -> Self {
        Self {
            changed: AtomicBool::new(false),
            kept: AtomicPtr::new(null_mut()),
        }
    }

    /// The core keeps these registers, and runs no guest any more.
    pub fn keeps(&self, area: Area) {
        self.kept.store(area.0.as_ptr(), Ordering::Release);
    }
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
    ///
    /// A vCPU that moves takes its barriers along. A guest that has executed a TLBI or a DC here and its DSB on
    /// the other core expects both to be complete then, but a DSB waits for the maintenance of the core that
    /// executes it alone (Arm ARM, "Data Synchronization Barrier": all that was "issued by PEe").
    /// So this core executes one before it lets go, of the full system, as it does not know the guest's. The
    /// store-release alone orders reads and writes, not maintenance. Linux has the same in `__switch_to`. Here it
    /// costs moves alone; a vCPU that comes back to the same core has that core's own DSB.
    #[inline(never)]
    pub fn serve_requests(&mut self) {
        for request in REQUESTS[self.number].iter().take(count()) {
            if let Some(vcpu) = NonNull::new(request.load(Ordering::Acquire)) {
                self.serve(vcpu);
                barrier();
                request.store(null_mut(), Ordering::Release);
            }
        }
    }
}
