//! The format of a table and of its descriptors (Arm ARM, "Translation table descriptor formats").

use core::sync::atomic::{AtomicU64, Ordering};

use super::{BLOCK_SIZE, LEVEL_1_SIZE, PA_BITS, PAGE_SIZE};

/// Entries of a table.
const ENTRIES: usize = 512;

/// Bit 0: the entry is valid.
const VALID: u64 = 1 << 0;
/// Bit 1: a table at levels 1 and 2 and a page at level 3, where clear means a block at level 2.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// MemAttr, bits 5:2: Normal memory, outer and inner write-back (with `HCR_EL2.FWB` clear).
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
/// S2AP, bits 7:6: the guest may read and write.
const READ_WRITE: u64 = 0b11 << 6;
/// SH, bits 9:8: inner shareable.
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// AF, bit 10: set, so that the first access does not fault.
const ACCESSED: u64 = 1 << 10;

/// What every leaf has. XN, bits 54:53, stays 0: the guest may execute at EL1 and EL0.
const LEAF: u64 = VALID | NORMAL_WRITE_BACK | READ_WRITE | INNER_SHAREABLE | ACCESSED;

/// The bits of a descriptor that hold an address.
const ADDRESS: u64 = ((1 << PA_BITS) - 1) & !(PAGE_SIZE - 1);

/// A level of the walk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    One,
    Two,
    Three,
}

impl Level {
    /// What one entry covers, in bytes.
    pub(super) const fn entry_size(self) -> u64 {
        match self {
            Self::One => LEVEL_1_SIZE,
            Self::Two => BLOCK_SIZE,
            Self::Three => PAGE_SIZE,
        }
    }

    /// The index of the entry that translates `ipa`.
    pub(super) const fn index(self, ipa: u64) -> usize {
        (ipa / self.entry_size()) as usize % ENTRIES
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Descriptor {
    /// Nothing is mapped.
    Invalid,
    /// The physical address of the next level's table.
    Table(u64),
    /// The physical address of a block or page.
    Leaf(u64),
}

impl Descriptor {
    const fn to_bits(self, level: Level) -> u64 {
        match (self, level) {
            (Self::Invalid, _) => 0,
            (Self::Table(pa), _) => pa | TABLE_OR_PAGE | VALID,
            (Self::Leaf(pa), Level::Three) => pa | TABLE_OR_PAGE | LEAF,
            (Self::Leaf(pa), _) => pa | LEAF,
        }
    }

    const fn from_bits(bits: u64, level: Level) -> Self {
        if bits & VALID == 0 {
            return Self::Invalid;
        }
        match (bits & TABLE_OR_PAGE != 0, level) {
            (true, Level::One | Level::Two) => Self::Table(bits & ADDRESS),
            (true, Level::Three) | (false, Level::Two) => Self::Leaf(bits & ADDRESS),
            (false, Level::One | Level::Three) => Self::Invalid,
        }
    }
}

/// One page of memory for one table.
///
/// The table walker of the hardware reads it at any time, so every entry is written as a whole.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Frame([AtomicU64; ENTRIES]);

impl Frame {
    /// A frame whose entries are all invalid.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ENTRIES])
    }

    /// Makes every entry invalid.
    pub(super) fn clear(&self) {
        for entry in &self.0 {
            entry.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, index: usize, level: Level) -> Descriptor {
        Descriptor::from_bits(self.0[index].load(Ordering::Relaxed), level)
    }

    /// Writes an entry. A walker that sees it sees all that was written before, such as the cleared
    /// table that it points to: hence the release.
    pub(super) fn set(&self, index: usize, level: Level, descriptor: Descriptor) {
        self.0[index].store(descriptor.to_bits(level), Ordering::Release);
    }

    /// The entries as they are in memory.
    #[cfg(test)]
    pub(super) fn bits(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|entry| entry.load(Ordering::Relaxed))
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the Arm ARM's formats, written out by hand.
    #[test]
    fn descriptors_have_the_architected_bits() {
        let pa = 0x1234_4000_0000;
        for (descriptor, level, bits) in [
            (Descriptor::Invalid, Level::Two, 0),
            (Descriptor::Table(pa), Level::One, 0x1234_4000_0003),
            (Descriptor::Table(pa), Level::Two, 0x1234_4000_0003),
            (Descriptor::Leaf(pa), Level::Two, 0x1234_4000_07fd),
            (Descriptor::Leaf(pa), Level::Three, 0x1234_4000_07ff),
        ] {
            assert_eq!(descriptor.to_bits(level), bits, "{descriptor:x?} {level:?}");
            assert_eq!(Descriptor::from_bits(bits, level), descriptor);
        }
    }

    #[test]
    fn reserved_encodings_are_invalid() {
        assert_eq!(
            Descriptor::from_bits(0x7fd, Level::Three),
            Descriptor::Invalid
        );
        assert_eq!(
            Descriptor::from_bits(0x7fe, Level::Two),
            Descriptor::Invalid
        );
    }

    #[test]
    fn a_frame_is_one_page() {
        assert_eq!(size_of::<Frame>() as u64, PAGE_SIZE);
        assert_eq!(align_of::<Frame>() as u64, PAGE_SIZE);
    }
}
