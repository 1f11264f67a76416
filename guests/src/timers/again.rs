//! A CPU that is turned on again, and a VM that begins again, find no interrupt of the timers that were set
//! before. A board without a hypervisor may do otherwise: there the GIC outlives a CPU.
//!
//! Nothing is left of one life in the next but the counter, which goes on: so the lives are told apart by when
//! they begin.

use core::arch::global_asm;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::timer::Timer;
use super::with;
use crate::board::cpus::{self, give_way};
use crate::board::entry::fail;
use crate::board::fdt::Machine;
use crate::board::timer::{self, ticks};
use crate::board::{gic, psci};
use crate::println;

const AFFINITY_INFO: u32 = 0xc400_0004;
const OFF: u64 = 1;

global_asm!(
    r#"
    .section .text.timers_first_look, "ax"
    timers_first_look:                  // x0: where to store ISR_EL1
        mov     x1, #0xff
        msr     icc_pmr_el1, x1
        mov     x1, #1
        msr     icc_igrpen1_el1, x1
        isb
        mrs     x1, isr_el1
        str     x1, [x0]
        ldr     w0, ={cpu_off}
        hvc     #0
        .ltorg
    "#,
    cpu_off = const psci::CPU_OFF,
);

unsafe extern "C" {
    static timers_first_look: u8;
}

/// When each life ends, in microseconds of the counter, and whether the other CPUs run then or are off.
const LIVES: [(u64, bool); 2] = [(100_000, true), (200_000, false)];

/// In how many microseconds the timers expire that are left running.
const LEFT: u64 = 10_000;

/// Runs the checks, each life one more. With three CPUs, each on a core of its own, there is one whose timers
/// are left in its core at a reset, wherever the first CPU begins again.
pub fn run(machine: &Machine) {
    let begin = Timer::Virtual.count();
    let count = machine.cpus;
    if count < 3 {
        fail(&"give this machine three CPUs");
    }
    let life = LIVES.iter().find(|(end, _)| begin < ticks(*end));
    let of_life_before = is_left(count, 2 * LEFT);
    let of_off_cpu = [0, LEFT].map(|microseconds| {
        turn_on(count, &|cpu| {
            if cpu != 0 {
                gic::mask();
                leave_timers_running(microseconds);
            }
        });
        pause(2 * LEFT);
        let at_once = (1..count).any(is_signalled_at_once);
        at_once | is_left_of_off_cpus(count)
    });
    with(|check| {
        check.expect(
            !of_life_before,
            format_args!("an interrupt of the life before"),
        );
        for (found, left) in of_off_cpu.into_iter().zip(["pending at", "running at"]) {
            check.expect(
                !found,
                format_args!("an interrupt of a timer {left} CPU_OFF"),
            );
        }
    });
    let Some((end, run)) = life else { return };
    println!("lives until {end} us, then begins again");
    while Timer::Virtual.count() < ticks(*end) {
        give_way();
    }
    if !*run {
        turn_on(count, &|cpu| {
            if cpu != 0 {
                leave_timers_running(LEFT);
            }
        });
        reset();
    }
    turn_on(count, &|cpu| {
        if cpu == 0 {
            pause(1000);
            reset();
        }
        leave_timers_running(LEFT);
        loop {
            give_way();
        }
    });
}

fn reset() -> ! {
    psci::call(psci::SYSTEM_RESET);
    fail(&"it did not begin again");
}

fn turn_on(count: usize, work: &(dyn Fn(usize) + Sync)) {
    if let Err(cpu) = cpus::on_all(count, work) {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
}

/// Lets both timers of this CPU expire in so many microseconds.
fn leave_timers_running(microseconds: u64) {
    for timer in Timer::ALL {
        timer.ppi(cpus::current()).enable(true);
        timer.expire_at(timer.count() + ticks(microseconds));
    }
}

fn is_pending(cpu: usize) -> bool {
    Timer::ALL.iter().any(|timer| timer.ppi(cpu).is_pending())
}

/// Whether an interrupt of a timer is pending on any CPU within so many microseconds.
fn is_left(count: usize, microseconds: u64) -> bool {
    gic::mask();
    let begin = Timer::Virtual.count();
    let mut found = false;
    while Timer::Virtual.count() < begin + ticks(microseconds) {
        found |= (0..count).any(is_pending);
        give_way();
    }
    gic::unmask();
    found
}

/// Turns CPU `cpu` on, which opens its CPU interface, and does nothing else with the GIC, and returns whether
/// an interrupt is signalled to it.
fn is_signalled_at_once(cpu: usize) -> bool {
    let found = AtomicU64::new(0);
    let entry = (&raw const timers_first_look).expose_provenance() as u64;
    let place = ptr::from_ref(&found).expose_provenance() as u64;
    psci::call_with(psci::CPU_ON, [cpu as u64, entry, place]);
    while psci::call_with(AFFINITY_INFO, [cpu as u64, 0, 0]) != OFF {
        give_way();
    }
    found.into_inner() != 0
}

/// Turns the other CPUs on, whose timers have expired, and returns whether they find an interrupt of these.
/// Their IRQs are unmasked from their start on.
fn is_left_of_off_cpus(count: usize) -> bool {
    let found = AtomicBool::new(false);
    turn_on(count, &|cpu| {
        if cpu != 0 {
            pause(100);
            found.fetch_or(timer::fired() || is_pending(cpu), Ordering::Relaxed);
        }
    });
    found.into_inner()
}

fn pause(microseconds: u64) {
    let begin = Timer::Virtual.count();
    while Timer::Virtual.count() < begin + ticks(microseconds) {
        give_way();
    }
}
