//! The stage-2 translation tables of one VM: its own memory and nothing else.
//!
//! The tables have a 4 KiB granule and translate 39 bits of intermediate physical address (IPA)
//! from one level-1 table down (Arm ARM, "VMSAv8-64 translation using the 4KB granule"). RAM is
//! Normal write-back memory that the guest may read, write and execute, in blocks of 2 MiB where
//! the addresses allow it and in pages of 4 KiB elsewhere. Devices are not mapped at all: an access
//! to one faults and is emulated.
//!
//! A VM's RAM is one range of IPA on one range of physical addresses ([`Ram`]). All that these
//! tables can be told is which part of it to map, never where to, so no address outside the VM's
//! own memory can get into them.
//!
//! # Barriers and TLB maintenance
//!
//! These are the caller's, as they are instructions:
//!
//! * After [`Stage2::map`]: `DSB ISHST` and `ISB`. It only writes valid entries over invalid ones,
//!   and no TLB holds an invalid entry, so there is nothing to invalidate (Arm ARM, "TLB
//!   maintenance requirements").
//! * After [`Stage2::unmap_all`]: `DSB ISHST`, `TLBI VMALLS12E1IS` under the VM's VMID, `DSB ISH`
//!   and `ISB`, before anything is mapped again.
//!
//! A valid entry is never changed into another valid one: what is mapped must be unmapped first, and
//! that is the whole of the break-before-make rule here (Arm ARM, "Using break-before-make when
//! updating translation table entries").

mod descriptor;
mod registers;
#[cfg(test)]
mod tests;

use core::{fmt, ops::Range};

pub use descriptor::Frame;
use descriptor::{Descriptor, Level};
pub use registers::{PhysicalRangeTooSmall, Vmid, VmidWidth, Vtcr, Vttbr};

/// Size of a page, and of a frame that holds a table, in bytes.
pub const PAGE_SIZE: u64 = 0x1000;

/// Size of a block, in bytes.
pub const BLOCK_SIZE: u64 = 0x20_0000;

/// Bits of an intermediate physical address.
pub const IPA_BITS: u32 = 39;

/// What one entry of the level-1 table covers, in bytes.
const LEVEL_1_SIZE: u64 = 0x4000_0000;

/// Bits of a physical address that a descriptor can hold without FEAT_LPA2.
const PA_BITS: u32 = 48;

/// The frames that the tables of a VM with `memory` bytes of RAM need at most, wherever its RAM
/// lies and however it is mapped.
pub const fn frames_needed(memory: u64) -> usize {
    let level_2 = memory.div_ceil(LEVEL_1_SIZE) + 1;
    let level_3 = memory.div_ceil(BLOCK_SIZE) + 1;
    (1 + level_2 + level_3) as usize
}

/// A VM's RAM: where the guest sees it, and where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ram {
    ipa: u64,
    pa: u64,
    size: u64,
}

impl Ram {
    /// `size` bytes that the guest sees at `ipa`, at the physical address `pa`.
    ///
    /// Returns `None` when one of the three is not a multiple of [`PAGE_SIZE`], when there is
    /// nothing, or when an address is too large for the tables.
    pub const fn new(ipa: u64, pa: u64, size: u64) -> Option<Self> {
        let aligned = (ipa | pa | size).is_multiple_of(PAGE_SIZE);
        if !aligned || size == 0 || !fits(ipa, size, IPA_BITS) || !fits(pa, size, PA_BITS) {
            return None;
        }
        Some(Self { ipa, pa, size })
    }

    /// The addresses at which the guest sees it.
    pub const fn ipa(&self) -> Range<u64> {
        self.ipa..self.ipa + self.size
    }

    /// The physical addresses at which it is.
    pub const fn pa(&self) -> Range<u64> {
        self.pa..self.pa + self.size
    }

    /// The physical address of `length` bytes at `ipa`, or `None` when not all of them are RAM.
    ///
    /// This says where they are, not that they are mapped yet.
    pub fn to_physical(&self, ipa: u64, length: u64) -> Option<u64> {
        let offset = ipa.checked_sub(self.ipa)?;
        let end = offset.checked_add(length)?;
        (offset < self.size && end <= self.size).then_some(self.pa + offset)
    }
}

/// Whether `size` bytes at `start` have addresses of no more than `bits` bits.
const fn fits(start: u64, size: u64, bits: u32) -> bool {
    match start.checked_add(size) {
        Some(end) => end <= 1 << bits,
        None => false,
    }
}

/// Why tables could not be made or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage2Error {
    /// An address is not a multiple of [`PAGE_SIZE`].
    Unaligned,
    /// The addresses are not all in the VM's RAM.
    NotRam,
    /// Something is mapped there already.
    AlreadyMapped,
    /// There are fewer frames than [`frames_needed`] asks for.
    TooFewFrames,
    /// The frames lie in the VM's own RAM, where the guest could write to its tables.
    FramesInRam,
}

impl fmt::Display for Stage2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unaligned => "stage 2: an address is not a multiple of the page size",
            Self::NotRam => "stage 2: the addresses are not all in the VM's RAM",
            Self::AlreadyMapped => "stage 2: the address is mapped already",
            Self::TooFewFrames => "stage 2: too few frames for the tables",
            Self::FramesInRam => "stage 2: the tables lie in the VM's own RAM",
        })
    }
}

impl core::error::Error for Stage2Error {}

/// The stage-2 tables of one VM.
#[derive(Debug)]
pub struct Stage2<'m> {
    ram: Ram,
    /// Frame 0 is the level-1 table, the first `used` are tables, the others are free.
    frames: &'m [Frame],
    frames_pa: u64,
    used: usize,
    /// Frames below this one were tables before everything was unmapped, and are to be cleared when
    /// they are taken again. One by one, so that no single call takes long.
    stale: usize,
}

impl<'m> Stage2<'m> {
    /// Tables for `ram`, with nothing mapped, in `frames`, whose physical address is `frames_pa`.
    ///
    /// # Errors
    ///
    /// [`Stage2Error::TooFewFrames`], [`Stage2Error::Unaligned`] and [`Stage2Error::FramesInRam`],
    /// each about `frames`.
    pub fn new(ram: Ram, frames: &'m [Frame], frames_pa: u64) -> Result<Self, Stage2Error> {
        if frames.len() < frames_needed(ram.size) {
            return Err(Stage2Error::TooFewFrames);
        }
        let frames_size = size_of_val(frames) as u64;
        if !frames_pa.is_multiple_of(PAGE_SIZE) || !fits(frames_pa, frames_size, PA_BITS) {
            return Err(Stage2Error::Unaligned);
        }
        if frames_pa < ram.pa().end && ram.pa().start < frames_pa + frames_size {
            return Err(Stage2Error::FramesInRam);
        }
        for frame in frames {
            frame.clear();
        }
        Ok(Self {
            ram,
            frames,
            frames_pa,
            used: 1,
            stale: 0,
        })
    }

    /// The VM's RAM.
    pub const fn ram(&self) -> &Ram {
        &self.ram
    }

    /// The value of `VTTBR_EL2` that selects these tables under `vmid`.
    pub const fn vttbr(&self, vmid: Vmid) -> Vttbr {
        Vttbr::new(self.frames_pa, vmid)
    }

    /// Maps a range of RAM, exactly: blocks where a whole block is in the range, pages elsewhere.
    ///
    /// What it maps must not hold another VM's data any more.
    ///
    /// # Errors
    ///
    /// [`Stage2Error::Unaligned`] and [`Stage2Error::NotRam`], with nothing mapped;
    /// [`Stage2Error::AlreadyMapped`], with the range mapped up to the first block or page of it of
    /// which something was mapped before.
    pub fn map(&mut self, range: Range<u64>) -> Result<(), Stage2Error> {
        if !(range.start | range.end).is_multiple_of(PAGE_SIZE) {
            return Err(Stage2Error::Unaligned);
        }
        let size = range
            .end
            .checked_sub(range.start)
            .ok_or(Stage2Error::NotRam)?;
        let start_pa = self
            .ram
            .to_physical(range.start, size)
            .ok_or(Stage2Error::NotRam)?;
        let mut offset = 0;
        while offset < size {
            let (ipa, pa) = (range.start + offset, start_pa + offset);
            let block = (ipa | pa).is_multiple_of(BLOCK_SIZE) && size - offset >= BLOCK_SIZE;
            let level = if block { Level::Two } else { Level::Three };
            self.map_leaf(ipa, pa, level)?;
            offset += level.entry_size();
        }
        Ok(())
    }

    /// Invalidates everything. The tables below the first are free from then on.
    pub fn unmap_all(&mut self) {
        self.frames[0].clear();
        self.stale = self.stale.max(self.used);
        self.used = 1;
    }

    /// The physical address that `ipa` translates to, by a walk of the tables, or `None` where
    /// nothing is mapped.
    pub fn translate(&self, ipa: u64) -> Option<u64> {
        if ipa >> IPA_BITS != 0 {
            return None;
        }
        let mut table = &self.frames[0];
        for level in [Level::One, Level::Two, Level::Three] {
            match table.get(level.index(ipa), level) {
                Descriptor::Invalid => return None,
                Descriptor::Leaf(pa) => return Some(pa + ipa % level.entry_size()),
                Descriptor::Table(pa) => table = self.frame(pa),
            }
        }
        None
    }

    /// Writes one leaf, with the tables above it where they are missing.
    fn map_leaf(&mut self, ipa: u64, pa: u64, leaf_level: Level) -> Result<(), Stage2Error> {
        let mut table = &self.frames[0];
        for level in [Level::One, Level::Two] {
            if level == leaf_level {
                break;
            }
            table = match table.get(level.index(ipa), level) {
                Descriptor::Table(pa) => self.frame(pa),
                Descriptor::Leaf(_) => return Err(Stage2Error::AlreadyMapped),
                Descriptor::Invalid => {
                    let (new, new_pa) = self.take_frame()?;
                    table.set(level.index(ipa), level, Descriptor::Table(new_pa));
                    new
                }
            };
        }
        let index = leaf_level.index(ipa);
        if table.get(index, leaf_level) != Descriptor::Invalid {
            return Err(Stage2Error::AlreadyMapped);
        }
        table.set(index, leaf_level, Descriptor::Leaf(pa));
        Ok(())
    }

    /// Takes a free frame, cleared, with its physical address.
    fn take_frame(&mut self) -> Result<(&'m Frame, u64), Stage2Error> {
        let frame = self
            .frames
            .get(self.used)
            .ok_or(Stage2Error::TooFewFrames)?;
        if self.used < self.stale {
            frame.clear();
        }
        let pa = self.frames_pa + self.used as u64 * PAGE_SIZE;
        self.used += 1;
        Ok((frame, pa))
    }

    /// The frame at a physical address that one of these tables holds.
    fn frame(&self, pa: u64) -> &'m Frame {
        &self.frames[((pa - self.frames_pa) / PAGE_SIZE) as usize]
    }
}
