//! The CPUs of this machine: which one runs, and the same work on all of them.
//!
//! Source: Arm DEN 0022, "Power State Coordination Interface", CPU_ON and CPU_OFF.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{exceptions, gic, mmu, psci, timer};
use crate::read_sysreg;

/// The most CPUs that a guest uses.
pub const MAX_CPUS: usize = 8;

const STACK_BYTES: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: each is used by one CPU, as its stack.
unsafe impl Sync for Stack {}

static STACKS: [Stack; MAX_CPUS] = [const { Stack(UnsafeCell::new([0; STACK_BYTES])) }; MAX_CPUS];

/// What a CPU needs to know when it is turned on.
#[repr(C)]
struct Start<'a> {
    /// Assembly reads it, so it stands first.
    stack_top: *mut u8,
    cpu: usize,
    work: &'a (dyn Fn(usize) + Sync),
    done: AtomicBool,
}

global_asm!(
    r#"
    .section .text.cpu_entry, "ax"
    cpu_entry:                          // x0: a Start
        msr     spsel, #1
        ldr     x1, [x0]
        mov     sp, x1
        bl      {run}
    "#,
    run = sym run,
);

unsafe extern "C" {
    static cpu_entry: u8;
}

/// The number of the CPU that asks: its affinity 0.
#[inline(always)]
pub fn current() -> usize {
    read_sysreg!("mpidr_el1") as usize % MAX_CPUS
}

/// Lets another CPU run, where an emulator runs one at a time.
#[inline(always)]
pub fn give_way() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Does `work` on `count` CPUs, this one and others that are off, each of which gets its number.
/// Returns when all are done; the others are off again then.
///
/// # Errors
///
/// The number of a CPU that cannot be turned on; no other than those before it has worked then.
pub fn on_all(count: usize, work: &(dyn Fn(usize) + Sync)) -> Result<(), usize> {
    let starts: [Start<'_>; MAX_CPUS] = core::array::from_fn(|cpu| Start {
        stack_top: STACKS[cpu].0.get().cast::<u8>().wrapping_add(STACK_BYTES),
        cpu,
        work,
        done: AtomicBool::new(false),
    });
    let others = starts.get(1..count).unwrap_or_default();
    let refused = others.iter().find(|start| !turn_on(start));
    let last = refused.map_or(count, |start| start.cpu);
    if refused.is_none() {
        work(0);
    }
    for start in starts.get(1..last).unwrap_or_default() {
        while !start.done.load(Ordering::Acquire) {
            timer::wait();
        }
    }
    refused.map_or(Ok(()), |start| Err(start.cpu))
}

fn turn_on(start: &Start<'_>) -> bool {
    let entry = (&raw const cpu_entry).expose_provenance() as u64;
    let context = ptr::from_ref(start).expose_provenance() as u64;
    psci::call_with(psci::CPU_ON, [start.cpu as u64, entry, context]) == 0
}

/// The way of a CPU that was turned on.
///
/// # Safety
///
/// Once for each CPU but the first, with the MMU off, on the CPU's own stack.
unsafe extern "C" fn run(start: &Start<'_>) -> ! {
    // SAFETY: the first CPU has filled the tables; this one has its MMU off.
    unsafe { mmu::turn_on() };
    exceptions::install();
    gic::enable_cpu();
    (start.work)(start.cpu);
    gic::mask();
    start.done.store(true, Ordering::Release);
    psci::cpu_off()
}
