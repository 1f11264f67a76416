//! The bench: how many instructions EL2 spends on what a guest does, counted by the PMU.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
trapcast_guests::entry!(guest::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bench boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}

#[cfg(target_os = "none")]
mod guest {
    //! What runs on the board.

    use core::fmt;
    use core::sync::atomic::Ordering;

    use trapcast_guests::board::entry::fail;
    use trapcast_guests::board::fdt::Machine;
    use trapcast_guests::board::{fp, gic, pmu, psci, timer};
    use trapcast_guests::bootargs::Bench as Settings;
    use trapcast_guests::statistics::Summary;
    use trapcast_guests::{println, read_sysreg};

    /// Rounds before the first that counts: predictors and histories settle.
    const WARM_UP_ROUNDS: usize = 128;

    /// A function ID that nobody has assigned: the last of the standard hypervisor services.
    const UNKNOWN_FUNCTION: u32 = 0x8500_ffff;

    /// One benchmark. Only the instructions of EL2 are counted, so that it does not matter what
    /// the code around `measured` costs at EL1.
    struct Benchmark {
        name: &'static str,
        prepare: fn(),
        measured: fn(),
        /// Whether it is of interest in how many rounds EL2 ran at all.
        counts_traps: bool,
    }

    impl Benchmark {
        const fn new(name: &'static str, measured: fn()) -> Self {
            Self {
                name,
                prepare: || {},
                measured,
                counts_traps: false,
            }
        }

        const fn fp_trap(name: &'static str, prepare: fn()) -> Self {
            Self {
                name,
                prepare,
                measured: fp::touch,
                counts_traps: true,
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
        gic::send_sgi_to_self();
        while gic::SGIS_HANDLED.load(Ordering::Relaxed) == before {
            core::hint::spin_loop();
        }
    }

    /// Reads the bootargs and follows them.
    pub fn main(machine: &Machine) {
        let settings = match Settings::parse(machine.bootargs) {
            Ok(settings) => settings,
            Err(error) => fail(&error),
        };
        if let Some(name) = settings.only
            && !BENCHMARKS.iter().any(|benchmark| benchmark.name == name)
        {
            fail(&UnknownBenchmark(name));
        }
        if let Err(error) = pmu::enable() {
            fail(&error);
        }
        println!("start rounds={}", settings.rounds);
        let selected =
            |benchmark: &&Benchmark| settings.only.is_none_or(|only| only == benchmark.name);
        for benchmark in BENCHMARKS.iter().filter(selected) {
            run(benchmark, settings.rounds);
        }
        println!("done");
    }

    fn run(benchmark: &Benchmark, rounds: usize) {
        let mut counts = [0; Settings::MAX_ROUNDS];
        let counts = &mut counts[..rounds];
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
            println!(
                "{name} min={min} median={median} max={max} rounds={rounds} trapped={trapped}"
            );
        } else {
            println!("{name} min={min} median={median} max={max} rounds={rounds}");
        }
    }

    /// Runs one round and returns how many instructions EL2 executed in the measured part.
    fn round(benchmark: &Benchmark) -> u64 {
        (benchmark.prepare)();
        let before = pmu::count();
        (benchmark.measured)();
        pmu::count().wrapping_sub(before).into()
    }

    struct UnknownBenchmark<'a>(&'a str);

    impl fmt::Display for UnknownBenchmark<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "unknown benchmark \"{}\"; one of ", self.0)?;
            for (index, benchmark) in BENCHMARKS.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{}", benchmark.name)?;
            }
            Ok(())
        }
    }
}
