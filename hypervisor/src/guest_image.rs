//! A guest's kernel image, and where it, its RAM disk and its device tree go in the VM's memory.
//!
//! The image is an arm64 `Image` as Linux's boot protocol describes it (Documentation/arch/arm64/
//! booting.rst): a 64-byte header, at which it is also entered. Or it is a 32-bit Arm `zImage`
//! (Documentation/arch/arm/booting.rst), and the VM's guest is AArch32. Test images without Linux in
//! them have the same headers.

mod format;
#[cfg(test)]
mod tests;
mod zimage;

use core::{fmt, ops::Range};

pub use format::{ExecutionState, Format, Image, ImageError, PageSize};

use crate::{
    settings::{MAX_MEMORY, MEMORY_STEP, MIN_MEMORY},
    virt::RAM,
};

/// Where the kernel goes, if its header's `text_offset` is 0: a multiple of 2 MiB as the protocol
/// asks, near the start of RAM.
pub const KERNEL_BASE: u64 = RAM + 0x20_0000;

/// The size reserved for the device tree, in bytes, and its alignment: the protocol
/// limits it to this size, so that one block can map it.
pub const FDT_ROOM: u64 = 2 << 20;

/// The protocol's window: the RAM disk must be inside one that is this large in bytes, starts at a
/// multiple of 1 GiB and has all of the kernel in it.
const WINDOW: u64 = 32 << 30;

/// What the RAM disk's address is a multiple of, in bytes.
const PAGE: u64 = 0x1000;

/// Where everything goes in a VM's memory, in the guest's addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// All of RAM.
    pub ram: Range<u64>,
    /// What the kernel occupies once it runs; its file goes to the start, where it is entered.
    pub kernel: Range<u64>,
    /// The RAM disk.
    pub ramdisk: Option<Range<u64>>,
    /// Where the device tree goes, all of its reserved range.
    pub fdt: Range<u64>,
}

impl Layout {
    /// Finds a place for everything in the `memory` bytes of VM number `vm`: the kernel, above it
    /// the RAM disk of `ramdisk` bytes if there is one, above that the device tree.
    ///
    /// # Errors
    ///
    /// When that does not fit.
    pub fn new(
        vm: usize,
        image: &Image,
        ramdisk: Option<u64>,
        memory: u64,
    ) -> Result<Self, DoesNotFit> {
        let too_large = |part| DoesNotFit {
            vm,
            part,
            needed: None,
            memory,
        };
        let kernel = KERNEL_BASE
            .checked_add(image.text_offset)
            .and_then(|start| Some(start..start.checked_add(image.memory_size)?))
            .ok_or(too_large(Part::Kernel))?;
        let ramdisk = match ramdisk {
            None => None,
            Some(size) => Some(
                kernel
                    .end
                    .checked_next_multiple_of(PAGE)
                    .and_then(|start| Some(start..start.checked_add(size)?))
                    .filter(|range| range.end <= RAM + WINDOW)
                    .ok_or(too_large(Part::Ramdisk))?,
            ),
        };
        let fdt = ramdisk
            .as_ref()
            .map_or(kernel.end, |ramdisk| ramdisk.end)
            .checked_next_multiple_of(FDT_ROOM)
            .and_then(|start| Some(start..start.checked_add(FDT_ROOM)?))
            .ok_or(too_large(Part::Fdt))?;

        let layout = Self {
            ram: RAM..RAM.saturating_add(memory),
            kernel,
            ramdisk,
            fdt,
        };
        match layout.first_outside() {
            None => Ok(layout),
            Some(part) => Err(DoesNotFit {
                vm,
                part,
                needed: Some(layout.fdt.end - RAM).filter(|needed| *needed <= MAX_MEMORY),
                memory,
            }),
        }
    }

    /// The address at which the kernel is entered.
    pub const fn entry(&self) -> u64 {
        self.kernel.start
    }

    /// The first part that is not all in RAM.
    fn first_outside(&self) -> Option<Part> {
        let ramdisk_end = self.ramdisk.as_ref().map_or(0, |ramdisk| ramdisk.end);
        [
            (Part::Kernel, self.kernel.end),
            (Part::Ramdisk, ramdisk_end),
            (Part::Fdt, self.fdt.end),
        ]
        .into_iter()
        .find_map(|(part, end)| (end > self.ram.end).then_some(part))
    }
}

/// A part of what a VM starts with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The kernel, with the memory after its image that it clears when it starts.
    Kernel,
    /// The RAM disk.
    Ramdisk,
    /// The device tree.
    Fdt,
}

/// A VM's memory is too small for what the VM starts with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DoesNotFit {
    /// The VM's number.
    pub vm: usize,
    /// The first part that does not fit.
    pub part: Part,
    /// The memory that all parts need, in bytes, or `None` when no memory would be enough.
    pub needed: Option<u64>,
    /// The VM's memory, in bytes.
    pub memory: u64,
}

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, memory, .. } = self;
        let part = match self.part {
            Part::Kernel => "kernel",
            Part::Ramdisk => "RAM disk",
            Part::Fdt => "device tree",
        };
        let Some(needed) = self.needed else {
            return write!(f, "vm{vm}'s {part} fits into no VM: use a smaller one");
        };
        let has = memory >> 20;
        let needs = needed.next_multiple_of(MEMORY_STEP).max(MIN_MEMORY) >> 20;
        write!(
            f,
            "vm{vm}'s {part} does not fit into its {has}M of memory: kernel, RAM disk and device \
             tree need {needs}M; set vm{vm}.memory={needs}M or more"
        )
    }
}

impl core::error::Error for DoesNotFit {}
