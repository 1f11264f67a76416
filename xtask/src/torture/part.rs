//! The parts of the torture: which guests share the cores, and how often they check what.

use std::sync::Arc;

use trapcast_forecast::Scheme;

use trapcast_machine::{
    console::Expected,
    image::Image,
    initrd::{self, Task},
    machine::{Cpu, Vm},
    memory::MemoryFile,
    vectors::{Length, RegisterFiles},
};
use trapcast_study::workload::{CHECKER_MEMORY, LINUX_BOOTARGS, LINUX_MEMORY};
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// Rounds that a run has besides those that it needs by the mean.
const SPARE_ROUNDS: u64 = 20;

/// One part.
#[derive(Debug)]
pub struct Part {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// Its share of all window checks, beside those of the other parts.
    pub share: u64,
    /// The cores that its runs take in turn.
    pub cpus: &'static [Cpu],
    /// The longest time slices that its runs take in turn, in microseconds.
    pub slices: &'static [u32],
    /// The most cores of which its vCPUs leave none idle for long.
    pub most_cores: u32,
    /// Whether the scheme `none` runs too, and must be caught.
    pub control: bool,
    /// The most rounds of a run.
    pub rounds: u64,
    /// Checks of a round on all vCPUs, in hundredths.
    pub checks: u64,
    guests: &'static [Guest],
}

/// One guest of a part.
#[derive(Debug)]
struct Guest {
    vcpus: u32,
    registers: RegisterFiles,
    program: Program,
}

#[derive(Debug)]
enum Program {
    /// The checker, with these bootargs besides its size and seed. A round is a window of each vCPU.
    Checker(&'static str),
    /// The checker of AArch32, with these bootargs besides.
    Checker32(&'static str),
    /// The guest that tries accesses under every setting of CPACR_EL1, to these registers. A round is an
    /// access of each vCPU.
    Streaming(&'static str),
    /// Linux with so many processes. A round is one of each process.
    Linux(u32),
}

/// Little integer work, so that most of the time goes into windows.
const fn checker(words: &'static str) -> Guest {
    Guest {
        vcpus: 2,
        registers: RegisterFiles::FP,
        program: Program::Checker(words),
    }
}

/// The same with SVE of at most so much, and SME.
const fn wide(sve: Length, sme: Length, words: &'static str) -> Guest {
    Guest {
        registers: RegisterFiles { fp: true, sve, sme },
        ..checker(words)
    }
}

/// A guest that tries accesses in and out of streaming mode.
const fn streaming(sve: Length, sme: Length, words: &'static str) -> Guest {
    Guest {
        vcpus: 2,
        registers: RegisterFiles { fp: true, sve, sme },
        program: Program::Streaming(words),
    }
}

/// A guest of AArch32 that checks on its one vCPU.
const fn checker32(words: &'static str) -> Guest {
    Guest {
        vcpus: 1,
        registers: RegisterFiles::FP,
        program: Program::Checker32(words),
    }
}

/// Every part, in the order in which tables show them.
pub const ALL: &[Part] = &[
    Part {
        name: "fp",
        about: "FP/SIMD: six bare-metal guests of two vCPUs, at EL1 and at EL0",
        share: 100,
        cpus: &[Cpu::NeoverseN1, Cpu::CortexA57],
        slices: &[300, 1000, 100],
        most_cores: 8,
        control: true,
        rounds: 40_000,
        checks: 750,
        guests: &[
            checker("workload=always exits=0 work=300"),
            checker("workload=always exits=256 work=2000"),
            checker("workload=random p=50 exits=0 work=300"),
            checker("workload=bursts exits=0 work=300"),
            checker("workload=resume-point p=50 exits=0 work=300"),
            checker("workload=alternating exits=512 work=300"),
        ],
    },
    Part {
        name: "sve",
        about: "SVE: guests with vectors of several lengths, which change them, beside one without",
        share: 10,
        cpus: &[Cpu::Max, Cpu::A64fx],
        slices: &[1000, 300],
        most_cores: 8,
        control: true,
        rounds: 10_000,
        checks: 940,
        guests: &[
            wide(
                Length::Max,
                Length::Off,
                "registers=sve vl=vary workload=always exits=0 work=300",
            ),
            wide(
                Length::Bits(256),
                Length::Off,
                "registers=sve vl=vary workload=always exits=512 work=300",
            ),
            wide(
                Length::Bits(512),
                Length::Off,
                "registers=sve sve-percent=80 workload=random p=50 exits=0 work=300",
            ),
            wide(
                Length::Bits(128),
                Length::Off,
                "registers=sve workload=random p=70 exits=0 work=300",
            ),
            wide(
                Length::Max,
                Length::Off,
                "registers=sve sve-percent=10 workload=random p=50 exits=0 work=300",
            ),
            checker("workload=always exits=0 work=300"),
        ],
    },
    Part {
        name: "sme",
        about: "SME: guests with ZA and streaming mode, beside some with SVE alone and without either",
        share: 5,
        // With streaming vectors longer than the others, QEMU 7.2 fails an assertion of its own.
        cpus: &[Cpu::Max],
        slices: &[1000, 300],
        most_cores: 8,
        control: false,
        rounds: 10_000,
        checks: 940,
        guests: &[
            wide(
                Length::Max,
                Length::Max,
                "registers=sme vl=vary svl=vary workload=always exits=0 work=300",
            ),
            wide(
                Length::Bits(128),
                Length::Bits(256),
                "registers=sme sme-percent=60 workload=always exits=512 work=300",
            ),
            wide(
                Length::Bits(512),
                Length::Bits(512),
                "registers=sme vl=vary svl=vary workload=random p=50 exits=0 work=300",
            ),
            wide(
                Length::Max,
                Length::Max,
                "registers=sme sme-percent=10 workload=random p=70 exits=0 work=300",
            ),
            wide(
                Length::Bits(256),
                Length::Off,
                "registers=sve vl=vary workload=random p=50 exits=0 work=300",
            ),
            checker("workload=always exits=0 work=300"),
        ],
    },
    Part {
        name: "aarch32",
        about: "AArch32: guests that check D0-D31, FPSCR and FPEXC, beside one of AArch64",
        share: 10,
        cpus: &[Cpu::CortexA57, Cpu::Max],
        slices: &[300, 1000],
        most_cores: 8,
        control: true,
        rounds: 20_000,
        checks: 1005,
        guests: &[
            checker32("workload=always exits=0 work=300"),
            checker32("workload=always exits=512 work=300"),
            checker32("workload=random p=70 exits=0 work=300"),
            checker32("workload=always exits=0 work=2000"),
            checker32("workload=alternating exits=0 work=300"),
            checker32("workload=bursts exits=0 work=300"),
            checker32("workload=always exits=0 work=300"),
            checker32("workload=random p=90 exits=0 work=300"),
            checker32("workload=always exits=0 work=300"),
            checker32("workload=random p=70 exits=512 work=300"),
            checker("workload=always exits=0 work=300"),
        ],
    },
    Part {
        name: "streaming",
        about: "PSTATE.SM: accesses under every setting of CPACR_EL1, beside guests without SME and of AArch32",
        share: 5,
        cpus: &[Cpu::Max],
        slices: &[300, 1000, 100],
        most_cores: 8,
        control: false,
        rounds: 20_000,
        checks: 900,
        guests: &[
            streaming(Length::Max, Length::Bits(256), "registers=sme"),
            streaming(Length::Bits(512), Length::Bits(512), "registers=sme"),
            streaming(Length::Bits(256), Length::Off, "registers=sve"),
            streaming(Length::Off, Length::Off, "registers=fp"),
            checker32("workload=always exits=0 work=300"),
        ],
    },
    Part {
        name: "linux",
        about: "Linux: two guests of two vCPUs, with 24 processes each that keep all registers busy",
        share: 4,
        cpus: &[Cpu::NeoverseN1],
        slices: &[2000, 1000],
        most_cores: 2,
        control: false,
        rounds: 600,
        checks: 4800,
        guests: &[
            Guest {
                vcpus: 2,
                registers: RegisterFiles::FP,
                program: Program::Linux(24),
            },
            Guest {
                vcpus: 2,
                registers: RegisterFiles::FP,
                program: Program::Linux(24),
            },
        ],
    },
];

/// The name of the part that is hostile guests, and counts operations instead of windows.
pub const HOSTILE: &str = "hostile";

/// The name of the part that is scans of all System registers, and counts them.
pub const SCAN: &str = "scan";

/// The names of all parts.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|part| part.name).chain([HOSTILE, SCAN])
}

/// Finds a part by its name.
///
/// # Errors
/// [`Error::Input`] with the names there are.
pub fn find(name: &str) -> Result<&'static Part> {
    ALL.iter().find(|part| part.name == name).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|part| part.name).collect();
        Error::input(format!("unknown part '{name}'; one of {}", known.join(" ")))
    })
}

impl Part {
    /// Its vCPUs.
    pub fn vcpus(&self) -> u32 {
        self.guests.iter().map(|guest| guest.vcpus).sum()
    }

    /// The lines that each VM has to print.
    pub fn expected(&self) -> Vec<Expected> {
        let expected = |guest: &Guest| match guest.program {
            Program::Checker(_) => Expected::Checkers(guest.vcpus),
            Program::Checker32(_) => Expected::Checker32,
            Program::Streaming(_) => Expected::Guests("streaming", guest.vcpus),
            Program::Linux(_) => Expected::LinuxProgram("linux-simd"),
        };
        self.guests.iter().map(expected).collect()
    }

    /// How many rounds of a run reach `checks` window checks and rather a few more, if a run may
    /// have so many.
    pub fn rounds_for(&self, checks: u64) -> u64 {
        let rounds = (checks * 100).div_ceil(self.checks);
        (rounds + rounds / 20 + SPARE_ROUNDS).min(self.rounds)
    }

    /// Its VMs, for one run.
    ///
    /// # Errors
    /// [`Error::Input`] where an image is missing or damaged.
    pub fn vms(&self, scheme: Scheme, seed: u64, rounds: u64, paths: &Paths) -> Result<Vec<Vm>> {
        // No two guests of a run, nor of runs with neighbouring seeds, leave the same patterns.
        let seeds = (seed * 256)..;
        self.guests
            .iter()
            .zip(seeds)
            .map(|(guest, seed)| guest.vm(scheme, seed, rounds, paths))
            .collect()
    }
}

impl Guest {
    fn vm(&self, scheme: Scheme, seed: u64, rounds: u64, paths: &Paths) -> Result<Vm> {
        let vm = |kernel: Image| Vm {
            kernel,
            initrd: None,
            initrd_size: 0,
            bootargs: LINUX_BOOTARGS.to_string(),
            memory: LINUX_MEMORY,
            vcpus: self.vcpus,
            scheme,
            observe: false,
            prompt: true,
            pmu: false,
            registers: self.registers,
        };
        match self.program {
            Program::Checker(words) => Ok(Vm {
                bootargs: format!("{words} seed={seed} windows={rounds}"),
                memory: CHECKER_MEMORY,
                ..vm(Image::open(&paths.built("checker")?)?)
            }),
            Program::Checker32(words) => Ok(Vm {
                bootargs: format!("{words} seed={seed} windows={rounds}"),
                memory: CHECKER_MEMORY,
                ..vm(Image::open(&paths.aarch32("checker32")?)?)
            }),
            Program::Streaming(words) => Ok(Vm {
                bootargs: format!("{words} seed={seed} windows={rounds}"),
                memory: CHECKER_MEMORY,
                ..vm(Image::open(&paths.built("streaming")?)?)
            }),
            Program::Linux(processes) => {
                let task = Task::Processes {
                    rounds,
                    processes,
                    seed,
                    simd: &paths.built("linux-simd")?,
                };
                let initrd = initrd::build(&paths.guest("busybox")?, task)?;
                Ok(Vm {
                    initrd_size: initrd.len() as u64,
                    initrd: Some(Arc::new(MemoryFile::with_content(&initrd)?)),
                    ..vm(Image::open(&paths.guest("Image")?)?)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for part in ALL {
            assert_eq!(find(part.name).unwrap().about, part.about);
            assert_eq!(part.guests.len(), part.expected().len());
        }
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|part| part.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(
            find("everything")
                .unwrap_err()
                .to_string()
                .contains("fp sve sme aarch32 streaming linux")
        );
    }

    #[test]
    fn a_run_has_as_many_rounds_as_are_wanted_and_no_more_than_it_may() {
        let fp = find("fp").unwrap();
        assert_eq!(fp.vcpus(), 12);
        assert_eq!(fp.rounds_for(7500), 1000 + 50 + SPARE_ROUNDS);
        assert_eq!(fp.rounds_for(7501), 1001 + 50 + SPARE_ROUNDS);
        assert_eq!(fp.rounds_for(1 << 40), fp.rounds);
    }
}
