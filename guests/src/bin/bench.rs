//! The bench: how many instructions EL2 spends on what a guest does, counted by the PMU.

#![no_std]
#![no_main]

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::{cpus, fp, gic, pmu, psci, second, storm, sve, timer};
use trapcast_guests::bootargs::{Bench as Settings, Use};
use trapcast_guests::statistics::{Summary, percentile};
use trapcast_guests::{println, read_sysreg};

trapcast_guests::entry!(main);

/// Rounds before the first that counts: predictors and histories settle.
const WARM_UP_ROUNDS: usize = 128;

/// A partner that waits this long for its turn was switched out.
const GAP_MICROSECONDS: u64 = 20;
/// A partner that was not switched out for so long is alone.
const ALONE_MICROSECONDS: u64 = 50_000;

/// What measures times rather than instructions, on all CPUs of this machine.
const WAKE_UP: &str = "wake-up";

/// A function ID that nobody has assigned: the last of the standard hypervisor services.
const UNKNOWN_FUNCTION: u32 = 0x8500_ffff;

/// Whether the PMU counts.
static COUNTS: AtomicBool = AtomicBool::new(true);

/// One benchmark. Only the instructions of EL2 are counted, so that it does not matter what
/// the code around `measured` costs at EL1.
struct Benchmark {
    name: &'static str,
    /// CPUs that it takes; the second one answers SGIs.
    cpus: usize,
    /// Runs once, before the first round.
    set_up: fn() -> Result<(), &'static str>,
    prepare: fn(),
    measured: fn(),
    /// Whether it is of interest in how many rounds EL2 ran at all.
    counts_traps: bool,
    /// How often a round does what is measured.
    times: u64,
}

impl Benchmark {
    const fn new(name: &'static str, measured: fn()) -> Self {
        Self {
            name,
            cpus: 1,
            set_up: || Ok(()),
            prepare: || {},
            measured,
            counts_traps: false,
            times: 1,
        }
    }

    const fn fp_trap(name: &'static str, prepare: fn()) -> Self {
        Self {
            prepare,
            counts_traps: true,
            ..Self::new(name, fp::touch)
        }
    }

    /// A switch to the partner's VM by the end of a time slice, with the next use of registers:
    /// a round has one there and one back.
    const fn switch(
        name: &'static str,
        set_up: fn() -> Result<(), &'static str>,
        measured: fn(),
    ) -> Self {
        Self {
            set_up,
            times: 2,
            ..Self::new(name, measured)
        }
    }
}

/// Those before the first that has FP instructions run in a vCPU that never used any.
const BENCHMARKS: [Benchmark; 13] = [
    Benchmark::new("hvc-null", call),
    Benchmark::new("hvc-unknown", || {
        psci::call(UNKNOWN_FUNCTION);
    }),
    Benchmark::new("gicd-iidr", || {
        gic::distributor_implementer();
    }),
    Benchmark::new("id-register", || {
        read_sysreg!("id_aa64pfr0_el1");
    }),
    Benchmark::new("vtimer-interrupt", vtimer_interrupt),
    Benchmark::new("sgi-self", sgi_to_self),
    Benchmark::new("entry-exit-unused", call),
    Benchmark::new("entry-exit-wfi-unused", timer::wait),
    Benchmark::fp_trap("fp-trap-no-exit", || {}),
    Benchmark::fp_trap("fp-trap-hvc", call),
    Benchmark::fp_trap("fp-trap-switch", timer::wait),
    Benchmark::new("entry-exit-used", || {
        fp::touch();
        call();
    }),
    Benchmark::new("entry-exit-wfi-used", || {
        fp::touch();
        timer::wait();
    }),
];

/// Those that need more than this VM with one CPU, and run by `only=NAME` alone: a second CPU, or
/// another VM on the same core with `partner=`.
const WITH_OTHERS: [Benchmark; 4] = [
    Benchmark {
        cpus: 2,
        ..Benchmark::new("sgi-other", second::call)
    },
    Benchmark::switch("tick-switch", || Ok(()), slice_over),
    Benchmark::switch(
        "tick-switch-fp",
        || Ok(()),
        || {
            slice_over();
            fp::touch();
        },
    ),
    Benchmark::switch("tick-switch-sve", sve::open, || {
        slice_over();
        sve::touch();
    }),
];

fn call() {
    psci::call(psci::VERSION);
}

/// From a deadline that has passed to the end of the interrupt's handler.
fn vtimer_interrupt() {
    timer::set_at(0);
    while !timer::fired() {
        core::hint::spin_loop();
    }
}

/// From the SGI's generation to the end of its handler.
fn sgi_to_self() {
    let before = gic::SGIS_HANDLED.load(Ordering::Relaxed);
    gic::send_sgi(0);
    while gic::SGIS_HANDLED.load(Ordering::Relaxed) == before {
        core::hint::spin_loop();
    }
}

/// Until EL2 has run, which it does when the time slice is over and the partner's after it.
fn slice_over() {
    let before = pmu::count();
    while pmu::count() == before {
        core::hint::spin_loop();
    }
}

/// Takes turns on the core with a VM that measures, until nobody else does any more.
fn take_turns(uses: Use) -> Result<(), &'static str> {
    if uses == Use::Sve {
        sve::open()?;
    }
    let microseconds = |count| read_sysreg!("cntfrq_el0") * count / 1_000_000;
    let mut last = read_sysreg!("cntvct_el0");
    let mut alone_since = last;
    while last - alone_since < microseconds(ALONE_MICROSECONDS) {
        match uses {
            Use::None => {}
            Use::Fp => fp::touch(),
            Use::Sve => sve::touch(),
        }
        // One reading per turn, so that a switch lies between two wherever it comes.
        let now = read_sysreg!("cntvct_el0");
        if now - last > microseconds(GAP_MICROSECONDS) {
            alone_since = now;
        }
        last = now;
    }
    Ok(())
}

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let settings = match Settings::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    if let Some(uses) = settings.partner {
        return take_turns(uses).unwrap_or_else(|error| fail(&error));
    }
    if settings.only == Some(WAKE_UP) {
        return wake_up(machine.cpus, settings.rounds);
    }
    let all = || BENCHMARKS.iter().chain(&WITH_OTHERS);
    if let Some(name) = settings.only
        && !all().any(|benchmark| benchmark.name == name)
    {
        fail(&UnknownBenchmark(name));
    }
    COUNTS.store(settings.count, Ordering::Relaxed);
    if settings.count
        && let Err(error) = pmu::enable()
    {
        fail(&error);
    }
    println!("start rounds={}", settings.rounds);
    match settings.only {
        Some(only) => all()
            .filter(|benchmark| benchmark.name == only)
            .for_each(|benchmark| start(benchmark, settings.rounds)),
        None => BENCHMARKS
            .iter()
            .for_each(|benchmark| start(benchmark, settings.rounds)),
    }
    println!("done");
}

/// Sends the other CPUs SGIs and says how long it took them to come.
fn wake_up(cpus: usize, rounds: usize) {
    let others = cpus - 1;
    if others == 0 || rounds > storm::MAX_ROUNDS {
        fail(&format_args!(
            "{WAKE_UP} takes vcpus=2 or more and rounds={} or less",
            storm::MAX_ROUNDS
        ));
    }
    println!("start rounds={rounds}");
    let done = cpus::on_all(cpus, &|cpu| match cpu {
        0 => send_storms(others, rounds),
        _ => storm::wait_for(cpu, others, rounds),
    });
    if let Err(cpu) = done {
        fail(&format_args!("CPU {cpu} cannot be turned on"));
    }
    println!("done");
}

/// Not inlined: the other CPUs' stacks have no room for the delays.
#[inline(never)]
fn send_storms(others: usize, rounds: usize) {
    let mut delays = [0; storm::MAX_ROUNDS * (cpus::MAX_CPUS - 1)];
    let delays = storm::send(others, rounds, 1, &mut delays);
    delays.sort_unstable();
    let frequency = read_sysreg!("cntfrq_el0");
    let nanoseconds =
        |percent| percentile(delays, percent).unwrap_or(0) * 1_000_000_000 / frequency;
    println!(
        "{WAKE_UP} p50={} p99={} max={} rounds={rounds}",
        nanoseconds(50),
        nanoseconds(99),
        nanoseconds(100)
    );
}

/// Runs a benchmark on as many CPUs as it takes.
fn start(benchmark: &Benchmark, rounds: usize) {
    let done = cpus::on_all(benchmark.cpus, &|cpu| {
        if cpu > 0 {
            return second::answer();
        }
        run(benchmark, rounds);
        if benchmark.cpus > 1 {
            second::dismiss();
        }
    });
    if let Err(cpu) = done {
        fail(&format_args!(
            "CPU {cpu} cannot be turned on; give this VM vcpus=2"
        ));
    }
}

/// Not inlined: the second CPU's stack has no room for the counts.
#[inline(never)]
fn run(benchmark: &Benchmark, rounds: usize) {
    let mut counts = [0; Settings::MAX_ROUNDS];
    let counts = &mut counts[..rounds];
    if let Err(error) = (benchmark.set_up)() {
        fail(&error);
    }
    for _ in 0..WARM_UP_ROUNDS {
        round(benchmark);
    }
    for count in &mut *counts {
        *count = round(benchmark);
    }
    let trapped = counts.iter().filter(|count| **count != 0).count();
    let Some(Summary { min, median, max }) = Summary::of(counts) else {
        return;
    };
    let name = benchmark.name;
    if benchmark.counts_traps {
        println!("{name} min={min} median={median} max={max} rounds={rounds} trapped={trapped}");
    } else {
        println!("{name} min={min} median={median} max={max} rounds={rounds}");
    }
}

/// Runs one round and returns how many instructions EL2 executed in the measured part.
fn round(benchmark: &Benchmark) -> u64 {
    (benchmark.prepare)();
    let before = count();
    (benchmark.measured)();
    u64::from(count().wrapping_sub(before)) / benchmark.times
}

/// Instructions of EL2 on all cores that take part; 0 where nobody counts here.
#[inline(always)]
fn count() -> u32 {
    if !COUNTS.load(Ordering::Relaxed) {
        return 0;
    }
    pmu::count().wrapping_add(second::count())
}

struct UnknownBenchmark<'a>(&'a str);

impl fmt::Display for UnknownBenchmark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown benchmark \"{}\"; one of ", self.0)?;
        let all = BENCHMARKS.iter().chain(&WITH_OTHERS);
        for (index, benchmark) in all.enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", benchmark.name)?;
        }
        write!(f, ", {WAKE_UP}")
    }
}
