//! The guest `pmu`: keeps numbers in all registers of the PMU that are its own, and finds them there again, after
//! waits in which others run and, with the word `reset`, zero in its next life.
//!
//! Nothing counts: PMCR_EL0.E is 0. A guest's own are the cycle counter and the event counters below
//! MDCR_EL2.HPMN, of which QEMU 7.2 does not tell how many there are.
//!
//! Source: Arm ARM, "The Performance Monitors Extension".

#![no_std]
#![no_main]

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::{psci, timer};
use trapcast_guests::rng::SplitMix64;
use trapcast_guests::rounds::Rounds;
use trapcast_guests::{println, read_sysreg, write_sysreg};

trapcast_guests::entry!(main);

/// Until when, by the counter, a VM's first life begins, in microseconds.
const FIRST_LIFE: u64 = 50_000;

/// Bits of the cycle counter and of four event counters in PMCNTENSET_EL0 and its like.
const COUNTERS: u64 = 1 << 31 | 0xf;
/// PMCR_EL0.DP and D, which are kept and of which nothing comes.
const PMCR: u64 = 1 << 5 | 1 << 3;
/// PMCR_EL0.E.
const PMCR_E: u64 = 1;

/// Declares the registers: name, what is written besides, bits that hold what is written, how to read and
/// how to write.
macro_rules! registers {
    ($($name:literal [$clear:literal] $bits:expr,)*) => {
        /// Their names.
        const NAMES: [&str; COUNT] = [$($name),*];
        const COUNT: usize = [$($name),*].len();

        /// What they hold.
        fn read() -> [u64; COUNT] {
            [$(read_sysreg!($name) & $bits),*]
        }

        /// Writes random numbers, and returns what they have to hold.
        fn write(rng: &mut SplitMix64) -> [u64; COUNT] {
            [$({
                let value = rng.next_u64() & $bits;
                // SAFETY: no counter counts, and no interrupt is enabled at the GIC.
                unsafe {
                    if $clear != "" {
                        write_sysreg!($clear, $bits);
                    }
                    write_sysreg!($name, value);
                }
                value
            }),*]
        }
    };
}

registers! {
    "pmselr_el0" ["pmselr_el0"] 0x3,
    "pmuserenr_el0" ["pmuserenr_el0"] 0xf,
    "pmcntenset_el0" ["pmcntenclr_el0"] COUNTERS,
    "pmintenset_el1" ["pmintenclr_el1"] COUNTERS,
    "pmovsset_el0" ["pmovsclr_el0"] COUNTERS,
    "pmccntr_el0" ["pmccntr_el0"] u64::MAX,
    "pmccfiltr_el0" ["pmccfiltr_el0"] 0b11 << 30,
    "pmevcntr0_el0" ["pmevcntr0_el0"] 0xffff_ffff,
    "pmevcntr1_el0" ["pmevcntr1_el0"] 0xffff_ffff,
    "pmevcntr2_el0" ["pmevcntr2_el0"] 0xffff_ffff,
    "pmevcntr3_el0" ["pmevcntr3_el0"] 0xffff_ffff,
    "pmevtyper0_el0" ["pmevtyper0_el0"] 0b11 << 30 | 0x3ff,
    "pmevtyper1_el0" ["pmevtyper1_el0"] 0b11 << 30 | 0x3ff,
    "pmevtyper2_el0" ["pmevtyper2_el0"] 0b11 << 30 | 0x3ff,
    "pmevtyper3_el0" ["pmevtyper3_el0"] 0b11 << 30 | 0x3ff,
    "pmcr_el0" ["pmcr_el0"] PMCR,
}

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let settings = match Rounds::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    let version = read_sysreg!("id_aa64dfr0_el1") >> 8 & 0xf;
    if version == 0 || version == 0xf {
        fail(&"this CPU shows no PMU; a hypervisor must let the guest have it");
    }
    let is_first = read_sysreg!("cntpct_el0") < timer::ticks(FIRST_LIFE);
    println!("start seed={} first-life={is_first}", settings.seed);
    let mut mismatches = 0;
    let mut compare = |when: &str, expected: [u64; COUNT]| {
        let found = read();
        for ((name, expected), found) in NAMES.iter().zip(expected).zip(found) {
            if expected != found {
                mismatches += 1;
                println!("MISMATCH {name} {when} expected={expected:#x} found={found:#x}");
            }
        }
    };
    compare("after reset", [0; COUNT]);
    if read_sysreg!("pmcr_el0") & PMCR_E != 0 {
        fail(&"PMCR_EL0.E is set after reset");
    }
    let mut rng = SplitMix64::stream(settings.seed, u64::from(is_first));
    for _ in 0..settings.rounds {
        let written = write(&mut rng);
        timer::wait_for(20);
        compare("after a wait", written);
    }
    if settings.reset && is_first && mismatches == 0 {
        println!("first life rounds={}", settings.rounds);
        psci::call(psci::SYSTEM_RESET);
    }
    println!("done rounds={} mismatches={mismatches}", settings.rounds);
}
