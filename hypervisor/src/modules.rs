//! What the board's device tree tells the hypervisor: its command line, the RAM, and the kernels and
//! RAM disks that were put there for its guests.
//!
//! Guests come as the modules under `/chosen` that Xen's boot protocol describes and QEMU's
//! guest-loader writes: a node per module, compatible with `multiboot,kernel` or
//! `multiboot,ramdisk`, with the module's place in `reg` and a kernel's command line in `bootargs`.
//! The order of the nodes says nothing; in ascending address each kernel starts a VM, and a RAM disk
//! belongs to the kernel before it.

#[cfg(test)]
mod tests;

use core::{fmt, ops::Range};

use arrayvec::ArrayVec;
use dtoolkit::{
    Node, Property, ToCellInt,
    fdt::{Fdt, FdtNode},
    standard::NodeStandard,
};

use trapcast_trace::report::MAX_CORES;

use crate::settings::MAX_VMS;

/// The most separate ranges of RAM.
pub const MAX_RANGES: usize = 8;

/// Cells of an address and of a size in a module's `reg` where `/chosen` does not say: QEMU's
/// guest-loader writes two 64-bit numbers and says nothing.
const MODULE_CELLS: [usize; 2] = [2, 2];

/// A range of physical addresses.
pub type Physical = Range<u64>;

/// What the board's device tree tells the hypervisor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Board<'a> {
    /// The hypervisor's command line.
    pub command_line: &'a str,
    /// RAM, in ascending order.
    pub memory: ArrayVec<Physical, MAX_RANGES>,
    /// Cores, from 1 to [`MAX_CORES`].
    pub cores: usize,
    /// What each VM is to run, from VM 0 on: at least one.
    pub guests: ArrayVec<Guest<'a>, MAX_VMS>,
}

/// What one VM is to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guest<'a> {
    /// Where the kernel's image is.
    pub kernel: Physical,
    /// The kernel's command line.
    pub command_line: &'a str,
    /// Where the kernel's RAM disk is, when it has one.
    pub ramdisk: Option<Physical>,
}

/// What is wrong with the board's device tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BoardError<'a> {
    /// No node describes RAM, or one describes it wrongly.
    Memory,
    /// There are more than [`MAX_RANGES`] ranges of RAM.
    TooManyRanges,
    /// A command line is not text.
    CommandLine {
        /// The node that has it.
        node: &'a str,
    },
    /// A module has no `reg` of one address and one size, or one that is not in RAM.
    ModulePlace {
        /// The module's node.
        node: &'a str,
    },
    /// A module has no bytes.
    EmptyModule {
        /// The module's node.
        node: &'a str,
    },
    /// Two modules overlap.
    Overlap {
        /// The address of the second of the two.
        address: u64,
    },
    /// There are more than [`MAX_CORES`] cores.
    TooManyCores {
        /// How many.
        cores: usize,
    },
    /// There is no kernel at all.
    NoKernel,
    /// A RAM disk has no kernel at a lower address.
    RamdiskWithoutKernel {
        /// The RAM disk's address.
        address: u64,
    },
    /// A kernel has two RAM disks.
    SecondRamdisk {
        /// The second one's address.
        address: u64,
    },
    /// There are more modules than [`MAX_VMS`] VMs can have.
    TooManyVms,
}

impl fmt::Display for BoardError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the board's device tree: ")?;
        match self {
            Self::Memory => f.write_str("no node describes RAM as the board has it"),
            Self::TooManyRanges => write!(f, "RAM is in more than {MAX_RANGES} ranges"),
            Self::CommandLine { node } => write!(f, "the bootargs of {node} are not text"),
            Self::ModulePlace { node } => write!(
                f,
                "the reg of {node} is not one range of RAM: load the guest to an address in RAM"
            ),
            Self::EmptyModule { node } => write!(
                f,
                "{node} is an empty file: give a kernel or a RAM disk that has something in it"
            ),
            Self::Overlap { address } => write!(
                f,
                "the module at {address:#x} overlaps the one before it: load it to a higher address"
            ),
            Self::TooManyCores { cores } => write!(
                f,
                "the board has {cores} cores and {MAX_CORES} can be used: give QEMU -smp {MAX_CORES}"
            ),
            Self::NoKernel => f.write_str(
                "there is no guest: add -device guest-loader,addr=ADDRESS,kernel=FILE to QEMU",
            ),
            Self::RamdiskWithoutKernel { address } => write!(
                f,
                "the RAM disk at {address:#x} has no kernel: load its kernel to a lower address"
            ),
            Self::SecondRamdisk { address } => write!(
                f,
                "the RAM disk at {address:#x} is its kernel's second one: leave out one of them"
            ),
            Self::TooManyVms => write!(
                f,
                "there are more modules than {MAX_VMS} VMs can have: leave some out"
            ),
        }
    }
}

impl core::error::Error for BoardError<'_> {}

/// A module, before it belongs to a VM.
#[derive(Clone, Debug)]
struct Module<'a> {
    place: Physical,
    kind: Kind<'a>,
}

#[derive(Clone, Debug)]
enum Kind<'a> {
    Kernel { command_line: &'a str },
    Ramdisk,
}

impl<'a> Board<'a> {
    /// Reads the board's device tree.
    ///
    /// # Errors
    ///
    /// When it does not say where RAM is, or has modules that cannot be identified or run.
    pub fn from_fdt(fdt: Fdt<'a>) -> Result<Self, BoardError<'a>> {
        let memory = memory(fdt)?;
        let chosen = fdt.root().child("chosen");
        let command_line = match chosen {
            Some(chosen) => bootargs(chosen)?,
            None => "",
        };
        let modules = match chosen {
            Some(chosen) => modules(chosen, &memory)?,
            None => ArrayVec::new(),
        };
        Ok(Self {
            command_line,
            memory,
            cores: cores(fdt)?,
            guests: guests(modules)?,
        })
    }
}

/// Every range of RAM: the `reg` of each node whose `device_type` is `memory`.
fn memory(fdt: Fdt<'_>) -> Result<ArrayVec<Physical, MAX_RANGES>, BoardError<'_>> {
    let mut ranges = ArrayVec::<Physical, MAX_RANGES>::new();
    let is_memory = |node: &FdtNode<'_>| {
        node.property("device_type")
            .is_some_and(|property| property.value() == b"memory\0")
    };
    for node in fdt.root().children().filter(is_memory) {
        let reg = node.reg().ok().flatten().ok_or(BoardError::Memory)?;
        for entry in reg {
            let range = range(entry.address(), entry.size()).ok_or(BoardError::Memory)?;
            ranges
                .try_push(range)
                .map_err(|_| BoardError::TooManyRanges)?;
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let overlap = ranges.windows(2).any(|two| two[0].end > two[1].start);
    if ranges.is_empty() || overlap {
        return Err(BoardError::Memory);
    }
    Ok(ranges)
}

/// The number of cores: nodes under `/cpus` whose `device_type` is `cpu`. A tree without them is of
/// one core.
fn cores(fdt: Fdt<'_>) -> Result<usize, BoardError<'_>> {
    let is_core = |node: &FdtNode<'_>| {
        node.property("device_type")
            .is_some_and(|property| property.value() == b"cpu\0")
    };
    let cpus = fdt.root().child("cpus");
    match cpus.map_or(0, |cpus| cpus.children().filter(is_core).count()) {
        0 => Ok(1),
        cores if cores <= MAX_CORES => Ok(cores),
        cores => Err(BoardError::TooManyCores { cores }),
    }
}

/// The range of an address and a size, unless one does not fit into 64 bits or there is nothing.
fn range<E>(address: Result<u64, E>, size: Result<u64, E>) -> Option<Physical> {
    let (start, size) = (address.ok()?, size.ok()?);
    let end = start.checked_add(size)?;
    (size != 0).then_some(start..end)
}

/// The `bootargs` of a node, empty when it has none.
fn bootargs<'a>(node: FdtNode<'a>) -> Result<&'a str, BoardError<'a>> {
    match node.property("bootargs") {
        None => Ok(""),
        Some(property) => property
            .value_as::<&'a str>()
            .map_err(|_| BoardError::CommandLine { node: node.name() }),
    }
}

/// The modules under `/chosen`, in ascending address.
fn modules<'a>(
    chosen: FdtNode<'a>,
    memory: &[Physical],
) -> Result<ArrayVec<Module<'a>, { 2 * MAX_VMS }>, BoardError<'a>> {
    let mut modules = ArrayVec::<Module<'a>, { 2 * MAX_VMS }>::new();
    let cells = module_cells(chosen);
    for node in chosen.children() {
        let kind = if node.is_compatible("multiboot,kernel") {
            let command_line = bootargs(node)?;
            Kind::Kernel { command_line }
        } else if node.is_compatible("multiboot,ramdisk") {
            Kind::Ramdisk
        } else {
            continue;
        };
        let place = module_place(node, cells)?;
        let is_in = |ram: &Physical| ram.start <= place.start && place.end <= ram.end;
        if !memory.iter().any(is_in) {
            return Err(BoardError::ModulePlace { node: node.name() });
        }
        modules
            .try_push(Module { place, kind })
            .map_err(|_| BoardError::TooManyVms)?;
    }
    modules.sort_unstable_by_key(|module| module.place.start);
    if let Some(two) = modules
        .windows(2)
        .find(|two| two[0].place.end > two[1].place.start)
    {
        let address = two[1].place.start;
        return Err(BoardError::Overlap { address });
    }
    Ok(modules)
}

/// The cells of an address and of a size in the `reg` of a module.
fn module_cells(chosen: FdtNode<'_>) -> [usize; 2] {
    let said = chosen.property("#address-cells").is_some();
    match (said, chosen.address_cells(), chosen.size_cells()) {
        (true, Ok(address), Ok(size)) => [address as usize, size as usize],
        _ => MODULE_CELLS,
    }
}

/// Where a module is: its `reg` has exactly one entry.
fn module_place<'a>(node: FdtNode<'a>, cells: [usize; 2]) -> Result<Physical, BoardError<'a>> {
    let numbers = || {
        let property = node.property("reg")?;
        let mut entries = property.as_prop_encoded_array(cells).ok()?;
        let [address, size] = entries.next()?;
        let numbers: (u64, u64) = (address.to_int().ok()?, size.to_int().ok()?);
        entries.next().is_none().then_some(numbers)
    };
    let node = node.name();
    match numbers() {
        Some((_, 0)) => Err(BoardError::EmptyModule { node }),
        numbers => numbers
            .and_then(|(start, size)| Some(start..start.checked_add(size)?))
            .ok_or(BoardError::ModulePlace { node }),
    }
}

/// Gives each kernel a VM, and each RAM disk to the kernel before it.
fn guests<'a>(
    modules: ArrayVec<Module<'a>, { 2 * MAX_VMS }>,
) -> Result<ArrayVec<Guest<'a>, MAX_VMS>, BoardError<'a>> {
    let mut guests = ArrayVec::<Guest<'a>, MAX_VMS>::new();
    for Module { place, kind } in modules {
        match kind {
            Kind::Kernel { command_line } => guests
                .try_push(Guest {
                    kernel: place,
                    command_line,
                    ramdisk: None,
                })
                .map_err(|_| BoardError::TooManyVms)?,
            Kind::Ramdisk => {
                let address = place.start;
                let guest = guests
                    .last_mut()
                    .ok_or(BoardError::RamdiskWithoutKernel { address })?;
                if guest.ramdisk.replace(place).is_some() {
                    return Err(BoardError::SecondRamdisk { address });
                }
            }
        }
    }
    if guests.is_empty() {
        return Err(BoardError::NoKernel);
    }
    Ok(guests)
}
