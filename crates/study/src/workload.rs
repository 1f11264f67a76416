//! What can be run: the guests of a study, by name.

mod course;
mod made;
mod programs;

use std::{collections::BTreeMap, sync::Arc};

use trapcast_forecast::Scheme;

pub use self::course::{Course, MOST_COURSES};
use trapcast_machine::{
    console::Expected,
    image::Image,
    initrd::{self, Task},
    machine::Vm,
    memory::MemoryFile,
    program::{self, Call, Program},
    vectors::RegisterFiles,
};
use trapcast_results::Scale;
use trapcast_tool::{
    error::{Error, Result},
    paths::Paths,
};

/// The command line of the Linux guest's kernel.
pub const LINUX_BOOTARGS: &str = "console=ttyAMA0 rdinit=/init panic=-1 quiet cma=0";

/// Memory of a Linux guest.
pub const LINUX_MEMORY: u64 = 128 << 20;

/// Memory of a bare-metal guest.
pub const CHECKER_MEMORY: u64 = 16 << 20;

/// The seed of every study.
pub const SEED: u64 = 1;

/// One guest of a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Guest {
    /// The checker, with these bootargs besides its size and seed.
    Checker(&'static str),
    /// Linux with the script.
    Linux,
    /// The same with two vCPUs, and the short script whatever the scale.
    LinuxSmp,
    /// Linux with Debian's programs.
    Program(Runs),
}

/// How a guest runs a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Runs {
    program: &'static Program,
    /// The guest's vCPUs, and workers that run the script at a time.
    vcpus: u32,
    /// Rounds for twelve rounds of the scale, so that guests beside each other work for about as long.
    of_twelve: u32,
}

impl Runs {
    const fn once(program: &'static Program) -> Self {
        Self::of(program, 1, 12)
    }

    const fn of(program: &'static Program, vcpus: u32, of_twelve: u32) -> Self {
        Self {
            program,
            vcpus,
            of_twelve,
        }
    }

    const fn rounds(&self, scale: Scale) -> u32 {
        (scale.program_rounds * self.of_twelve).div_ceil(12)
    }
}

impl Guest {
    /// How the guest's uses of the registers come about; nothing where they are all alike.
    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Checker(words) if words.contains("workload=random") => Some(Kind::Chance),
            Self::Checker(words) if words.contains("workload=always") => None,
            Self::Checker(words) if words.contains("workload=never") => None,
            Self::Checker(_) | Self::Linux | Self::LinuxSmp | Self::Program(_) => {
                Some(Kind::Structure)
            }
        }
    }
}

/// Why the guests of a workload use the registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// By what they do: there is something to find out.
    Structure,
    /// By chance, with a fixed probability.
    Chance,
    /// Some guests this way, some that; or it is unknown.
    Both,
}

/// How the guests of the workload of this name use the registers.
pub fn kind(name: &str) -> Kind {
    let Ok(workload) = find(name) else {
        return Kind::Both;
    };
    let mut kinds = workload.guests.iter().filter_map(Guest::kind);
    match kinds.next() {
        None => Kind::Structure,
        Some(first) if kinds.all(|kind| kind == first) => first,
        Some(_) => Kind::Both,
    }
}

/// How much a study does, unless workloads are asked for by name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Extent {
    /// Some workloads, to look at.
    Quick,
    /// All workloads, each of them longer: what documents hold.
    Full,
}

/// A workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Workload {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    guests: &'static [Guest],
    /// Cores of the board.
    pub cores: u32,
    /// How long a vCPU may run while others wait, in microseconds, if not as the hypervisor has it.
    pub slice: Option<u32>,
    /// Milliseconds after the boot before which none of its guests begins to work.
    begin: u32,
    /// The smallest study that it is part of.
    pub extent: Extent,
    /// Whether the scheme `none` must be caught on it: several users of the registers share a core.
    pub must_catch_none: bool,
}

/// Every workload, in the order in which tables show them.
pub const ALL: &[Workload] =
    &join::<{ made::ALL.len() + programs::ALL.len() }>(made::ALL, programs::ALL);

const fn join<const N: usize>(first: &[Workload], second: &[Workload]) -> [Workload; N] {
    let mut all = [first[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < first.len() {
            first[index]
        } else {
            second[index - first.len()]
        };
        index += 1;
    }
    all
}

/// What most workloads have in common.
const PLAIN: Workload = Workload {
    name: "",
    about: "",
    guests: &[],
    cores: 1,
    slice: None,
    begin: 0,
    extent: Extent::Quick,
    must_catch_none: false,
};

/// The workloads of a study of this extent.
pub fn within(extent: Extent) -> Vec<&'static Workload> {
    ALL.iter()
        .filter(|workload| workload.extent <= extent)
        .collect()
}

/// Finds a workload by its name.
///
/// # Errors
/// [`Error::Input`] with the names there are.
pub fn find(name: &str) -> Result<&'static Workload> {
    ALL.iter()
        .find(|workload| workload.name == name)
        .ok_or_else(|| {
            let known: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
            Error::input(format!(
                "unknown workload '{name}'; one of {}",
                known.join(" ")
            ))
        })
}

impl Workload {
    /// How long one run takes beside others, for the time left: about so many hundredths of a second.
    pub fn weight(&self, scale: Scale) -> u64 {
        let weight = |guest: &Guest| match guest {
            Guest::Checker(_) => 10 + scale.windows / 200,
            Guest::LinuxSmp => 200,
            Guest::Linux => 50 + 50 * u64::from(scale.linux_rounds),
            Guest::Program(runs) => {
                let rounds = runs.rounds(scale) * runs.vcpus;
                100 + 100 * u64::from(rounds)
            }
        };
        self.guests.iter().map(weight).sum()
    }

    /// Whether there is nothing but Linux guests in it: those run on boards other than QEMU's, too.
    pub fn is_linux(&self) -> bool {
        let is_bare = |guest: &Guest| matches!(guest, Guest::Checker(_));
        !self.guests.iter().any(is_bare)
    }

    /// Whether a study looks at several courses of it: of those that are to stand for what guests do. The boot has no
    /// input, and nothing beside it.
    pub fn has_courses(&self) -> bool {
        let is_boot =
            |guest: &Guest| matches!(guest, Guest::Program(runs) if *runs.program == program::BOOT);
        self.is_linux() && !self.guests.iter().all(is_boot)
    }

    /// vCPUs that all of its guests have together.
    fn vcpus(&self) -> u32 {
        let vcpus = |guest: &Guest| match guest {
            Guest::Checker(_) | Guest::Linux => 1,
            Guest::LinuxSmp => 2,
            Guest::Program(runs) => runs.vcpus,
        };
        self.guests.iter().map(vcpus).sum()
    }

    /// The lines that each VM has to print.
    pub fn expected(&self) -> Vec<Expected> {
        let expected = |guest: &Guest| match guest {
            Guest::Checker(_) => Expected::Checker,
            Guest::Linux | Guest::LinuxSmp => Expected::LinuxScript,
            Guest::Program(_) => Expected::Program,
        };
        self.guests.iter().map(expected).collect()
    }
}

/// The images of all workloads, read once.
#[derive(Debug)]
pub struct Images {
    checker: Image,
    linux: Option<Linux>,
    linux_smp: Option<Linux>,
    programs: BTreeMap<&'static str, Linux>,
    seed: u64,
}

/// Linux's kernel and initrd, and how large that is.
type Linux = (Image, Arc<MemoryFile>, u64);

impl Images {
    /// Reads what these workloads need.
    ///
    /// # Errors
    /// [`Error::Input`] where an image is missing or damaged.
    pub fn load(paths: &Paths, workloads: &[&Workload], scale: Scale) -> Result<Self> {
        let guests = || workloads.iter().flat_map(|workload| workload.guests);
        // One for all guests, as its file is in memory.
        let kernel = guests()
            .any(|guest| !matches!(guest, Guest::Checker(_)))
            .then(|| Image::open(&paths.guest("Image")?))
            .transpose()?;
        let with_script = |guest: Guest, scale| {
            let needed = kernel
                .as_ref()
                .filter(|_| guests().any(|other| *other == guest));
            needed.map(|kernel| linux(paths, kernel, scale)).transpose()
        };
        Ok(Self {
            checker: Image::open(&paths.built("checker")?)?,
            linux: with_script(Guest::Linux, scale)?,
            linux_smp: with_script(Guest::LinuxSmp, Scale::QUICK)?,
            programs: match &kernel {
                Some(kernel) => programs(paths, kernel, guests())?,
                None => BTreeMap::new(),
            },
            seed: SEED,
        })
    }

    /// The same with another seed than that of every study.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The VMs of a workload, in its first course.
    ///
    /// # Panics
    /// On a workload that the images were not loaded for.
    pub fn vms(&self, workload: &Workload, scheme: Scheme, observe: bool, scale: Scale) -> Vec<Vm> {
        self.vms_in(Course::FIRST, workload, scheme, observe, scale)
    }

    /// The VMs of a workload in this course.
    ///
    /// # Panics
    /// On a workload that the images were not loaded for.
    pub fn vms_in(
        &self,
        course: Course,
        workload: &Workload,
        scheme: Scheme,
        observe: bool,
        scale: Scale,
    ) -> Vec<Vm> {
        // Two guests with one seed would leave the same patterns in the registers.
        let seeds = course.seed(self.seed)..;
        // On several cores QEMU's time passes with the instructions of all, also of those that wait.
        let patience = workload.vcpus().max(workload.cores).div_ceil(3);
        let mut vms = Vec::new();
        for (vm, (guest, seed)) in workload.guests.iter().zip(seeds).enumerate() {
            let call = Call {
                begin: workload.begin,
                offset: course.offset(vm),
                patience,
                ..Call::new(scale.program_rounds, seed)
            };
            vms.push(Vm {
                scheme,
                observe,
                ..self.vm(guest, &call, scale)
            });
        }
        vms
    }

    fn vm(&self, guest: &Guest, call: &Call, scale: Scale) -> Vm {
        let Call { seed, offset, .. } = *call;
        let common = |kernel: &Image| Vm {
            kernel: kernel.clone(),
            initrd: None,
            initrd_size: 0,
            bootargs: LINUX_BOOTARGS.to_string(),
            memory: LINUX_MEMORY,
            vcpus: 1,
            scheme: Scheme::UntilPut,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        };
        match guest {
            Guest::Checker(words) => Vm {
                bootargs: format!("{words} seed={seed} windows={}", scale.windows),
                memory: CHECKER_MEMORY,
                ..common(&self.checker)
            },
            Guest::Linux | Guest::LinuxSmp => {
                let smp = *guest == Guest::LinuxSmp;
                let linux = if smp { &self.linux_smp } else { &self.linux };
                let (kernel, initrd, size) = linux.as_ref().expect("loaded for this workload");
                Vm {
                    bootargs: format!("{LINUX_BOOTARGS} seed={seed} offset={offset}"),
                    initrd: Some(Arc::clone(initrd)),
                    initrd_size: *size,
                    vcpus: if smp { 2 } else { 1 },
                    ..common(kernel)
                }
            }
            Guest::Program(runs) => {
                let Runs { program, vcpus, .. } = *runs;
                let (kernel, initrd, size) = &self.programs[program.name];
                let call = Call {
                    rounds: runs.rounds(scale),
                    workers: vcpus,
                    ..*call
                };
                Vm {
                    initrd: Some(Arc::clone(initrd)),
                    initrd_size: *size,
                    bootargs: program.bootargs(&call),
                    memory: program.memory,
                    vcpus,
                    ..common(kernel)
                }
            }
        }
    }
}

/// The images of the programs among these guests.
fn programs<'a>(
    paths: &Paths,
    kernel: &Image,
    guests: impl Iterator<Item = &'a Guest>,
) -> Result<BTreeMap<&'static str, Linux>> {
    let mut programs = BTreeMap::new();
    for guest in guests {
        if let Guest::Program(Runs { program, .. }) = guest
            && !programs.contains_key(program.name)
        {
            let image = program::Builder::new(paths)?.image(program)?;
            programs.insert(program.name, with_initrd(kernel, &image)?);
        }
    }
    Ok(programs)
}

fn linux(paths: &Paths, kernel: &Image, scale: Scale) -> Result<Linux> {
    let initrd = initrd::build(
        &paths.guest("busybox")?,
        Task::Script {
            rounds: scale.linux_rounds,
            simd_rounds: scale.simd_rounds,
            simd: &paths.built("linux-simd")?,
        },
    )?;
    with_initrd(kernel, &initrd)
}

fn with_initrd(kernel: &Image, initrd: &[u8]) -> Result<Linux> {
    Ok((
        kernel.clone(),
        Arc::new(MemoryFile::with_content(initrd)?),
        initrd.len() as u64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for workload in ALL {
            assert_eq!(find(workload.name), Ok(workload));
        }
        let names: std::collections::BTreeSet<_> =
            ALL.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), ALL.len());
        let sentence = find("nothing").unwrap_err().to_string();
        assert!(sentence.contains("linux-mix"), "{sentence}");
    }

    #[test]
    fn only_workloads_that_share_a_core_must_catch_none() {
        for workload in made::ALL {
            assert_eq!(
                workload.must_catch_none,
                workload.guests.len() > 1,
                "{}",
                workload.name
            );
        }
    }
}
